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

import re
from types import ModuleType
from typing import Any

from chunked_backup import errors
from chunked_backup.formats import cinder_v1
from chunked_backup.formats import names
from chunked_backup.formats import volume_v2
from chunked_backup.formats.manifest import Manifest

# How the manifests of all formats but Cinder's begin.
_BEGINNING = re.compile(rb'\{"version": "([0-9.]{1,20})", ')
_BEGINNING_BYTES = 40
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
    :raises UnknownFormat: of a version that is none of ours.
    :raises CorruptBackup: it is no manifest of this backup.
    """
    stream = _Peeked(stream)
    version = _version_of(stream.peek(_BEGINNING_BYTES))
    if version == volume_v2.VERSION:
        return volume_v2.manifest.parse(stream, backup_id, prefix, strict)
    if version == cinder_v1.VERSION:
        manifest = cinder_v1.manifest.parse(stream, backup_id, prefix)
        version = manifest.version
        if version == cinder_v1.VERSION:
            return manifest
        if version in _FORMATS:
            raise errors.CorruptBackup(
                backup_id=manifest.record.id, reason='its manifest is none '
                f'of format {version}, though it says so')
    raise errors.UnknownFormat(
        backup_id=backup_id or f'under {prefix}', version=version,
        known=' and '.join(VERSIONS))


def _version_of(beginning: bytes) -> str:
    """The version that a manifest begins with; Cinder's has it elsewhere."""
    found = _BEGINNING.match(beginning)
    return found[1].decode() if found else cinder_v1.VERSION


class _Peeked:
    """A stream whose beginning may be looked at before it is read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._head = b''

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer where the stream ends."""
        while len(self._head) < size:
            data = self._inner.read(size - len(self._head))
            if not data:
                break
            self._head += data
        return self._head

    def read(self, size: int) -> bytes:
        if not self._head:
            read: bytes = self._inner.read(size)
            return read
        data, self._head = self._head[:size], self._head[size:]
        return data
