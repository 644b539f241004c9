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

"""Packs of extents, there and back, over a driver that counts."""

import bz2
import contextlib
import io
import json
import os
import random
import zlib

import pytest
import zstandard

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks import extents
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.jobs import fetch_pack
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.store.reader import open_part
from tests import support
from tests.unit import harness

BLOCK = 4096
CHUNK = 64 * BLOCK
RANDOM = random.Random(5).randbytes(8 * CHUNK)
EXECUTORS = pytest.mark.parametrize('executor', ['serial', 'threads'])


class Ranges(MemoryBackupDriver):
    """Remembers which parts of objects were asked for."""

    def __init__(self):
        super().__init__(None, CHUNK, BLOCK)
        self.asked = []
        self.written = []

    def get_range_reader(self, container, object_name, start, length,
                         extra_metadata=None):
        self.asked.append((object_name[-5:], start, length))
        return open_part(self.get_object_reader(container, object_name),
                         start, length)

    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            yield writer
        self.written.append(object_name)


@pytest.fixture
def driver(conf):
    support.override(format_version='2.0.0', compression_algorithm='none')
    return harness.attach(Ranges())


def changed(volume, blocks, seed=0):
    volume = bytearray(volume)
    for block in blocks:
        at = block * BLOCK
        volume[at:at + BLOCK] = random.Random(
            f'{block} {seed}').randbytes(BLOCK)
    return bytes(volume)


def extents_of(driver, backup):
    return list(harness.manifest_of(driver, backup).objects)


@EXECUTORS
def test_scattered_changes_become_one_object(driver, executor):
    support.override(executor=executor)
    blocks = range(0, 512, 10)
    harness.back_up(driver, 'full', RANDOM)
    volume = changed(RANDOM, blocks)
    backup = harness.back_up(driver, 'incremental', volume, 'full')
    assert backup.object_count == 1
    summary = driver.host.summaries['incremental']
    assert summary.stored_bytes == summary.changed_bytes == 52 * BLOCK
    assert [extent.offset // BLOCK
            for extent in extents_of(driver, backup)] == list(blocks)
    assert harness.restore(driver, backup) == volume
    driver.verify_backup(backup)


def test_more_changes_than_a_chunk_become_several_objects(driver):
    harness.back_up(driver, 'full', RANDOM)
    volume = changed(RANDOM, range(0, 512, 3))
    backup = harness.back_up(driver, 'incremental', volume, 'full')
    assert backup.object_count == 3
    sizes = [len(data) for name, data in sorted(harness.objects_of(
        driver, backup).items()) if name[-5:].isdigit()]
    assert sizes == [CHUNK, CHUNK, 43 * BLOCK]
    assert harness.restore(driver, backup) == volume


def test_a_table_of_too_many_zeros_fills_no_disk(driver, monkeypatch):
    backup = harness.back_up(driver, 'full', RANDOM)
    objects = driver.stores['backups']
    name = backup.service_metadata + '_sha256file'
    objects[name] += b'\0\xff\xff\xff\xff'  # 4 billion blocks

    def spill(spool):
        pytest.fail(f'a file is made for {len(spool)} digests')
    monkeypatch.setattr(DigestSpool, '_spill', spill)
    with pytest.raises(errors.CorruptBackup, match='more than the 512 blocks'):
        driver.verify_backup(backup)


def test_a_restore_fetches_what_it_needs_alone(driver, monkeypatch):
    monkeypatch.setattr(fetch_pack, '_LARGEST_GAP_BYTES', 0)
    harness.back_up(driver, 'full', RANDOM)
    first = changed(RANDOM, range(0, 512, 8))
    harness.back_up(driver, 'one', first, 'full')
    second = changed(first, range(0, 512, 16), 1)
    backup = harness.back_up(driver, 'two', second, 'one')
    driver.asked.clear()
    file = io.BytesIO()
    backup.status = 'restoring'
    summary = driver.restore(backup, 'volume', file, True)
    assert file.getvalue() == second
    assert summary.fetched_bytes == len(RANDOM)
    # A byte more of an object would tell that it is too long.
    assert sum(length for _, _, length in driver.asked) <= len(RANDOM) + 10
    assert summary.object_count == 10


