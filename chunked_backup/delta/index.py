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

#: The filter has 4 to 8 entries for each block, and at most 32 Mi.
_FILTER_LOG2 = 3
_MAX_FILTER_LOG2 = 25
_MIN_FILTER_LOG2 = 10


class BlockIndex:
    """Finds the whole blocks of a signature by their hashes.

    Of equal blocks it knows the first. Costs 8 bytes a block, and a filter of
    8 to 16 bytes a block, which has for each value of the upper bits of a hash
    the lower bits that no block with this value has set in its own. A hash
    with any of these is that of no block. Of those that are of none, at most 1
    in 150 passes (of 2 million blocks, 1 in 40): a binary search for each
    would take longer than the hashing.
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
        self._filter = numpy.full(1 << bits, 0xffff, numpy.uint16)
        numpy.bitwise_and.at(
            self._filter, self._weak >> numpy.uint32(32 - bits),
            ~self._weak.astype(numpy.uint16))
        # Kept, since memory that is new for each call costs page faults.
        self._scratch = (numpy.empty(rolling.OFFSETS, numpy.uint16),
                         numpy.empty(rolling.OFFSETS, bool))

    def __len__(self) -> int:
        return len(self._blocks)

    def candidates(self, sums: numpy.ndarray,
                   scratch: numpy.ndarray) -> list[tuple[int, int]]:
        """Where the hash of a window is that of a block.

        :param sums: what ``Roller.roll`` gives.
        :param scratch: an array like it, to be written to.
        :returns: pairs of an index into it and the weak hash.
        """
        upper = scratch[:len(sums)]
        unset, passes = (array[:len(sums)] for array in self._scratch)
        numpy.right_shift(sums, self._shift, out=upper)
        # Wrapping is never needed, and checking would take time.
        self._filter.take(upper.view(numpy.int64), out=unset, mode='wrap')
        unset &= rolling.lower_bits(sums)
        numpy.equal(unset, 0, out=passes)
        passed = passes.nonzero()[0]
        weak = rolling.weak(sums[passed])
        places = numpy.searchsorted(self._weak, weak)
        found = self._weak.take(places, mode='clip') == weak
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
