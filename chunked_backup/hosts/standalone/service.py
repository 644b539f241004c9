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

"""A volume service for one repository: what cinder-backup is in OpenStack."""

import datetime
import os
import stat
import uuid
from collections.abc import Callable
from typing import Any

from chunked_backup.driver import ChunkedBackupDriver
from chunked_backup import errors
from chunked_backup.endpoints.marked import NOTE
from chunked_backup.flow.failure import reason_of
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.catalogue import LATEST
from chunked_backup.hosts.standalone.deletion import Deletion
from chunked_backup.hosts.standalone.host import StandaloneHost
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.hosts.standalone.record import require_available
from chunked_backup.hosts.standalone.resume import adopt
from chunked_backup.hosts.standalone.resume import take_over
from chunked_backup.hosts.standalone.retention import Decision
from chunked_backup.hosts.standalone.target import open_target
from chunked_backup.model import MappedRange
from chunked_backup.model import RestoreSummary
from chunked_backup.model import Status

_LONGEST_VOLUME_ID_BYTES = 128


class VolumeService:
    """Backs volumes up, brings them back, and keeps the records.

    :param driver: a ``ChunkedBackupDriver``; its host becomes a stand-alone
        one.
    :param report: told of progress: (backup, done bytes, total bytes).
    """

    def __init__(self, driver: ChunkedBackupDriver,
                 report: Callable[[Backup, int, int], None] | None = None
                 ) -> None:
        self.driver = driver
        host = StandaloneHost(driver, report)
        driver.host = host
        self._catalogue = host.catalogue
        self._deletion = Deletion(
            self._catalogue,
            # Cinder's call says nothing in between. Where a backup has failed,
            # its job has removed the objects, so few requests are left.
            lambda backup, answered: driver.delete_backup(backup),
            'volume delete', driver.conf.chunked_backup.executor)

    def backup(self, path: str, volume_id: str | None = None,
               name: str | None = None, description: str | None = None,
               incremental: bool = False,
               parent: str | None = None) -> Backup:
        """Back up the file or device at ``path``.

        :param volume_id: made from the path unless given.
        :param incremental: relative to the newest backup of the volume.
        :param parent: relative to this backup; see ``find``.
        :raises FullBackupRequired: there is no parent to be relative to.
        :raises InvalidInput: the volume id cannot be part of a name.
        """
        _check_volume_id(volume_id or '')
        with _open_volume(path) as volume_file:
            self.driver.check_for_setup_error()
            volume_id = volume_id or volume_id_of(path)
            backup = Backup(
                id=str(uuid.uuid4()), volume_id=volume_id,
                parent_id=self._parent_id(volume_id, incremental, parent),
                created_at=str(datetime.datetime.now(datetime.UTC)),
                display_name=name, display_description=description,
                service=self.driver.class_path(), writer=writer.current(),
                source=os.path.realpath(path))
            self._catalogue.create()
            try:
                self._catalogue.save(backup)
                self._require_parent(backup)
                self.driver.backup(backup, volume_file)
            except BaseException as exc:
                self._deletion.discard(backup, exc)
                raise
        return backup

    def resume(self, backup: Backup, path: str | None = None) -> Backup:
        """Go on with a backup whose writer was killed.

        :param path: the volume, if it is elsewhere now.
        :raises BackupNotResumable: it is not unfinished, or its writer may
            be alive.
        """
        with _open_volume(path or backup.source or '') as volume_file:
            self.driver.check_for_setup_error()
            backup = take_over(self.driver, backup)
            if adopt(self.driver, backup):
                return backup
            try:
                self.driver.backup(backup, volume_file, resume=True)
            except BaseException as exc:
                self._deletion.discard(backup, exc)
                raise
        return backup

    def restore(self, backup: Backup, path: str, force: bool = False,
                salvage: bool = False) -> RestoreSummary:
        """Bring a backup back to a file or device.

        :param force: overwrite what is there.
        :param salvage: bring back what is sound; the rest is zeros and is
            listed in the summary.
        :raises TargetIncomplete: what was there is overwritten in part.
        """
        require_available(backup, 'restored')
        with open_target(path, force, backup.id) as target:
            backup.status = Status.RESTORING
            try:
                summary = self.driver.restore(
                    backup, volume_id_of(path), target.sink, target.is_new,
                    salvage)
            finally:
                backup.status = Status.AVAILABLE
            target.finish(summary.volume_bytes)
        return summary

    def map(self, backup: Backup) -> list[MappedRange]:
        """Which backup of its chain provides which part of the volume."""
        require_available(backup, 'mapped')
        return self.driver.map_backup(backup)

    def verify(self, backup: Backup) -> RestoreSummary:
        """Read a backup back and check all of it."""
        require_available(backup, 'verified')
        return self.driver.verify_backup(backup)

    def delete(self, backup: Backup, cascade: bool = False,
               force: bool = False) -> list[Backup]:
        """Delete a backup.

        :param cascade: and all that are built on it, those first.
        :param force: even one that is being written; its writer stops.
        :returns: what was deleted.
        :raises BackupInUse: others are built on it, or it is being
            written.
        """
        return self._deletion.delete(backup, cascade, force)

    def prune(self, keep: dict[str, int], volume_id: str | None = None,
              delete: bool = False) -> list[Decision[Backup]]:
        """Apply rules of retention to the backups of each volume.

        :param volume_id: only to those of this one.
        :param delete: otherwise only tell; see ``Deletion.prune``.
        """
        return self._deletion.prune(keep, lambda each: each.volume_id,
                                    volume_id, delete)

    def backups(self) -> list[Backup]:
        """All backups, oldest first."""
        return self._catalogue.backups()

    def chain(self, backup: Backup) -> list[str]:
        """The ids of a backup and its ancestors, the full backup last."""
        return [record.id
                for record in self.driver.host.chain(backup.to_record())]

    def find(self, name: str) -> Backup:
        """The backup that a user means.

        :param name: an id, the beginning of one, or ``latest``: the newest
            available backup.
        :raises BackupNotFound: there is none.
        :raises AmbiguousBackup: there are several.
        """
        if name == LATEST:
            available = [backup for backup in self.backups()
                         if backup.status == Status.AVAILABLE]
            if not available:
                raise errors.BackupNotFound(name=name)
            return available[-1]
        return self._catalogue.find(name)

    def _parent_id(self, volume_id: str, incremental: bool,
                   parent: str | None) -> str | None:
        if parent is not None:
            found = self.find(parent)
            if found.status != Status.AVAILABLE:
                raise errors.FullBackupRequired(
                    volume_id=volume_id, reason=f'the parent {found.id} has '
                    f'the status "{found.status}"')
            return found.id
        if not incremental:
            return None
        usable = [backup.id for backup in self.backups()
                  if backup.volume_id == volume_id
                  and backup.status == Status.AVAILABLE]
        if not usable:
            raise errors.FullBackupRequired(
                volume_id=volume_id, reason='no backup of it is available')
        return usable[-1]

    def _require_parent(self, backup: Backup) -> None:
        """See that nobody deletes the parent; see ``deletion``.

        :raises FullBackupRequired: somebody does.
        """
        status = self._deletion.status_of_parent(backup)
        if status != Status.AVAILABLE:
            raise errors.FullBackupRequired(
                volume_id=backup.volume_id, reason=f'the parent '
                f'{backup.parent_id} has the status "{status}" by now')


