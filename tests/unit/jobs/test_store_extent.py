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
import threading

import pytest

from chunked_backup import errors
from chunked_backup.blocks import digests
from chunked_backup.endpoints.source import open_source
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.settings import Settings
from chunked_backup.jobs.store_extent import ExtentWriter
from chunked_backup.model import Extent
from chunked_backup.store.object_store import ObjectStore
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK
RANDOM = random.Random(4).randbytes(8 * CHUNK)


class Bench:
    """An extent writer over a volume, with everything that it needs."""

    def __init__(self, workers, volume, driver=None, compression='zlib',
                 write_md5=True):
        self.driver = driver or harness.memory_driver()
        self.store = ObjectStore(self.driver, 'backups',
                                 sleep=lambda wait_s: None)
        self.store.create()
        self.spool = DigestSpool()
        self.reports = []
        self.monitor = Monitor(1 << 40, lambda: None,
                               lambda *report: self.reports.append(report[0]))
        self.writer = ExtentWriter(
            self.store, open_source(io.BytesIO(volume)), self.spool,
            Settings(CHUNK, BLOCK, compression, write_md5=write_md5),
            self.monitor, workers.cpu, counted=True)

    def done_bytes(self):
        self.monitor.poll()
        return self.reports[-1]


@pytest.fixture(params=['serial', 'threads'])
def workers(request):
    with open_workers(request.param, 4) as workers:
        yield workers


def expected_digests(volume):
    return digests.hash_blocks(memoryview(volume), BLOCK)


@pytest.mark.parametrize('streamed', [False, True])
def test_the_entry_the_object_and_the_digests_fit(workers, monkeypatch,
                                                  streamed):
    if streamed:
        harness.small_pieces(monkeypatch)
    bench = Bench(workers, RANDOM)
    stored, size = bench.writer.store('o', Extent(CHUNK, CHUNK - 3))
    data = RANDOM[CHUNK:2 * CHUNK - 3]
    assert stored == ('o', CHUNK, CHUNK - 3, 'none',
                      hashlib.md5(data).hexdigest())
    assert bench.driver.stores['backups']['o'] == data
    assert size == len(data) == bench.done_bytes()
    assert bench.spool.read(8, 8) == expected_digests(data)


@pytest.mark.parametrize('streamed, zero', [
    (False, False), (True, False), (False, True)])
def test_the_md5_is_left_out_where_nobody_wants_it(workers, monkeypatch,
                                                   streamed, zero):
    if streamed:
        harness.small_pieces(monkeypatch)
    volume = bytes(2 * CHUNK) if zero else RANDOM
    bench = Bench(workers, volume, write_md5=False)
    stored, _ = bench.writer.store('o', Extent(CHUNK, CHUNK, zero))
    assert stored.md5 is None
    assert bench.spool.read(8, 8) == expected_digests(
        volume[CHUNK:2 * CHUNK])


def test_many_streams_at_once_do_not_mix_their_digests(monkeypatch):
    harness.small_pieces(monkeypatch)
    with open_workers('threads', 8) as workers:
        for _ in range(5):
            bench = Bench(workers, RANDOM, compression='none')
            extents = [Extent(start, CHUNK)
                       for start in range(0, len(RANDOM), CHUNK)]
            futures = [workers.io.submit(bench.writer.store, str(number),
                                         extent)
                       for number, extent in enumerate(extents)]
            for future, extent in zip(futures, extents):
                stored, _ = future.result()
                assert stored.md5 == hashlib.md5(
                    RANDOM[stored.offset:stored.end]).hexdigest()
            assert bench.spool.read(0, 1000) == expected_digests(RANDOM)


def test_a_buffer_is_not_given_back_while_it_is_hashed(monkeypatch):
    harness.small_pieces(monkeypatch)
    hash_blocks = digests.hash_blocks
    go_on = threading.Event()
    slow = threading.Event()

    def waiting(data, block_size_bytes):
        # The last piece of the first extent waits for the second extent.
        if bytes(data) == RANDOM[CHUNK - 1024:CHUNK]:
            slow.set()
            go_on.wait(2)
        return hash_blocks(data, block_size_bytes)

    monkeypatch.setattr(digests, 'hash_blocks', waiting)
    with open_workers('threads', 2) as workers:
        workers.cpu.submit(int).result()
        bench = Bench(workers, RANDOM, compression='none')
        first = workers.io.submit(bench.writer.store, '1', Extent(0, CHUNK))
        slow.wait(60)
        second = workers.io.submit(bench.writer.store, '2',
                                   Extent(CHUNK, CHUNK))
        second.add_done_callback(lambda future: go_on.set())
        first.result(), second.result()
    assert bench.spool.read(0, 16) == b''.join(
        hash_blocks(memoryview(RANDOM[start:start + BLOCK]), BLOCK)
        for start in range(0, 2 * CHUNK, BLOCK))


@pytest.mark.parametrize('streamed', [False, True])
def test_a_try_that_failed_is_not_counted(workers, monkeypatch, streamed):
    if streamed:
        harness.small_pieces(monkeypatch)
    driver = harness.FailingDriver(None, CHUNK, BLOCK)
    calls = None
    while calls is None or driver.fail_at < calls:
        driver.fail_at = -1 if driver.fail_at is None else driver.fail_at + 1
        driver.calls = 0
        bench = Bench(workers, RANDOM, driver)
        bench.writer.store('o', Extent(0, CHUNK))
        assert bench.done_bytes() == CHUNK
        assert driver.stores['backups']['o'] == RANDOM[:CHUNK]
        assert bench.spool.read(0, 100) == expected_digests(RANDOM[:CHUNK])
        calls = calls or driver.calls
    assert calls == (6 if streamed else 3)


def test_a_job_that_has_ended_stores_no_more(workers):
    bench = Bench(workers, RANDOM)
    bench.monitor.stop()
    with pytest.raises(errors.Cancelled):
        bench.writer.store('o', Extent(0, CHUNK))
    assert not bench.driver.stores['backups']


def test_what_is_stored_after_the_end_of_its_job_is_removed(workers,
                                                            monkeypatch):
    bench = Bench(workers, RANDOM)
    put_bytes = bench.store.put_bytes

    def late(name, data):
        bench.monitor.stop()
        put_bytes(name, data)

    monkeypatch.setattr(bench.store, 'put_bytes', late)
    bench.writer.store('o', Extent(0, CHUNK))
    assert not bench.driver.stores['backups']


def test_zeros_are_counted_and_have_their_digests(workers):
    bench = Bench(workers, RANDOM, compression='zstd')
    stored, size = bench.writer.store('o', Extent(CHUNK, CHUNK, True))
    assert stored.compression == 'zstd'
    assert stored.md5 == hashlib.md5(bytes(CHUNK)).hexdigest()
    assert size == len(bench.driver.stores['backups']['o']) < 100
    assert bench.done_bytes() == CHUNK
    assert bench.spool.read(8, 8) == digests.zero_digests(8, BLOCK)
