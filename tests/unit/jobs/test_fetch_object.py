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

import hashlib
import io
import random

import pytest

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks import digests
from chunked_backup.blocks.plan import Fetch
from chunked_backup.drivers import memory
from chunked_backup.endpoints.sink import open_sink
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import Manifest
from chunked_backup.formats.cinder_v1.manifest import ObjectList
from chunked_backup.jobs.chain import Chain, Level
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.fetch_object import ObjectFetcher
from chunked_backup.model import StoredObject
from chunked_backup.store.object_store import ObjectStore
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK
DATA = random.Random(8).randbytes(CHUNK)


class SkippingDriver(memory.MemoryBackupDriver):
    """Its readers skip, and count what is read."""

    def __init__(self):
        super().__init__(None, CHUNK, BLOCK)
        self.read_bytes = 0

    def get_object_reader(self, container, object_name, extra_metadata=None):
        driver = self
        data = self.stores[container][object_name]

        class Reader(io.BytesIO):
            def read(self, size):
                found = super().read(size)
                driver.read_bytes += len(found)
                return found

            def skip(self, count):
                self.seek(count, io.SEEK_CUR)

        return Reader(data)


@pytest.fixture(params=['serial', 'threads'])
def workers(request):
    with open_workers(request.param, 2) as workers:
        yield workers


def fetch(workers, ranges, stored_data=DATA, compression='none',
          thorough=False, salvage=False, md5=None, driver=None,
          length=CHUNK):
    """Fetch ranges of one object; the target and the faults."""
    driver = driver or harness.memory_driver()
    store = ObjectStore(driver, 'backups')
    store.create()
    if stored_data is not None:
        store.put_bytes('o', codecs.compress(compression, stored_data))
    stored = StoredObject('o', 0, length, compression, md5)
    level = Level(harness.record(), store,
                  Manifest(harness.record(), ObjectList('prefix'), '1.0.0'))
    spool = DigestSpool()
    spool.append(digests.hash_blocks(memoryview(DATA), BLOCK))
    chain = Chain([level], spool, BLOCK, CHUNK)
    target = harness.CountingFile(b'\xff' * CHUNK)
    faults = Faults(salvage)
    ObjectFetcher(chain, open_sink(target, False),
                  Monitor(CHUNK, lambda: None, lambda *report: None), faults,
                  workers.cpu, thorough).fetch(Fetch(0, stored, ranges))
    return target, faults


def expected(*ranges):
    data = bytearray(b'\xff' * CHUNK)
    for start, end in ranges:
        data[start:end] = DATA[start:end]
    return data


@pytest.mark.parametrize('compression', ['none', 'zlib', 'bz2', 'zstd'])
@pytest.mark.parametrize('ranges', [
    [(0, CHUNK)], [(0, BLOCK)], [(CHUNK - BLOCK, CHUNK)],
    [(BLOCK, 2 * BLOCK), (3 * BLOCK, 5 * BLOCK)]])
@pytest.mark.parametrize('thorough', [False, True])
def test_only_the_wanted_ranges_are_written(workers, monkeypatch, ranges,
                                            compression, thorough):
    harness.small_pieces(monkeypatch)
    target, _ = fetch(workers, ranges, compression=compression,
                      thorough=thorough, md5=hashlib.md5(DATA).hexdigest())
    assert target.getvalue() == expected(*ranges)
    assert set(target.written.values()) == {1}


def test_what_is_not_wanted_is_skipped_where_the_store_can(workers,
                                                           monkeypatch):
    harness.small_pieces(monkeypatch)
    driver = SkippingDriver()
    ranges = [(0, BLOCK), (6 * BLOCK, 7 * BLOCK)]
    target, _ = fetch(workers, ranges, driver=driver)
    assert target.getvalue() == expected(*ranges)
    assert driver.read_bytes == 4 * BLOCK  # two pieces of two blocks


