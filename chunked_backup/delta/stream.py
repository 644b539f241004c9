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


"""A delta as a stream of bytes, from one process to another.

Layout, little-endian: a header, operations, and an end::

    magic           4   "CBDL"
    version         1   1
    zero            3
    block size      4   of the signatures, in bytes
    old length      8   in bytes
    old digest     32   blake3 of the old version

    "C" offset 8, length 8      a copy of bytes of the old version
    "L" length 4, bytes         a literal, of up to 1 MiB
    "Z" length 8                zeros
    "E" length 8, digest 32     of the new version

Behind each operation, and behind the end, stand 8 bytes of the blake3 of all
that stands before, these checks left out. So nothing is done that a damaged
length asks for.
"""

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any, Protocol

import blake3

from chunked_backup import errors
from chunked_backup.delta.ops import LITERAL_BYTES, Copy, Literal, Op, Zero
from chunked_backup.delta.signature import (
    DIGEST_BYTES, MAX_BLOCK_SIZE_BYTES, Signature)

_MAGIC = b'CBDL'
_VERSION = 1
_CHECK_BYTES = 8
_HEADER = struct.Struct(f'<4sB3xIQ{DIGEST_BYTES}s')
_COPY = struct.Struct('<QQ')
_LITERAL = struct.Struct('<I')
_ZERO = struct.Struct('<Q')
_END = struct.Struct(f'<Q{DIGEST_BYTES}s')


class Readable(Protocol):
    """A binary stream that is only read forward."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; ``b''`` at the end."""


class DeltaWriter:
    """Turns operations into the bytes of a stream."""

    def __init__(self) -> None:
        self._check = blake3.blake3()

    def begin(self, old: Signature) -> bytes:
        """The header.

        :param old: the signature of the old version.
        """
        data = _HEADER.pack(_MAGIC, _VERSION, old.block_size_bytes,
                            old.length, old.digest)
        self._check.update(data)
        return data

    def op(self, op: Op) -> bytes:
        """An operation and its check."""
        if isinstance(op, Copy):
            return self._checked(b'C', _COPY.pack(op.offset, op.length))
        if isinstance(op, Zero):
            return self._checked(b'Z', _ZERO.pack(op.length))
        return self._checked(b'L', _LITERAL.pack(op.length), op.data)

    def end(self, new: Signature) -> bytes:
        """The end.

        :param new: the signature of the new version.
        """
        return self._checked(b'E', _END.pack(new.length, new.digest))

    def _checked(self, *parts: bytes) -> bytes:
        for part in parts:
            self._check.update(part)
        return b''.join((*parts, self._check.digest(_CHECK_BYTES)))


@dataclasses.dataclass(frozen=True)
class End:
    """What a delta says of the new version, in bytes and as blake3."""

    length: int
    digest: bytes


class DeltaReader:
    """Reads a stream that ``DeltaWriter`` wrote, and nothing behind it.

    :param name: how errors call it.
    :raises DeltaError: it does not begin as a delta.
    :ivar block_size_bytes: of the signatures that it was made with.
    :ivar old_length: of the old version, in bytes.
    :ivar old_digest: blake3 of the old version.
    """

    def __init__(self, stream: Readable, name: str = '-') -> None:
        self._stream = stream
        self._name = name
        self._offset = 0
        self._check = blake3.blake3()
        self._end: End | None = None
        magic, version, block, self.old_length, self.old_digest = (
            self._unpack(_HEADER))
        if magic != _MAGIC:
            raise self._error(f'it begins with {magic!r}')
        if version != _VERSION:
            raise self._error(f'version {version} is not known')
        if not 1 <= block <= MAX_BLOCK_SIZE_BYTES:
            raise self._error(f'a block size of {block} bytes')
        self.block_size_bytes = block

    def __iter__(self) -> Iterator[Op]:
        """The operations; ``end`` is known behind the last.

        :raises DeltaError: it is damaged, or ends too early.
        """
        length = 0
        while (tag := self._read(1)) != b'E':
            op = self._op(tag)
            self._expect_check()
            length += op.length
            yield op
        end = End(*self._unpack(_END))
        self._expect_check()
        if end.length != length:
            raise self._error(f'{end.length} bytes are announced, but '
                              f'{length} are there')
        self._end = end

    @property
    def end(self) -> End:
        """What it says of the new version.

        :raises InvalidInput: it has not been read to its end.
        """
        if self._end is None:
            raise errors.InvalidInput(
                reason='a delta says at its end only what it makes')
        return self._end

    def expect_nothing_more(self) -> None:
        """Refuse what follows the end.

        :raises DeltaError: there is something.
        """
        if self._stream.read(1):
            raise self._error('something follows its end')

    def _op(self, tag: bytes) -> Op:
        if tag == b'C':
            offset, length = self._unpack(_COPY)
            if not 1 <= length <= self.old_length - offset:
                raise self._error(
                    f'{length} bytes at offset {offset} of an old version of '
                    f'{self.old_length} bytes')
            return Copy(offset, length)
        if tag == b'L':
            length, = self._unpack(_LITERAL)
            if not 1 <= length <= LITERAL_BYTES:
                raise self._error(f'a literal of {length} bytes')
            return Literal(self._read(length))
        if tag == b'Z':
            length, = self._unpack(_ZERO)
            if not length:
                raise self._error('no zeros')
            return Zero(length)
        raise self._error(f'an operation {tag!r}')

    def _expect_check(self) -> None:
        expected = self._check.digest(_CHECK_BYTES)
        if self._read_unchecked(_CHECK_BYTES) != expected:
            raise self._error('the check before does not match')

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self._read(layout.size))

    def _read(self, length: int) -> bytes:
        data = self._read_unchecked(length)
        self._check.update(data)
        return data

    def _read_unchecked(self, length: int) -> bytes:
        data = self._stream.read(length)
        while len(data) < length:  # a pipe gives what it has
            more = self._stream.read(length - len(data))
            if not more:
                raise self._error(f'it ends {length - len(data)} bytes too '
                                  f'early', len(data))
            data += more
        self._offset += length
        return data

    def _error(self, reason: str, ahead: int = 0) -> errors.DeltaError:
        return errors.DeltaError(name=self._name, reason=reason,
                                 offset=self._offset + ahead)
