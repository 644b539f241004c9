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

"""The seam between the core and a repository that keeps its own records."""

import time
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from chunked_backup import errors
from chunked_backup import host
from chunked_backup.hosts.standalone import catalogue
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.model import BackupRecord
from chunked_backup.model import BackupSummary
from chunked_backup.model import Status

LOG = logging.getLogger(__name__)

#: How often a backup shows that it is being written.
SIGN_OF_LIFE_S = 300.0


class StandaloneHost(host.Host):
    """Keeps records in the repository itself.

    :param report: told of progress: (backup, done bytes, total bytes).
    """

    def __init__(self, driver: Any,
                 report: Callable[[Backup, int, int], None] | None = None
                 ) -> None:
        super().__init__(driver)
        self.catalogue = catalogue.of_volumes(driver)
        self.report = report
        self._shown_s = time.monotonic()
        self._has_shown = False

    def record(self, backup: Backup) -> BackupRecord:
        return backup.to_record()

    def find(self, backup_id: str) -> BackupRecord:
        return self.catalogue.load(backup_id).to_record()

    def update(self, backup: Backup, **changes: Any) -> None:
        if 'prefix' in changes:
            changes['service_metadata'] = changes.pop('prefix')
        for name, value in changes.items():
            setattr(backup, name, value)
        self.catalogue.save(backup)

    def status(self, backup: Backup) -> str:
        """:raises ObjectExists: another process has taken the backup over.
        """
        try:
            stored = self.catalogue.load(backup.id)
        except errors.BackupNotFound:
            return Status.DELETED
        if (backup.status == Status.RESTORING
                and stored.status == Status.AVAILABLE):
            # Any number may restore at once, from a read-only repository,
            # too, so a restore is marked in this process alone.
            return Status.RESTORING
        if backup.status == Status.CREATING and (
                stored.writer != backup.writer):
            raise errors.ObjectExists(container=backup.container,
                                      object_name=backup.service_metadata)
        return stored.status

    def progress(self, backup: Backup, done_bytes: int,
                 total_bytes: int) -> None:
        if (backup.status == Status.CREATING
                and time.monotonic() - self._shown_s >= SIGN_OF_LIFE_S):
            self.show_life(backup)
        if self.report is not None:
            self.report(backup, done_bytes, total_bytes)

    def show_life(self, backup: Backup) -> None:
        """Have everybody know that a backup is being written here."""
        self._shown_s = time.monotonic()
        try:
            self.catalogue.show_life(backup.id)
            self._has_shown = True
        except errors.DriverError as exc:
            # A store that fails for long ends the job itself.
            LOG.warning('Backup %s cannot show that it is being written: %s',
                        backup.id, exc)

    def finished(self, backup: Backup, summary: BackupSummary) -> None:
        backup.status = Status.AVAILABLE
        backup.volume_bytes = summary.volume_bytes
        backup.changed_bytes = summary.changed_bytes
        backup.stored_bytes = summary.stored_bytes
        backup.format_version = summary.format_version
        backup.manifest_sha256 = summary.manifest_sha256
        backup.digest_table_sha256 = summary.digest_table_sha256
        if self._has_shown:
            # First: who is killed in between leaves nothing behind, and its
            # record can still be made to say that the backup is complete.
            self.catalogue.end_life(backup.id)
        self.catalogue.save(backup)
