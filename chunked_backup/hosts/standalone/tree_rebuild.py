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

"""The records of trees, made anew from their backups alone."""

import math
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats.tree_v1 import names
from chunked_backup.hosts.standalone import catalogue as catalogues
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.rebuild import Finding
from chunked_backup.hosts.standalone.rebuild import Outcome
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.jobs import tree_level
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore


def rebuild_trees(driver: Any) -> list[Finding]:
    """Have a record of every backup of a tree; see ``rebuild.rebuild``."""
    catalogue = Catalogue(driver, TreeBackup, catalogues.TREES)
    known = {backup.id: backup for backup in catalogue.backups()}
    findings = []
    found: dict[str, tuple[TreeBackup, list[str]]] = {}
    for container, prefix in _prefixes(driver):
        try:
            backup, ancestors = _read(driver, container, prefix)
        except errors.CorruptBackup as exc:
            findings.append(Finding(exc.backup_id, Outcome.DAMAGED, str(exc)))
        else:
            found[backup.id] = backup, ancestors
    for backup, ancestors in found.values():
        missing = [each for each in ancestors if each not in found]
        findings.append(_settle(catalogue, known.get(backup.id), backup,
                                missing))
    for backup in known.values():
        if backup.id not in found and backup.status == Status.AVAILABLE:
            findings.append(_mark(catalogue, backup, Outcome.LOST,
                                  'its manifest is missing or broken'))
    return sorted(findings, key=lambda finding: finding.backup_id)


def _prefixes(driver: Any) -> Iterator[tuple[str, str]]:
    for container in driver.get_containers():
        for name in driver.get_container_entries(container, ''):
            prefix = names.prefix_of_manifest(name)
            if prefix is not None:
                yield container, prefix


def _read(driver: Any, container: str,
          prefix: str) -> tuple[TreeBackup, list[str]]:
    """A backup as its manifest tells of it, and its ancestors' ids."""
    monitor = Monitor(math.inf, lambda: None, lambda *_: None)
    manifest = tree_level.open_level(
        ObjectStore(driver, container), prefix, names.id_of(prefix), None,
        monitor).manifest
    return TreeBackup(
        id=manifest.id, name=manifest.name, parent_id=manifest.parent_id,
        status=Status.AVAILABLE, created_at=manifest.created_at,
        container=container, prefix=prefix, engine=manifest.engine,
        source=manifest.source, host=manifest.host, level=manifest.level,
        totals=manifest.totals), manifest.ancestors


def _settle(catalogue: Catalogue, known: TreeBackup | None,
            found: TreeBackup, missing: list[str]) -> Finding:
    kept = known is not None and known.status == Status.AVAILABLE and (
        (known.container, known.prefix, known.parent_id)
        == (found.container, found.prefix, found.parent_id))
    backup = known if kept else found
    if missing:
        return _mark(catalogue, backup, Outcome.DAMAGED,
                     f'backup {missing[0]}, on which it is built, is missing')
    if not kept:
        catalogue.save(backup)
    return Finding(backup.id, Outcome.KEPT if kept else Outcome.ADDED)


def _mark(catalogue: Catalogue, backup: TreeBackup, outcome: Outcome,
          reason: str) -> Finding:
    backup.status = Status.ERROR
    backup.fail_reason = reason
    catalogue.save(backup)
    return Finding(backup.id, outcome, reason)