def test_far_extents_are_asked_for_apart(driver, monkeypatch):
    monkeypatch.setattr(fetch_pack, '_LARGEST_GAP_BYTES', BLOCK)
    support.override(executor='serial')
    driver.chunk_size_bytes = 8 * CHUNK
    harness.back_up(driver, 'full', bytes(8 * CHUNK))
    harness.back_up(driver, 'one', RANDOM, 'full')
    volume = changed(RANDOM, [*range(10, 20), 30, 32, *range(100, 500)])
    backup = harness.back_up(driver, 'two', volume, 'one')
    driver.asked.clear()
    assert harness.restore(driver, backup) == volume
    assert sorted(driver.asked) == sorted([
        ('00001', 0, 10 * BLOCK),
        # Between these is no more than a gap.
        ('00001', 20 * BLOCK, 80 * BLOCK),
        ('00001', 500 * BLOCK, 12 * BLOCK + 1),
        ('00001', 0, 412 * BLOCK + 1)])


class Reader:
    """Gives a part of an object; remembers each read, and fails at one.

    :param bad: where in the object nothing can be read.
    """

    def __init__(self, data, start, length, bad):
        self._data = data
        self._position = start
        self._end = start + length
        self._bad = bad
        self.reads = []

    def read(self, size):
        end = min(self._position + size, self._end, len(self._data))
        if self._position <= self._bad < end:
            raise errors.DriverError(container='backups', object_name='one',
                                     reason='a bad sector')
        data = bytes(self._data[self._position:end])
        self.reads.append((self._position, len(data)))
        self._position = end
        return data

    def skip(self, count):
        self._position += count


@pytest.fixture
def readers(driver, monkeypatch):
    """Those of the driver, all with the same bad place; none at first."""
    class Readers(list):
        bad = -1

    readers = Readers()

    @contextlib.contextmanager
    def opened(container, object_name, start, length, extra_metadata=None):
        readers.append(Reader(driver.stores[container][object_name], start,
                              length, readers.bad))
        yield readers[-1]

    monkeypatch.setattr(driver, 'get_range_reader', opened)
    support.override(executor='serial')
    return readers


def test_what_adjoins_is_read_at_once_and_gaps_are_not_read(driver, readers):
    driver.chunk_size_bytes = 8 * CHUNK
    harness.back_up(driver, 'full', bytes(8 * CHUNK))
    one = changed(bytes(8 * CHUNK), range(0, 400, 2))
    harness.back_up(driver, 'one', one, 'full')
    two = changed(one, [20, 22, 100, 101], 1)
    backup = harness.back_up(driver, 'two', two, 'one')
    readers.clear()
    assert harness.restore(driver, backup) == two
    # One block in two lies in the object: 10 and 11 are not needed, nor 50.
    assert sorted(read for reader in readers for read in reader.reads) == [
        (0, 4 * BLOCK), (0, 10 * BLOCK), (4 * BLOCK, 0),
        (12 * BLOCK, 38 * BLOCK), (51 * BLOCK, 149 * BLOCK),
        (200 * BLOCK, 0)]


