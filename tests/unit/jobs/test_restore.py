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

import io
import random

import pytest

from chunked_backup import errors
from chunked_backup.endpoints import sink
from chunked_backup.flow import monitor
from chunked_backup.model import BadRange
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK
RANDOM = random.Random(2).randbytes(6 * CHUNK)
EXECUTORS = pytest.mark.parametrize('executor', ['serial', 'threads'])
TARGETS = pytest.mark.parametrize('target, is_new', [
    (b'', True), (bytes(6 * CHUNK), True), (b'\xff' * 7 * CHUNK, False)],
    ids=['new', 'zeroed', 'dirty'])


@pytest.fixture
def driver(each_format):
    return harness.attach(harness.CountingDriver(None, CHUNK, BLOCK))


def restore_file(driver, backup, volume_file, is_new=True, **keywords):
    backup.status = 'restoring'
    try:
        return driver.restore(backup, 'target', volume_file, is_new,
                              **keywords)
    finally:
        backup.status = 'available'


def data_names(driver, backup):
    return list(harness.manifest_of(driver, backup).objects.names())


@EXECUTORS
def test_block_zeroed_after_the_full_backup_restores_to_a_new_volume(
        driver, executor):
    support.override(executor=executor)
    harness.back_up(driver, 'full', RANDOM)
    volume = bytearray(RANDOM)
    volume[3 * BLOCK:4 * BLOCK] = bytes(BLOCK)
    backup = harness.back_up(driver, 'incremental', bytes(volume), 'full')
    assert harness.restore(driver, backup, b'', True) == volume
    assert harness.restore(driver, backup, bytes(len(volume)),
                           True) == volume


@EXECUTORS
@TARGETS
def test_every_point_of_a_chain_restores_to_any_target(
        driver, executor, target, is_new):
    support.override(executor=executor)
    points = {}
    volume = bytearray(RANDOM)
    parent = None
    for number in range(4):
        volume[number * BLOCK:(number + 1) * BLOCK] = bytes(BLOCK)
        volume[-number * CHUNK - BLOCK:][:3] = b'new'
        points[harness.back_up(driver, f'b{number}', bytes(volume),
                               parent).id] = bytes(volume)
        parent = f'b{number}'
    for backup_id, expected in points.items():
        backup = driver.host.backups[backup_id]
        assert harness.restore(driver, backup, target, is_new) == expected


@EXECUTORS
def test_an_object_is_fetched_and_a_byte_is_written_at_most_once(
        driver, executor, monkeypatch):
    harness.small_pieces(monkeypatch)
    support.override(executor=executor, merge_gap_bytes=3 * BLOCK)
    volume = bytearray(RANDOM)
    parent = None
    for number in range(5):
        backup = harness.back_up(driver, f'b{number}', bytes(volume), parent)
        parent = backup.id
        for block in range(number, 48, 5):
            volume[block * BLOCK] ^= 255
        volume[number * CHUNK:][:100] = bytes(100)
    driver.opened.clear()
    for target in (harness.CountingFile(),
                   harness.CountingFile(b'\xff' * len(RANDOM))):
        driver.opened.clear()
        restore_file(driver, backup, target, is_new=False)
        assert max(driver.opened.values()) == 1
        assert set(target.written) == set(range(len(RANDOM)))
        assert set(target.written.values()) == {1}


def test_a_shadowed_object_is_not_fetched(driver):
    full = harness.back_up(driver, 'full', RANDOM)
    changed = bytes(byte ^ 255 for byte in RANDOM[:CHUNK]) + RANDOM[CHUNK:]
    backup = harness.back_up(driver, 'incremental', changed, 'full')
    driver.opened.clear()
    harness.restore(driver, backup)
    shadowed, *others = data_names(driver, full)
    assert shadowed not in driver.opened
    assert set(others) < set(driver.opened)


@pytest.mark.parametrize('is_new', [True, False])
def test_zeros_are_not_fetched(driver, is_new):
    volume = bytes(4 * CHUNK) + RANDOM[:CHUNK]
    backup = harness.back_up(driver, 'full', volume)
    driver.opened.clear()
    target = harness.CountingFile(b'\xff' * 5 * CHUNK)
    summary = restore_file(driver, backup, target, is_new)
    assert summary.object_count == 1
    assert set(driver.opened) & set(data_names(driver, backup)) == {
        data_names(driver, backup)[-1]}
    assert min(target.written) == (4 * CHUNK if is_new else 0)


def test_the_summary_says_what_was_done(driver):
    backup = harness.back_up(driver, 'full', RANDOM)
    summary = restore_file(driver, backup, io.BytesIO())
    assert summary.volume_bytes == len(RANDOM)
    assert summary.object_count == 6
    assert summary.fetched_bytes == driver.host.summaries['full'].stored_bytes
    assert summary.bad_ranges == ()


@EXECUTORS
def test_a_cancelled_restore_is_an_error(driver, executor, monkeypatch):
    support.override(executor=executor)
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    backup = harness.back_up(driver, 'full', RANDOM)
    for status in ('error', 'available', 'deleted'):
        driver.host.says = status
        with pytest.raises(errors.RestoreCancelled) as caught:
            restore_file(driver, backup, io.BytesIO())
        assert caught.value.backup_id == 'full'
        assert caught.value.volume_id == 'target'


def test_a_target_that_is_too_small_is_untouched(driver, tmp_path,
                                                 monkeypatch):
    backup = harness.back_up(driver, 'full', RANDOM)
    with open(tmp_path / 'target', 'w+b', buffering=0) as target:
        target.write(b'old' * 100)
        opened = sink.FileSink(target.fileno(), False)
        opened._is_regular = False
        monkeypatch.setattr('chunked_backup.endpoints.sink.open_sink',
                            lambda *args: opened)
        with pytest.raises(errors.InvalidVolume):
            restore_file(driver, backup, target, False)
    assert (tmp_path / 'target').read_bytes() == b'old' * 100


