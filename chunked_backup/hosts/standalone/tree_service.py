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

"""Backups of file trees, and their records in the repository."""

import contextlib
import datetime
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from oslo_log import log as logging

from chunked_backup import errors
from chunked_backup import loader
from chunked_backup import metrics
from chunked_backup.engine import BackupEngine
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.engines.levels import Rung
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.formats.tree_v1 import TreeManifest
from chunked_backup.formats.tree_v1 import names
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.catalogue import LATEST
from chunked_backup.hosts.standalone.catalogue import of_trees
from chunked_backup.hosts.standalone.deletion import Deletion
from chunked_backup.hosts.standalone.host import SIGN_OF_LIFE_S
from chunked_backup.hosts.standalone.record import require_available
from chunked_backup.hosts.standalone.retention import Decision
from chunked_backup.hosts.standalone.tree_job import TreeJob
from chunked_backup.hosts.standalone.tree_job import open_job
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.jobs.delete import remove_objects
from chunked_backup.jobs.tree_backup import OpenTree
from chunked_backup.jobs.tree_backup import Totals
from chunked_backup.jobs.tree_backup import preview
from chunked_backup.jobs.tree_check import check_tree
from chunked_backup.jobs.tree_level import NewLevel
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.jobs.tree_restore import OpenTarget
from chunked_backup.jobs.tree_restore import RestoreTotals
from chunked_backup.jobs.tree_verify import VerifyTarget
from chunked_backup.model import CheckSummary
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.place import container_of
from chunked_backup.store.place import prefix_of
from chunked_backup.trees.entry import Entry

LOG = logging.getLogger(__name__)

Report = Callable[[bytes, str], None]
Progress = Callable[[TreeBackup, int, None], None]


