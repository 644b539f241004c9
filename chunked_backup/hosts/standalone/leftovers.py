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

"""What broken runs have left of backups of one kind; see ``garbage``."""

import dataclasses
import enum
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from chunked_backup import errors
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.jobs.delete import remove_leftovers
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore

_UNFINISHED = (Status.CREATING, Status.DELETING)


class Outcome(enum.StrEnum):
    """What became of something that a broken run may have left."""

    REMOVED = 'removed'
    KEPT = 'kept'


@dataclasses.dataclass(frozen=True)
class Finding:
    """:param what: an unfinished backup's id, the prefix of objects without
        a backup, or what a broken-off write has left.
    :param object_count: of a backup or a prefix.
    :param age_s: of its youngest part, where the store can tell.
    """

    container: str | None
    what: str
    outcome: Outcome
    reason: str
    object_count: int | None = None
    age_s: float | None = None


class Ages:
    """What is old enough to be removed, and how that is told.

    :param grace_s: see ``garbage.collect``.
    :ivar removed: what is said of something that is old.
    """

    def __init__(self, grace_s: float, dry_run: bool) -> None:
        self._grace_s = grace_s
        self.dry_run = dry_run
        self.removed = ('would be removed' if dry_run else 'removed')

    def is_old(self, age_s: float | None) -> bool:
        """Whether something has been left alone for long enough."""
        if age_s is None:
            return not self._grace_s
        return age_s >= self._grace_s

    def too_young(self, age_s: float | None) -> str:
        """Why something stays that is not old."""
        if age_s is None:
            return ('the store cannot tell its age; --grace 0s removes it, '
                    'if nobody is writing')
        return 'it is younger than the grace period'


