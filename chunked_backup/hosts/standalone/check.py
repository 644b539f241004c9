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


"""Everything in a repository, looked at: what is damaged, and what is left.

Every record, every manifest, every digest table, whether each object is there,
and whether each chain is whole; and, if asked for, what the objects hold.
"""

import dataclasses
import enum
import random
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from chunked_backup import errors
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.kinds import kinds
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.model import CheckSummary
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore


class Outcome(enum.StrEnum):
    """What the check has found of one thing."""

    SOUND = 'sound'
    DAMAGED = 'damaged'
    UNFINISHED = 'unfinished'
    LEFTOVER = 'leftover'


@dataclasses.dataclass(frozen=True)
class Finding:
    """:param what: a backup's id, or the prefix of objects without a record.
    :param problem: what is wrong, where something is; of a backup with
        several problems there are several findings.
    """

    what: str
    outcome: Outcome
    problem: str = ''
    summary: CheckSummary | None = None


def check(driver: Any, share: float = 0.0) -> Iterator[Finding]:
    """Look at everything.

    :param share: which part of the objects to read, each chosen at random;
        1.0 for all, 0.0 for none.
    """
    trees = TreeService(driver)
    for (catalogue, naming), check_one in zip(kinds(driver), (
            lambda backup: driver.check_backup(
                backup, lambda name: random.random() < share),
            lambda backup: trees.check(
                backup, lambda: random.random() < share))):
        prefixes = set()
        for backup_id in catalogue.ids():
            try:
                backup = catalogue.load(backup_id)
            except errors.CorruptBackup as exc:
                yield Finding(backup_id, Outcome.DAMAGED, str(exc))
                continue
            except errors.BackupNotFound:
                continue  # deleted just now
            prefixes.add((backup.container, backup.service_metadata))
            yield from _check_backup(backup, check_one)
        for container, prefix in _others(driver, naming, prefixes):
            if not ObjectStore(driver, container).exists(
                    naming.manifest(prefix)):
                yield Finding(prefix, Outcome.LEFTOVER, 'objects without a '
                              'manifest; repository gc removes them')
                continue
            # A listing of records may lag, too.
            backup = _record_of(catalogue, naming.id_of(prefix))
            if backup and (container, prefix) == (backup.container,
                                                  backup.service_metadata):
                yield from _check_backup(backup, check_one)
            else:
                yield Finding(prefix, Outcome.DAMAGED, 'a backup that has no '
                              'record; repository rebuild makes one')


def _check_backup(backup: Any, check_one: Callable[[Any], CheckSummary]
                  ) -> Iterator[Finding]:
    if backup.status in (Status.CREATING, Status.DELETING):
        yield Finding(backup.id, Outcome.UNFINISHED,
                      f'its status is "{backup.status}"; if nobody is at '
                      'work, repository gc removes it')
        return
    if backup.status != Status.AVAILABLE:
        yield Finding(backup.id, Outcome.DAMAGED,
                      f'its status is "{backup.status}": '
                      f'{backup.fail_reason}')
        return
    try:
        summary = check_one(backup)
    except errors.CorruptBackup as exc:
        yield Finding(backup.id, Outcome.DAMAGED, str(exc))
        return
    for problem in summary.problems:
        yield Finding(backup.id, Outcome.DAMAGED, problem, summary)
    if not summary.problems:
        yield Finding(backup.id, Outcome.SOUND, '', summary)


def _record_of(catalogue: Catalogue[Any], backup_id: str) -> Any:
    """The record of a backup; None where there is none that can be read."""
    try:
        return catalogue.load(backup_id)
    except (errors.BackupNotFound, errors.CorruptBackup):
        return None


def _others(driver: Any, naming: ModuleType,
            known: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Where there are objects that belong to none of those known: container
    and prefix."""
    try:
        containers = list(driver.get_containers())
    except errors.RepositoryNotFound:
        return  # nothing was ever backed up here
    for container in containers:
        try:
            names = ObjectStore(driver, container).names('')
        except errors.ContainerNotFound:
            continue
        for prefix in sorted(set(filter(None, map(naming.prefix_of, names)))):
            if (container, prefix) not in known:
                yield container, prefix
