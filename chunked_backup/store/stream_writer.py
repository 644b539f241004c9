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

"""A stream of bytes, stored as a row of objects.

What is written is cut into segments of equal length. Each becomes an object
of its own, compressed and with a digest of its stored bytes, while the next
is being filled.
"""

import collections
from collections.abc import Callable

import blake3

from chunked_backup.blocks import codecs
from chunked_backup.flow.executors import Executor
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.native import Future
from chunked_backup.model import Segment
from chunked_backup.store.object_store import ObjectStore

#: Long enough that a request costs little beside what it moves, short enough
#: that one file can be brought back without fetching much else.
SEGMENT_BYTES = 8 << 20

_SAMPLES = 8
_SAMPLE_BYTES = 16 << 10
_WORTHWHILE = 0.98


class StreamWriter:
    """Writes one stream. One thread writes; workers compress and store.

    :param name_of: the name of the object with that number, from 1.
    :param compression: a canonical spelling; a segment that does not become
        smaller is stored as it is.
    :param ahead: how many segments are on their way at once.
    :param segment_bytes: how long they are; only the last may be shorter.
    """

    def __init__(self, store: ObjectStore, name_of: Callable[[int], str],
                 workers: Executor, monitor: Monitor, compression: str,
                 ahead: int, segment_bytes: int) -> None:
        self._store = store
        self._name_of = name_of
        self._workers = workers
        self._monitor = monitor
        self._compression = compression
        self._ahead = ahead
        self._segment_bytes = segment_bytes
        self._segment = bytearray()
        self._number = 0
        self._pending: collections.deque[Future[Segment]] = collections.deque()
        self._segments: list[Segment] = []
        self._sealed_bytes = 0

    @property
    def position(self) -> int:
        """How much was written: where in the stream the next byte goes."""
        return self._sealed_bytes + len(self._segment)

    def write(self, data: bytes | memoryview) -> None:
        """Append to the stream; waits while too much is on its way.

        :raises DriverError: the store has failed; nothing more is written.
        """
        room = self._segment_bytes - len(self._segment)
        if len(data) < room:
            self._segment += data
            return
        view = memoryview(data)
        while len(view) >= room:
            self._segment += view[:room]
            view = view[room:]
            self._seal()
            room = self._segment_bytes
        self._segment += view

    def finish(self) -> list[Segment]:
        """Store what is left, and wait until all of it is stored."""
        if self._segment:
            self._seal()
        self._wait(0)
        return self._segments

    def _seal(self) -> None:
        self._number += 1
        segment, self._segment = self._segment, bytearray()
        self._sealed_bytes += len(segment)
        self._pending.append(self._workers.submit(
            self._store_segment, self._name_of(self._number), segment))
        self._wait(self._ahead)

    def _wait(self, limit: int) -> None:
        """Have no more than ``limit`` segments on their way."""
        while self._pending and (len(self._pending) > limit
                                 or self._pending[0].done()):
            self._segments.append(self._workers.result(
                self._pending.popleft(), self._monitor.tick))

    def _store_segment(self, name: str, segment: bytearray) -> Segment:
        self._monitor.check()
        compression, stored = self._encode(segment)
        self._store.put_bytes(name, stored)
        if self._monitor.is_stopped():
            # The coordinator may have given this up and cleaned up already.
            self._store.delete([name])
        self._monitor.advance(len(segment))
        return Segment(len(segment), len(stored), compression,
                       blake3.blake3(stored).digest())

    def _encode(self, segment: bytearray) -> tuple[str, bytes | memoryview]:
        plain = memoryview(segment)
        if self._compression != codecs.NONE and self._is_compressible(plain):
            stored = codecs.compress(self._compression, plain)
            if len(stored) < len(plain):
                return self._compression, stored
        return codecs.NONE, plain

    def _is_compressible(self, plain: memoryview) -> bool:
        """Judge a long segment by samples: what does not become smaller costs
        as much time to compress as what does."""
        if len(plain) <= _SAMPLES * _SAMPLE_BYTES:
            return True
        step = len(plain) // _SAMPLES
        shrunk = sum(
            len(codecs.compress(self._compression,
                                plain[start:start + _SAMPLE_BYTES]))
            for start in range(0, step * _SAMPLES, step))
        return shrunk < _WORTHWHILE * _SAMPLES * _SAMPLE_BYTES