class Collector(Ages):
    """Leftovers of one kind of backups.

    :param naming: how the objects of such backups are named.
    :ivar unfinished_ids: of records that do not say what has become of their
        backup; known once it has run, as are the ``containers`` that records
        name.
    """

    def __init__(self, driver: Any, catalogue: Catalogue[Any],
                 naming: ModuleType, grace_s: float, dry_run: bool) -> None:
        super().__init__(grace_s, dry_run)
        self.catalogue = catalogue
        self.naming = naming
        self.unfinished_ids: set[str] = set()
        self.containers: set[str] = set()
        self._driver = driver

    def run(self, names: dict[str, frozenset[str]]) -> Iterator[Finding]:
        """:param names: of all objects, by container."""
        records, unreadable = self._records(self.catalogue.ids())
        self.unfinished_ids = {
            *unreadable, *(backup.id for backup in records
                           if backup.status in _UNFINISHED)}
        self.containers = {backup.container for backup in records
                           if backup.container is not None}
        for backup in records:
            if backup.status in _UNFINISHED:
                yield self._settle(backup)
        known = {(backup.container, backup.service_metadata)
                 for backup in records}
        for container in names:
            for prefix in sorted(set(filter(None, map(
                    self.naming.prefix_of, names[container])))):
                if (container, prefix) not in known:
                    yield from self._orphans(container, prefix,
                                             names[container], unreadable)

    def _records(self, ids: list[str]) -> tuple[list[Any], list[str]]:
        """All that can be read, and the ids of the others."""
        records, unreadable = [], []
        for backup_id in ids:
            try:
                records.append(self.catalogue.load(backup_id))
            except errors.CorruptBackup:
                unreadable.append(backup_id)
            except errors.BackupNotFound:
                pass  # deleted just now
        return records, unreadable

    # Backups that are being written or deleted, by their records.

    def _settle(self, backup: Any) -> Finding:
        def finding(outcome: Outcome, reason: str,
                    count: int | None = None) -> Finding:
            return Finding(backup.container, backup.id, outcome, reason,
                           count, age_s)

        age_s = self._age_s(backup)
        if self._is_committed(backup):
            return finding(Outcome.KEPT, 'it is complete, or its deletion '
                           'was broken off before it began: repository '
                           'rebuild makes it available')
        if writer.is_alive(backup.writer):
            return finding(Outcome.KEPT, 'its writer is alive')
        if not self.is_old(age_s):
            return finding(Outcome.KEPT, self.too_young(age_s))
        reason = f'it was never finished; {self.removed}'
        if self.dry_run:
            return finding(Outcome.REMOVED, reason)
        return finding(*self._remove(backup, reason))

    def _remove(self, backup: Any,
                reason: str) -> tuple[Outcome, str, int | None]:
        """Say so first; then see that nobody resumes it meanwhile.

        Who resumes shows a sign of life and then reads the record: of two
        that come at the same time, at least one sees the other. What was said
        is not taken back, or it would take back what the other has done since;
        who resumes finds it and gives up.
        """
        resumed = Outcome.KEPT, 'somebody has begun to resume it', None
        try:
            if self.catalogue.load(backup.id) != backup:
                return resumed
        except errors.BackupNotFound:
            return Outcome.REMOVED, reason, 0  # another collection was faster
        backup.status = Status.DELETING
        self.catalogue.save(backup)
        if not self.is_old(self.catalogue.age_of_life_s(backup.id)):
            return resumed
        count: int | None = 0
        if backup.container is not None:
            if backup.service_metadata is not None:
                count = self._leftovers(
                    ObjectStore(self._driver, backup.container),
                    backup.service_metadata)
            if count is None:
                return Outcome.KEPT, 'it has a manifest now', None
            ObjectStore(self._driver, backup.container).discard()
        self.catalogue.remove(backup.id)
        return Outcome.REMOVED, reason, count

    def _leftovers(self, store: ObjectStore, prefix: str) -> int | None:
        try:
            return remove_leftovers(store, self.naming, prefix)
        except (errors.ContainerNotFound, errors.InvalidName):
            return 0  # another collection was faster, or there cannot be one

    def _is_committed(self, backup: Any) -> bool:
        return (backup.container is not None
                and backup.service_metadata is not None
                and ObjectStore(self._driver, backup.container).exists(
                    self.naming.manifest(backup.service_metadata)))

    def _age_s(self, backup: Any) -> float | None:
        ages = [self.catalogue.age_s(backup.id)]
        if backup.container and backup.service_metadata:
            ages.append(self._age_of_prefix_s(backup.container,
                                              backup.service_metadata))
        return _youngest(ages)

    # Objects that no record speaks of.

    def _orphans(self, container: str, prefix: str, names: frozenset[str],
                 unreadable: list[str]) -> Iterator[Finding]:
        manifest = self.naming.manifest(prefix)
        store = ObjectStore(self._driver, container)
        if manifest in names or store.exists(manifest):
            return  # a backup; repository rebuild makes it a record
        age_s = self._age_of_prefix_s(container, prefix)
        outcome, count = Outcome.KEPT, None
        if any(backup_id in prefix for backup_id in unreadable):
            reason = 'the record of its backup cannot be read'
        elif not self.is_old(age_s):
            reason = self.too_young(age_s)
        else:
            outcome, reason = Outcome.REMOVED, (
                f'objects without a manifest; {self.removed}')
            if not self.dry_run:
                count = self._leftovers(store, prefix)
                store.discard()
        if outcome == Outcome.REMOVED and not self.dry_run and count is None:
            return  # a manifest has come meanwhile
        yield Finding(container, prefix, outcome, reason, count, age_s)

    def _age_of_prefix_s(self, container: str, prefix: str) -> float | None:
        try:
            ages = ObjectStore(self._driver, container).ages(prefix)
        except (errors.ContainerNotFound, errors.InvalidName):
            return float('inf')
        if ages is None:
            return None
        return min((age_s for name, age_s in ages.items()
                    if self.naming.belongs_to(prefix, name)),
                   default=float('inf'))


def _youngest(ages_s: list[float | None]) -> float | None:
    known = [age_s for age_s in ages_s if age_s is not None]
    return min(known) if len(known) == len(ages_s) else None
