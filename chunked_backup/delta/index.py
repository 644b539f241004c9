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


"""Which block of a signature has this hash?"""

import numpy

from chunked_backup.delta import rolling
from chunked_backup.delta.signature import STRONG_BYTES, Signature

#: A filter has 16 to 32 entries for each block, and at most 32 Mi.
_FILTER_LOG2 = 5
_MAX_FILTER_LOG2 = 25
_MIN_FILTER_LOG2 = 10


class BlockIndex:
    """Finds the whole blocks of a signature by their hashes.

    Of equal blocks it knows the first. Costs 8 bytes a block, and two filters
    of 16 to 32 bytes a block: one by the upper bits of the weak hashes, for
    all offsets, one by their lower bits, for those that pass the first.
    Together they let 1 in 250 pass at most, or a binary search for each would
    take as long as the hashing.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        weak = signature.weak[:signature.whole_blocks]
        self._blocks = numpy.argsort(weak, kind='stable').astype(numpy.uint32)
        self._weak = weak[self._blocks]
        self._drop_repetitions()
        bits = min(max(_MIN_FILTER_LOG2,
                       len(self._weak).bit_length() - 1 + _FILTER_LOG2),
                   _MAX_FILTER_LOG2)
        self._shift = numpy.uint64(64 - bits)
        self._upper = numpy.zeros(1 << bits, bool)
        self._upper[self._weak >> numpy.uint32(32 - bits)] = True
        self._mask = numpy.uint32((1 << bits) - 1)
        self._lower = numpy.zeros(1 << bits, bool)
        self._lower[self._weak & self._mask] = True
        # Kept, since memory that is new for each call costs page faults.
        self._scratch = (numpy.empty(rolling.OFFSETS, numpy.uint64),
                         numpy.empty(rolling.OFFSETS, bool))

    def __len__(self) -> int:
        return len(self._blocks)

    def candidates(self, sums: numpy.ndarray) -> list[tuple[int, int]]:
        """Where the hash of a window is that of a block.

        :param sums: what ``RollingHash.roll`` gives.
        :returns: pairs of an index into it and the weak hash.
        """
        upper, passes = (array[:len(sums)] for array in self._scratch)
        numpy.right_shift(sums, self._shift, out=upper)
        # Clipping is never needed, and checking would take time.
        self._upper.take(upper.view(numpy.int64), out=passes, mode='clip')
        passed = numpy.flatnonzero(passes)
        weak = rolling.weak(sums[passed])
        second = self._lower[weak & self._mask]
        passed, weak = passed[second], weak[second]
        places = numpy.searchsorted(self._weak, weak)
        places[places == len(self._weak)] = 0
        found = self._weak[places] == weak
        return list(zip(passed[found].tolist(), weak[found].tolist()))

    def find(self, weak: int, strong: bytes) -> int | None:
        """The first block with these hashes."""
        wanted = numpy.uint32(weak)
        low = int(numpy.searchsorted(self._weak, wanted))
        high = int(numpy.searchsorted(self._weak, wanted, 'right'))
        block: int
        for block in self._blocks[low:high].tolist():
            if self._signature.strong_of(block) == strong:
                return block
        return None

    def _drop_repetitions(self) -> None:
        """Keep one of the many equal blocks that files of zeros have."""
        same = numpy.flatnonzero(self._weak[1:] == self._weak[:-1])
        if not len(same):
            return
        strong = numpy.frombuffer(self._signature.strong, '<u8').reshape(
            -1, STRONG_BYTES // 8)
        repeated = (strong[self._blocks[same + 1]]
                    == strong[self._blocks[same]]).all(axis=1)
        keep = numpy.ones(len(self._weak), bool)
        keep[same[repeated] + 1] = False
        self._blocks, self._weak = self._blocks[keep], self._weak[keep]
