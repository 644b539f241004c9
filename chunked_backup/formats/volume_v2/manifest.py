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

"""The manifest: JSON in lines, so that it can be read as a stream.

Cinder can read as much of it as the version. The lines are::

    {"version": "2.0.0", "backup_id": ..., "volume_id": ..., "parent_id": ...,
     "backup_name": ..., "backup_description": ..., "created_at": ...,
     "volume_bytes": ..., "block_bytes": ..., "digest_algorithm": "sha256",
     "digest_table_sha256": ..., "volume_meta": ..., "extra_metadata": ...,
     "extents": [                               (all of this is one line)
    [1, "base64"]
    ,[1, "base64"]
    ,[2, "base64"]
    ],"sha256": "of all bytes before this line, in hex"}

A line of ``extents`` has the number of an object and the records of some of
its extents, 37 bytes each, little-endian:

===== ======================================================================
bytes
===== ======================================================================
8     offset in the volume
8     length
4     stored bytes
1     compression: 0 for zeros, of which nothing is stored, 1 for none, 2 for
      zlib (RFC 1950), 3 for bzip2, 4 for zstd (RFC 8878)
16    digest: the first 16 bytes of the sha256 of the offset, as 8 bytes, and
      the sha256s of all blocks of the extent; of zeros, zeros
===== ======================================================================

Extents stand in the order of the volume, and those of one object in the order
in which they lie in it, from its beginning to its end. The digest is for when
the digest table is lost.
"""

import array
import base64
import binascii
import bisect
import hashlib
import itertools
import json
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any, cast

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.formats import fields
from chunked_backup.formats import names
from chunked_backup.formats.fields import InvalidDocument
from chunked_backup.formats.manifest import Manifest
from chunked_backup.formats.volume_v2.lines import read_lines
from chunked_backup.formats.volume_v2.version import VERSION
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredPack

#: An extent that is not zeros is no longer, unless it is a single block: who
#: reads one holds it in memory.
LARGEST_EXTENT_BYTES = 16 << 20

_RECORD = struct.Struct('<QQIB16s')
_DIGEST_BYTES = 16
_BATCH_RECORDS = 1024
_ZEROS = 0
_COMPRESSIONS = (codecs.NONE, codecs.NONE, codecs.ZLIB[0], codecs.BZ2[0],
                 codecs.ZSTD[0])
_EXTENTS = b'"extents": ['
_END = re.compile(rb'\],"sha256": "([0-9a-f]{64})"\}')
_SHA256 = re.compile(r'[0-9a-f]{64}')


