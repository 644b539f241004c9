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

"""The digest table: sha256 of every block, 72 bytes of JSON for each.

::

    {
      "backup_description": null,
      "backup_id": "0623d3e9-094c-40ab-84c5-7bffd75b121e",
      "backup_name": "first",
      "chunk_size": 32768,
      "created_at": "2026-01-31 12:00:00+00:00",
      "sha256s": [
        "c35020473aed1b4642cd726cad727b63fff2824ad68cedd7ffb73c7cbd890479",
        ...
      ],
      "version": "1.0.0",
      "volume_id": "d2ee6fc9-4977-57b0-a1f2-e177f38c6c11"
    }

``chunk_size`` is that of a block, in bytes. There is one digest, in hex, for
each block of the volume, in order; the last block may be shorter. That of the
example is of a block of zeros.
"""

import binascii
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chunked_backup.blocks.digests import DIGEST_BYTES
from chunked_backup.formats import fields
from chunked_backup.formats import json_stream
from chunked_backup.formats.cinder_v1.version import VERSION
from chunked_backup.model import BackupRecord

_MARK = b'\n  "sha256s": ['
_SEPARATOR = b'",\n    "'
_FIRST = b'\n    "'
_LAST = b'"\n  ]'
_STRIDE = 2 * DIGEST_BYTES + len(_SEPARATOR)
_BATCH_DIGESTS = 16384
_LARGEST_HEADER_BYTES = 4 << 20
_READ_BYTES = 1 << 20


# A terabyte of 32 KiB blocks makes 2.3 GiB of it, so it is written and read in
# batches. The layout that Cinder writes is fixed to the byte, which lets one
# batch be translated by a few calls in C (0.4 GB/s and more) instead of a JSON
# parser; a table laid out otherwise is read by a parser, with the same result.


def serialize(record: BackupRecord, block_size_bytes: int,
              batches: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a digest table, in pieces.

    :param batches: runs of digests in volume order.

    Together the pieces equal ``json.dumps(..., sort_keys=True, indent=2)``.
    """
    text = json.dumps({
        'version': VERSION,
        'backup_id': record.id,
        'volume_id': record.volume_id,
        'backup_name': record.name,
        'backup_description': record.description,
        'created_at': record.created_at,
        'chunk_size': block_size_bytes,
        'sha256s': [],
    }, sort_keys=True, indent=2).encode()
    before, after = text.split(_MARK, 1)
    yield before + _MARK
    opening = _FIRST
    for batch in batches:
        for start in range(0, len(batch), _BATCH_DIGESTS * DIGEST_BYTES):
            part = batch[start:start + _BATCH_DIGESTS * DIGEST_BYTES]
            yield opening
            yield binascii.hexlify(part, '\n', -DIGEST_BYTES).replace(
                b'\n', _SEPARATOR)
            opening = _SEPARATOR
    if opening is _SEPARATOR:
        yield _LAST + after.removeprefix(b']')
    else:
        yield after


def parse(open_stream: Callable[[], Any], backup_id: str,
          keep: Callable[[bytes], None]) -> int:
    """Read a digest table.

    :param open_stream: gives a context manager over an object with
        ``read(size)``; it is called again when the layout is not Cinder's.
    :param keep: is handed runs of digests, in volume order.
    :returns: the block size in bytes.
    :raises CorruptBackup: it is no digest table of this backup.
    """
    with fields.part_of(backup_id, 'digest table'):
        with open_stream() as stream:
            values = _parse_laid_out(stream, keep)
        if values is None:
            with open_stream() as stream:
                values = _parse_any(stream, keep)
        return _block_size_of(values, backup_id)


def _parse_laid_out(stream: Any, keep: Callable[[bytes], None]
                    ) -> dict[str, Any] | None:
    """Read Cinder's own layout; None, with nothing kept, for any other."""
    buffer = bytearray()
    while _MARK not in buffer or len(buffer) < buffer.index(_MARK) + _STRIDE:
        data = stream.read(_READ_BYTES)
        buffer += data
        if not data or len(buffer) > _LARGEST_HEADER_BYTES:
            break
    head, mark, rest = bytes(buffer).partition(_MARK)
    if not mark or not rest.startswith(_FIRST):
        return None
    tail = _read_digests(stream, bytearray(rest[len(_FIRST):]), keep)
    document = head + mark + b']' + tail
    return _parse_any(io.BytesIO(document), _ignore)


def _read_digests(stream: Any, buffer: bytearray,
                  keep: Callable[[bytes], None]) -> bytes:
    """Hand on all digests; the bytes after the list's end come back."""
    while True:
        data = stream.read(_READ_BYTES)
        buffer += data
        last = buffer.find(_LAST)
        if last >= 0:
            keep(_decode(buffer[:last]))
            tail = buffer[last + len(_LAST):]
            while data and len(tail) <= _LARGEST_HEADER_BYTES:
                data = stream.read(_READ_BYTES)
                tail += data
            return bytes(tail)
        if not data:
            raise fields.InvalidDocument('it ends early')
        # One whole digest stays behind: it may be the last.
        count = len(buffer) // _STRIDE - 1
        if count > 0:
            cut = count * _STRIDE
            if buffer[cut - len(_SEPARATOR):cut] != _SEPARATOR:
                raise fields.InvalidDocument('a digest is malformed')
            keep(_decode(buffer[:cut - len(_SEPARATOR)]))
            del buffer[:cut]


def _decode(lines: bytearray) -> bytes:
    count = (len(lines) + len(_SEPARATOR)) // _STRIDE
    digits = lines.replace(_SEPARATOR, b'')
    try:
        digests = binascii.unhexlify(digits)
    except binascii.Error as exc:
        raise fields.InvalidDocument('a digest is malformed') from exc
    if (len(digests) != count * DIGEST_BYTES
            or len(lines) != count * _STRIDE - len(_SEPARATOR)):
        raise fields.InvalidDocument('a digest is malformed')
    return digests


def _parse_any(stream: Any, keep: Callable[[bytes], None]) -> dict[str, Any]:
    events = json_stream.Events(stream)
    values: dict[str, Any] = {}
    for key in events.keys():
        if key == 'sha256s':
            _keep_items(events.items(), keep)
            values[key] = True
        else:
            values[key] = events.value()
    return values


def _keep_items(items: Iterator[Any], keep: Callable[[bytes], None]) -> None:
    batch = bytearray()
    for item in items:
        try:
            digest = binascii.unhexlify(item)
        except (TypeError, ValueError):
            digest = b''
        if len(digest) != DIGEST_BYTES:
            raise fields.InvalidDocument('a digest is malformed')
        batch += digest
        if len(batch) >= _BATCH_DIGESTS * DIGEST_BYTES:
            keep(bytes(batch))
            batch.clear()
    keep(bytes(batch))


def _block_size_of(values: dict[str, Any], backup_id: str) -> int:
    if values.get('version') != VERSION:
        raise fields.InvalidDocument(
            f'its version is {values.get("version")!r}')
    if 'sha256s' not in values:
        raise fields.InvalidDocument('it has no digests')
    fields.check_owner(values, backup_id)
    return fields.block_size_of(values, 'chunk_size')


def _ignore(_: bytes) -> None:
    """A list of digests that is known to be empty."""
