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
from chunked_backup.formats.manifest import Manifest

_FORMATS = {cinder_v1.VERSION: cinder_v1}
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


def parse_manifest(stream: Any, backup_id: str | None,
                   prefix: str) -> Manifest:
    """Read a manifest of any version, to the end of the stream.

    :param stream: has ``read(size)``.
    :param backup_id: whose it should be, or None to take what it says.
    :param prefix: the beginning of the backup's object names.
    :raises CorruptBackup: it is no manifest of this backup, or of an unknown
        version.
    """
    manifest = cinder_v1.manifest.parse(stream, backup_id, prefix)
    if manifest.version not in _FORMATS:
        raise errors.CorruptBackup(
            backup_id=manifest.record.id,
            reason=f'its format version {manifest.version!r} is unknown; '
                   'known are: ' + ', '.join(VERSIONS))
    return manifest
