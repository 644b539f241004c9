# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import contextlib
import io
import os
import random
import threading

import pytest

from chunked_backup import errors
from chunked_backup.blocks import extents
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.flow import monitor
from chunked_backup.jobs import store_extent
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK
RANDOM = random.Random(1).randbytes(12 * CHUNK)
TEXT = b'some text that repeats, ' * (12 * CHUNK // 24)
EXECUTORS = pytest.mark.parametrize('executor', ['serial', 'threads'])


@pytest.fixture
def driver(each_format):
    return harness.memory_driver()


def data_objects(driver, backup):
    return list(harness.manifest_of(driver, backup).objects)


@EXECUTORS
@pytest.mark.parametrize('size', [1, BLOCK - 1, BLOCK, BLOCK + 1, CHUNK,
                                  CHUNK + 1, 9 * CHUNK + 77])
def test_a_full_backup_holds_the_volume(driver, executor, size):
    support.override(executor=executor)
    backup = harness.back_up(driver, 'full', RANDOM[:size])
    objects = data_objects(driver, backup)
    assert [stored.offset for stored in objects] == list(
        range(0, size, CHUNK))
    assert sum(stored.length for stored in objects) == size
    assert harness.restore(driver, backup) == RANDOM[:size]


@EXECUTORS
@pytest.mark.parametrize('compression', ['none', 'zlib', 'bz2', 'zstd'])
def test_long_objects_stream(driver, monkeypatch, executor, compression):
    harness.small_pieces(monkeypatch)
    support.override(executor=executor, compression_algorithm=compression)
    volume = TEXT[:3 * CHUNK] + RANDOM[:3 * CHUNK] + bytes(CHUNK) + b'end'
    backup = harness.back_up(driver, 'full', volume)
    assert harness.restore(driver, backup) == volume
    driver.verify_backup(backup)


def test_what_the_host_is_told(driver):
    backup = harness.back_up(driver, 'full', TEXT[:2 * CHUNK + 5])
    summary = driver.host.summaries['full']
    assert backup.object_count == summary.object_count == 3
    assert summary.volume_bytes == summary.changed_bytes == 2 * CHUNK + 5
    objects = data_objects(driver, backup)
    assert summary.stored_bytes == sum(
        len(driver.stores['backups'][stored.name]) for stored in objects)


def test_a_volume_without_bytes_is_refused(driver):
    backup = harness.new_backup(driver, 'full')
    with pytest.raises(errors.InvalidVolume, match='no bytes'):
        driver.backup(backup, io.BytesIO())
    assert not harness.objects_of(driver, backup)


def test_an_object_is_stored_raw_when_it_would_not_become_smaller(driver):
    backup = harness.back_up(driver, 'full', TEXT[:CHUNK] + RANDOM[:CHUNK])
    text, noise = data_objects(driver, backup)
    assert (text.compression, noise.compression) == ('zlib', 'none')
    stored = driver.stores['backups']
    assert stored[noise.name] == RANDOM[:CHUNK]
    assert len(stored[text.name]) < CHUNK / 5


@pytest.mark.parametrize('worthwhile', [0.98, 10.0])
@EXECUTORS
def test_a_long_object_is_stored_raw_too(driver, monkeypatch, executor,
                                         worthwhile):
    harness.small_pieces(monkeypatch)
    # 10: the samples promise what the object does not keep.
    monkeypatch.setattr(store_extent, '_WORTHWHILE', worthwhile)
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    support.override(executor=executor, format_version='1.0.0')
    backup = harness.back_up(driver, 'full', TEXT[:CHUNK] + RANDOM[:CHUNK])
    text, noise = data_objects(driver, backup)
    assert (text.compression, noise.compression) == ('zlib', 'none')
    assert driver.stores['backups'][noise.name] == RANDOM[:CHUNK]
    assert driver.host.reports[-1] == (2 * CHUNK, 2 * CHUNK)
    assert max(driver.host.reports)[0] == 2 * CHUNK


def test_a_spelling_is_recorded_as_configured(driver):
    support.override(compression_algorithm='gzip', format_version='1.0.0')
    backup = harness.back_up(driver, 'full', TEXT[:CHUNK])
    assert data_objects(driver, backup)[0].compression == 'gzip'


def test_an_incremental_of_the_same_volume_stores_nothing(driver):
    harness.back_up(driver, 'full', TEXT)
    backup = harness.back_up(driver, 'incremental', TEXT, 'full')
    assert data_objects(driver, backup) == []
    assert len(harness.objects_of(driver, backup)) == 2
    assert harness.restore(driver, backup) == TEXT


@pytest.mark.parametrize('gap, ranges', [
    (0, [(BLOCK, BLOCK), (4 * BLOCK, BLOCK), (20 * BLOCK, BLOCK)]),
    (2 * BLOCK - 1, [(BLOCK, BLOCK), (4 * BLOCK, BLOCK),
                     (20 * BLOCK, BLOCK)]),
    (2 * BLOCK, [(BLOCK, 4 * BLOCK), (20 * BLOCK, BLOCK)]),
    (1 << 30, [(BLOCK, 8 * BLOCK), (9 * BLOCK, 8 * BLOCK),
               (17 * BLOCK, 4 * BLOCK)])])
def test_an_incremental_stores_the_changed_blocks_and_merges_near_ones(
        driver, gap, ranges):
    support.override(merge_gap_bytes=gap, format_version='1.0.0')
    harness.back_up(driver, 'full', RANDOM)
    volume = bytearray(RANDOM)
    for block in (1, 4, 20):
        volume[block * BLOCK] ^= 1
    backup = harness.back_up(driver, 'incremental', bytes(volume), 'full')
    assert [(stored.offset, stored.length)
            for stored in data_objects(driver, backup)] == ranges
    assert harness.restore(driver, backup) == volume


def test_zero_objects_are_made_once_for_each_size(driver, tmp_path,
                                                  monkeypatch):
    monkeypatch.setattr(extents, 'SMALLEST_ZERO_EXTENT_BYTES', 2 * BLOCK)
    made = []
    make = store_extent._ZeroObjects._make
    monkeypatch.setattr(
        store_extent._ZeroObjects, '_make', lambda self, length: (
            made.append(length), make(self, length))[1])
    support.override(compression_algorithm='none', format_version='1.0.0')
    driver.sha_block_size_bytes = 4096
    driver.chunk_size_bytes = 8 * 4096
    with open(tmp_path / 'volume', 'w+b') as volume_file:
        volume_file.truncate(44 * 4096 + 100)
        os.pwrite(volume_file.fileno(), b'data', 10 * 4096)
        backup = harness.back_up(driver, 'full', volume_file)
    zeros = [stored for stored in data_objects(driver, backup)
             if stored.compression == 'zlib']
    assert sorted(made) == sorted({stored.length for stored in zeros})
    assert len(zeros) > len(made) > 1
    assert harness.restore(driver, backup) == (
        bytes(10 * 4096) + b'data' + bytes(34 * 4096 + 96))
    driver.verify_backup(backup)


@pytest.mark.parametrize('parent', [None, 'full'])
def test_holes_are_not_read(driver, tmp_path, monkeypatch, parent):
    if parent:
        harness.back_up(driver, 'full', TEXT)
    read = []
    preadv = os.preadv

    def counting(descriptor, buffers, offset):
        count = preadv(descriptor, buffers, offset)
        read.append((offset, count))
        return count

    monkeypatch.setattr(os, 'preadv', counting)
    with open(tmp_path / 'volume', 'w+b') as volume_file:
        volume_file.truncate(64 * CHUNK)
        os.pwrite(volume_file.fileno(), b'data', 32 * CHUNK)
        backup = harness.back_up(driver, 'backup', volume_file, parent)
    assert read
    assert all(32 * CHUNK <= offset < offset + count <= 33 * CHUNK
               for offset, count in read)
    assert harness.restore(driver, backup) == (
        bytes(32 * CHUNK) + b'data' + bytes(32 * CHUNK - 4))


@EXECUTORS
@pytest.mark.parametrize('parent', [None, 'full'])
def test_progress_reaches_the_whole_and_never_exceeds_it(
        driver, monkeypatch, executor, parent):
    support.override(executor=executor)
    if parent:
        harness.back_up(driver, 'full', TEXT)
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    del driver.host.reports[:]
    backup = harness.back_up(driver, 'backup', RANDOM, parent)
    reports = driver.host.reports
    assert reports[-1] == (len(RANDOM), len(RANDOM))
    assert max(reports)[0] == len(RANDOM)
    assert reports == sorted(reports)
    del reports[:]
    harness.restore(driver, backup, RANDOM, False)
    assert reports[-1] == (len(RANDOM), len(RANDOM))
    assert max(reports)[0] == len(RANDOM)


@EXECUTORS
@pytest.mark.parametrize('status', ['deleting', 'deleted'])
@pytest.mark.parametrize('parent', [None, 'full'])
def test_a_cancelled_backup_leaves_nothing(driver, monkeypatch, executor,
                                           status, parent):
    support.override(executor=executor)
    if parent:
        harness.back_up(driver, 'full', TEXT)
    before = dict(driver.stores.get('backups', {}))
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    asked = []
    finished = False
    while not finished:
        backup = harness.new_backup(driver, 'backup', parent)
        limit = len(asked)
        del asked[:]

        def changing(backup):
            asked.append(1)
            return status if len(asked) > limit else 'creating'

        monkeypatch.setattr(driver.host, 'status', changing)
        if limit > 200:
            break
        try:
            driver.backup(backup, io.BytesIO(RANDOM))
            finished = True
        except errors.BackupCancelled as exc:
            assert exc.backup_id == 'backup'
            assert driver.stores.get('backups', {}) == before
    assert finished and limit > 3


@EXECUTORS
@pytest.mark.parametrize('parent', [None, 'full'])
@pytest.mark.parametrize('pieces', ['whole', 'streamed'])
def test_a_store_that_fails_at_any_call_is_left_as_it_was(
        monkeypatch, executor, parent, pieces):
    support.override(executor=executor)
    if pieces == 'streamed':
        harness.small_pieces(monkeypatch)
    driver = harness.attach(harness.FailingDriver(None, CHUNK, BLOCK))
    driver.error = errors.OutOfSpace
    if parent:
        harness.back_up(driver, 'full', TEXT[:4 * CHUNK])
    before = dict(driver.stores.get('backups', {}))
    driver.fail_at = -1
    while True:
        driver.fail_at += 1
        driver.calls = 0
        backup = harness.new_backup(driver, 'backup', parent)
        try:
            driver.backup(backup, io.BytesIO(RANDOM[:4 * CHUNK]))
            break
        except errors.OutOfSpace as exc:
            assert not getattr(exc, '__notes__', None)
            assert driver.stores.get('backups', {}) == before
            assert backup.status == 'creating'
    assert driver.fail_at >= 18
    driver.fail_at = None
    assert harness.restore(driver, backup) == RANDOM[:4 * CHUNK]


@EXECUTORS
@pytest.mark.parametrize('pieces', ['whole', 'streamed'])
def test_a_store_that_fails_for_now_changes_nothing(monkeypatch, executor,
                                                    pieces):
    support.override(executor=executor, retry_wait_s=0)
    if pieces == 'streamed':
        harness.small_pieces(monkeypatch)
    driver = harness.attach(harness.FailingDriver(None, CHUNK, BLOCK))
    monkeypatch.setattr(driver, '_generate_object_name_prefix',
                        lambda backup: f'prefix_{backup.id}')
    volume = TEXT[:2 * CHUNK] + RANDOM[:2 * CHUNK]
    harness.back_up(driver, 'full', TEXT[:3 * CHUNK])
    expected = None
    driver.calls = 0
    fail_at = None
    while fail_at is None or driver.calls > fail_at:
        driver.fail_at, driver.calls = fail_at, 0
        backup = harness.back_up(driver, 'backup', volume, 'full')
        stored = harness.objects_of(driver, backup)
        assert stored == (expected or stored)
        assert driver.host.reports[-1] == (len(volume), len(volume))
        expected = stored
        for name in stored:
            del driver.stores['backups'][name]
        fail_at = -1 if fail_at is None else fail_at
        fail_at += 1
    assert fail_at > 10


@EXECUTORS
@pytest.mark.parametrize('parent', [None, 'full'])
def test_a_volume_that_fails_at_any_read_leaves_nothing(driver, executor,
                                                        parent):
    support.override(executor=executor)

    class Failing(io.BytesIO):
        calls = 0

        def read(self, size):
            self.calls += 1
            if self.calls == fail_at:
                raise OSError(5, 'no')
            return super().read(size)

    if parent:
        harness.back_up(driver, 'full', TEXT[:6 * CHUNK])
    before = dict(driver.stores.get('backups', {}))
    for fail_at in range(1, 100):
        backup = harness.new_backup(driver, 'backup', parent)
        try:
            driver.backup(backup, Failing(RANDOM[:6 * CHUNK]))
            break
        except errors.VolumeIOError:
            assert driver.stores.get('backups', {}) == before
    assert 6 <= fail_at < 99
    assert harness.restore(driver, backup) == RANDOM[:6 * CHUNK]


def test_a_volume_that_ends_early_leaves_nothing(driver):
    class Shrinking(io.BytesIO):
        def read(self, size):
            self.truncate(CHUNK + 5)
            return super().read(size)

    backup = harness.new_backup(driver, 'backup')
    with pytest.raises(errors.VolumeIOError, match='ended early'):
        driver.backup(backup, Shrinking(RANDOM))
    assert not harness.objects_of(driver, backup)


def test_what_could_not_be_cleaned_up_is_noted(driver, monkeypatch):
    def refuse(container, name, *args):
        raise errors.AccessDenied(container=container, object_name=name,
                                  reason='no')

    monkeypatch.setattr(driver, 'delete_object', refuse)
    driver.host.says = 'deleting'
    backup = harness.new_backup(driver, 'backup')
    with pytest.raises(errors.BackupCancelled) as caught:
        driver.backup(backup, io.BytesIO(RANDOM))
    note, = caught.value.__notes__
    assert backup.service_metadata in note and 'refuses access' in note


def test_the_commit_order_is_data_then_digests_then_manifest(monkeypatch):
    driver = harness.memory_driver()
    monkeypatch.setattr(driver, '_generate_object_name_prefix',
                        lambda backup: 'p')
    harness.back_up(driver, 'full', RANDOM[:2 * CHUNK])
    # A dictionary keeps the order in which names were first written.
    assert list(driver.stores['backups'])[-2:] == ['p_sha256file',
                                                   'p_metadata']


# Two writers of one backup.

@pytest.fixture
def one_prefix(monkeypatch):
    """As when two jobs of one backup begin in the same second."""
    monkeypatch.setattr(MemoryBackupDriver, '_generate_object_name_prefix',
                        lambda self, backup: f'prefix_{backup.id}')


@EXECUTORS
def test_a_second_writer_of_a_backup_is_refused_before_it_writes(
        driver, one_prefix, executor):
    support.override(executor=executor)
    backup = harness.back_up(driver, 'full', RANDOM)
    before = dict(driver.stores['backups'])
    with pytest.raises(errors.ObjectExists, match='another writer') as caught:
        harness.back_up(driver, 'full', TEXT)
    assert driver.stores['backups'] == before
    assert caught.value.__notes__  # so that no host tidies up, either
    assert harness.restore(driver, backup) == RANDOM


def test_a_backup_whose_name_begins_like_another_is_no_second_writer(
        driver, one_prefix):
    for backup_id in ('full-00001', 'full2', 'full'):
        backup = harness.back_up(driver, backup_id, RANDOM)
        assert harness.restore(driver, backup) == RANDOM


@EXECUTORS
def test_of_writers_that_begin_at_once_the_first_to_commit_wins(
        driver, one_prefix, monkeypatch, executor):
    support.override(executor=executor)
    backup = harness.back_up(driver, 'full', RANDOM)
    before = dict(driver.stores['backups'])
    monkeypatch.setattr(driver, 'get_container_entries',
                        lambda container, prefix: [])
    with pytest.raises(errors.ObjectExists, match='_metadata') as caught:
        harness.back_up(driver, 'full', RANDOM)
    monkeypatch.undo()
    assert driver.stores['backups'] == before
    assert caught.value.__notes__
    assert harness.restore(driver, backup) == RANDOM


@EXECUTORS
def test_a_commit_whose_answer_is_lost_is_a_backup(driver, monkeypatch,
                                                   executor):
    support.override(executor=executor, retry_wait_s=0)
    original = driver.get_exclusive_writer
    lost = []

    @contextlib.contextmanager
    def lose(container, name, **keywords):
        with original(container, name, **keywords) as writer:
            yield writer
        if not lost:
            lost.append(name)
            raise errors.TransientDriverError(
                container=container, object_name=name, reason='lost')

    monkeypatch.setattr(driver, 'get_exclusive_writer', lose)
    backup = harness.back_up(driver, 'full', RANDOM)
    assert lost == [f'{backup.service_metadata}_metadata']
    assert harness.restore(driver, backup) == RANDOM


@pytest.mark.parametrize('method, ending', [
    ('get_object_writer', '_sha256file'),
    ('get_exclusive_writer', '_metadata')])
def test_what_is_stored_after_its_job_was_cancelled_is_removed(
        driver, monkeypatch, method, ending):
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    original = getattr(driver, method)
    job_ended, stored, removed = (threading.Event() for _ in range(3))

    @contextlib.contextmanager
    def hang(container, name, **keywords):
        with original(container, name, **keywords) as writer:
            yield writer
            if name.endswith(ending):
                driver.host.says = 'deleting'
                assert job_ended.wait(30)
        if name.endswith(ending):
            stored.set()

    def delete_objects(container, names):
        MemoryBackupDriver.delete_objects(driver, container, names)
        if stored.is_set():
            removed.set()

    monkeypatch.setattr(driver, method, hang)
    monkeypatch.setattr(driver, 'delete_objects', delete_objects)
    with pytest.raises(errors.BackupCancelled):
        harness.back_up(driver, 'full', RANDOM)
    job_ended.set()
    assert removed.wait(30)
    assert driver.stores['backups'] == {}


def test_a_commit_that_fails_for_good_after_it_arrived_is_taken_back(
        driver, monkeypatch):
    original = driver.get_exclusive_writer

    @contextlib.contextmanager
    def lose(container, name, **keywords):
        with original(container, name, **keywords) as writer:
            yield writer
        raise errors.DriverError(container=container, object_name=name,
                                 reason='odd')

    monkeypatch.setattr(driver, 'get_exclusive_writer', lose)
    with pytest.raises(errors.DriverError, match='odd'):
        harness.back_up(driver, 'full', RANDOM)
    assert driver.stores['backups'] == {}