class TreeService:
    """Backs trees up, brings them back, and keeps the records.

    :param driver: any driver.
    :param progress: told of it: (backup, done bytes, None).
    :param report: told of what is wrong with single files: (path, reason).
    """

    def __init__(self, driver: Any, progress: Progress | None = None,
                 report: Report = lambda *_: None) -> None:
        self.driver = driver
        self.catalogue = of_trees(driver)
        self._deletion = Deletion(self.catalogue, self._remove, 'tree delete',
                                  driver.conf.chunked_backup.executor)
        self._report = report
        self._progress = progress
        self._shown_s = time.monotonic()

    def backup(self, path: str, open_tree: OpenTree, name: str,
               engine: BackupEngine, policy: LevelPolicy) -> TreeBackup:
        """Back a tree up.

        :param path: where it is, for the record.
        :param open_tree: makes a ``TreeScanner`` of it, given its report.
        :param name: of the chain; what is incremental is built on backups of
            the same name.
        :returns: the record; ``totals`` tells of problems with single files.
        """
        with metrics.recorded(self.driver, 'tree_backup', name):
            return self._backup(path, open_tree, name, engine, policy)

    def _backup(self, path: str, open_tree: OpenTree, name: str,
                engine: BackupEngine, policy: LevelPolicy) -> TreeBackup:
        self.driver.check_for_setup_error()
        parent = self.parent(name, engine, policy)
        backup = TreeBackup(
            id=str(uuid.uuid4()), name=name,
            parent_id=parent.id if parent else None,
            level=parent.level + 1 if parent else 0,
            created_at=str(datetime.datetime.now(datetime.UTC)),
            engine=engine.name, source=os.path.realpath(path),
            host=socket.gethostname(), writer=writer.current())
        backup.container = (
            self.driver.update_container_name(backup, None)
            or self.driver.backup_default_container)
        backup.prefix = names.prefix(backup.created_at, backup.id)
        self.catalogue.create()
        try:
            self.catalogue.save(backup)
            # See that nobody deletes the parent; see ``deletion``.
            if self._deletion.status_of_parent(backup) != Status.AVAILABLE:
                raise errors.BackupNotFound(name=backup.parent_id)
            self._write(backup, parent, open_tree, engine)
        except BaseException as exc:
            self._deletion.discard(backup, exc)
            raise
        return backup

    def parent(self, name: str, engine: BackupEngine,
               policy: LevelPolicy) -> TreeBackup | None:
        """The backup that a new one is to be built on."""
        usable = {each.id: each for each in self.backups(name)
                  if each.status == Status.AVAILABLE
                  and each.engine == engine.name}
        rung = policy.parent(
            (Rung(each.id, each.parent_id, each.level, each.created)
             for each in usable.values()),
            datetime.datetime.now(datetime.UTC))
        return usable[rung.id] if rung else None

    def preview(self, open_tree: OpenTree, name: str, engine: BackupEngine,
                policy: LevelPolicy) -> tuple[TreeBackup | None, Totals]:
        """What a backup would do; nothing is written.

        :returns: the parent it would have, and what it would read.
        """
        parent = self.parent(name, engine, policy)
        with self._job() as job:
            chain = job.chain(parent) if parent else None
            return parent, preview(open_tree, chain, job.workers, job.monitor,
                                   self._report)

    def restore(self, backup: TreeBackup, open_target: OpenTarget,
                wanted: Callable[[Entry], bool] = lambda entry: True
                ) -> RestoreTotals:
        """Bring a tree back, or some of it.

        :param open_target: makes a ``TreeTarget``, given its report.
        """
        with metrics.recorded(self.driver, 'tree_restore', backup.name):
            return self._read_back(backup, open_target, wanted)

    def _read_back(self, backup: TreeBackup, open_target: OpenTarget,
                   wanted: Callable[[Entry], bool] = lambda entry: True
                   ) -> RestoreTotals:
        require_available(backup, 'restored')
        with self._job(backup) as job:
            chain = job.chain(backup)
            job.monitor.enter('fetch')
            return BackupEngine.restore(
                chain, open_target, job.workers, job.monitor,
                job.settings.ahead, wanted, self._report)

    def verify(self, backup: TreeBackup) -> RestoreTotals:
        """Read all of a tree back and check it."""
        with metrics.recorded(self.driver, 'tree_verify', backup.name):
            return self._read_back(backup, VerifyTarget)

    def check(self, backup: TreeBackup,
              wanted: Callable[[], bool]) -> CheckSummary:
        """Look at what one backup has stored, ancestors left aside.

        :param wanted: asked for each object whether to read it.
        :raises CorruptBackup: its chain cannot be opened.
        """
        with (metrics.recorded(self.driver, 'tree_check', backup.name),
              self._job(backup) as job):
            return check_tree(
                job.chain(backup), job.store(backup), prefix_of(backup),
                wanted, job.workers, job.monitor, job.settings.ahead)

    def records(self, backup: TreeBackup) -> Iterator[Record]:
        """The entries of a backup, in the order of a walk."""
        with self._job() as job:
            yield from job.chain(backup).newest.records(job.workers)

    def stream(self, backup: TreeBackup) -> Iterator[bytes]:
        """What the engine has written, decoded."""
        require_available(backup, 'read')
        with self._job() as job:
            yield from job.chain(backup).newest.data.read(
                job.workers.io, job.settings.ahead)

    def backups(self, name: str | None = None) -> list[TreeBackup]:
        """All backups, or those of one name, oldest first."""
        return [backup for backup in self.catalogue.backups()
                if name in (None, backup.name)]

    def find(self, which: str,
             at: datetime.datetime | None = None) -> TreeBackup:
        """The backup that a user means.

        :param which: a name, for the newest available backup of it; an id,
            or the beginning of one; or ``latest``.
        :param at: of a name, the newest that is not later.
        :raises BackupNotFound: there is none.
        :raises AmbiguousBackup: there are several.
        """
        named = [each for each in self.backups()
                 if which in (each.name, LATEST)
                 and each.status == Status.AVAILABLE
                 and (at is None or each.created <= at)]
        if named:
            return named[-1]
        if at is not None:
            raise errors.BackupNotFound(name=f'{which} at {at}')
        return self.catalogue.find(which)

    def delete(self, backup: TreeBackup, cascade: bool = False,
               force: bool = False) -> list[TreeBackup]:
        """Delete a backup.

        :param cascade: and all that are built on it, those first.
        :param force: even one that is being written; its writer stops.
        :returns: what was deleted.
        :raises BackupInUse: others are built on it, or it is being written.
        """
        return self._deletion.delete(backup, cascade, force)

    def prune(self, keep: dict[str, int], name: str | None = None,
              delete: bool = False) -> list[Decision[TreeBackup]]:
        """Apply rules of retention to the backups of each name.

        :param name: only to those of this one.
        :param delete: otherwise only tell; see ``Deletion.prune``.
        """
        return self._deletion.prune(keep, lambda each: each.name, name,
                                    delete)

    def _write(self, backup: TreeBackup, parent: TreeBackup | None,
               open_tree: OpenTree, engine: BackupEngine) -> None:
        started_ns = time.time_ns()
        with self._job(backup, lambda: self._gone(backup)) as job:
            store = job.store(backup)
            if self.driver.conf.chunked_backup.create_containers:
                store.create()
            level = NewLevel(store, prefix_of(backup), job.workers,
                             job.monitor, job.settings)
            chain = job.chain(parent) if parent else None
            job.monitor.enter('store')
            totals = engine.backup_stream(open_tree, level, chain,
                                          job.workers, job.monitor,
                                          self._report)
            streams = level.finish()
            totals.stored_bytes = sum(
                segment.stored_bytes for segments in streams.values()
                for segment in segments)
            job.monitor.poll()
            job.monitor.enter('commit')
            backup.totals = totals.as_numbers()
            backup.manifest_sha256 = level.commit(TreeManifest(
                id=backup.id, name=backup.name, parent_id=backup.parent_id,
                ancestors=_ancestors(chain), engine=engine.name,
                settings=engine.metadata(), source=backup.source,
                host=backup.host, created_at=backup.created_at,
                started_ns=started_ns, totals=backup.totals,
                streams=streams))
        backup.status = Status.AVAILABLE
        self.catalogue.end_life(backup.id)
        self.catalogue.save(backup)

    def _job(self, backup: TreeBackup | None = None,
             cancelled: Callable[[], errors.Cancelled | None] = lambda: None
             ) -> contextlib.AbstractContextManager[TreeJob]:
        """:param backup: whose progress is told."""
        def tell(done_bytes: int) -> None:
            if self._progress is not None and backup is not None:
                self._progress(backup, done_bytes, None)

        return open_job(self.driver, self.catalogue, tell, cancelled)

    def _gone(self, backup: TreeBackup) -> errors.Cancelled | None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= SIGN_OF_LIFE_S:
            # A walk over what has not changed stores little for long.
            self._shown_s = now_s
            self.catalogue.show_life(backup.id)
        try:
            if self.catalogue.load(backup.id).status == Status.CREATING:
                return None
        except errors.BackupNotFound:
            pass
        return errors.BackupCancelled(backup_id=backup.id)

    def _remove(self, backup: TreeBackup,
                answered: Callable[[], None]) -> None:
        with metrics.recorded(self.driver, 'tree_delete', backup.name):
            store = ObjectStore(self.driver, container_of(backup))
            remove_objects(store, names, prefix_of(backup), answered)
            store.discard()


def load_engine(name: str, block_size_bytes: int | None) -> BackupEngine:
    """An engine by the name of its entry point.

    :raises InvalidInput: it can do nothing with such blocks.
    """
    kind: type[BackupEngine] = loader.load(loader.ENGINES, name)
    return kind() if block_size_bytes is None else kind(block_size_bytes)


def _ancestors(chain: StoredChain | None) -> list[str]:
    if chain is None:
        return []
    return [*chain.newest.manifest.ancestors, chain.newest.manifest.id]
