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

"""The index of a tree's backup: one record for each entry.

A record is one MessagePack array::

    [entry, digest, extents, signature]

``entry`` is an array of these, in this order:

======================== =====================================================
path                     bytes, relative to the top of the tree and joined by
                         ``/``; empty for the top itself
kind                     ``f`` file, ``d`` directory, ``l`` symbolic link,
                         ``p`` fifo, ``c`` and ``b`` devices, ``s`` socket
mode                     permission bits, with setuid, setgid and sticky
uid, gid                 numbers of the owners
user, group              their names, empty where they have none
mtime, its nanoseconds   two numbers; seconds since 1970
ctime, its nanoseconds   likewise
size                     in bytes, of a file; otherwise 0
inode, device, links     as ``stat`` gave them
rdev                     the number of a device; otherwise 0
target                   bytes, of a symbolic link; otherwise empty
xattrs                   pairs of name and value, both bytes; ACLs are among
                         them
hardlink                 the path of the first entry of the same inode, if
                         that came earlier; otherwise nil
======================== =====================================================

Entries are in the order of a walk: a directory before what is in it, names in
the order of their bytes. The rest is nil but for files: ``digest`` is the
blake3 of all bytes, ``extents`` says in order where they are, each in three
unsigned 64-bit numbers, little endian: the level of a backup, an offset in its
data stream, and a length; the level 2**64 - 1 stands for zeros. ``signature``
is nil for a file of at most one block, or [level,
offset, length] in a stream of signatures.

The level of a backup is how many it is built on: 0 for a full one. All
backups on one chain agree on the levels of their ancestors.

Behind the last record stands the number of records.
"""

import array
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgpack

from chunked_backup import errors
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry

ZEROS = (1 << 64) - 1
_DIGEST_BYTES = 32
#: The bytes of one extent.
EXTENT = 24
#: No record comes near it, however many pieces a file is in.
_LARGEST_RECORD_BYTES = 1 << 30


class Place(NamedTuple):
    """A range of a stream of some backup."""

    level: int
    offset: int
    length: int


class Content(NamedTuple):
    """Where the bytes of a file are.

    :param digest: blake3 of all of them.
    :param extents: packed; see ``extents_of``.
    :param signature: None for a file of at most one block.
    """

    digest: bytes
    extents: bytes
    signature: Place | None = None


class Record(NamedTuple):
    """An entry; ``content`` is None for all but files."""

    entry: Entry
    content: Content | None


class Extents:
    """Builds the extents of a file; those that continue each other merge."""

    def __init__(self) -> None:
        self._numbers = array.array('Q')

    def add(self, level: int, offset: int, length: int) -> None:
        """The next bytes of the file are in that range, in bytes.

        :param level: of the backup whose data stream it is; or ``ZEROS``.
        """
        numbers = self._numbers
        if not length:
            return
        if numbers and numbers[-3] == level and (
                level == ZEROS or numbers[-2] + numbers[-1] == offset):
            numbers[-1] += length
        else:
            numbers.extend((level, offset, length))

    def pack(self) -> bytes:
        """The extents as a record has them; ``EXTENT`` bytes each."""
        return _little_endian(self._numbers).tobytes()


def extents_of(content: Content) -> Iterator[Place]:
    """The extents of a file, in order."""
    numbers = array.array('Q')
    numbers.frombytes(content.extents)
    in_order = iter(_little_endian(numbers))
    return map(Place, in_order, in_order, in_order)


def pack(entry: Entry, content: Content | None) -> bytes:
    """One record as it is stored."""
    packed: bytes = msgpack.packb(
        (entries.pack(entry), *(content or (None,) * 3)))
    return packed


def pack_end(count: int) -> bytes:
    """What stands behind so many records."""
    packed: bytes = msgpack.packb(count)
    return packed


def unpack(pieces: Iterable[bytes], backup_id: str) -> Iterator[Record]:
    """The records of an index, in order.

    :param pieces: the stream, cut anyhow.
    :raises CorruptBackup: it is no index, or not in order.
    """
    return (record for record, _, _ in unpack_located(pieces, backup_id))


def unpack_located(pieces: Iterable[bytes], backup_id: str
                   ) -> Iterator[tuple[Record, int, int]]:
    """As ``unpack``, with the offset and the length of each record."""
    unpacker = msgpack.Unpacker(
        use_list=False, max_buffer_size=_LARGEST_RECORD_BYTES)
    last: bytes | None
    key: bytes | None = None
    end: int | None = None
    count = offset = 0
    try:
        for piece in pieces:
            unpacker.feed(piece)
            for values in unpacker:
                if end is not None:
                    raise ValueError('something stands behind its end')
                if type(values) is int:
                    end = values
                    continue
                record = _record(values)
                last, key = key, record.entry.sort_key
                if last is not None and key <= last:
                    raise ValueError(f'{record.entry.path!r} is out of order')
                count += 1
                start, offset = offset, unpacker.tell()
                yield record, start, offset - start
        if end != count:
            raise ValueError(f'it has {count} records, and should have {end}')
    except _BROKEN as exc:
        raise _corrupt(backup_id, exc) from exc


def unpack_one(data: bytes, backup_id: str) -> Record:
    """The record that was at a place ``unpack_located`` gave.

    :raises CorruptBackup: it is none.
    """
    try:
        return _record(msgpack.unpackb(data, use_list=False))
    except _BROKEN as exc:
        raise _corrupt(backup_id, exc) from exc


_BROKEN = (ValueError, TypeError, msgpack.UnpackException,
           errors.InvalidEntry)


def _corrupt(backup_id: str, cause: Exception) -> errors.CorruptBackup:
    return errors.CorruptBackup(backup_id=backup_id,
                                reason=f'its index is broken: {cause}')


def _record(values: tuple[Any, ...]) -> Record:
    packed, digest, extents, signature = values
    entry = entries.unpack(packed)
    if digest is None:
        return Record(entry, None)
    if (type(digest) is not bytes or len(digest) != _DIGEST_BYTES
            or type(extents) is not bytes or entry.kind != entries.FILE
            or len(extents) % EXTENT):
        raise ValueError(f'the content of {entry.path!r} is not understood')
    if signature is not None:
        signature = Place(*signature)
        if not all(type(number) is int and number >= 0
                   for number in signature):
            raise ValueError(f'the signature of {entry.path!r} is at '
                             f'{signature}')
    return Record(entry, Content(digest, extents, signature))


def _little_endian(numbers: 'array.array[int]') -> 'array.array[int]':
    if sys.byteorder == 'big':
        numbers = numbers[:]
        numbers.byteswap()
    return numbers
