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

"""A stream that was stored as a row of objects comes back.

No byte of a segment is given to anybody before the digest of all its stored
bytes has matched.
"""

import bisect
import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import blake3

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.flow.executors import Executor
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.native import Future
from chunked_backup.flow.window import ordered
from chunked_backup.model import Segment
from chunked_backup.store.object_store import ObjectStore

_READ_BYTES = 1 << 20


class StreamReader:
    """One stored stream. Any number of threads may read.

    :param name_of: the name of the object with that number, from 1.
    :param segments: what ``StreamWriter.finish`` gave.
    :param backup_id: whose it is, for errors.
    """

    def __init__(self, store: ObjectStore, name_of: Callable[[int], str],
                 segments: Sequence[Segment], backup_id: str,
                 monitor: Monitor) -> None:
        self.segments = segments
        self.backup_id = backup_id
        self._store = store
        self._name_of = name_of
        self._monitor = monitor
        self._ends = list(itertools.accumulate(
            segment.length for segment in segments))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def name_of(self, index: int) -> str:
        """The name of the object with a segment."""
        return self._name_of(index + 1)

    def parts(self, offset: int,
              length: int) -> Iterator[tuple[int, int, int]]:
        """Where a range of the stream is: (index of the segment, beginning
        and end within it).

        :raises CorruptBackup: the stream is shorter.
        """
        end = offset + length
        if end > len(self):
            raise errors.CorruptBackup(
                backup_id=self.backup_id,
                reason=f'its bytes from {offset} to {end} are asked for; the '
                       f'stream has {len(self)}')
        index = bisect.bisect_right(self._ends, offset)
        while offset < end:
            start = self._ends[index] - self.segments[index].length
            stop = min(self._ends[index], end)
            yield index, offset - start, stop - start
            offset = stop
            index += 1

    def fetch(self, index: int) -> bytes:
        """The plain bytes of one segment, checked.

        :raises CorruptBackup: it is missing or not what was stored.
        """
        self._monitor.check()
        segment = self.segments[index]
        name = self.name_of(index)
        try:
            stored = self._read(name, segment.stored_bytes)
        except (errors.ObjectNotFound, errors.ContainerNotFound) as exc:
            raise self._corrupt(name, f'it is missing: {exc}') from exc
        if len(stored) != segment.stored_bytes:
            raise self._corrupt(
                name, f'it has {len(stored)} bytes or more, recorded are '
                      f'{segment.stored_bytes}')
        found = blake3.blake3(stored).digest()
        if found != segment.digest:
            raise self._corrupt(
                name, f'its blake3 is {found.hex()}, recorded is '
                      f'{segment.digest.hex()}')
        plain = self._decode(name, stored, segment)
        self._monitor.advance(len(plain))
        return plain

    def read(self, workers: Executor, ahead: int) -> Iterator[bytes]:
        """The whole stream, a segment at a time.

        :param ahead: how many segments are fetched before they are needed.
        """
        return ordered(workers, self.fetch,
                       ((index,) for index in range(len(self.segments))),
                       ahead, self._monitor.tick)

    def _read(self, name: str, expected_bytes: int) -> bytes:
        """The stored bytes, but never many more than there should be."""
        parts = []
        left = expected_bytes + 1
        with self._store.reader(name) as reader:
            while left > 0 and (data := reader.read(min(left, _READ_BYTES))):
                parts.append(data)
                left -= len(data)
        return b''.join(parts)

    def _decode(self, name: str, stored: bytes, segment: Segment) -> bytes:
        if segment.compression == codecs.NONE:
            plain = stored
        else:
            try:
                plain = codecs.decompress(segment.compression, stored,
                                          segment.length)
            except errors.DecodeError as exc:
                raise self._corrupt(name, str(exc)) from exc
        if len(plain) != segment.length:
            raise self._corrupt(
                name, f'it holds {len(plain)} bytes or more, recorded are '
                      f'{segment.length}')
        return plain

    def _corrupt(self, name: str, reason: str) -> errors.CorruptBackup:
        return errors.CorruptBackup(backup_id=self.backup_id,
                                    reason=f'object {name}: {reason}')


class SegmentCache:
    """Segments of several streams, fetched on workers; the last used stay.

    Only the coordinator calls it.

    :param limit_bytes: what is kept beyond what is in use.
    """

    def __init__(self, workers: Executor, limit_bytes: int) -> None:
        self._workers = workers
        self._limit_bytes = limit_bytes
        self._kept_bytes = 0
        self._kept: collections.OrderedDict[
            tuple[StreamReader, int], _Kept] = collections.OrderedDict()

    @property
    def is_full(self) -> bool:
        """Whether more is in use than there should be."""
        return self._kept_bytes > self._limit_bytes

    def acquire(self, reader: StreamReader, index: int) -> Future[bytes]:
        """What will be the plain bytes of a segment; it stays until it is
        released."""
        key = reader, index
        if key not in self._kept:
            self._kept[key] = _Kept(self._workers.submit(reader.fetch, index))
            self._kept_bytes += reader.segments[index].length
        self._kept.move_to_end(key)
        self._kept[key].users += 1
        self._shrink()
        return self._kept[key].future

    def release(self, reader: StreamReader, index: int) -> None:
        """One user less."""
        self._kept[reader, index].users -= 1
        self._shrink()

    @contextlib.contextmanager
    def use(self, reader: StreamReader, index: int) -> Iterator[Future[bytes]]:
        """Acquire, and release when the block is left."""
        future = self.acquire(reader, index)
        try:
            yield future
        finally:
            self.release(reader, index)

    def result(self, future: Future[bytes], tick: Callable[[], None]) -> bytes:
        """The bytes, waiting as the coordinator."""
        return self._workers.result(future, tick)

    def _shrink(self) -> None:
        if not self.is_full:
            return
        for key in [key for key, kept in self._kept.items()
                    if not kept.users]:
            del self._kept[key]
            reader, index = key
            self._kept_bytes -= reader.segments[index].length
            if not self.is_full:
                return


@dataclasses.dataclass(slots=True)
class _Kept:
    future: Future[bytes]
    users: int = 0
