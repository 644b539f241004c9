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

"""Backups of volumes with any driver: subclass this to write one.

What a driver has to do for its store stands in ``base_driver``; here are the
verbs that this makes possible: backup, restore, verify, delete. Each turns
configuration, the host's records and the driver itself into a job, and runs
it.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar, TypeVarTuple

from oslo_log import log as logging

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup import loader
from chunked_backup import metrics
from chunked_backup import opts
from chunked_backup.base_driver import BaseDriver
from chunked_backup.blocks import codecs
from chunked_backup.endpoints.sink import NullSink
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.endpoints.sink import opened_sink
from chunked_backup.endpoints.source import open_source
from chunked_backup.flow.executors import run_one
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.rate import UNLIMITED
from chunked_backup.flow.rate import RateLimit
from chunked_backup.host import Host
from chunked_backup.jobs import chain as chains
from chunked_backup.jobs.backup import BackupJob
from chunked_backup.jobs.check import CheckJob
from chunked_backup.jobs.clean_up import clean_up
from chunked_backup.jobs.delete import remove_objects
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.restore import RestoreJob
from chunked_backup.jobs.settings import Settings
from chunked_backup.jobs.settings import objects_in_work
from chunked_backup.jobs.sources import map_volume
from chunked_backup.model import BackupRecord
from chunked_backup.model import CheckSummary
from chunked_backup.model import MappedRange
from chunked_backup.model import RestoreSummary
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.place import container_of
from chunked_backup.store.place import prefix_of

LOG = logging.getLogger(__name__)

Arguments = TypeVarTuple('Arguments')
Result = TypeVar('Result')

Cancelled = Callable[[], errors.Cancelled | None]
_OpenChain = Callable[[Sequence[BackupRecord],
                       Callable[[BackupRecord], ObjectStore], DigestSpool],
                      chains.Chain]


class ChunkedBackupDriver(BaseDriver):
    """Backs volumes up in chunks to the store of a subclass.

    Constructing a driver is cheap and connects to nothing: Cinder makes one
    for every operation. The parameters are those of ``BaseDriver``.
    """

    #: What is written within Cinder, which looks for it under this name.
    DRIVER_VERSION = '1.0.0'

    def __init__(self, context: Any, chunk_size_bytes: int,
                 sha_block_size_bytes: int, backup_default_container: str,
                 enable_progress_timer: bool) -> None:
        super().__init__(context, chunk_size_bytes, sha_block_size_bytes,
                         backup_default_container, enable_progress_timer)
        self.support_force_delete = True
        self._host: Host | None = None
        if opts.within_cinder():
            self.host  # Cinder may ask at once whose a backup is

    # The verbs. What they raise is what the host wants of our errors.

    @property
    def host(self) -> Host:
        """Who owns the records; found by the option ``host`` unless set."""
        if self._host is None:
            name = self.conf.chunked_backup.host or (
                'cinder' if opts.within_cinder() else 'standalone')
            self._host = loader.load(loader.HOSTS, name)(self)
        return self._host

    @host.setter
    def host(self, host: Host) -> None:
        self._host = host

    def check_for_setup_error(self) -> None:
        """See that the driver can be used; a service asks when it starts.

        :raises ChunkedBackupError: it cannot, and why.
        """
        with self._translated():
            self.check_store()

    def backup(self, backup: Any, volume_file: Any,
               backup_metadata: bool = True, resume: bool = False) -> None:
        """Back a volume up.

        A backup whose record names a parent holds what differs from it.

        :param backup: the volume service's object for the new backup.
        :param volume_file: the volume, open for reading.
        :param backup_metadata: whether the volume's own metadata is kept.
        :param resume: go on with one that was broken off: what it has stored
            is compared with the volume, and kept where it is the same.
        :raises FullBackupRequired: the parent cannot carry an incremental.
        :raises BackupCancelled: the record's status has become deleting.
        """
        with (self._translated(), self._recorded('backup', backup),
              contextlib.closing(open_source(volume_file)) as source):
            monitor = self._monitor(backup, source.size_bytes,
                                    lambda: self._backup_cancelled(backup))
            settings = self._settings()
            record = self._prepare(backup, monitor, resume)
            text = (self.get_metadata(record.volume_id) if backup_metadata
                    else None)
            extra = self.get_extra_metadata(backup, self.host.volume(record))
            with (self._ended_by_deletion(backup, record),
                  self._parent(record, settings, monitor) as (parent,
                                                              settings)):
                summary = BackupJob(
                    self._open_store(record, monitor, RateLimit(
                        self.conf.chunked_backup.backup_bytes_per_s,
                        monitor.pause)), record, source, settings, monitor,
                    parent, text, extra, resume).run()
            self.host.update(backup, object_count=summary.object_count)
            self.host.finished(backup, summary)
            LOG.info('Backup %s of volume %s is stored: %d objects, %d '
                     'bytes.', record.id, record.volume_id,
                     summary.object_count, summary.stored_bytes)

    def restore(self, backup: Any, volume_id: str, volume_file: Any,
                volume_is_new: bool, salvage: bool = False) -> RestoreSummary:
        """Bring a volume back as it was at a backup.

        :param volume_id: the volume that ``volume_file`` is.
        :param volume_file: the target, open for writing, or a sink; not
            truncated.
        :param volume_is_new: it is known to hold only zeros.
        :param salvage: bring back what is sound and list the rest, which is
            zeroed.
        :raises CorruptBackup: something stored is not what was recorded.
        :raises RestoreCancelled: the record's status is no longer restoring.
        """
        with (self._translated(), self._recorded('restore', backup),
              opened_sink(volume_file, volume_is_new) as sink):
            record = self.host.record(backup)

            def cancelled() -> errors.Cancelled | None:
                if self.host.status(backup) == Status.RESTORING:
                    return None
                return errors.RestoreCancelled(backup_id=record.id,
                                               volume_id=volume_id)

            chain, summary = self._read_back(
                backup, record, sink, cancelled, Faults(salvage),
                thorough=False)
            text = chain.levels[0].manifest.volume_meta
            if text is not None:
                self.put_metadata(volume_id, text)
            LOG.info('Backup %s is restored to volume %s.', record.id,
                     volume_id)
            return summary

    def verify_backup(self, backup: Any) -> RestoreSummary:
        """Read a restore point back and check all of it.

        :raises CorruptBackup: something stored is not what was recorded.
        """
        with self._translated(), self._recorded('verify', backup):
            _, summary = self._read_back(
                backup, self.host.record(backup), NullSink(), lambda: None,
                Faults(salvage=False), thorough=True)
            return summary

    def check_backup(self, backup: Any,
                     wanted: Callable[[str], bool]) -> CheckSummary:
        """Look at what one backup has stored, ancestors left aside.

        :param wanted: whether to read the object of a name; each is looked
            for.
        :raises CorruptBackup: its chain cannot be opened.
        """
        with (self._translated(), self._recorded('check', backup),
              DigestSpool() as spool):
            record = self.host.record(backup)
            monitor = self._monitor(backup, 0, lambda: None)
            chain = self._open_chain(chains.open_chain, record, spool,
                                     monitor)
            monitor.total_bytes = sum(
                stored.length for stored in chain.levels[0].manifest.objects)
            return CheckJob(
                chain, prefix_of(record), wanted, monitor,
                self._objects_in_work(chain.block_size_bytes),
                self.conf.chunked_backup.executor).run()

    def map_backup(self, backup: Any) -> list[MappedRange]:
        """Which backup of its chain provides which part of the volume; no
        data object is read.

        :raises CorruptBackup: the chain cannot be opened, or lacks a part.
        """
        with self._translated(), DigestSpool() as spool:
            monitor = self._monitor(backup, 0, lambda: None)
            return map_volume(self._open_chain(
                chains.open_chain, self.host.record(backup), spool, monitor))

    def delete_backup(self, backup: Any) -> None:
        """Delete what a backup stored; nothing there is as good."""
        with self._translated(), self._recorded('delete', backup):
            record = self.host.record(backup)
            if record.container is None or record.prefix is None:
                return  # it ended before anything was written
            self._aside(remove_objects, ObjectStore(self, record.container),
                        formats.names, record.prefix)
            self._aside(ObjectStore(self, record.container).discard)

    def get_metadata(self, volume_id: str) -> str | None:
        """The volume's own metadata as JSON text."""
        return self.host.get_metadata(volume_id)

    def put_metadata(self, volume_id: str, json_metadata: str) -> None:
        """Give a volume metadata that ``get_metadata`` gave."""
        self.host.put_metadata(volume_id, json_metadata)

    def export_record(self, backup: Any) -> dict[str, Any]:
        """What else another service needs to know of a backup: nothing."""
        return {}

    def import_record(self, backup: Any,
                      driver_info: dict[str, Any]) -> None:
        """Take what ``export_record`` gave elsewhere."""

    # How the verbs do it.

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except errors.ChunkedBackupError as exc:
            translated = self.host.translate(exc)
            if translated is exc:
                raise
            if translated is not None:
                raise translated from exc

    def _recorded(self, verb: str, backup: Any
                  ) -> AbstractContextManager[None]:
        """Metrics of a verb. Cinder has any number of volumes; they are told
        apart only where each is one of the user's."""
        return metrics.recorded(
            self, f'volume_{verb}',
            None if opts.within_cinder() else backup.volume_id)

    def _aside(self, function: Callable[[*Arguments], Result],
               *args: *Arguments, monitor: Monitor | None = None) -> Result:
        """Run what waits for the store on a worker: within Cinder, the
        thread of a verb may be the one that everything there shares."""
        return run_one(self.conf.chunked_backup.executor,
                       monitor.tick if monitor else lambda: None, function,
                       *args)

    def _settings(self) -> Settings:
        conf = self.conf.chunked_backup
        return Settings(
            chunk_size_bytes=self.chunk_size_bytes,
            block_size_bytes=self.sha_block_size_bytes,
            compression=codecs.canonical(conf.compression_algorithm),
            merge_gap_bytes=conf.merge_gap_bytes,
            parallelism=self._objects_in_work(self.sha_block_size_bytes),
            executor=conf.executor, write_md5=conf.write_md5,
            format_version=(self.host.format_version
                            or conf.format_version))

    def _objects_in_work(self, block_size_bytes: int) -> int:
        conf = self.conf.chunked_backup
        return objects_in_work(self.parallelism, conf.memory_limit_bytes,
                               block_size_bytes, self.spool_bytes)

    def _prepare(self, backup: Any, monitor: Monitor,
                 resume: bool) -> BackupRecord:
        """Name container and prefix in the record, before any data."""
        record = self.host.record(backup)
        container = record.container or self.backup_default_container
        if not resume or record.prefix is None:
            container = self.update_container_name(
                backup, record.container) or container
        if self.conf.chunked_backup.create_containers:
            self._aside(ObjectStore(self, container,
                                    sleep=monitor.pause).create,
                        monitor=monitor)
        if resume and record.prefix is not None:
            return record
        self.host.update(backup, container=container,
                         prefix=self._generate_object_name_prefix(backup))
        return self.host.record(backup)

    @contextlib.contextmanager
    def _parent(self, record: BackupRecord, settings: Settings,
                monitor: Monitor
                ) -> Iterator[tuple[DigestSpool | None, Settings]]:
        """The digests of the parent, if there is one, and the settings to go
        on from it: a chain keeps its format, unless the host has one."""
        if record.parent_id is None:
            yield None, settings
            return

        def refuse(reason: object) -> errors.FullBackupRequired:
            return errors.FullBackupRequired(
                volume_id=record.volume_id,
                reason=f'its parent {record.parent_id} cannot be used: '
                       f'{reason}')

        with DigestSpool() as spool:
            try:
                parent = self.host.chain(record)[1]
                store = self._open_store(parent, monitor)
                manifest = self._aside(chains.read_manifest, store, parent,
                                       monitor=monitor)
                size = self._aside(chains.read_digests, store, parent,
                                   manifest, spool, monitor=monitor)
            except errors.CorruptBackup as exc:
                raise refuse(exc) from exc
            if parent.volume_id != record.volume_id:
                raise refuse(f'it is of volume {parent.volume_id}')
            if size != settings.block_size_bytes:
                raise refuse(f'its blocks have {size} bytes, now '
                             f'{settings.block_size_bytes} are configured')
            yield spool, dataclasses.replace(
                settings,
                format_version=self.host.format_version or manifest.version)

    def _read_back(self, backup: Any, record: BackupRecord, sink: VolumeSink,
                   cancelled: Cancelled, faults: Faults,
                   thorough: bool) -> tuple[chains.Chain, RestoreSummary]:
        conf = self.conf.chunked_backup
        monitor = self._monitor(backup, 0, cancelled)
        limit = RateLimit(conf.restore_bytes_per_s, monitor.pause)
        damage: list[errors.CorruptBackup] = []
        open_chain: _OpenChain = chains.open_chain
        if faults.salvage:
            open_chain = functools.partial(chains.open_damaged_chain,
                                           report=damage.append)
        with DigestSpool() as spool:
            chain = self._open_chain(
                open_chain, record, spool, monitor, limit,
                complete=not faults.salvage)
            for error in damage:
                LOG.warning('The salvage goes on in spite of this: %s', error)
            monitor.total_bytes = chain.volume_bytes
            summary = RestoreJob(
                chain, sink, monitor, faults,
                self._objects_in_work(chain.block_size_bytes), conf.executor,
                thorough).run()
        return chain, summary

    def _open_chain(self, open_chain: _OpenChain, record: BackupRecord,
                    spool: DigestSpool, monitor: Monitor,
                    limit: RateLimit = UNLIMITED,
                    complete: bool = True) -> chains.Chain:
        return self._aside(
            open_chain, self.host.chain(record, complete),
            functools.partial(self._open_store, monitor=monitor,
                              limit=limit),
            spool, monitor=monitor)

    def _open_store(self, record: BackupRecord, monitor: Monitor,
                    limit: RateLimit = UNLIMITED) -> ObjectStore:
        return ObjectStore(self, container_of(record), sleep=monitor.pause,
                           limit=limit, is_work=True)

    def _monitor(self, backup: Any, total_bytes: int,
                 cancelled: Cancelled) -> Monitor:
        return Monitor(total_bytes, cancelled,
                       functools.partial(self.host.progress, backup),
                       lambda: self.activity,
                       self.conf.chunked_backup.stall_timeout_s, self.tally)

    @contextlib.contextmanager
    def _ended_by_deletion(self, backup: Any,
                           record: BackupRecord) -> Iterator[None]:
        """Have a backup that is being deleted end as a cancelled one, even
        when it first sees that its container is gone."""
        try:
            yield
        except errors.BackupCancelled as exc:
            store = ObjectStore(self, container_of(record))
            try:
                clean_up(self.conf.chunked_backup.executor, store.container,
                         exc, lambda answered: store.discard())
            except errors.DriverError as other:
                exc.add_note(f'its container is left: {other}')
            raise
        except errors.DriverError as exc:
            cancelled = self._backup_cancelled(backup)
            if cancelled is None:
                raise
            raise cancelled from exc

    def _backup_cancelled(self, backup: Any) -> errors.Cancelled | None:
        if self.host.status(backup) in (Status.DELETING, Status.DELETED):
            return errors.BackupCancelled(backup_id=backup.id)
        return None
