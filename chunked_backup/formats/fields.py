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

"""What manifests and digest tables say of their backup, in every format."""

import contextlib
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup.model import BackupRecord

#: No volume is longer.
LARGEST_OFFSET = 1 << 62
#: No object is longer, and blocks of any size are held in memory.
LARGEST_BLOCK_BYTES = 2 << 30

_TEXTS = ('backup_id', 'volume_id', 'created_at')
_OPTIONAL_TEXTS = ('backup_name', 'backup_description', 'parent_id',
                   'volume_meta')


class InvalidDocument(Exception):
    """The document is not what it should be; callers say whose it is."""


@contextlib.contextmanager
def part_of(whose: str, what: str) -> Iterator[None]:
    """Have what is wrong with a document be damage to a backup.

    :param whose: the id of the backup.
    :param what: the document.
    :raises CorruptBackup: an ``InvalidDocument`` was raised within.
    """
    try:
        yield
    except InvalidDocument as exc:
        raise errors.CorruptBackup(
            backup_id=whose, reason=f'its {what} is broken: {exc}') from exc


def check_texts(header: dict[str, Any], *more: str) -> None:
    """See that what has to be text in a manifest is.

    :param more: what the format has besides.
    :raises InvalidDocument: it is not, or is missing.
    """
    for key in (*_TEXTS, *more, *_OPTIONAL_TEXTS):
        value = header.get(key)
        if not isinstance(value, str) and (
                value is not None or key not in _OPTIONAL_TEXTS):
            raise InvalidDocument(f'{key} is missing or no text')


def check_owner(header: dict[str, Any], backup_id: str | None) -> None:
    """See that a document is of a backup; None for any.

    :raises InvalidDocument: it is of another.
    """
    found = header.get('backup_id')
    if backup_id is not None and found != backup_id:
        raise InvalidDocument(f'it belongs to backup {found}')


def record_of(header: dict[str, Any], prefix: str) -> BackupRecord:
    """What a manifest, whose texts are checked, says of its backup."""
    return BackupRecord(
        id=header['backup_id'], volume_id=header['volume_id'],
        parent_id=header.get('parent_id'), prefix=prefix,
        name=header.get('backup_name'),
        description=header.get('backup_description'),
        created_at=header['created_at'])


def block_size_of(header: dict[str, Any], key: str) -> int:
    """In bytes.

    :param key: what the format calls it.
    :raises InvalidDocument: there is none, or none that can be.
    """
    size = header.get(key)
    if type(size) is not int or not 0 < size <= LARGEST_BLOCK_BYTES:
        raise InvalidDocument(f'{key} {size!r} is no block size')
    return size
