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

import functools

import pytest

from chunked_backup import errors
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.stream_reader import SegmentCache
from chunked_backup.store.stream_reader import StreamReader
from chunked_backup.store.stream_writer import StreamWriter
from tests.unit import harness

SEGMENT = 100
name_of = functools.partial('stream_{}'.format)


def monitor():
    return Monitor(0, lambda: None, lambda *_: None)


class Streams:
    """A store with one stream in it."""

    def __init__(self, driver=None, mode='threads'):
        self.driver = driver or harness.memory_driver()
        self.store = ObjectStore(self.driver, 'backups', sleep=[].append)
        self.store.create()
        self.mode = mode
        self.monitor = monitor()

    def write(self, pieces, compression='zlib', ahead=2):
        with open_workers(self.mode, 2) as workers:
            writer = StreamWriter(self.store, name_of, workers.io,
                                  self.monitor, compression, ahead, SEGMENT)
            position = 0
            for piece in pieces:
                assert writer.position == position
                writer.write(piece)
                position += len(piece)
            self.segments = writer.finish()
        return self

    def reader(self):
        return StreamReader(self.store, name_of, self.segments, 'backup',
                            self.monitor)

    def read(self):
        with open_workers(self.mode, 2) as workers:
            return b''.join(self.reader().read(workers.io, 2))

    @property
    def objects(self):
        return self.driver.stores['backups']


def data(length):
    return bytes(number * number % 251 for number in range(length))


@pytest.mark.parametrize('mode', ['threads', 'serial'])
@pytest.mark.parametrize('compression', ['none', 'zlib', 'bz2', 'zstd'])
@pytest.mark.parametrize('length', [0, 1, 99, 100, 101, 200, 950])
@pytest.mark.parametrize('piece', [1, 7, 100, 333])
def test_what_is_written_is_read(length, piece, compression, mode):
    plain = data(length)
    streams = Streams(mode=mode).write(
        (plain[start:start + piece] for start in range(0, length, piece)),
        compression)

    assert streams.read() == plain
    assert [each.length for each in streams.segments] == [
        min(SEGMENT, length - start) for start in range(0, length, SEGMENT)]
    assert {name: len(stored) for name, stored in streams.objects.items()} == {
        name_of(number): each.stored_bytes
        for number, each in enumerate(streams.segments, start=1)}


def test_what_does_not_become_smaller_is_stored_as_it_is():
    streams = Streams().write([data(100), bytes(100)])
    assert [each.compression for each in streams.segments] == ['none', 'zlib']


@pytest.mark.parametrize('offset, length, parts', [
    (0, 0, []), (0, 50, [(0, 0, 50)]), (50, 50, [(0, 50, 100)]),
    (99, 2, [(0, 99, 100), (1, 0, 1)]), (100, 100, [(1, 0, 100)]),
    (0, 250, [(0, 0, 100), (1, 0, 100), (2, 0, 50)])])
def test_a_range_is_found(offset, length, parts):
    reader = Streams().write([data(250)]).reader()
    assert list(reader.parts(offset, length)) == parts


def test_a_range_beyond_the_end_is_damage():
    reader = Streams().write([data(250)]).reader()
    with pytest.raises(errors.CorruptBackup, match='250'):
        list(reader.parts(200, 51))


def _flip(stored):
    return bytes([stored[0] ^ 1]) + stored[1:]


@pytest.mark.parametrize('compression', ['none', 'zlib'])
@pytest.mark.parametrize('damage, words', [
    (lambda objects: objects.pop('stream_2'), 'it is missing'),
    (lambda objects: objects.update(stream_2=_flip(objects['stream_2'])),
     'its blake3 is'),
    (lambda objects: objects.update(stream_2=objects['stream_2'][:-1]),
     'bytes or more, recorded'),
    (lambda objects: objects.update(stream_2=objects['stream_2'] + b'x'),
     'bytes or more, recorded'),
    (lambda objects: objects.update(stream_2=objects['stream_1']),
     'its blake3 is|bytes or more, recorded'),
])
def test_damage_is_found_and_named(damage, words, compression):
    streams = Streams().write([data(250)], compression)
    damage(streams.objects)
    with pytest.raises(errors.CorruptBackup, match='stream_2.*' + words):
        streams.read()


def test_a_segment_of_another_length_than_recorded_is_damage():
    streams = Streams().write([bytes(100)])
    for wrong in (99, 101):
        streams.segments[0] = streams.segments[0]._replace(length=wrong)
        with pytest.raises(errors.CorruptBackup, match='recorded are'):
            streams.read()


def test_a_store_that_fails_ends_the_writing():
    class Broken(harness.FailingDriver):
        error = errors.DriverError

    driver = Broken(None, harness.support.CHUNK, harness.support.BLOCK)
    harness.attach(driver)
    streams = Streams(driver)
    driver.fail_at = driver.calls
    with pytest.raises(errors.DriverError):
        streams.write(data(100) for _ in range(50))


def test_a_job_that_was_given_up_leaves_nothing():
    streams = Streams()
    streams.monitor.stop()
    with pytest.raises(errors.Cancelled):
        streams.write([data(250)])
    assert not streams.objects


def test_the_cache_keeps_what_is_used_and_what_was_used_last():
    streams = Streams(harness.attach(harness.CountingDriver(
        None, harness.support.CHUNK, harness.support.BLOCK)))
    reader = streams.write([data(1000)]).reader()
    with open_workers('threads', 2) as workers:
        cache = SegmentCache(workers.io, limit_bytes=3 * SEGMENT)
        for index in range(5):
            cache.acquire(reader, index)
        assert cache.is_full
        for index in range(5):
            cache.release(reader, index)
        assert not cache.is_full
        for index in (2, 3, 4, 0):
            with cache.use(reader, index) as future:
                expected = data(1000)[index * SEGMENT:][:SEGMENT]
                assert cache.result(future, lambda: None) == expected
    opened = [streams.driver.opened[name_of(number)]
              for number in range(1, 6)]
    assert opened == [2, 1, 1, 1, 1]
