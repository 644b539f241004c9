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

"""What broken runs have left in a repository, found and removed.

Nothing is removed that could be a part of a backup: no object under a prefix
that has a manifest, nothing of a backup that has a record, unless that says
that the backup is being written or deleted, and nothing that is younger than
the grace period by the store's own clock. A backup that is being written
stores objects all the time, or else shows a sign of life every few minutes.

Objects are listed before records are read: what a backup that begins meanwhile
has stored by then has a record by then.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup.hosts.standalone.kinds import kinds
from chunked_backup.hosts.standalone.leftovers import Ages
from chunked_backup.hosts.standalone.leftovers import Collector
from chunked_backup.hosts.standalone.leftovers import Finding
from chunked_backup.hosts.standalone.leftovers import Outcome
from chunked_backup.store.object_store import ObjectStore

GRACE_S = 86400.0


def collect(driver: Any, grace_s: float = GRACE_S,
            dry_run: bool = False) -> list[Finding]:
    """Remove what broken runs have left.

    :param grace_s: what is younger stays. A store that cannot tell ages
        keeps everything, unless this is 0: nobody is writing.
    :param dry_run: only say what would be removed.
    """
    names = {container: _names(driver, container)
             for container in driver.get_containers()}
    collectors = [Collector(driver, catalogue, naming, grace_s, dry_run)
                  for catalogue, naming in kinds(driver)]
    findings = [finding for collector in collectors
                for finding in collector.run(names)]
    containers = set(names).union(*(each.containers for each in collectors))
    rest = _Rest(driver, collectors, grace_s, dry_run)
    for container in sorted(containers):
        findings += rest.unfinished(container)
    return findings + list(rest.signs_of_life())


def _names(driver: Any, container: str) -> frozenset[str]:
    try:
        return frozenset(ObjectStore(driver, container).names(''))
    except (errors.ContainerNotFound, errors.InvalidName):
        return frozenset()


class _Rest(Ages):
    """What is no object, or speaks of no kind in particular."""

    def __init__(self, driver: Any, collectors: list[Collector],
                 grace_s: float, dry_run: bool) -> None:
        super().__init__(grace_s, dry_run)
        self._driver = driver
        self._collectors = collectors
        self._catalogue = collectors[0].catalogue

    def unfinished(self, container: str) -> Iterator[Finding]:
        try:
            store = ObjectStore(self._driver, container)
            found = store.unfinished()
        except (errors.ContainerNotFound, errors.InvalidName):
            return
        for unfinished in found:
            name = unfinished.object_name
            if name is not None and not self._is_ours(name):
                continue  # of somebody who shares the container
            what = name or unfinished.handle
            if not self.is_old(unfinished.age_s):
                yield Finding(container, what, Outcome.KEPT,
                              self.too_young(unfinished.age_s), None,
                              unfinished.age_s)
                continue
            if not self.dry_run:
                with contextlib.suppress(errors.ContainerNotFound):
                    store.discard_unfinished(unfinished)
            yield Finding(container, what, Outcome.REMOVED,
                          f'a write that broke off; {self.removed}', None,
                          unfinished.age_s)

    def _is_ours(self, name: str) -> bool:
        return self._catalogue.is_own(name) or any(
            each.naming.prefix_of(name) is not None
            for each in self._collectors)

    def signs_of_life(self) -> Iterator[Finding]:
        ids = {backup_id for each in self._collectors
               for backup_id in each.unfinished_ids}
        for backup_id in self._catalogue.signs_of_life():
            if backup_id in ids:
                continue
            age_s = self._catalogue.age_s(backup_id)
            if self.is_old(age_s):
                if not self.dry_run:
                    self._catalogue.end_life(backup_id)
                yield Finding(self._driver.catalogue_container, backup_id,
                              Outcome.REMOVED, 'a sign of life of a backup '
                              f'that is gone or complete; {self.removed}',
                              None, age_s)
