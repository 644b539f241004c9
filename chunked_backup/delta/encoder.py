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


"""What a new version has in common with an old one of which only the
signature is known.

The encoder goes through the new version once. Where it expects the block that
follows the last match, one strong hash decides: that is all that a file costs
which did not change, or which did change a little. Only where neither this
block, nor any other of the old version, nor (one block later) the one after
it stands, are the weak hashes at all offsets looked up.

What it finds does not depend on the pieces in which the data comes: it
decides about a place only once it has seen as much behind it as can matter,
or the end.
"""

import functools
from collections.abc import Iterator

import numpy

from chunked_backup import errors
from chunked_backup.delta import ops
from chunked_backup.delta import rolling
from chunked_backup.delta.index import BlockIndex
from chunked_backup.delta.ops import Copy, Literal, Op, Zero
from chunked_backup.delta.signature import Signature, SignatureBuilder

#: Offsets that are looked at first; few, since an insertion is mostly short.
_FIRST_OFFSETS = 1 << 13
_PIECE_BYTES = 1 << 20


class DeltaEncoder:
    """Makes the delta of a new version, given in pieces of any size.

    Holds two blocks, a literal and one piece, twice: less than 5 MiB with
    blocks of the default size, whatever the length of the file.

    :param old: the signature of the old version.
    :param zeros: whether zeros become ``Zero`` instead of a literal or of a
        copy.
    """

    def __init__(self, old: Signature, zeros: bool = False) -> None:
        self._old = old
        self._block = old.block_size_bytes
        self._hashes = old.hashes
        self._zeros = zeros
        self._builder = SignatureBuilder(old.block_size_bytes, old.seed)
        self._signature: Signature | None = None
        self._ops = _Ops()
        # The buffer holds the new version from offset _base to offset _end.
        # Below _literal all is told, below _position all is decided.
        self._buffer = numpy.empty(0, numpy.uint8)
        self._base = self._end = self._literal = self._position = 0
        self._expected: int | None = 0  # the old block that may come next
        self._offsets = _FIRST_OFFSETS
        self._searched = 0  # up to there all candidates are known
        self._candidates: Iterator[tuple[int, int]] = iter(())

    def update(self, data: bytes | bytearray | memoryview) -> list[Op]:
        """Go on with ``data``.

        :returns: the operations that are certain by now.
        """
        data = memoryview(data).cast('B')
        self._builder.update(data)
        while data:
            data = self._pass_expected(data)
            self._append(data[:_PIECE_BYTES])
            data = data[_PIECE_BYTES:]
            self._advance(final=False)
        return self._ops.take()

    def finish(self) -> list[Op]:
        """The end of the new version.

        :returns: the operations that were still open.
        """
        self._advance(final=True)
        self._finish_short()
        self._signature = self._builder.finish()
        self._buffer = numpy.empty(0, numpy.uint8)
        return self._ops.take(final=True)

    @property
    def signature(self) -> Signature:
        """The signature of the new version, once it is finished."""
        if self._signature is None:
            raise errors.InvalidInput(
                reason='a delta has the new signature at its end only')
        return self._signature

    def _pass_expected(self, data: memoryview) -> memoryview:
        """Decide about data whose blocks are the expected ones.

        It never comes into the buffer, which would take a tenth of the time
        of a file that has not changed.

        :returns: the rest of the data.
        """
        if self._literal < self._end or self._end % self._block:
            return data
        while (len(data) >= self._block and self._expected is not None
               and self._is_here(self._expected)):
            self._end += self._block
            self._tell_block(self._position, self._expected)
            data = data[self._block:]
        self._base = self._end
        return data

    def _append(self, data: memoryview) -> None:
        used = self._end - self._base
        if used + len(data) + rolling.SLACK_BYTES > len(self._buffer):
            held = self._view(self._literal, self._end)
            size = len(held) + len(data) + rolling.SLACK_BYTES
            buffer = self._buffer
            if size + len(held) // 2 > len(buffer):
                # With room, or small pieces would each move what is held.
                buffer = numpy.empty(2 * size, numpy.uint8)
            buffer[:len(held)] = held
            self._buffer, self._base = buffer, self._literal
            used = len(held)
        self._buffer[used:used + len(data)] = data
        self._end += len(data)

    def _view(self, start: int, end: int) -> numpy.ndarray:
        return self._buffer[start - self._base:end - self._base]

    def _advance(self, final: bool) -> None:
        more = True
        while more:
            if self._expected is not None:
                more = self._match_expected(self._expected, final)
            else:
                more = self._search(final)
            while self._position - self._literal >= ops.LITERAL_BYTES:
                self._tell_literal(self._literal + ops.LITERAL_BYTES)

    # -- where a block is expected --

    def _match_expected(self, expected: int, final: bool) -> bool:
        """Decide about the block at the position.

        :returns: whether there was enough to decide.
        """
        available = self._end - self._position
        if available < self._block:
            return False
        if self._is_here(expected):
            self._tell_block(self._position, expected)
            return True
        if available < 2 * self._block and not final:
            return False
        if expected == self._old.whole_blocks:
            self._match_short()
        elif self._match_other(expected) or self._match_later(
                expected + 1, available):
            return True
        self._expected = None
        self._offsets = _FIRST_OFFSETS
        return True

    def _is_here(self, block: int) -> bool:
        """Whether a block of the old version stands at the position."""
        return self._strong(self._position) == self._old.strong_of(block)

    def _match_other(self, expected: int) -> bool:
        """Zeros, or a block that was moved or repeated, at the position."""
        strong = self._strong(self._position)
        if self._zeros and strong == self._hashes.strong_of_zeros:
            self._tell_found(self._position, Zero(self._block))
            self._expected = expected + 1
            return True
        block = self._index.find(self._weak(self._position), strong)
        if block is None:
            return False
        self._tell_block(self._position, block)
        return True

    def _match_later(self, block: int, available: int) -> bool:
        """One block was changed in place if the next one follows it."""
        position = self._position + self._block
        if (available < 2 * self._block or block >= self._old.whole_blocks
                or self._strong(position) != self._old.strong_of(block)):
            return False
        self._tell_block(position, block)
        return True

    def _match_short(self) -> bool:
        """The short last block of the old version at the position."""
        length = self._old.length % self._block
        if not self._is_short(self._position, length):
            return False
        self._tell_short(self._position, length)
        return True

    def _is_short(self, position: int, length: int) -> bool:
        return (0 < length <= self._end - position
                and self._hashes.strong(self._view(
                    position, position + length).data)
                == self._old.strong_of(self._old.whole_blocks))

    def _weak(self, position: int) -> int:
        if position % self._block == 0:
            return self._builder.weak_of(position // self._block)
        return int(self._hashes.rolling.hash_blocks(
            self._view(position, position + self._block))[0])

    def _strong(self, position: int) -> bytes:
        if position % self._block == 0:
            return self._builder.strong_of(position // self._block)
        return self._hashes.strong(
            self._view(position, position + self._block).data)

    # -- where none is --

    def _search(self, final: bool) -> bool:
        """Go to the next place where any block stands.

        :returns: whether there was enough to look at.
        """
        if (self._position >= self._searched
                and not self._look_ahead(final)):
            return False
        for position, weak in self._candidates:
            if position < self._position:
                continue
            block = self._index.find(weak, self._strong(position))
            if block is not None:
                self._tell_block(position, block)
                return True
        self._position = max(self._position, self._searched)
        return True

    def _look_ahead(self, final: bool) -> bool:
        """Find out where at the next offsets a block may stand.

        What is not needed after a match is kept, or blocks that are smaller
        than the look would each cost all of it.

        :returns: whether there was enough to look at.
        """
        count = self._end - self._position - self._block + 1
        if not len(self._index):
            self._position += max(0, count)
            return False
        if count < self._offsets and not (final and count > 0):
            return False
        if self._zeros and self._is_zero(self._position):
            self._tell_found(self._position, Zero(self._block))
            return True
        count = min(count, self._offsets)
        if self._position != self._searched:
            self._roller.restart()
        found = self._index.candidates(self._roller.roll(
            self._buffer, self._position - self._base, count),
            self._roller.scratch)
        start = self._position
        self._candidates = iter([(start + offset, weak)
                                 for offset, weak in found])
        self._searched = start + count
        self._offsets = min(2 * self._offsets, rolling.OFFSETS)
        return True

    def _is_zero(self, position: int) -> bool:
        return (not self._view(position, position + min(64, self._block)).any()
                and self._strong(position) == self._hashes.strong_of_zeros)

    @functools.cached_property
    def _index(self) -> BlockIndex:
        # Late: a file that has not changed needs none.
        return BlockIndex(self._old)

    @functools.cached_property
    def _roller(self) -> rolling.Roller:
        return rolling.Roller(self._hashes.rolling)

    def _finish_short(self) -> None:
        """Decide about the rest, which is shorter than a block.

        The short last block of the old version may stand where it is expected
        or at the end.
        """
        length = self._old.length % self._block
        expected = self._expected == self._old.whole_blocks
        if not (expected and self._match_short()) and self._is_short(
                max(self._position, self._end - length), length):
            self._tell_short(self._end - length, length)
        while self._literal < self._end:
            self._tell_literal(min(self._literal + ops.LITERAL_BYTES,
                                   self._end))

    # -- what was found --

    def _tell_block(self, position: int, block: int) -> None:
        zeros = self._zeros and (self._old.strong_of(block)
                                 == self._hashes.strong_of_zeros)
        self._tell_found(position, Zero(self._block) if zeros else
                         Copy(block * self._block, self._block))
        self._expected = block + 1

    def _tell_short(self, position: int, length: int) -> None:
        self._tell_found(
            position, Copy(self._old.length - length, length))
        self._expected = None

    def _tell_found(self, position: int, op: Copy | Zero) -> None:
        while self._literal < position:
            self._tell_literal(min(self._literal + ops.LITERAL_BYTES,
                                   position))
        self._literal = self._position = position + op.length
        self._ops.add(op)

    def _tell_literal(self, end: int) -> None:
        data = self._view(self._literal, end).data
        if self._zeros:
            for op in ops.split_zeros(data, self._literal):
                self._ops.add(op)
        else:
            self._ops.add(Literal(data.tobytes()))
        self._literal = end


class _Ops:
    """Operations that are joined while they come."""

    def __init__(self) -> None:
        self._ops: list[Op] = []

    def add(self, op: Op) -> None:
        joined = self._ops and ops.join(self._ops[-1], op)
        if joined:
            self._ops[-1] = joined
        else:
            self._ops.append(op)

    def take(self, final: bool = False) -> list[Op]:
        """All but the last one, which the next may continue."""
        count = len(self._ops)
        if not final and count and isinstance(self._ops[-1], Copy | Zero):
            count -= 1
        taken, self._ops = self._ops[:count], self._ops[count:]
        return taken