@pytest.mark.parametrize('pieces, handed_over', [(1, 0), (4, 3)])
def test_what_is_read_last_is_handed_to_nobody(workers, monkeypatch, pieces,
                                               handed_over):
    harness.small_pieces(monkeypatch, CHUNK // pieces)
    submitted = []
    submit = workers.cpu.submit

    def counting(function, *args):
        submitted.append(function)
        return submit(function, *args)

    monkeypatch.setattr(workers.cpu, 'submit', counting)
    target, _ = fetch(workers, [(0, CHUNK)])
    assert target.getvalue() == DATA
    assert len(submitted) == handed_over


def test_nothing_is_skipped_in_a_verification(workers, monkeypatch):
    harness.small_pieces(monkeypatch)
    driver = SkippingDriver()
    fetch(workers, [(6 * BLOCK, 7 * BLOCK)], driver=driver, thorough=True)
    assert driver.read_bytes == CHUNK


@pytest.mark.parametrize('ranges', [[(1, BLOCK)], [(0, BLOCK + 1)],
                                    [(0, BLOCK), (BLOCK + 1, CHUNK)]])
def test_a_part_of_a_block_cannot_be_checked(workers, ranges):
    with pytest.raises(errors.CorruptObject, match='part of a block'):
        fetch(workers, ranges)


def test_a_missing_object_is_corrupt(workers):
    with pytest.raises(errors.CorruptObject, match='missing') as caught:
        fetch(workers, [(BLOCK, CHUNK)], None)
    assert caught.value.offset == BLOCK


def test_an_object_that_ends_early_says_where(workers):
    with pytest.raises(errors.CorruptObject, match='ends after 700'):
        fetch(workers, [(0, CHUNK)], DATA[:700])


def test_an_object_that_holds_more_is_corrupt(workers):
    with pytest.raises(errors.CorruptObject, match='more than'):
        fetch(workers, [(0, CHUNK)], DATA + b'x')


def test_another_md5_is_seen_by_a_verification(workers):
    fetch(workers, [(0, CHUNK)], md5='0' * 32)
    with pytest.raises(errors.CorruptObject, match='md5'):
        fetch(workers, [(0, CHUNK)], md5='0' * 32, thorough=True)


def test_a_wrong_block_is_named_and_not_written(workers):
    data = bytearray(DATA)
    data[3 * BLOCK + 5] ^= 1
    with pytest.raises(errors.CorruptObject, match='sha256') as caught:
        fetch(workers, [(0, CHUNK)], bytes(data))
    assert caught.value.offset == 3 * BLOCK
    assert caught.value.object_name == 'o'
    target, faults = fetch(workers, [(0, CHUNK)], bytes(data), salvage=True)
    sound = expected((0, CHUNK))
    sound[3 * BLOCK:4 * BLOCK] = bytes(BLOCK)
    assert target.getvalue() == sound
    assert [tuple(bad)[:2] for bad in faults.ranges()] == [
        (3 * BLOCK, BLOCK)]


def test_a_bomb_is_left_after_the_recorded_length(workers):
    with pytest.raises(errors.CorruptObject, match='more than'):
        fetch(workers, [(0, CHUNK)], DATA + bytes(64 << 20), 'zstd')


def test_a_salvage_zeroes_what_an_object_does_not_give(workers,
                                                       monkeypatch):
    harness.small_pieces(monkeypatch)
    target, faults = fetch(workers, [(0, BLOCK), (3 * BLOCK, CHUNK)],
                           DATA[:5 * BLOCK], salvage=True)
    assert target.getvalue() == (DATA[:BLOCK] + b'\xff' * 2 * BLOCK
                                 + DATA[3 * BLOCK:4 * BLOCK]
                                 + bytes(CHUNK - 4 * BLOCK))
    assert [tuple(bad)[:2] for bad in faults.ranges()] == [
        (4 * BLOCK, CHUNK - 4 * BLOCK)]


def test_a_job_that_has_ended_fetches_no_more(workers, monkeypatch):
    def stopped(self):
        raise errors.Cancelled()

    monkeypatch.setattr(Monitor, 'check', stopped)
    with pytest.raises(errors.Cancelled):
        fetch(workers, [(0, CHUNK)])
