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

"""Records made from the backups alone.

Works on what our command has written and on a repository that Cinder's own
driver wrote: all that a record needs stands in manifests, digest tables and
names.
"""

import abc
import dataclasses
import enum
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Generic

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import tree_v1
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.catalogue import Kept
from chunked_backup.hosts.standalone.catalogue import of_trees
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.jobs import chain as chains
from chunked_backup.jobs import tree_level
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.model import BackupRecord
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.place import container_of


class Outcome(enum.StrEnum):
    """What the rebuilding found of one backup."""

    KEPT = 'kept'
    ADDED = 'added'
    DAMAGED = 'damaged'
    LOST = 'lost'


@dataclasses.dataclass(frozen=True)
class Finding:
    """:param reason: what is wrong, where something is."""

    backup_id: str
    outcome: Outcome
    reason: str = ''


def rebuild(driver: Any) -> list[Finding]:
    """Have a record of every backup in the repository, volumes first.

    Records that fit a backup are kept. A record whose backup is gone, and one
    whose chain is broken, gets the status ``error``. One that is being
    written, or whose format is of a later release, is left alone.
    """
    return [*_Volumes(driver).run(), *_Trees(driver).run()]


class _Rebuilding(abc.ABC, Generic[Kept]):
    """Makes the records of one kind of backups.

    :param names: how the objects of such backups are named.
    :ivar found: what manifests tell of, by id.
    """

    def __init__(self, driver: Any, catalogue: Catalogue[Kept],
                 names: ModuleType) -> None:
        self.driver = driver
        self.found: dict[str, Kept] = {}
        self._unknown: set[str | None] = set()
        self._catalogue = catalogue
        self._names = names

    @abc.abstractmethod
    def read(self, container: str, prefix: str) -> Kept:
        """A backup as its manifest tells of it.

        :raises CorruptBackup: the manifest is broken.
        """

    @abc.abstractmethod
    def check(self, backup: Kept) -> None:
        """See that the chain of a backup is whole, and complete the record.

        :raises CorruptBackup: it is not.
        """

    def run(self) -> list[Finding]:
        self._catalogue.create()
        known = {backup.id: backup for backup in self._catalogue.backups()}
        findings = list(self._read_all())
        kept = {backup_id for backup_id, backup in self.found.items()
                if _fits(known.get(backup_id), backup)}
        for backup in self.found.values():
            if backup.id not in kept:
                self._catalogue.save(backup)  # checking a chain looks there
        for backup_id, backup in self.found.items():
            if backup_id in kept:
                findings.append(self._settle(known[backup_id], Outcome.KEPT))
            else:
                findings.append(self._settle(backup, Outcome.ADDED))
        for backup in known.values():
            if (backup.id not in self.found
                    and _place(backup)[1] not in self._unknown
                    and backup.status == Status.AVAILABLE):
                findings.append(self._mark(
                    backup, Outcome.LOST,
                    'its manifest is missing or broken'))
        return sorted(findings, key=lambda finding: finding.backup_id)

    def _read_all(self) -> Iterator[Finding]:
        """Find all backups; tells of those whose manifest is broken."""
        for container, prefix in self._prefixes():
            try:
                backup = self.read(container, prefix)
            except errors.CorruptBackup as exc:
                if isinstance(exc, errors.UnknownFormat):
                    self._unknown.add(prefix)
                yield Finding(exc.backup_id or prefix, Outcome.DAMAGED,
                              str(exc))
            else:
                self.found[backup.id] = backup

    def _prefixes(self) -> Iterator[tuple[str, str]]:
        for container in self.driver.get_containers():
            for name in ObjectStore(self.driver, container).names(''):
                prefix = self._names.prefix_of_manifest(name)
                if prefix is not None:
                    yield container, prefix

    def _settle(self, backup: Kept, outcome: Outcome) -> Finding:
        try:
            self.check(backup)
        except errors.CorruptBackup as exc:
            return self._mark(backup, Outcome.DAMAGED, str(exc))
        if outcome == Outcome.ADDED:
            self._catalogue.save(backup)
        return Finding(backup.id, outcome)

    def _mark(self, backup: Kept, outcome: Outcome, reason: str) -> Finding:
        backup.status = Status.ERROR
        backup.fail_reason = reason
        self._catalogue.save(backup)
        return Finding(backup.id, outcome, reason)


class _Volumes(_Rebuilding[Backup]):
    def __init__(self, driver: Any) -> None:
        super().__init__(driver, driver.host.catalogue, formats.names)

    def read(self, container: str, prefix: str) -> Backup:
        name = formats.names.manifest(prefix)
        with ObjectStore(self.driver, container).reader(name) as reader:
            manifest = formats.parse_manifest(reader, None, prefix)
        record = manifest.record
        return Backup(
            id=record.id, volume_id=record.volume_id,
            parent_id=record.parent_id, status=Status.AVAILABLE,
            created_at=record.created_at, display_name=record.name,
            display_description=record.description, container=container,
            service_metadata=prefix, format_version=manifest.version,
            object_count=len(manifest.objects),
            changed_bytes=sum(stored.length for stored in manifest.objects))

    def check(self, backup: Backup) -> None:
        def open_store(record: BackupRecord) -> ObjectStore:
            return ObjectStore(self.driver, container_of(record))

        with DigestSpool() as spool:
            chain = chains.open_chain(
                self.driver.host.chain(backup.to_record()), open_store, spool)
        backup.volume_bytes = chain.volume_bytes


class _Trees(_Rebuilding[TreeBackup]):
    def __init__(self, driver: Any) -> None:
        super().__init__(driver, of_trees(driver), tree_v1.names)
        self._ancestors: dict[str, list[str]] = {}

    def read(self, container: str, prefix: str) -> TreeBackup:
        manifest = tree_level.open_level(
            ObjectStore(self.driver, container), prefix,
            tree_v1.names.id_of(prefix), None,
            Monitor(sys.maxsize, lambda: None, lambda *_: None)).manifest
        self._ancestors[manifest.id] = manifest.ancestors
        return TreeBackup(
            id=manifest.id, name=manifest.name, parent_id=manifest.parent_id,
            status=Status.AVAILABLE, created_at=manifest.created_at,
            container=container, prefix=prefix, engine=manifest.engine,
            source=manifest.source, host=manifest.host, level=manifest.level,
            totals=manifest.totals)

    def check(self, backup: TreeBackup) -> None:
        for ancestor_id in self._ancestors[backup.id]:
            if ancestor_id not in self.found:
                raise errors.IncompleteChain(
                    backup_id=backup.id, reason=f'backup {ancestor_id}, on '
                    'which it is built, is missing')


def _fits(known: Kept | None, found: Kept) -> bool:
    """Whether a record is that of a backup."""
    return (known is not None and known.status == Status.AVAILABLE
            and _place(known) == _place(found))


def _place(backup: Any) -> tuple[str | None, ...]:
    return backup.container, backup.service_metadata, backup.parent_id
