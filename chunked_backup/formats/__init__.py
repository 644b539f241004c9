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

"""What a repository looks like.

Backups of volumes share the names of their objects (``names``), whatever
their format. A format module has its ``VERSION``, and readers and writers of
its manifest and digest table that stream (``manifest`` and
``digest_table``). It sees open readers and writers, never a driver.
"""

from types import ModuleType
from typing import Any

from chunked_backup import errors
from chunked_backup.formats import cinder_v1
from chunked_backup.formats import names
from chunked_backup.formats import volume_v2
from chunked_backup.formats.manifest import Manifest

_FORMATS = {cinder_v1.VERSION: cinder_v1, volume_v2.VERSION: volume_v2}
#: All versions, the oldest first.
VERSIONS = tuple(_FORMATS)

__all__ = ['Manifest', 'VERSIONS', 'names', 'of', 'parse_manifest']


def of(version: str) -> ModuleType:
    """The format of that version.

    :raises ConfigurationError: there is none.
    """
    try:
        return _FORMATS[version]
    except KeyError:
        raise errors.ConfigurationError(
            reason=f'unknown format version {version!r}; known are: '
                   + ', '.join(VERSIONS)) from None


def parse_manifest(stream: Any, backup_id: str | None, prefix: str,
                   strict: bool = True) -> Manifest:
    """Read a manifest of any version, to the end of the stream.

    :param stream: has ``read(size)``.
    :param backup_id: whose it should be, or None to take what it says.
    :param prefix: the beginning of the backup's object names.
    :param strict: whether it has to be what it was when it was written, as
        far as it says so itself.
    :raises CorruptBackup: it is no manifest of this backup, or of an unknown
        version.
    """
    stream = _Peeked(stream)
    if stream.begins_with(volume_v2.manifest.MAGIC):
        return volume_v2.manifest.parse(stream, backup_id, prefix, strict)
    manifest = cinder_v1.manifest.parse(stream, backup_id, prefix)
    if manifest.version not in _FORMATS:
        raise errors.CorruptBackup(
            backup_id=manifest.record.id,
            reason=f'its format version {manifest.version!r} is unknown; '
                   'known are: ' + ', '.join(VERSIONS))
    if manifest.version != cinder_v1.VERSION:
        raise errors.CorruptBackup(
            backup_id=manifest.record.id,
            reason=f'its manifest is none of format {manifest.version}, '
                   'though it says so')
    return manifest


class _Peeked:
    """A stream whose beginning may be looked at before it is read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._head = b''

    def begins_with(self, expected: bytes) -> bool:
        while len(self._head) < len(expected):
            data = self._inner.read(len(expected) - len(self._head))
            if not data:
                break
            self._head += data
        return self._head == expected

    def read(self, size: int) -> bytes:
        if not self._head:
            read: bytes = self._inner.read(size)
            return read
        data, self._head = self._head[:size], self._head[size:]
        return data
