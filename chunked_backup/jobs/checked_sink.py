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

"""The last step of a restore: what is written was checked before."""

import bisect
import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence

from chunked_backup import errors
from chunked_backup.blocks import digests
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.flow.monitor import Monitor
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.faults import Faults

Ranges = list[tuple[int, int]]
#: Where in the volume some whole blocks begin, and their bytes.
Piece = tuple[int, memoryview]
#: Makes the error of a source: why, and at which offset of the volume.
Corrupt = Callable[[str, int], errors.CorruptObject]


class CheckedSink:
    """Takes blocks into a sink whose sha256 is the recorded one.

    :param recorded: the digests of the volume; none in a salvage without
        them, where the caller has checked what it hands over.
    :param faults: is told of all others, which become zeros.
    """

    def __init__(self, sink: VolumeSink, recorded: DigestSpool,
                 block_size_bytes: int, monitor: Monitor,
                 faults: Faults) -> None:
        self._sink = sink
        self._recorded = recorded
        self._block_size = block_size_bytes
        self._monitor = monitor
        self._faults = faults

    def write(self, pieces: Sequence[Piece], corrupt: Corrupt) -> None:
        """Check pieces, and write them.

        :raises CorruptObject: a block is wrong, unless this is a salvage.
        """
        if len(self._recorded):
            found = [digests.hash_blocks(data, self._block_size)
                     for _, data in pieces]
            expected = [self._expected(start, data) for start, data in pieces]
            if found != expected:
                for piece in zip(pieces, found, expected):
                    self._write_good(*piece, corrupt)
                return
        for start, data in pieces:
            self._sink.write(start, data)
        self._monitor.advance(sum(len(data) for _, data in pieces))

    def zero(self, start: int, end: int, corrupt: Corrupt) -> None:
        """Have zeros in a range, if the digests say so, too."""
        count = digests.block_count(end - start, self._block_size)
        expected = self._recorded.read(start // self._block_size, count)
        if len(self._recorded) and (expected != digests.zero_digests(
                count, self._block_size)):
            self._check_zeros(start, end, expected, corrupt)
        self._sink.zero(start, end)
        self._monitor.advance(end - start)

    def _check_zeros(self, start: int, end: int, expected: bytes,
                     corrupt: Corrupt) -> None:
        size = self._block_size
        for index in range(len(expected) // digests.DIGEST_BYTES):
            low = start + index * size
            high = min(low + size, end)
            at = slice(index * digests.DIGEST_BYTES,
                       (index + 1) * digests.DIGEST_BYTES)
            if expected[at] != _digest_of_zeros(high - low):
                self._faults.add(
                    corrupt('it says that a block is zeros whose sha256 is '
                            f'{expected[at].hex()}', low), low, high)

    def give_up(self, parts: Ranges, error: errors.CorruptObject) -> None:
        """Have zeros where nothing can be had.

        :raises CorruptObject: ``error``, unless this is a salvage.
        """
        for start, end in parts:
            self._faults.add(error, start, end)
            self._sink.zero(start, end)

    def _expected(self, start: int, data: memoryview) -> bytes:
        return self._recorded.read(
            start // self._block_size,
            digests.block_count(len(data), self._block_size))

    def _write_good(self, piece: Piece, found: bytes, expected: bytes,
                    corrupt: Corrupt) -> None:
        """Write those blocks of a piece that are as recorded, and have zeros
        for the others.

        :raises CorruptObject: of the first of these, unless this is a
            salvage.
        """
        start, data = piece
        position = 0
        for first, end in digests.differing_runs(found, expected):
            low = first * self._block_size
            high = min(end * self._block_size, len(data))
            at = slice(first * digests.DIGEST_BYTES,
                       (first + 1) * digests.DIGEST_BYTES)
            self._sink.write(start + position, data[position:low])
            self._faults.add(
                corrupt(f'the sha256 of the block is {found[at].hex()}, '
                        f'recorded is {expected[at].hex()}', start + low),
                start + low, start + high)
            self._sink.zero(start + low, start + high)
            position = high
        self._sink.write(start + position, data[position:])
        self._monitor.advance(len(data))


@functools.lru_cache(maxsize=8)
def _digest_of_zeros(length: int) -> bytes:
    return digests.hash_blocks(memoryview(bytes(length)), length)


def cut(ranges: Ranges, low: int, high: int) -> Iterator[tuple[int, int]]:
    """The parts of sorted ranges that lie between ``low`` and ``high``."""
    first = bisect.bisect_right(ranges, low, key=operator.itemgetter(1))
    for start, end in itertools.islice(ranges, first, None):
        if start >= high:
            return
        yield max(start, low), min(end, high)
