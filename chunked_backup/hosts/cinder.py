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

"""Cinder's backup service as the host; the only module that imports Cinder.

Its records are versioned objects in its database. A driver of ours that the
service loads takes over the backups of Cinder's own driver for the same
store: that one's class path is entered in the map of renamed drivers which
the service asks, so no record has to be changed.
"""

import time
from collections.abc import Mapping
from typing import Any

from cinder.backup import driver as cinder_driver
from cinder.backup import manager
from cinder import exception
from cinder import objects
from cinder.volume import volume_utils
from oslo_config import cfg

from chunked_backup import errors
from chunked_backup import host
from chunked_backup.model import BackupRecord
from chunked_backup.model import BackupSummary
from chunked_backup.model import Status


class CinderHost(host.Host):
    """The records of one request's context."""

    def __init__(self, driver: Any) -> None:
        super().__init__(driver)
        self.format_version = driver.DRIVER_VERSION
        self._context = driver.context
        self._metadata = cinder_driver.BackupMetadataAPI(self._context)
        self._progress = _Progress(driver)
        if driver.cinder_driver:
            manager.MAPPING[driver.cinder_driver] = driver.class_path()

    def record(self, backup: Any) -> BackupRecord:
        return BackupRecord(
            id=backup.id, volume_id=backup.volume_id,
            parent_id=backup.parent_id, container=backup.container,
            prefix=backup.service_metadata, name=backup.display_name,
            description=backup.display_description,
            created_at=str(backup.created_at), status=backup.status)

    def find(self, backup_id: str) -> BackupRecord:
        try:
            return self.record(
                objects.Backup.get_by_id(self._context, backup_id))
        except exception.BackupNotFound as exc:
            raise errors.BackupNotFound(name=backup_id) from exc

    def update(self, backup: Any, **changes: Any) -> None:
        if 'prefix' in changes:
            changes['service_metadata'] = changes.pop('prefix')
            if (self.driver.cinder_driver
                    and self.driver.conf.chunked_backup.record_cinder_driver):
                # From now on Cinder's own driver could finish, too, what has
                # to be done with this backup.
                changes['service'] = self.driver.cinder_driver
        backup.update(changes)
        backup.save()

    def status(self, backup: Any) -> str:
        with backup.as_read_deleted():
            backup.refresh()
        status: str = backup.status
        return status

    def volume(self, record: BackupRecord) -> Mapping[str, Any]:
        volume = objects.Volume.get_by_id(self._context, record.volume_id)
        if volume.size <= 0:
            raise errors.InvalidVolume(
                volume=volume.id, reason=f'its size is {volume.size} GiB')
        mapping: Mapping[str, Any] = volume
        return mapping

    def get_metadata(self, volume_id: str) -> str | None:
        text: str | None = self._metadata.get(volume_id)
        return text

    def put_metadata(self, volume_id: str, text: str) -> None:
        try:
            self._metadata.put(volume_id, text)
        except exception.BackupMetadataUnsupportedVersion as exc:
            raise exception.BackupOperationError(
                'the data is restored, the metadata of the volume is not: '
                f'{exc}') from exc

    def progress(self, backup: Any, done_bytes: int,
                 total_bytes: int) -> None:
        # Only those who wait for a new backup are told; of its end once.
        if (backup.status == Status.CREATING and done_bytes < total_bytes
                and self._progress.is_due(done_bytes)):
            self._notify(backup, 100 * done_bytes / total_bytes)

    def finished(self, backup: Any, summary: BackupSummary) -> None:
        self._notify(backup, 100)

    def translate(self, error: errors.ChunkedBackupError
                  ) -> Exception | None:
        if isinstance(error, errors.BackupCancelled):
            return None  # Cinder looks at the status instead
        translated: Exception
        if isinstance(error, errors.RestoreCancelled):
            translated = exception.BackupRestoreCancel(
                back_id=error.backup_id, vol_id=error.volume_id)
        elif isinstance(error, errors.BackupNotFound):
            translated = exception.BackupNotFound(backup_id=error.name)
        else:
            kind = next(cinders for ours, cinders in EXCEPTIONS
                        if isinstance(error, ours))
            translated = kind('; '.join(
                [str(error), *getattr(error, '__notes__', ())]))
        return translated

    def _notify(self, backup: Any, percent: float) -> None:
        """Without the list of objects that Cinder's own drivers add to each
        message: for 1 TiB that comes to 5 GB in all."""
        volume_utils.notify_about_backup_usage(
            self._context, backup, 'createprogress', extra_usage_info={
                'id': backup.id, 'prefix': backup.service_metadata,
                'backup_percent': percent})


#: What our errors are in Cinder; the first line that fits counts.
EXCEPTIONS = (
    (errors.InvalidVolume, exception.InvalidVolume),
    (errors.InvalidInput, exception.InvalidBackup),
    (errors.RecordError, exception.InvalidBackup),
    (errors.CorruptBackup, exception.InvalidBackup),
    (errors.ConfigurationError, exception.BackupDriverException),
    (errors.DriverError, exception.BackupDriverException),
    (errors.ChunkedBackupError, exception.BackupOperationError),
)


class _Progress:
    """When a notification is due: every so many seconds and every so many
    chunks, as Cinder's options say."""

    def __init__(self, driver: Any) -> None:
        conf = cfg.CONF
        self._interval_s = (conf.backup_timer_interval
                            if driver.enable_progress_timer
                            else float('inf'))
        self._interval_bytes = (conf.backup_object_number_per_notification
                                * driver.chunk_size_bytes)
        self._next_s = time.monotonic()
        self._next_bytes = self._interval_bytes

    def is_due(self, done_bytes: int) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s and done_bytes < self._next_bytes:
            return False
        self._next_s = now_s + self._interval_s
        self._next_bytes = done_bytes + self._interval_bytes
        return True