def volume_id_of(path: str) -> str:
    """A volume's id: always the same for the same path."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL,
                          'file://' + os.path.realpath(path)))


def _check_volume_id(volume_id: str) -> None:
    """Objects are named after it, and what no store takes as a name could
    neither be stored nor, later, be deleted."""
    if ('/' in volume_id or not volume_id.isprintable()
            or len(volume_id.encode()) > _LONGEST_VOLUME_ID_BYTES):
        raise errors.InvalidInput(
            reason=f'the volume id {volume_id!r} cannot be part of the name '
                   'of an object: it has a slash, or what cannot be printed, '
                   f'or more than {_LONGEST_VOLUME_ID_BYTES} bytes')


def _open_volume(path: str) -> Any:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise errors.InvalidVolume(
                volume=path, reason='it is a directory, which tree backup '
                                    'takes')
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise errors.InvalidVolume(
                volume=path, reason='it is neither a file nor a block device')
        volume_file = open(path, 'rb', buffering=0)
        if volume_file.read(len(NOTE)) == NOTE:
            volume_file.close()
            raise errors.InvalidVolume(
                volume=path, reason='a restore to it has not ended, so it is '
                'no whole volume')
        volume_file.seek(0)
        return volume_file
    except OSError as exc:
        raise errors.InvalidVolume(volume=path,
                                   reason=reason_of(exc)) from exc