def test_a_target_that_fails_is_an_error(driver):
    class Failing(io.BytesIO):
        def write(self, data):
            raise OSError(28, 'no')

    backup = harness.back_up(driver, 'full', RANDOM)
    with pytest.raises(errors.VolumeIOError):
        restore_file(driver, backup, Failing())


def damage(kind, data):
    if kind == 'flipped':
        # A single bit of a zstd frame may mean nothing.
        return data[:40] + bytes(~byte & 0xff
                                 for byte in data[40:44]) + data[44:]
    if kind == 'cut':
        return data[:-1]
    if kind == 'emptied':
        return b''
    if kind == 'extended':
        return data + b'x'
    return None


@pytest.mark.parametrize('compression', ['none', 'zlib', 'bz2', 'zstd'])
@pytest.mark.parametrize('kind', ['flipped', 'cut', 'emptied', 'extended',
                                  'deleted', 'swapped'])
@pytest.mark.parametrize('pieces', ['whole', 'streamed'])
def test_damage_to_an_object_is_never_restored(driver, monkeypatch, kind,
                                               compression, pieces):
    if pieces == 'streamed':
        harness.small_pieces(monkeypatch)
    support.override(compression_algorithm=compression)
    words = random.Random(3)
    volume = b''.join(words.choice((b'one', b'two ', b'three'))
                      for _ in range(9999))[:3 * CHUNK]
    backup = harness.back_up(driver, 'full', volume)
    stored = driver.stores['backups']
    first, name, last = data_names(driver, backup)
    if kind == 'swapped':
        stored[name], stored[last] = stored[last], stored[name]
    else:
        stored[name] = damage(kind, stored[name])
        if stored[name] is None:
            del stored[name]
    for check in (driver.verify_backup,
                  lambda backup: restore_file(driver, backup, io.BytesIO())):
        with pytest.raises(errors.CorruptObject) as caught:
            check(backup)
        assert caught.value.backup_id == 'full'
        assert caught.value.object_name in (name, last)
        assert CHUNK <= caught.value.offset < 3 * CHUNK

    target = io.BytesIO(b'\xff' * len(volume))
    summary = restore_file(driver, backup, target, False, salvage=True)
    bad = set()
    for offset, length, reason in summary.bad_ranges:
        assert reason
        bad.update(range(offset, offset + length))
    if kind not in ('cut', 'extended'):  # there all blocks may be sound
        assert bad
    assert min(bad, default=CHUNK) >= CHUNK
    assert kind == 'swapped' or max(bad, default=0) < 2 * CHUNK
    assert target.getvalue() == bytes(
        0 if offset in bad else byte for offset, byte in enumerate(volume))


def test_a_salvage_keeps_the_good_blocks_of_a_raw_object(driver):
    support.override(compression_algorithm='none')
    backup = harness.back_up(driver, 'full', RANDOM)
    name = data_names(driver, backup)[0]
    data = driver.stores['backups'][name]
    driver.stores['backups'][name] = (
        data[:600] + bytes([data[600] ^ 1]) + data[601:])
    summary = restore_file(driver, backup, io.BytesIO(), salvage=True)
    assert [(bad.offset, bad.length) for bad in summary.bad_ranges] == [
        (BLOCK, BLOCK)]
    assert isinstance(summary.bad_ranges[0], BadRange)


def test_a_salvage_without_the_full_backup_restores_the_rest(driver):
    full = harness.back_up(driver, 'full', RANDOM)
    changed = RANDOM[:CHUNK] + bytes(
        byte ^ 255 for byte in RANDOM[CHUNK:2 * CHUNK]) + RANDOM[2 * CHUNK:]
    backup = harness.back_up(driver, 'incremental', changed, 'full')
    for name in harness.objects_of(driver, full):
        del driver.stores['backups'][name]
    with pytest.raises(errors.IncompleteChain):
        restore_file(driver, backup, io.BytesIO())
    target = io.BytesIO()
    summary = restore_file(driver, backup, target, salvage=True)
    assert target.getvalue()[CHUNK:2 * CHUNK] == changed[CHUNK:2 * CHUNK]
    assert [(bad.offset, bad.length) for bad in summary.bad_ranges] == [
        (0, CHUNK), (2 * CHUNK, 4 * CHUNK)]


@EXECUTORS
def test_a_store_that_fails_for_now_does_not_break_a_restore(
        executor, monkeypatch):
    harness.small_pieces(monkeypatch)
    support.override(executor=executor, retry_wait_s=0)
    driver = harness.attach(harness.FailingDriver(None, CHUNK, BLOCK))
    backup = harness.back_up(driver, 'full', RANDOM[:2 * CHUNK])
    fail_at = 0
    while True:
        driver.fail_at, driver.calls = fail_at, 0
        assert harness.restore(driver, backup) == RANDOM[:2 * CHUNK]
        if driver.calls <= fail_at:
            break
        fail_at += 1
    assert fail_at > 8


@EXECUTORS
def test_a_store_that_fails_is_an_error(executor):
    support.override(executor=executor)
    driver = harness.attach(harness.FailingDriver(None, CHUNK, BLOCK))
    driver.error = errors.AccessDenied
    backup = harness.back_up(driver, 'full', RANDOM[:2 * CHUNK])
    for fail_at in range(8):
        driver.fail_at, driver.calls = fail_at, 0
        with pytest.raises(errors.AccessDenied):
            restore_file(driver, backup, io.BytesIO())
