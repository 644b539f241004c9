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

"""What every job on backups of trees works with."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.rate import RateLimit
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.jobs import tree_level
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.jobs.tree_level import StoredLevel
from chunked_backup.jobs.tree_level import TreeSettings
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.place import container_of
from chunked_backup.store.place import prefix_of


class TreeJob:
    """Workers, their monitor and settings, and the way to what is stored."""

    def __init__(self, driver: Any, catalogue: Catalogue[TreeBackup],
                 workers: Workers, monitor: Monitor,
                 settings: TreeSettings) -> None:
        self.workers = workers
        self.monitor = monitor
        self.settings = settings
        self._driver = driver
        self._catalogue = catalogue

    def store(self, backup: TreeBackup) -> ObjectStore:
        """Where a backup is, or is to be, at the configured pace."""
        conf = self._driver.conf.chunked_backup
        rate = (conf.backup_bytes_per_s
                if backup.status == Status.CREATING
                else conf.restore_bytes_per_s)
        return ObjectStore(self._driver, container_of(backup),
                           sleep=self.monitor.pause,
                           limit=RateLimit(rate, self.monitor.pause),
                           is_work=True)

    def chain(self, backup: TreeBackup) -> StoredChain:
        """A backup and, each opened when it is first needed, its ancestors.

        :raises CorruptBackup: its manifest is not what its record says.
        """
        return StoredChain(
            self._level(backup), lambda ancestor_id: self._level(
                self._ancestor(backup, ancestor_id)))

    def _level(self, backup: TreeBackup) -> StoredLevel:
        level = tree_level.open_level(
            self.store(backup), prefix_of(backup), backup.id,
            backup.manifest_sha256, self.monitor)
        if level.manifest.parent_id != backup.parent_id:
            raise errors.CorruptBackup(
                backup_id=backup.id, reason='its manifest names the parent '
                f'{level.manifest.parent_id}, its record {backup.parent_id}')
        return level

    def _ancestor(self, backup: TreeBackup, ancestor_id: str) -> TreeBackup:
        try:
            return self._catalogue.load(ancestor_id)
        except errors.BackupNotFound as exc:
            raise errors.IncompleteChain(
                backup_id=backup.id, reason=f'backup {ancestor_id}, on which '
                'it is built, is not known') from exc


@contextlib.contextmanager
def open_job(driver: Any, catalogue: Catalogue[TreeBackup],
             progress: Callable[[int], None],
             cancelled: Callable[[], errors.Cancelled | None]
             ) -> Iterator[TreeJob]:
    """A job, whose workers end with it.

    :param progress: told how many bytes are done.
    :param cancelled: asked again and again whether to stop, and why.
    """
    conf = driver.conf.chunked_backup
    settings = TreeSettings(
        compression=codecs.canonical(conf.compression_algorithm),
        parallelism=driver.parallelism,
        memory_limit_bytes=conf.memory_limit_bytes, executor=conf.executor)
    monitor = Monitor(sys.maxsize, cancelled, lambda done, _: progress(done),
                      lambda: driver.activity, conf.stall_timeout_s,
                      driver.tally)
    with open_workers(settings.executor, settings.ahead + 2) as workers:
        try:
            yield TreeJob(driver, catalogue, workers, monitor, settings)
        finally:
            monitor.stop()  # whoever hangs leaves when he comes back
