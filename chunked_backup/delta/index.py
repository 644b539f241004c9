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

from chunked_backup.delta.signature import STRONG_BYTES, Signature

#: Bits of the filter for each block, and the most there are: 64 MiB.
_FILTER_BITS_LOG2 = 7
_MAX_FILTER_BITS_LOG2 = 29


class BlockIndex:
    """Finds the whole blocks of a signature by their hashes.

    Of equal blocks it knows the first. Costs 8 bytes a block, and 16 to 32
    for a filter: one bit for each value of the upper bits of weak hashes.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        weak = signature.weak[:signature.whole_blocks]
        self._blocks = numpy.argsort(weak, kind='stable').astype(numpy.uint32)
        self._weak = weak[self._blocks]
        self._drop_repetitions()
        bits = min(max(8, len(weak).bit_length() + _FILTER_BITS_LOG2),
                   _MAX_FILTER_BITS_LOG2)
        self._shift = numpy.uint32(32 - bits)
        self._filter = numpy.zeros(1 << bits - 3, numpy.uint8)
        upper = self._weak >> self._shift
        numpy.bitwise_or.at(self._filter, upper >> 3, _BITS[upper & 7])

    def __len__(self) -> int:
        return len(self._blocks)

    def candidates(self, weak: numpy.ndarray) -> numpy.ndarray:
        """Where in an array of weak hashes one stands that a block has."""
        upper = weak >> self._shift
        bytes_of = self._filter.take(upper >> 3)
        found = numpy.flatnonzero(bytes_of & _BITS.take(upper & 7))
        places = numpy.searchsorted(self._weak, weak[found])
        places[places == len(self._weak)] = 0
        return found[self._weak[places] == weak[found]]

    def find(self, weak: int, strong: bytes) -> int | None:
        """The first block with these hashes."""
        wanted = numpy.uint32(weak)
        low = int(numpy.searchsorted(self._weak, wanted))
        high = int(numpy.searchsorted(self._weak, wanted, 'right'))
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


_BITS = (1 << numpy.arange(8)).astype(numpy.uint8)