def test_no_more_than_a_piece_is_in_memory_at_a_time(driver, readers,
                                                     monkeypatch):
    monkeypatch.setattr(fetch_pack, 'PIECE_BYTES', 3 * BLOCK)
    driver.chunk_size_bytes = 8 * CHUNK
    harness.back_up(driver, 'full', bytes(8 * CHUNK))
    volume = changed(bytes(8 * CHUNK), range(0, 16, 2))
    backup = harness.back_up(driver, 'one', volume, 'full')
    readers.clear()
    assert harness.restore(driver, backup) == volume
    assert [length // BLOCK for _, length in readers[0].reads] == [3, 3, 2, 0]


def test_a_salvage_loses_no_neighbour_of_what_cannot_be_read(driver,
                                                             readers):
    driver.chunk_size_bytes = 8 * CHUNK
    harness.back_up(driver, 'full', bytes(8 * CHUNK))
    volume = changed(bytes(8 * CHUNK), range(0, 200, 2))
    backup = harness.back_up(driver, 'one', volume, 'full')
    readers.bad = 50 * BLOCK + 7
    with pytest.raises(errors.DriverError, match='a bad sector'):
        harness.restore(driver, backup)
    salvaged = harness.restore(driver, backup, salvage=True)
    assert salvaged == volume[:100 * BLOCK].ljust(8 * CHUNK, b'\0')


@pytest.mark.parametrize('is_salvage', [False, True])
def test_an_object_that_is_cut_short_says_where(driver, is_salvage):
    driver.chunk_size_bytes = 8 * CHUNK
    harness.back_up(driver, 'full', bytes(8 * CHUNK))
    volume = changed(bytes(8 * CHUNK), range(0, 200, 2))
    backup = harness.back_up(driver, 'one', volume, 'full')
    [name] = [name for name in harness.objects_of(driver, backup)
              if name.endswith('-00001')]
    stored = driver.stores['backups']
    stored[name] = stored[name][:50 * BLOCK + 7]
    if is_salvage:
        salvaged = harness.restore(driver, backup, salvage=True)
        assert salvaged == volume[:100 * BLOCK].ljust(8 * CHUNK, b'\0')
        return
    with pytest.raises(errors.CorruptObject, match=(
            f'cut short: it should have {51 * BLOCK} bytes')) as caught:
        harness.restore(driver, backup)
    assert caught.value.offset == 100 * BLOCK


def test_zeros_are_stored_nowhere(driver, tmp_path):
    path = tmp_path / 'volume'
    with open(path, 'wb') as file:
        file.truncate(100 * CHUNK + 5)
        os.pwrite(file.fileno(), b'data', 50 * CHUNK)
    with open(path, 'rb', buffering=0) as file:
        backup = harness.back_up(driver, 'full', file)
    assert backup.object_count == 1
    assert driver.host.summaries['full'].stored_bytes == BLOCK
    before, data, after = extents_of(driver, backup)
    assert (before.name, after.name) == (None, None)
    assert data.stored_bytes == BLOCK and after.end == 100 * CHUNK + 5
    sizes = {name[-10:]: len(data) for name, data
             in harness.objects_of(driver, backup).items()}
    assert sizes['sha256file'] < 300
    target = b'\xa5' * (100 * CHUNK + 5)
    assert harness.restore(driver, backup, target, False) == (
        path.read_bytes())
    driver.verify_backup(backup)


def test_few_data_in_a_large_volume_become_several_objects(
        driver, tmp_path, monkeypatch):
    monkeypatch.setattr(extents, '_SHORTEST_SHARE_BYTES', 4 * BLOCK)
    monkeypatch.setattr(extents, '_PACK_BYTES', 4 * BLOCK)
    path = tmp_path / 'volume'
    path.write_bytes(RANDOM[:32 * BLOCK])
    os.truncate(path, 1000 * CHUNK)
    with open(path, 'rb', buffering=0) as file:
        backup = harness.back_up(driver, 'full', file)
    assert backup.object_count == 8
    driver.verify_backup(backup)


def test_a_volume_of_written_zeros_has_no_object(driver):
    backup = harness.back_up(driver, 'full', bytes(3 * CHUNK))
    assert backup.object_count == 0
    assert not any('-0000' in name for name in driver.written)
    assert harness.restore(driver, backup, b'\xa5' * 3 * CHUNK, False) == (
        bytes(3 * CHUNK))


def test_zeros_that_should_be_data_are_corrupt(driver):
    """A manifest that calls zeros what the digest table does not."""
    backup = harness.back_up(driver, 'full', RANDOM[:CHUNK])
    zeros = harness.back_up(driver, 'zeros', bytes(CHUNK))
    stored = driver.stores['backups']
    name = backup.service_metadata + '_metadata'
    header = json.loads(stored[name].split(b'\n')[0] + b']}')
    manifest = harness.manifest_of(driver, zeros)
    manifest.record = harness.record(id='full')
    manifest.digest_table_sha256 = header['digest_table_sha256']
    from chunked_backup.formats import volume_v2
    stored[name] = b''.join(volume_v2.manifest.serialize(manifest))
    with pytest.raises(errors.CorruptObject, match='zeros') as caught:
        harness.restore(driver, backup)
    assert caught.value.offset == 0
    salvaged = harness.restore(driver, backup, b'\xa5' * CHUNK, False,
                               salvage=True)
    assert salvaged == bytes(CHUNK)


def test_codecs_have_one_name(driver):
    for spelling, name in (('gzip', 'zlib'), ('bzip2', 'bz2')):
        support.override(compression_algorithm=spelling)
        backup = harness.back_up(driver, spelling, b'text ' * CHUNK)
        assert {extent.compression for extent in extents_of(
            driver, backup)} == {name}
        assert harness.restore(driver, backup) == b'text ' * CHUNK


def test_what_does_not_shrink_is_stored_as_it_is(driver):
    support.override(compression_algorithm='zstd')
    driver.chunk_size_bytes = 1 << 21
    backup = harness.back_up(driver, 'full', RANDOM + b'text ' * 300000)
    found = [extent.compression for extent in extents_of(driver, backup)]
    assert found == ['none'] * 2 + ['zstd'] * 2
    driver.verify_backup(backup)


@EXECUTORS
@pytest.mark.parametrize('order', [('1.0.0', '2.0.0', '1.0.0'),
                                   ('2.0.0', '1.0.0', '2.0.0')])
def test_formats_may_take_turns_in_a_chain(driver, executor, order):
    """As where a host that leaves no choice goes on."""
    support.override(executor=executor)
    volume, parent, points = RANDOM + b'end', None, []
    for number, version in enumerate(order):
        driver.host.format_version = version
        backup = harness.back_up(driver, f'b{number}', volume, parent)
        points.append((backup, volume))
        parent = backup.id
        volume = changed(volume, range(number, 500, 7 + number))
        volume = volume[:len(volume) - 2 * BLOCK + number * 5 * BLOCK]
    for backup, expected in points:
        assert harness.restore(driver, backup) == expected
        assert harness.restore(driver, backup, b'\xa5' * len(expected),
                               False) == expected
        driver.verify_backup(backup)


def test_an_interrupted_write_keeps_what_is_right(driver):
    """As an earlier run has left it: two objects right, one not, no more."""
    first = harness.back_up(driver, 'full', RANDOM)
    stored = driver.stores['backups']
    names = sorted(harness.objects_of(driver, first))
    for name in names:
        if name.endswith(('_metadata', '_sha256file')):
            del stored[name]
    stored[names[2]] = stored[names[2]][:-1]
    stored[names[3]] += b'x'
    del stored[names[4]]
    driver.written.clear()
    driver.backup(first, io.BytesIO(RANDOM), resume=True)
    assert sorted(name[-5:] for name in driver.written) == [
        '00003', '00004', '00005', '6file', 'adata']
    assert harness.restore(driver, first) == RANDOM


@pytest.mark.parametrize('spelling, encode', [
    ('zlib', lambda data: zlib.compress(data, 9)),
    ('bz2', lambda data: bz2.compress(data, 1)),
    ('zstd', lambda data: zstandard.compress(data, level=9))])
def test_a_resume_asks_what_is_stored_and_not_how(driver, spelling, encode,
                                                  monkeypatch):
    """The same compressor may make other bytes another time: isal does."""
    support.override(compression_algorithm=spelling)
    driver.chunk_size_bytes = 1 << 20
    text = b''.join(b'%09d' % number for number in range(100_000))
    volume = text + bytes(CHUNK) + RANDOM + text
    backup = harness.back_up(driver, 'full', volume)
    stored = driver.stores['backups']
    before = {name: stored[name]
              for name in harness.objects_of(driver, backup)}
    for name in before:
        if name.endswith(('_metadata', '_sha256file')):
            del stored[name]
    driver.written.clear()
    monkeypatch.setattr(codecs, 'compress', lambda _, data: encode(data))
    driver.backup(backup, io.BytesIO(volume), resume=True)
    assert sorted(name[-5:] for name in driver.written) == ['6file', 'adata']
    assert {extent.compression for extent in extents_of(driver, backup)} == {
        'none', spelling}
    assert harness.restore(driver, backup) == volume


@pytest.mark.parametrize('spelling', ['none', 'bz2'])
def test_a_resume_with_another_codec_stores_again(driver, spelling):
    support.override(compression_algorithm='zlib')
    driver.chunk_size_bytes = 1 << 20
    volume = b'text ' * 100_000 + RANDOM
    backup = harness.back_up(driver, 'full', volume)
    stored = driver.stores['backups']
    for name in harness.objects_of(driver, backup):
        if name.endswith(('_metadata', '_sha256file')):
            del stored[name]
    support.override(compression_algorithm=spelling)
    driver.backup(backup, io.BytesIO(volume), resume=True)
    assert {extent.compression for extent in extents_of(driver, backup)} == {
        'none', spelling}
    assert harness.restore(driver, backup) == volume
    driver.verify_backup(backup)
