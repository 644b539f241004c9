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


"""From an old version and a delta, the new version."""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import blake3

from chunked_backup import errors
from chunked_backup.delta.ops import Literal, Op, Zero

_PIECE_BYTES = 1 << 20
_ZEROS = memoryview(bytes(_PIECE_BYTES))

#: Gives the bytes of the old version at an offset, in bytes, and of a length,
#: in bytes; fewer only at its end.
Read = Callable[[int, int], bytes]
#: Takes the next bytes.
Write = Callable[[bytes | memoryview], object]


def patch(operations: Iterable[Op], old: Read | BinaryIO,
          write: Write, *, length: int, digest: bytes,
          name: str = '-', skip: Callable[[int], object] | None = None
          ) -> None:
    """Write the new version, in pieces of up to 1 MiB, and check it.

    :param old: the old version: a function that reads it, or a binary stream
        that can seek.
    :param write: takes the next bytes of the new version.
    :param length: of the new version, in bytes.
    :param digest: blake3 of the new version.
    :param name: how errors call the file.
    :param skip: takes the length of zeros in place of ``write``, in bytes.
    :raises PatchError: the old version is too short, or the new one does not
        come out as it should; what was written is then worth nothing.
    """
    found = apply(_limited(operations, length, name), old, write, name=name,
                  skip=skip)
    check(name, (length, digest), found)


def apply(operations: Iterable[Op], old: Read | BinaryIO,
          write: Write, *, name: str = '-',
          skip: Callable[[int], object] | None = None) -> tuple[int, bytes]:
    """Write the new version; what it should be need be known at the end only.

    :returns: its length, in bytes, and its blake3, for ``check``.
    """
    read = old if callable(old) else reader_of(old)
    digest = blake3.blake3()
    length = 0
    for op in operations:
        for piece in _pieces(op, read, name):
            digest.update(piece)
            if skip and isinstance(op, Zero):
                skip(len(piece))
            else:
                write(piece)
        length += op.length
    return length, digest.digest()


def check(name: str, recorded: tuple[int, bytes],
          found: tuple[int, bytes]) -> None:
    """Refuse a new version that is not the one recorded.

    :param recorded: length in bytes, and blake3; so is ``found``.
    :raises PatchError: naming what was expected and what was found.
    """
    if found[0] != recorded[0]:
        raise errors.PatchError(
            name=name, reason=f'it has {found[0]} bytes, but {recorded[0]} '
            f'were recorded')
    if found[1] != recorded[1]:
        raise errors.PatchError(
            name=name, reason=f'its blake3 is {found[1].hex()}, but '
            f'{recorded[1].hex()} was recorded')


def reader_of(stream: BinaryIO) -> Read:
    """Random access to a binary stream that can seek."""
    def read(offset: int, length: int) -> bytes:
        stream.seek(offset)
        data = stream.read(length)
        while len(data) < length and (more := stream.read(
                length - len(data))):
            data += more
        return data

    return read


def _limited(operations: Iterable[Op], length: int,
             name: str) -> Iterator[Op]:
    """Refuse to write more than there should be, before it is written."""
    left = length
    for op in operations:
        left -= op.length
        if left < 0:
            raise errors.PatchError(
                name=name, reason=f'it would have more than the {length} '
                f'bytes that were recorded')
        yield op


def _pieces(op: Op, read: Read, name: str) -> Iterator[bytes | memoryview]:
    if isinstance(op, Literal):
        yield op.data
        return
    for done in range(0, op.length, _PIECE_BYTES):
        size = min(_PIECE_BYTES, op.length - done)
        if isinstance(op, Zero):
            yield _ZEROS[:size]
            continue
        data = read(op.offset + done, size)
        if len(data) != size:
            raise errors.PatchError(
                name=name, reason=f'the old version has only {len(data)} of '
                f'the {size} bytes to copy from offset {op.offset + done}')
        yield data
