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

"""The manifest of a tree's backup: JSON, written last.

::

    {"format": "chunked_backup tree", "version": 1,
     "id", "name", "parent_id", "ancestors": [ids, the full backup first],
     "engine", "settings": {what the engine has to know again},
     "source": the path, "host", "created_at": ISO 8601, "started_ns",
     "totals": {...},
     "streams": {"data": [[length, stored bytes, codec, blake3 in hex], ...],
                 "index": [...], "signatures": [...]}}

The n-th item of a stream is of its n-th object: how many bytes of the stream
it holds, how many are stored, how they are compressed (spelled as in format
1.0.0), and the blake3 of the stored bytes. ``started_ns`` is when the walk
began, in nanoseconds since 1970; ``totals`` are numbers for people.

Bytes of a path that are no UTF-8 are lone surrogates, as ``os.fsdecode``
gives them.
"""

import dataclasses
import datetime
import json
from typing import Any

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.formats.tree_v1 import names
from chunked_backup.model import Segment

_FORMAT = 'chunked_backup tree'
_VERSION = 1
_DIGEST_BYTES = 32


@dataclasses.dataclass(slots=True)
class TreeManifest:
    """One backup of a tree.

    :param name: what its chain is called by its user.
    :param ancestors: the ids that the index counts on, the full backup first;
        their number is the level of this backup.
    :param settings: of the engine, by name.
    :param started_ns: the clock when the walk began, in nanoseconds since
        1970.
    :param totals: numbers by name; see ``jobs.tree_backup.Totals``.
    :param streams: by the names in ``names.STREAMS``.
    """

    id: str
    name: str
    parent_id: str | None
    ancestors: list[str]
    engine: str
    settings: dict[str, Any]
    source: str
    host: str
    created_at: str
    started_ns: int
    totals: dict[str, int]
    streams: dict[str, list[Segment]]

    @property
    def level(self) -> int:
        """How many backups it is built on."""
        return len(self.ancestors)


def serialize(manifest: TreeManifest) -> bytes:
    """The manifest as it is stored."""
    fields = {field.name: getattr(manifest, field.name)
              for field in dataclasses.fields(manifest)}
    fields['streams'] = {
        stream: [[segment.length, segment.stored_bytes, segment.compression,
                  segment.digest.hex()] for segment in segments]
        for stream, segments in manifest.streams.items()}
    return json.dumps({'format': _FORMAT, 'version': _VERSION, **fields},
                      separators=(',', ':')).encode()


def parse(data: bytes, backup_id: str) -> TreeManifest:
    """Read a manifest.

    :raises CorruptBackup: it is none, of an unknown version, or of another
        backup.
    """
    def corrupt(reason: str) -> errors.CorruptBackup:
        return errors.CorruptBackup(
            backup_id=backup_id, reason=f'its manifest is broken: {reason}')

    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise corrupt(f'it is no JSON ({exc})') from exc
    if not isinstance(fields, dict) or fields.pop('format', '') != _FORMAT:
        raise corrupt('it is no manifest of a tree')
    version = fields.pop('version', None)
    if version != _VERSION:
        raise corrupt(f'its version {version!r} is unknown; a later release '
                      'may read it')
    try:
        streams = fields.pop('streams')
        manifest = TreeManifest(**fields, streams={
            name: [_segment(*values) for values in streams[name]]
            for name in names.STREAMS})
        _check(manifest)
    except (TypeError, ValueError, KeyError, AttributeError) as exc:
        raise corrupt(f'{type(exc).__name__}: {exc}') from exc
    if manifest.id != backup_id:
        raise corrupt(f'it is of backup {manifest.id}')
    return manifest


def _segment(length: int, stored_bytes: int, compression: str,
             digest: str) -> Segment:
    for count in (length, stored_bytes):
        if type(count) is not int or count <= 0:
            raise ValueError(f'a segment has {count!r} bytes')
    if compression not in codecs.SPELLINGS:
        raise ValueError(f'unknown compression {compression!r}')
    segment = Segment(length, stored_bytes, compression,
                      bytes.fromhex(digest))
    if len(segment.digest) != _DIGEST_BYTES:
        raise ValueError(f'{digest!r} is no blake3')
    return segment


def time_of(created_at: str) -> datetime.datetime:
    """When a backup was made.

    :raises ValueError: it is no ISO 8601 with an offset from UTC, or no year
        that has a local time.
    """
    try:
        time = datetime.datetime.fromisoformat(created_at)
        time.astimezone()
    except OverflowError as exc:
        raise ValueError(f'{created_at!r} has no local time') from exc
    if time.tzinfo is None:
        raise ValueError(f'{created_at!r} has no offset from UTC')
    return time


_TYPES = {'id': str, 'name': str, 'parent_id': str | None, 'ancestors': list,
          'engine': str, 'settings': dict, 'source': str,
          'host': str, 'created_at': str, 'started_ns': int, 'totals': dict}


def _check(manifest: TreeManifest) -> None:
    for name, kind in _TYPES.items():
        if not isinstance(getattr(manifest, name), kind):
            raise ValueError(f'{name} is {getattr(manifest, name)!r}')
    ids = [*manifest.ancestors, manifest.id]
    if (not all(isinstance(each, str) for each in ids)
            or len(set(ids)) < len(ids)):
        raise ValueError(f'its ancestors are {manifest.ancestors!r}')
    parent_id = manifest.ancestors[-1] if manifest.ancestors else None
    if manifest.parent_id != parent_id:
        raise ValueError(f'its parent is {manifest.parent_id!r}, its '
                         f'ancestors are {manifest.ancestors!r}')
    time_of(manifest.created_at)
    if not all(isinstance(each, int) for each in manifest.totals.values()):
        raise ValueError('its totals are no numbers')