class ObjectList:
    """The extents of one backup in the order of the volume, in columns of 49
    bytes each.

    Its length is the number of objects that hold them; iterating gives the
    extents.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._offsets = array.array('Q')
        self._lengths = array.array('Q')
        self._starts = array.array('Q')
        self._stored = array.array('I')
        self._numbers = array.array('I')
        self._compressions = bytearray()
        self._digests = bytearray()
        self._named = 0, ''
        self._object_count = 0
        self._last_object: int | None = None
        self._object_bytes = 0

    def append(self, pack: StoredPack) -> None:
        """Add one object, behind the last."""
        for extent in pack.extents:
            self._add(pack.number, extent.offset, extent.length,
                      extent.stored_bytes,
                      _ZEROS if extent.name is None
                      else _COMPRESSIONS.index(extent.compression, 1),
                      extent.digest)

    def _add(self, number: int, offset: int, length: int, stored_bytes: int,
             compression: int, digest: bytes) -> None:
        if (not compression and self._compressions
                and not self._compressions[-1]
                and self._offsets[-1] + self._lengths[-1] == offset):
            self._lengths[-1] += length
            return
        if compression and number != self._last_object:
            self._object_count += 1
            self._last_object = number
            self._object_bytes = 0
        self._offsets.append(offset)
        self._lengths.append(length)
        self._starts.append(self._object_bytes if compression else 0)
        self._stored.append(stored_bytes)
        self._numbers.append(number)
        self._compressions.append(compression)
        self._digests += digest
        self._object_bytes += stored_bytes

    def __len__(self) -> int:
        return self._object_count

    def __iter__(self) -> Iterator[PackedExtent]:
        # Columns at a time; one extent after the other takes twice as long.
        digests = itertools.chain.from_iterable(
            struct.iter_unpack(f'{_DIGEST_BYTES}s', self._digests))
        return map(PackedExtent._make, zip(
            map(self._name_of, self._numbers, self._compressions),
            self._offsets, self._lengths,
            map(_COMPRESSIONS.__getitem__, self._compressions),
            self._starts, self._stored, digests, strict=True))

    def names(self) -> Iterator[str]:
        """The name of each stored object."""
        stored = itertools.compress(self._numbers, self._compressions)
        return (names.data_object(self._prefix, number)
                for number, _ in itertools.groupby(stored))

    def sorted(self) -> Iterator[PackedExtent]:
        """By offset."""
        return iter(self)

    def within(self, ranges: Sequence[tuple[int, int]]
               ) -> Iterator[tuple[PackedExtent, list[tuple[int, int]]]]:
        """The extents in which ranges lie, each with what of these it has.

        Takes as long as there are extents from the first range to the last.

        :param ranges: of the volume, sorted and apart.
        """
        if not ranges:
            return
        offsets, lengths = self._offsets, self._lengths
        index = known = max(
            0, bisect.bisect_right(offsets, ranges[0][0]) - 1)
        parts: list[tuple[int, int]] = []
        for low, high in ranges:
            while index < len(offsets) and (start := offsets[index]) < high:
                end = start + lengths[index]
                if end > low:
                    if index != known and parts:
                        yield self._extent(known), parts
                        parts = []
                    known = index
                    parts.append((low if low > start else start,
                                  high if high < end else end))
                    if end >= high:  # it may have of the next range, too
                        break
                index += 1
        if parts:
            yield self._extent(known), parts

    def ends_object(self, extent: PackedExtent) -> bool:
        """Whether an object ends where an extent, or a part of one, does."""
        index = bisect.bisect_right(self._offsets, extent.offset) - 1
        if (self._starts[index] + self._stored[index]
                != extent.start + extent.stored_bytes):
            return False
        number = self._numbers[index]
        index += 1
        while index < len(self._offsets) and not self._compressions[index]:
            index += 1
        return index == len(self._offsets) or self._numbers[index] != number

    def _extent(self, index: int) -> PackedExtent:
        compression = self._compressions[index]
        return PackedExtent(
            self._name_of(self._numbers[index], compression),
            self._offsets[index], self._lengths[index],
            _COMPRESSIONS[compression], self._starts[index],
            self._stored[index],
            bytes(self._digests[_DIGEST_BYTES * index:
                                _DIGEST_BYTES * (index + 1)]))

    def _name_of(self, number: int, compression: int) -> str | None:
        if compression == _ZEROS:
            return None
        named = self._named  # most lie in the object of the one before
        if number != named[0]:
            named = self._named = (
                number, names.data_object(self._prefix, number))
        return named[1]

    def batches(self) -> Iterator[tuple[int, bytes]]:
        """The number of an object and records of some of its extents."""
        first = 0
        while first < len(self._numbers):
            number = self._numbers[first]
            last = first
            while (last < len(self._numbers)
                   and self._numbers[last] == number
                   and last - first < _BATCH_RECORDS):
                last += 1
            yield number, b''.join(
                _RECORD.pack(
                    self._offsets[index], self._lengths[index],
                    self._stored[index], self._compressions[index],
                    self._digests[_DIGEST_BYTES * index:
                                  _DIGEST_BYTES * (index + 1)])
                for index in range(first, last))
            first = last

    def add_batch(self, number: int, records: bytes,
                  header: dict[str, Any]) -> None:
        """Add what ``batches`` has given, behind the last.

        :raises InvalidDocument: a record contradicts another, or ``header``.
        """
        if self._numbers and number < self._numbers[-1]:
            raise InvalidDocument('its objects are out of order')
        end = (self._offsets[-1] + self._lengths[-1] if self._offsets else 0)
        for record in _RECORD.iter_unpack(records):
            offset, length, stored_bytes, compression, digest = record
            problem = _problem(offset, length, stored_bytes, compression, end,
                               header)
            if problem:
                raise InvalidDocument(
                    f'the extent at {offset} of object {number} {problem}')
            self._add(number, offset, length, stored_bytes, compression,
                      digest)
            end = offset + length


def _problem(offset: int, length: int, stored_bytes: int, compression: int,
             end: int, header: dict[str, Any]) -> str | None:
    """What is wrong with an extent behind those that end at ``end``."""
    block_bytes = header['block_bytes']
    volume_bytes = header['volume_bytes']
    if offset < end:
        return 'overlaps another'
    if not length or offset + length > volume_bytes:
        return 'is empty or reaches beyond the volume'
    if offset % block_bytes or (length % block_bytes
                                and offset + length != volume_bytes):
        return 'is not made of whole blocks'
    if compression >= len(_COMPRESSIONS):
        return f'has the unknown compression {compression}'
    if compression == _ZEROS:
        return 'has bytes, and is zeros' if stored_bytes else None
    if length > max(LARGEST_EXTENT_BYTES, block_bytes):
        return 'is too long'
    if not 0 < stored_bytes <= length or (
            _COMPRESSIONS[compression] == codecs.NONE
            and stored_bytes != length):
        return f'has {stored_bytes} stored bytes for {length}'
    return None


def serialize(manifest: Manifest) -> Iterator[bytes]:
    """The bytes of a manifest, in pieces."""
    sha256 = hashlib.sha256()
    for piece in _before_the_end(manifest):
        sha256.update(piece)
        yield piece
    yield f'],"sha256": "{sha256.hexdigest()}"}}\n'.encode()


def _before_the_end(manifest: Manifest) -> Iterator[bytes]:
    record = manifest.record
    header = json.dumps({
        'version': VERSION,
        'backup_id': record.id,
        'volume_id': record.volume_id,
        'parent_id': record.parent_id,
        'backup_name': record.name,
        'backup_description': record.description,
        'created_at': record.created_at,
        'volume_bytes': manifest.volume_bytes,
        'block_bytes': manifest.block_size_bytes,
        'digest_algorithm': 'sha256',
        'digest_table_sha256': manifest.digest_table_sha256,
        'volume_meta': manifest.volume_meta,
        'extra_metadata': manifest.extra_metadata,
        'extents': [],
    }).encode()
    yield header.removesuffix(b']}') + b'\n'
    separator = b''
    objects = cast(ObjectList, manifest.objects)
    for number, records in objects.batches():
        yield b'%s[%d, "%s"]\n' % (separator, number,
                                   base64.b64encode(records))
        separator = b','


def parse(stream: Any, backup_id: str | None, prefix: str,
          strict: bool = True) -> Manifest:
    """Read a manifest, to the end of the stream.

    :param stream: has ``read(size)``.
    :param backup_id: whose it should be, or None to take what it says.
    :param prefix: the beginning of the backup's object names.
    :param strict: whether it has to have the sha256 that it names.
    :raises CorruptObject: it does not.
    :raises CorruptBackup: it is no manifest of this backup.
    """
    with fields.part_of(backup_id or f'under {prefix}', 'manifest'):
        header, objects, fits = _parse_lines(read_lines(stream), prefix)
        fields.check_owner(header, backup_id)
    if strict and not fits:
        raise errors.CorruptObject(
            backup_id=header['backup_id'], object_name=names.manifest(prefix),
            offset=0, reason='its sha256 is not the one that it names')
    return Manifest(
        fields.record_of(header, prefix), objects, VERSION,
        header.get('volume_meta'), header.get('extra_metadata'),
        header['volume_bytes'], header['block_bytes'],
        header['digest_table_sha256'])


def _parse_lines(lines: Iterator[bytes], prefix: str
                 ) -> tuple[dict[str, Any], ObjectList, bool]:
    first = next(lines, b'')
    header = _header(first)
    sha256 = hashlib.sha256(first + b'\n')
    objects = ObjectList(prefix)
    for line in lines:
        end = _END.fullmatch(line)
        if end:
            if next(lines, None) is not None:
                raise InvalidDocument('something follows its end')
            return header, objects, (
                end[1].decode() == sha256.hexdigest())
        objects.add_batch(*_batch(line), header)
        sha256.update(line)
        sha256.update(b'\n')
    raise InvalidDocument('it ends early')


def _header(line: bytes) -> dict[str, Any]:
    if not line.endswith(_EXTENTS):
        raise InvalidDocument('its first line is no header')
    try:
        # What is JSON, and ends so, is a map.
        header: dict[str, Any] = json.loads(line + b']}')
    except (ValueError, RecursionError) as exc:
        raise InvalidDocument(f'its header is no JSON ({exc})') from exc
    fields.check_texts(header, 'digest_table_sha256')
    fields.block_size_of(header, 'block_bytes')
    size = header.get('volume_bytes')
    if type(size) is not int or not 0 < size <= fields.LARGEST_OFFSET:
        raise InvalidDocument(f'volume_bytes is {size!r}')
    if header.get('digest_algorithm') != 'sha256':
        raise InvalidDocument('its digests are unknown: '
                              f'{header.get("digest_algorithm")!r}')
    if not _SHA256.fullmatch(header['digest_table_sha256']):
        raise InvalidDocument('digest_table_sha256 is no sha256')
    return header


def _batch(line: bytes) -> tuple[int, bytes]:
    """The number of an object and records, from one line."""
    try:
        number, text = json.loads(line.removeprefix(b','))
        if type(number) is not int or not 0 < number < 1 << 32:
            raise InvalidDocument(f'{number!r} is no number of an object')
        records = base64.b64decode(text, validate=True)
    except (ValueError, TypeError, RecursionError, binascii.Error) as exc:
        raise InvalidDocument(f'a line of extents is broken ({exc})') from exc
    if not records or len(records) % _RECORD.size:
        raise InvalidDocument('a line of extents is cut short')
    return number, records
