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


"""The weak hash: of whole blocks, and of the window at every byte offset.

A window is seen as a sequence of words. Its hash is the polynomial of those
words in a secret odd multiplier, without a constant term and in 64-bit
arithmetic; the upper 32 bits are what is recorded. From one window to the
next, one word further, only two words matter, so the hashes of many windows
are one cumulative sum.

Words are of four bytes where the block size allows it. Windows at offsets
that differ by less than a word are then independent sequences, whose sum takes
a third of the time (0.6 against 2.1 ns an offset), and a block is hashed four
times as fast as byte by byte. Only the upper half is used because in it every
bit of every word counts; that of the last word as well, since it is not the
constant term.
"""

import functools
import sys

import numpy

#: Offsets in one step: all arrays of a step stay in the second-level cache.
OFFSETS = 1 << 15

#: Bytes behind the last window that ``roll`` may look at, whatever they hold.
SLACK_BYTES = 8

_MODULUS = 1 << 64
# Which fourth of a sum that is.
_LOWER_BITS = 2 if sys.byteorder == 'little' else 1


Bytes = bytes | bytearray | memoryview | numpy.ndarray


class RollingHash:
    """The hash of windows of ``block_size_bytes``.

    :param multiplier: an odd number below 2**64.
    """

    def __init__(self, block_size_bytes: int, multiplier: int) -> None:
        self.block_size_bytes = block_size_bytes
        self.word_bytes = 1 if block_size_bytes % 4 else 4
        self.dtype = numpy.dtype('u1' if block_size_bytes % 4 else '<u4')
        self.multiplier = numpy.uint64(multiplier)
        count = block_size_bytes // self.word_bytes
        self._weights = _powers(multiplier, count)[::-1].copy()
        self.leaving = numpy.uint64(pow(multiplier, count, _MODULUS))

    def hash_blocks(self, data: Bytes) -> numpy.ndarray:
        """The hashes of whole blocks that follow each other.

        :param data: a multiple of the block size.
        :returns: an array of uint32.
        """
        return weak(self.sums(data, 0, len(data) // self.block_size_bytes)
                    * self.multiplier)

    def sums(self, data: Bytes, offset: int, blocks: int) -> numpy.ndarray:
        """The polynomials, all terms one power too low."""
        count = len(self._weights)
        words = numpy.ndarray((blocks, count), self.dtype, data, offset)
        # It widens the words in small pieces that stay in the first-level
        # cache: 0.11 ns a byte, against 0.14 of a dot product of wide ones.
        sums: numpy.ndarray = numpy.einsum('ij,j->i', words, self._weights)
        return sums

    @functools.cached_property
    def ascending_powers(self) -> numpy.ndarray:
        """The powers of the multiplier from the first, in rows of words."""
        return self._in_rows(int(self.multiplier)) * self.multiplier

    @functools.cached_property
    def inverse_powers(self) -> numpy.ndarray:
        """The powers of its inverse from the zeroth, in rows of words."""
        return self._in_rows(pow(int(self.multiplier), -1, _MODULUS))

    def _in_rows(self, base: int) -> numpy.ndarray:
        """The powers, each for all words of a row.

        Written out, since numpy multiplies three times as fast without a
        broadcast of so few columns.
        """
        powers = _powers(base, OFFSETS // self.word_bytes)
        return numpy.repeat(powers, self.word_bytes).reshape(
            -1, self.word_bytes)


class Roller:
    """Goes from offset to offset. Not to be shared between threads.

    :ivar scratch: an array of OFFSETS uint64 that is anybody's between two
        calls; with one more, a step would not stay in the cache.
    """

    def __init__(self, hashing: RollingHash) -> None:
        self._hashing = hashing
        self._state = None
        # Kept, since memory that is new for each step costs page faults.
        shape = OFFSETS // hashing.word_bytes, hashing.word_bytes
        self._sums, self._leaving = (
            numpy.empty(shape, numpy.uint64) for _ in range(2))
        self.scratch = self._leaving.reshape(-1)

    def restart(self) -> None:
        """The next offset is not the one behind the last."""
        self._state = None

    def roll(self, buffer: numpy.ndarray, start: int,
             count: int) -> numpy.ndarray:
        """The hashes of the windows at ``count`` offsets from ``start``.

        Without ``restart``, ``start`` must be the offset behind those of the
        last call, whose count was a multiple of four.

        :param buffer: uint8, and SLACK_BYTES longer than the last window.
        :param count: up to OFFSETS.
        :returns: an array of uint64 in which the upper halves are the hashes,
            valid until the next call.
        """
        hashing = self._hashing
        rows = -(-count // hashing.word_bytes)
        sums, leaving = self._sums[:rows], self._leaving[:rows]
        self._spread(buffer, start, leaving)
        leaving *= hashing.leaving
        self._spread(buffer, start + hashing.block_size_bytes
                     - hashing.word_bytes, sums)  # the last word of each
        if self._state is None:
            sums[0] = self._first(buffer, start)
        else:
            sums[0] += self._state
        sums[1:] -= leaving[:-1]
        # Dividing by growing powers makes the recurrence a plain sum.
        sums[1:] *= hashing.inverse_powers[1:rows]
        numpy.cumsum(sums, axis=0, out=sums)
        sums *= hashing.ascending_powers[:rows]
        self._state = sums[-1] - leaving[-1]
        return sums.reshape(-1)[:count]

    def _first(self, buffer: numpy.ndarray, start: int) -> numpy.ndarray:
        """The polynomials of the windows at the offsets of one word."""
        return numpy.concatenate([
            self._hashing.sums(buffer, start + each, 1)
            for each in range(self._hashing.word_bytes)])

    def _spread(self, buffer: numpy.ndarray, start: int,
                into: numpy.ndarray) -> None:
        """Fill a row with the words that begin at the next offsets."""
        into.reshape(-1)[:] = numpy.ndarray(
            into.size, self._hashing.dtype, buffer, start, strides=(1,))


def _powers(base: int, count: int) -> numpy.ndarray:
    powers = numpy.ones(count, numpy.uint64)
    done = 1
    while done < count:
        more = min(done, count - done)
        factor = numpy.uint64(pow(base, done, _MODULUS))
        powers[done:done + more] = powers[:more] * factor
        done += more
    return powers


def weak(sums: numpy.ndarray) -> numpy.ndarray:
    """The upper halves, which are the hashes, as uint32."""
    return (sums >> numpy.uint64(32)).astype(numpy.uint32)


def lower_bits(sums: numpy.ndarray) -> numpy.ndarray:
    """The lower 16 bits of the hashes, as uint16, without a copy."""
    return sums.view(numpy.uint16)[_LOWER_BITS::4]
