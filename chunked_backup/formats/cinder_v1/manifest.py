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

"""The manifest: the backup, and which object holds what.

::

    {
      "backup_description": null,
      "backup_id": "0623d3e9-094c-40ab-84c5-7bffd75b121e",
      "backup_name": "first",
      "created_at": "2026-01-31 12:00:00+00:00",
      "objects": [
        {
          "<prefix>-00001": {
            "compression": "zlib",
            "length": 1048576,
            "md5": "b6d81b360a5672d80c27430f39153e2c",
            "offset": 0
          }
        }
      ],
      "parent_id": null,
      "version": "1.0.0",
      "volume_id": "d2ee6fc9-4977-57b0-a1f2-e177f38c6c11",
      "volume_meta": null
    }

``offset`` and ``length``
    The range of the volume that the object holds, in bytes. Objects of one
    backup do not overlap; their order in the list is nobody's promise.
``compression``
    How it is stored: ``none``; ``zlib`` or ``gzip``, both one zlib stream (RFC
    1950) and no gzip file; ``bz2`` or ``bzip2``; ``zstd``, one frame with its
    content size (RFC 8878).
``md5``
    Of the bytes of the volume, not of those that are stored. It may be
    missing.
``parent_id``
    The id of the backup that this one is built on, null for a full one.
``backup_name``, ``backup_description``, ``volume_meta``
    Text or null; ``volume_meta`` is what Cinder keeps of the volume, as JSON
    in a text. ``extra_metadata`` is whatever a driver has kept, and may be
    missing.

The md5 of the example is that of 1 MiB of zeros.
"""

import array
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from chunked_backup.blocks import codecs
from chunked_backup.formats import fields
from chunked_backup.formats import json_stream
from chunked_backup.formats import names
from chunked_backup.formats.manifest import Manifest
from chunked_backup.model import StoredObject

_COMPRESSIONS = (codecs.NONE,) + codecs.ZLIB + codecs.BZ2 + codecs.ZSTD
_WITHOUT_MD5 = 0x80
_MD5 = re.compile(r'[0-9a-f]{32}')
_WRITE_BYTES = 256 << 10


