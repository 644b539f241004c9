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
import math
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
from chunked_backup.blocks import codecs
from chunked_backup.engine import BackupEngine
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.engines.levels import Rung
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.rate import RateLimit
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.formats.tree_v1 import TreeManifest
from chunked_backup.formats.tree_v1 import names
from chunked_backup.hosts.standalone import catalogue
from chunked_backup.hosts.standalone import retention
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.host import SIGN_OF_LIFE_S
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.jobs import tree_level
from chunked_backup.jobs.tree_backup import OpenTree
from chunked_backup.jobs.tree_backup import Totals
from chunked_backup.jobs.tree_backup import preview
from chunked_backup.jobs.tree_check import check_tree
from chunked_backup.jobs.tree_level import NewLevel
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.jobs.tree_level import StoredLevel
from chunked_backup.jobs.tree_level import TreeSettings
from chunked_backup.jobs.tree_restore import OpenTarget
from chunked_backup.jobs.tree_restore import RestoreTotals
from chunked_backup.jobs.tree_restore import VerifyTarget
from chunked_backup.model import CheckSummary
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.trees.entry import Entry

LOG = logging.getLogger(__name__)

LATEST = 'latest'

Report = Callable[[bytes, str], None]


class TreeService:
    """Backs trees up, brings them back, and keeps the records.

    :param driver: any driver.
    :param progress: told of it: (backup, done bytes, None).
    :param report: told of what is wrong with single files: (path, reason).
    """

    def __init__(self, driver: Any, progress: Callable | None = None,
                 report: Report = lambda *_: None) -> None:
        self.driver = driver
        self.catalogue = Catalogue(driver, TreeBackup, catalogue.TREES)
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
            parent_id=parent and parent.id,
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
            self._write(backup, parent, open_tree, engine)
        except BaseException as exc:
            self._discard(backup, exc)
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
        return rung and usable[rung.id]

    def preview(self, open_tree: OpenTree, name: str, engine: BackupEngine,
                policy: LevelPolicy) -> tuple[TreeBackup | None, Totals]:
        """What a backup would do; nothing is written.

        :returns: the parent it would have, and what it would read.
        """
        parent = self.parent(name, engine, policy)
        with self._work() as (workers, monitor, _):
            chain = parent and self._chain(parent, monitor)
            return parent, preview(open_tree, chain, workers, monitor,
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
        _require_available(backup, 'restored')
        with self._work(backup) as (workers, monitor, settings):
            chain = self._chain(backup, monitor)
            monitor.enter('fetch')
            return BackupEngine.restore(
                chain, open_target, workers, monitor,
                settings.ahead, wanted, self._report)

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
              self._work(backup) as (workers, monitor, settings)):
            names = self._store(backup, monitor).names(backup.prefix)
            return check_tree(self._chain(backup, monitor), frozenset(names),
                              wanted, workers, monitor, settings.ahead)

    def records(self, backup: TreeBackup) -> Iterator[Record]:
        """The entries of a backup, in the order of a walk."""
        with self._work() as (workers, monitor, _):
            yield from self._chain(backup, monitor).newest.records(workers)

    def stream(self, backup: TreeBackup) -> Iterator[bytes]:
        """What the engine has written, decoded."""
        _require_available(backup, 'read')
        with self._work() as (workers, monitor, settings):
            yield from self._chain(backup, monitor).newest.data.read(
                workers.io, settings.ahead)

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
        backups = self.backups()
        named = [each for each in backups
                 if which in (each.name, LATEST)
                 and each.status == Status.AVAILABLE
                 and (at is None or each.created <= at)]
        if named:
            return named[-1]
        if at is not None:
            raise errors.BackupNotFound(name=f'{which} at {at}')
        matches = [each for each in backups
                   if which and each.id.startswith(which)]
        if len(matches) > 1:
            raise errors.AmbiguousBackup(
                name=which, matches=', '.join(each.id for each in matches))
        if not matches:
            raise errors.BackupNotFound(name=which)
        return matches[0]

    def delete(self, backup: TreeBackup, cascade: bool = False,
               force: bool = False) -> list[TreeBackup]:
        """Delete a backup.

        :param cascade: and all that are built on it, those first.
        :param force: even one that is being written; its writer stops.
        :returns: what was deleted.
        :raises BackupInUse: others are built on it, or it is being written.
        """
        doomed = self._with_dependents(backup)
        if len(doomed) > 1 and not cascade:
            raise errors.BackupInUse(
                backup_id=backup.id,
                reason=f'{len(doomed) - 1} other backups are built on it; '
                       '--cascade deletes them, too')
        for each in doomed:
            if each.status == Status.CREATING and not force:
                raise errors.BackupInUse(
                    backup_id=each.id, reason='it is being written, or its '
                    'writer was killed; --force deletes it')
        ids = {each.id for each in doomed}
        for each in doomed:
            self._delete_one(each, ids)
        return doomed

    def prune(self, keep: dict[str, int], name: str | None = None,
              delete: bool = False) -> list[retention.Decision]:
        """Apply rules of retention to the backups of each name.

        :param keep: see ``retention.decide``.
        :param delete: delete what no rule keeps; otherwise only tell.
        :returns: what is, or would be, done.
        """
        available: dict[str, list[TreeBackup]] = {}
        for each in self.backups(name):
            if each.status == Status.AVAILABLE:
                available.setdefault(each.name, []).append(each)
        decisions = [decision for backups in available.values()
                     for decision in retention.decide(backups, keep)]
        if delete:
            # Those that are built on others come behind them.
            for decision in reversed(decisions):
                if not decision.reasons:
                    self.delete(decision.backup)
        return decisions

    def _write(self, backup: TreeBackup, parent: TreeBackup | None,
               open_tree: OpenTree, engine: BackupEngine) -> None:
        started_ns = time.time_ns()
        with self._work(backup, self._gone) as (workers, monitor, settings):
            store = self._store(backup, monitor)
            if self.driver.conf.chunked_backup.create_containers:
                store.create()
            level = NewLevel(store, backup.prefix, workers, monitor, settings)
            chain = parent and self._chain(parent, monitor)
            monitor.enter('store')
            totals = engine.backup_stream(open_tree, level, chain, workers,
                                          monitor, self._report)
            streams = level.finish()
            totals.stored_bytes = sum(
                segment.stored_bytes for segments in streams.values()
                for segment in segments)
            self._require_parent(backup)
            monitor.poll()
            monitor.enter('commit')
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

    def _require_parent(self, backup: TreeBackup) -> None:
        """See that nobody deletes what a new backup is built on.

        A deletion says so in the record first, then looks for children; a
        backup has saved its record before it looks here. Of two that come at
        the same time, at least one sees the other.

        :raises BackupNotFound: somebody has, or does.
        """
        if backup.parent_id is not None and (
                self.catalogue.load(backup.parent_id).status
                != Status.AVAILABLE):
            raise errors.BackupNotFound(name=backup.parent_id)

    @contextlib.contextmanager
    def _work(self, backup: TreeBackup | None = None,
              cancelled: Callable = lambda backup: None
              ) -> Iterator[tuple[Workers, Monitor, TreeSettings]]:
        """The workers of one job, which end with it."""
        conf = self.driver.conf.chunked_backup
        settings = TreeSettings(
            compression=codecs.canonical(conf.compression_algorithm),
            parallelism=conf.parallelism,
            memory_limit_bytes=conf.memory_limit_bytes,
            executor=conf.executor)
        monitor = Monitor(math.inf, lambda: cancelled(backup),
                          lambda done, _: self._tell(backup, done),
                          lambda: self.driver.activity,
                          conf.stall_timeout_s, self.driver.tally)
        with open_workers(settings.executor, settings.ahead + 2) as workers:
            try:
                yield workers, monitor, settings
            finally:
                monitor.stop()  # whoever hangs leaves when he comes back

    def _tell(self, backup: TreeBackup | None, done_bytes: int) -> None:
        if self._progress is not None and backup is not None:
            self._progress(backup, done_bytes, None)

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

    def _store(self, backup: TreeBackup, monitor: Monitor) -> ObjectStore:
        conf = self.driver.conf.chunked_backup
        rate = (conf.backup_bytes_per_s
                if backup.status == Status.CREATING
                else conf.restore_bytes_per_s)
        return ObjectStore(self.driver, backup.container,
                           sleep=monitor.pause,
                           limit=RateLimit(rate, monitor.pause),
                           is_work=True)

    def _chain(self, backup: TreeBackup, monitor: Monitor) -> StoredChain:
        return StoredChain(
            self._level(backup, monitor),
            lambda ancestor_id: self._level(self._ancestor(
                backup, ancestor_id), monitor))

    def _level(self, backup: TreeBackup, monitor: Monitor) -> StoredLevel:
        level = tree_level.open_level(
            self._store(backup, monitor), backup.prefix, backup.id,
            backup.manifest_sha256, monitor)
        if level.manifest.parent_id != backup.parent_id:
            raise errors.CorruptBackup(
                backup_id=backup.id, reason='its manifest names the parent '
                f'{level.manifest.parent_id}, its record {backup.parent_id}')
        return level

    def _ancestor(self, backup: TreeBackup, ancestor_id: str) -> TreeBackup:
        try:
            return self.catalogue.load(ancestor_id)
        except errors.BackupNotFound as exc:
            raise errors.IncompleteChain(
                backup_id=backup.id, reason=f'backup {ancestor_id}, on which '
                'it is built, is not known') from exc

    def _discard(self, backup: TreeBackup, cause: BaseException) -> None:
        """Leave nothing of a backup that did not come to be."""
        try:
            self._remove(backup)
            self.catalogue.remove(backup.id)
        except errors.ChunkedBackupError as exc:
            cause.add_note(f'what it wrote could not be removed: {exc}; '
                           f'chunked-backup tree delete {backup.id} --force '
                           'removes it')

    def _with_dependents(self, backup: TreeBackup) -> list[TreeBackup]:
        """A backup behind all that are built on it."""
        children: dict[str | None, list[TreeBackup]] = {}
        for each in self.backups():
            children.setdefault(each.parent_id, []).append(each)
        found = {backup.id: backup}
        pending = [backup.id]
        while pending:
            for child in children.get(pending.pop(), []):
                if child.id not in found:
                    found[child.id] = child
                    pending.append(child.id)
        return list(reversed(found.values()))

    def _delete_one(self, backup: TreeBackup, doomed: set[str]) -> None:
        before, backup.status = backup.status, Status.DELETING
        self.catalogue.save(backup)
        # One that has begun meanwhile; see _require_parent.
        if any(each.parent_id == backup.id and each.id not in doomed
               for each in self.backups()):
            backup.status = before
            self.catalogue.save(backup)
            raise errors.BackupInUse(
                backup_id=backup.id,
                reason='a backup that is built on it has just begun')
        try:
            with metrics.recorded(self.driver, 'tree_delete', backup.name):
                self._remove(backup)
        except errors.ChunkedBackupError as exc:
            backup.status = Status.ERROR
            backup.fail_reason = str(exc)
            self.catalogue.save(backup)
            raise
        self.catalogue.remove(backup.id)

    def _remove(self, backup: TreeBackup) -> None:
        tree_level.remove_tree(ObjectStore(self.driver, backup.container),
                               backup.prefix)
        self.driver.discard_container(backup.container)


def load_engine(name: str, block_size_bytes: int | None) -> BackupEngine:
    """An engine by the name of its entry point.

    :raises InvalidInput: it can do nothing with such blocks.
    """
    kind = loader.load(loader.ENGINES, name)
    return kind() if block_size_bytes is None else kind(block_size_bytes)


def _ancestors(chain: StoredChain | None) -> list[str]:
    if chain is None:
        return []
    return [*chain.newest.manifest.ancestors, chain.newest.manifest.id]


def _require_available(backup: TreeBackup, wanted: str) -> None:
    if backup.status != Status.AVAILABLE:
        raise errors.BackupNotRestorable(backup_id=backup.id,
                                         status=backup.status, wanted=wanted)
