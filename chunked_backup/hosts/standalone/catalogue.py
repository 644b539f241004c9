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

"""The records of a repository, kept in the repository.

Each record is an object of its own, so that two machines that write to one
repository do not overwrite each other's. A backup that takes long has a second
one, its sign of life, which is written again and again.
"""

import math
from typing import Any, Generic, TypeVar

from oslo_log import log as logging

from chunked_backup import errors
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.hosts.standalone.record import InvalidRecord
from chunked_backup.hosts.standalone.record import Record
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.store.object_store import ObjectStore

LOG = logging.getLogger(__name__)

#: How a user names the newest backup.
LATEST = 'latest'

#: What the names of records of volumes, and of trees, begin with.
_VOLUMES = 'chunked_backup_record_'
_TREES = 'chunked_backup_tree_'
_ALIVE = 'chunked_backup_alive_'
_LARGEST_RECORD_BYTES = 1 << 20


Kept = TypeVar('Kept', bound=Record)


class Catalogue(Generic[Kept]):
    """All records of one kind in the repository behind a driver.

    :param kind: the class of the records.
    :param prefix: the beginning of their objects' names.
    """

    def __init__(self, driver: Any, kind: type[Kept], prefix: str) -> None:
        self._kind = kind
        self._prefix = prefix
        self._store = ObjectStore(driver, driver.catalogue_container)

    def create(self) -> None:
        """Make the place for records, if need be."""
        self._store.create()

    def save(self, backup: Kept) -> None:
        """Store a record durably, in place of an older one."""
        self._store.put_bytes(self._prefix + backup.id, backup.to_json())

    def load(self, backup_id: str) -> Kept:
        """:raises BackupNotFound: there is no such record.
        :raises CorruptBackup: it cannot be read.
        """
        try:
            with self._store.reader(self._prefix + backup_id) as reader:
                data = bytearray()
                while piece := reader.read(_LARGEST_RECORD_BYTES):
                    data += piece
                    if len(data) > _LARGEST_RECORD_BYTES:
                        raise InvalidRecord('it is too long')
            backup = self._kind.from_json(bytes(data))
            if backup.id != backup_id:
                raise InvalidRecord(f'it is of backup {backup.id}')
            return backup
        except (errors.ObjectNotFound, errors.ContainerNotFound,
                errors.RepositoryNotFound) as exc:
            raise errors.BackupNotFound(name=backup_id) from exc
        except InvalidRecord as exc:
            raise errors.CorruptBackup(
                backup_id=backup_id,
                reason=f'its record in the catalogue is broken: {exc}; '
                       'chunked-backup repository rebuild makes a new one'
            ) from exc

    def find(self, beginning: str) -> Kept:
        """The record whose id is that, or alone begins so.

        :raises BackupNotFound: there is none.
        :raises AmbiguousBackup: there are several.
        :raises CorruptBackup: it cannot be read.
        """
        ids = [backup_id for backup_id in self.ids()
               if beginning and backup_id.startswith(beginning)]
        if beginning in ids:
            ids = [beginning]
        if not ids:
            raise errors.BackupNotFound(name=beginning)
        if len(ids) > 1:
            raise errors.AmbiguousBackup(name=beginning,
                                         matches=', '.join(ids))
        return self.load(ids[0])

    def ids(self) -> list[str]:
        """The ids of all records, sorted."""
        return self._names(self._prefix)

    def _names(self, prefix: str) -> list[str]:
        try:
            names = self._store.names(prefix)
        except (errors.ContainerNotFound, errors.RepositoryNotFound):
            return []  # nothing was ever backed up here
        return sorted(name.removeprefix(prefix) for name in names)

    def backups(self) -> list[Kept]:
        """All records that can be read, oldest first; the others are logged
        and left out."""
        backups = []
        for backup_id in self.ids():
            try:
                backups.append(self.load(backup_id))
            except errors.CorruptBackup as exc:
                LOG.warning('%s', exc)
            except errors.BackupNotFound:
                LOG.debug('Backup %s was deleted just now.', backup_id)
        return sorted(backups, key=lambda backup: (backup.created_at,
                                                   backup.id))

    def remove(self, backup_id: str) -> None:
        """Have no record of a backup, and no sign of life."""
        self._store.delete([_ALIVE + backup_id, self._prefix + backup_id])

    def show_life(self, backup_id: str) -> None:
        """Have everybody know that a backup is being written."""
        self._store.put_bytes(_ALIVE + backup_id, b'')

    def end_life(self, backup_id: str) -> None:
        """Nobody writes it any more."""
        self._store.delete([_ALIVE + backup_id])

    def signs_of_life(self) -> list[str]:
        """The ids of all backups that have shown one, and not ended."""
        return self._names(_ALIVE)

    def age_s(self, backup_id: str) -> float | None:
        """How long ago, by the store's own clock, a backup's record or its
        sign of life was written; None where the store cannot tell, infinite
        where there is neither."""
        ages = (self._age_s(self._prefix + backup_id),
                self.age_of_life_s(backup_id))
        known = [age_s for age_s in ages if age_s is not None]
        return min(known) if len(known) == len(ages) else None

    def age_of_life_s(self, backup_id: str) -> float | None:
        """The same of the sign of life alone."""
        return self._age_s(_ALIVE + backup_id)

    def is_own(self, name: str) -> bool:
        """Whether an object of that name would be the catalogue's."""
        return name.startswith((_VOLUMES, _TREES, _ALIVE))

    def _age_s(self, name: str) -> float | None:
        ages = self._store.ages(name)
        return None if ages is None else ages.get(name, math.inf)


def of_volumes(driver: Any) -> Catalogue[Backup]:
    """The records of volumes in the repository behind a driver."""
    return Catalogue(driver, Backup, _VOLUMES)


def of_trees(driver: Any) -> Catalogue[TreeBackup]:
    """The records of trees in the repository behind a driver."""
    return Catalogue(driver, TreeBackup, _TREES)