class ObjectList:
    """The data objects of one backup, in manifest order.

    A chain over a terabyte can list millions of them, so they are kept in
    columns (41 bytes an object) and never as parsed JSON.

    :param prefix: objects called ``<prefix>-%05d`` in order, which is what
        every known writer makes, cost nothing for their names.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._offsets = array.array('q')
        self._lengths = array.array('q')
        self._compressions = bytearray()
        self._md5s = bytearray()
        self._other_names: dict[int, str] = {}

    def append(self, stored: StoredObject) -> None:
        """Add an object behind the last."""
        index = len(self)
        if stored.name != names.data_object(self._prefix, index + 1):
            self._other_names[index] = stored.name
        self._offsets.append(stored.offset)
        self._lengths.append(stored.length)
        self._compressions.append(
            _COMPRESSIONS.index(stored.compression)
            | (_WITHOUT_MD5 if stored.md5 is None else 0))
        self._md5s += bytes.fromhex(stored.md5 or '00' * 16)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> StoredObject:
        offset = self._offsets[index]
        compression = self._compressions[index]
        md5 = None if compression & _WITHOUT_MD5 else (
            self._md5s[16 * index:16 * index + 16].hex())
        name = (self._other_names.get(index)
                or names.data_object(self._prefix, index + 1))
        return StoredObject(name, offset, self._lengths[index],
                            _COMPRESSIONS[compression & ~_WITHOUT_MD5], md5)

    def __iter__(self) -> Iterator[StoredObject]:
        return (self[index] for index in range(len(self)))

    def names(self) -> Iterator[str]:
        """The name of each stored object."""
        return (stored.name for stored in self)

    def sorted(self) -> Iterator[StoredObject]:
        """By offset, whatever the order in the manifest."""
        order: Sequence[int] = range(len(self))
        if any(self._offsets[index] > self._offsets[index + 1]
               for index in range(len(self) - 1)):
            order = sorted(order, key=self._offsets.__getitem__)
        return (self[index] for index in order)


def serialize(manifest: Manifest) -> Iterator[bytes]:
    """The bytes of a manifest, in pieces.

    Together they equal ``json.dumps(..., sort_keys=True, indent=2)``.
    """
    record = manifest.record
    header: dict[str, Any] = {
        'version': manifest.version,
        'backup_id': record.id,
        'volume_id': record.volume_id,
        'backup_name': record.name,
        'backup_description': record.description,
        'created_at': record.created_at,
        'objects': [],
        'parent_id': record.parent_id,
        'volume_meta': manifest.volume_meta,
    }
    if manifest.extra_metadata:
        header['extra_metadata'] = manifest.extra_metadata
    text = json.dumps(header, sort_keys=True, indent=2)
    # A newline within a JSON string is escaped, so only the key matches.
    before, after = text.split('\n  "objects": []', 1)
    if not len(manifest.objects):
        yield text.encode()
        return
    yield (before + '\n  "objects": [').encode()
    yield from _joined(_serialize_entries(
        cast(ObjectList, manifest.objects)))
    yield ('\n  ]' + after).encode()


def _serialize_entries(objects: Iterable[StoredObject]) -> Iterator[str]:
    separator = ''
    for stored in objects:
        md5 = '' if stored.md5 is None else f'        "md5": "{stored.md5}",\n'
        yield (f'{separator}\n    {{\n      {json.dumps(stored.name)}: {{\n'
               f'        "compression": "{stored.compression}",\n'
               f'        "length": {stored.length},\n'
               f'{md5}'
               f'        "offset": {stored.offset}\n      }}\n    }}')
        separator = ','


def _joined(parts: Iterable[str]) -> Iterator[bytes]:
    """Small strings joined to pieces worth writing."""
    pending: list[str] = []
    size = 0
    for part in parts:
        pending.append(part)
        size += len(part)
        if size >= _WRITE_BYTES:
            yield ''.join(pending).encode()
            pending, size = [], 0
    yield ''.join(pending).encode()


def parse(stream: Any, backup_id: str | None, prefix: str) -> Manifest:
    """Read a manifest, to the end of the stream.

    :param stream: has ``read(size)``.
    :param backup_id: whose it should be, or None to take what it says.
    :param prefix: the beginning of the backup's object names.
    :raises CorruptBackup: it is no manifest of this backup.
    """
    with fields.part_of(backup_id or f'under {prefix}', 'manifest'):
        header, objects = _parse_top(json_stream.Events(stream), prefix)
        return _checked(header, objects, backup_id, prefix)


def _parse_top(events: json_stream.Events,
               prefix: str) -> tuple[dict[str, Any], ObjectList]:
    header: dict[str, Any] = {}
    objects = ObjectList(prefix)
    for key in events.keys():
        if key == 'objects':
            header[key] = True
            for item in events.items():
                for stored in _entries(item, prefix):
                    objects.append(stored)
        else:
            header[key] = events.value()
    return header, objects


def _entries(item: Any, prefix: str) -> Iterator[StoredObject]:
    """One element of ``objects``: a map from a name to what it holds."""
    if not isinstance(item, dict) or not item:
        raise fields.InvalidDocument('an entry of objects is no map')
    for name, entry in item.items():
        if not isinstance(entry, dict):
            raise fields.InvalidDocument(f'object {name} is no map')
        if not names.belongs_to(prefix, name):
            # Nor may a manifest reach the objects of another backup.
            raise fields.InvalidDocument(
                f'object {name!r} is none of this backup')
        problem = _problem(entry)
        if problem:
            raise fields.InvalidDocument(f'object {name}: {problem}')
        yield StoredObject(name, entry['offset'], entry['length'],
                           entry['compression'], entry.get('md5'))


def _problem(entry: dict[str, Any]) -> str | None:
    for number in (entry.get('offset'), entry.get('length')):
        if type(number) is not int or not 0 <= number <= fields.LARGEST_OFFSET:
            return f'{number!r} is no offset or length'
    if not entry['length']:
        return 'its length is 0'
    compression, md5 = entry.get('compression'), entry.get('md5')
    if compression not in _COMPRESSIONS:
        return f'unknown compression {compression!r}'
    if md5 is not None and not (
            isinstance(md5, str) and _MD5.fullmatch(md5)):
        return f'{md5!r} is no md5'
    return None


def _checked(header: dict[str, Any], objects: ObjectList,
             backup_id: str | None, prefix: str) -> Manifest:
    fields.check_texts(header, 'version')
    if 'objects' not in header:
        raise fields.InvalidDocument('it has no list of objects')
    fields.check_owner(header, backup_id)
    end = 0
    for stored in objects.sorted():
        if stored.offset < end:
            raise fields.InvalidDocument(
                f'object {stored.name} overlaps another')
        end = stored.end
    return Manifest(
        fields.record_of(header, prefix), objects, header['version'],
        header.get('volume_meta'), header.get('extra_metadata'))
