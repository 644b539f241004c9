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

"""Who owns the records: Cinder, or our own stand-alone catalogue.

A driver stores bytes; a host knows which backups there are, which is whose
parent, and what state each is in. The core asks the host through this class
and never learns which it is.

Only the coordinator of a job calls a host, never a worker.
"""

import abc
from collections.abc import Mapping
from typing import Any

from chunked_backup import errors
from chunked_backup.model import BackupRecord
from chunked_backup.model import BackupSummary


class Host(abc.ABC):
    """The environment of a driver.

    ``backup`` is whatever object the volume service hands to the driver's
    verbs; only its own host looks into it.

    :param driver: the driver that this host is for.
    """

    #: The format of new backups, where the host leaves no choice.
    format_version: str | None = None

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    @abc.abstractmethod
    def record(self, backup: Any) -> BackupRecord:
        """What the core needs to know of a backup, as it is now."""

    @abc.abstractmethod
    def find(self, backup_id: str) -> BackupRecord:
        """The record of another backup.

        :raises BackupNotFound: there is none.
        """

    @abc.abstractmethod
    def update(self, backup: Any, **changes: Any) -> None:
        """Change a backup's record, durably, before returning.

        :param changes: any of ``container``, ``prefix``, ``object_count``.
        """

    @abc.abstractmethod
    def status(self, backup: Any) -> str:
        """The status of a backup, read again; ``deleted`` once it is gone."""

    def chain(self, record: BackupRecord,
              complete: bool = True) -> list[BackupRecord]:
        """A backup and its ancestors, the full backup last.

        :param complete: otherwise the chain may end at a missing ancestor.
        :raises IncompleteChain: an ancestor is missing, or is its own.
        """
        chain = [record]
        seen = {record.id}
        while chain[-1].parent_id is not None:
            parent_id = chain[-1].parent_id
            if parent_id in seen:
                raise errors.IncompleteChain(
                    backup_id=record.id,
                    reason=f'backup {parent_id} is its own ancestor')
            seen.add(parent_id)
            try:
                chain.append(self.find(parent_id))
            except errors.BackupNotFound as exc:
                if not complete:
                    break
                raise errors.IncompleteChain(
                    backup_id=record.id, reason=f'backup {parent_id}, on '
                    'which it depends, is not known') from exc
        return chain

    def volume(self, record: BackupRecord) -> Mapping[str, Any]:
        """The volume of a backup, for ``get_extra_metadata``: at least its
        ``id``."""
        return {'id': record.volume_id}

    def get_metadata(self, volume_id: str) -> str | None:
        """The volume's own metadata as JSON text, if the host keeps any."""
        return None

    def put_metadata(self, volume_id: str, text: str) -> None:
        """Give a restored volume the metadata it had at the backup."""

    def progress(self, backup: Any, done_bytes: int,
                 total_bytes: int) -> None:
        """How far a job is; called about once a second."""

    def finished(self, backup: Any, summary: BackupSummary) -> None:
        """A backup is committed; ``object_count`` is in its record."""

    def translate(self, error: errors.ChunkedBackupError
                  ) -> Exception | None:
        """The error that the volume service expects in place of ours; None
        where it expects none."""
        return error
