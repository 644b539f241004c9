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

"""The digest table: the sha256 of every block, 32 bytes each, zeros in runs.

A line of JSON::

    {"version": "2.0.0", "backup_id": ..., "volume_id": ...,
     "block_bytes": ...}

and behind it runs of blocks in the order of the volume, up to the end. Each
begins with one byte for its kind and 4 for its number of blocks,
little-endian. Kind 1 is followed by as many digests of 32 bytes; kind 0 is
whole blocks of zeros and followed by none.

The manifest has the sha256 of the whole table.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chunked_backup.blocks import digests
from chunked_backup.blocks.digests import DIGEST_BYTES
from chunked_backup.formats import fields
from chunked_backup.formats.fields import InvalidDocument
from chunked_backup.formats.volume_v2.version import VERSION
from chunked_backup.model import BackupRecord

_RUN = struct.Struct('<BI')
_ZEROS, _DIGESTS = 0, 1
_BATCH_DIGESTS = 32768
_LARGEST_HEADER_BYTES = 64 << 10
_READ_BYTES = 1 << 20


def serialize(record: BackupRecord, block_size_bytes: int,
              batches: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a digest table, in pieces.

    :param batches: runs of digests in volume order.
    """
    yield json.dumps({
        'version': VERSION, 'backup_id': record.id,
        'volume_id': record.volume_id,
        'block_bytes': block_size_bytes}).encode() + b'\n'
    zeros = 0
    for batch in batches:
        parts = []
        for low, high, zero in digests.zero_runs(batch, block_size_bytes):
            if zero:
                zeros += high - low
                continue
            parts += _zero_runs(zeros)
            zeros = 0
            parts += _RUN.pack(_DIGESTS, high - low), batch[
                low * DIGEST_BYTES:high * DIGEST_BYTES]
        yield b''.join(parts)
    yield b''.join(_zero_runs(zeros))


def _zero_runs(count: int) -> list[bytes]:
    most = (1 << 32) - 1
    return [_RUN.pack(_ZEROS, min(most, count - start))
            for start in range(0, count, most)]


def parse(open_stream: Callable[[], Any], backup_id: str,
          keep: Callable[[bytes], None]) -> int:
    """Read a digest table, to its end.

    :param open_stream: gives a context manager over an object with
        ``read(size)``.
    :param keep: is handed runs of digests, in volume order.
    :returns: the block size in bytes.
    :raises CorruptBackup: it is no digest table of this backup.
    """
    with fields.part_of(backup_id, 'digest table'), open_stream() as stream:
        source = _Source(stream)
        block_size = _block_size_of(source.line(), backup_id)
        # Runs may be as short as a block. A million take 1.2 s so; handed on
        # one by one, 2.3 s, and 4.0 s where the digests go to a file.
        batch = bytearray()
        for digests_of_run in _runs(source, block_size):
            batch += digests_of_run
            if len(batch) >= _BATCH_DIGESTS * DIGEST_BYTES:
                keep(bytes(batch))
                batch.clear()
        keep(bytes(batch))
        return block_size


def _block_size_of(header: bytes, backup_id: str) -> int:
    try:
        values = json.loads(header)
    except (ValueError, RecursionError) as exc:
        raise InvalidDocument(f'its header is no JSON ({exc})') from exc
    if not isinstance(values, dict) or values.get('version') != VERSION:
        raise InvalidDocument('its version is not that of its manifest')
    fields.check_owner(values, backup_id)
    return fields.block_size_of(values, 'block_bytes')


def _runs(source: '_Source', block_size_bytes: int) -> Iterator[bytes]:
    """The digests of each run, of a long one some at a time."""
    while run := source.take(_RUN.size, may_end=True):
        kind, count = _RUN.unpack(run)
        if kind not in (_ZEROS, _DIGESTS) or not count:
            raise InvalidDocument('a run is malformed')
        for start in range(0, count, _BATCH_DIGESTS):
            part = min(_BATCH_DIGESTS, count - start)
            if kind == _ZEROS:
                yield digests.zero_digests(part, block_size_bytes)
            else:
                yield source.take(part * DIGEST_BYTES)


class _Source:
    """Takes exactly so many bytes from a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._buffer = bytearray()

    def line(self) -> bytes:
        """The bytes before the first newline."""
        while b'\n' not in self._buffer:
            if (len(self._buffer) > _LARGEST_HEADER_BYTES
                    or not self._fill()):
                raise InvalidDocument('its first line is no header')
        line, _, rest = bytes(self._buffer).partition(b'\n')
        self._buffer[:] = rest
        return line

    def take(self, count: int, may_end: bool = False) -> bytes:
        """``count`` bytes; ``b''`` where the stream may end and does.

        :raises InvalidDocument: it ends early.
        """
        while len(self._buffer) < count and self._fill():
            pass
        if may_end and not self._buffer:
            return b''
        if len(self._buffer) < count:
            raise InvalidDocument('it ends early')
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _fill(self) -> bool:
        data = self._stream.read(_READ_BYTES)
        self._buffer += data
        return bool(data)
