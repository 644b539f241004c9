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

"""A catalogue made from the backups alone.

Works on what our command has written and on a repository that Cinder's own
driver wrote: all that a record needs stands in manifests, digest tables and
names.
"""

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.jobs import chain as chains
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.model import BackupRecord
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore


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
    """Have a record of every backup in the repository.

    Records that fit a backup are kept. A record whose backup is gone, and one
    whose chain is broken, gets the status ``error``. One that is being
    written is left alone.
    """
    catalogue = driver.host.catalogue
    catalogue.create()
    known = {backup.id: backup for backup in catalogue.backups()}
    findings = []
    found: dict[str, Backup] = {}
    for container, name in _manifests(driver):
        try:
            backup = _read(driver, container, name)
        except errors.CorruptBackup as exc:
            findings.append(Finding(exc.backup_id, Outcome.DAMAGED,
                                    str(exc)))
            continue
        found[backup.id] = backup
    for backup in found.values():
        if not _fits(known.get(backup.id), backup):
            catalogue.save(backup)
    for backup in found.values():
        findings.append(_settle(driver, catalogue, known.get(backup.id),
                                backup))
    for backup in known.values():
        if backup.id not in found and backup.status == Status.AVAILABLE:
            findings.append(_mark(catalogue, backup, Outcome.LOST,
                                  'its manifest is missing or broken'))
    return sorted(findings, key=lambda finding: finding.backup_id)


def _manifests(driver: Any) -> Iterator[tuple[str, str]]:
    for container in driver.get_containers():
        for name in driver.get_container_entries(container, ''):
            if formats.names.prefix_of_manifest(name):
                yield container, name


def _read(driver: Any, container: str, name: str) -> Backup:
    """A backup as its manifest tells of it."""
    prefix = formats.names.prefix_of_manifest(name)
    with ObjectStore(driver, container).reader(name) as reader:
        manifest = formats.parse_manifest(reader, None, prefix)
    record = manifest.record
    return Backup(
        id=record.id, volume_id=record.volume_id, parent_id=record.parent_id,
        status=Status.AVAILABLE, created_at=record.created_at,
        display_name=record.name, display_description=record.description,
        container=container, service_metadata=prefix,
        object_count=len(manifest.objects),
        changed_bytes=sum(stored.length for stored in manifest.objects))


def _fits(known: Backup | None, found: Backup) -> bool:
    return known is not None and known.status == Status.AVAILABLE and (
        (known.container, known.service_metadata, known.parent_id)
        == (found.container, found.service_metadata, found.parent_id))


def _settle(driver: Any, catalogue: Catalogue, known: Backup | None,
            found: Backup) -> Finding:
    """Check the chain of a backup, and learn the size of its volume."""
    kept = _fits(known, found)
    backup = known if kept else found

    def open_store(record: BackupRecord) -> ObjectStore:
        return ObjectStore(driver, record.container)

    try:
        with DigestSpool() as spool:
            chain = chains.open_chain(
                driver.host.chain(backup.to_record()), open_store, spool)
    except errors.CorruptBackup as exc:
        return _mark(catalogue, backup, Outcome.DAMAGED, str(exc))
    if not kept:
        backup.volume_bytes = chain.volume_bytes
        catalogue.save(backup)
    return Finding(backup.id, Outcome.KEPT if kept else Outcome.ADDED)


def _mark(catalogue: Catalogue, backup: Backup, outcome: Outcome,
          reason: str) -> Finding:
    backup.status = Status.ERROR
    backup.fail_reason = reason
    catalogue.save(backup)
    return Finding(backup.id, outcome, reason)
