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

"""A backup: which extents to store, storing them, committing.

1. The extents: all of the volume for a full backup; for an incremental the
   volume is read once, hashed and compared with the parent's digests.
2. Each extent becomes an object: it is read, hashed, compressed and written
   piece by piece, several objects at a time. What is stored and what is
   hashed come from the same read, so a digest always belongs to the bytes
   in the object.
3. Digest table, then manifest. No manifest, no backup; whatever ends the job
   before that removes what it wrote.

Of two jobs that write the same backup, as after a failover, the one that comes
later is refused: at its beginning, or, if they begin in the same moment, where
the store can tell, when it commits. It then removes nothing.
"""

import contextlib
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.blocks import digests
from chunked_backup.endpoints.source import VolumeSource
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.executors import run_one
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.window import ordered
from chunked_backup.jobs.clean_up import clean_up
from chunked_backup.jobs.delete import remove_objects
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.keep_object import KeptObjects
from chunked_backup.jobs.settings import Settings
from chunked_backup.jobs.settings import piece_bytes
from chunked_backup.jobs.store_extent import ExtentWriter
from chunked_backup.jobs.store_pack import PackWriter
from chunked_backup.model import BackupRecord
from chunked_backup.model import BackupSummary
from chunked_backup.model import Region
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.object_store import Writer
from chunked_backup.store.place import prefix_of

#: Stores an object and gives what the function has returned.
_Store = Callable[[str, Callable[[Writer], str]], str]

# How many pieces a worker compares with the parent at a time. To hand one over
# costs some tens of microseconds: 1 GiB took 0.68 to 0.84 s with one piece,
# 0.60 to 0.65 with 4, no less with 8. They are read one after the other into
# the same buffer, which stays in the processor's own cache, and a piece of
# zeros is found between others: 0.62 s, with all 4 in one buffer 0.71.
_SCANNED_PIECES = 4
# A hole is compared with the parent 4 GiB of 32 KiB blocks at a time.
_HOLE_BLOCKS = 131072


class BackupJob:
    """One backup of one volume.

    :param record: its container and prefix are set.
    :param parent: the digests of the backup this one is relative to, or None
        for a full backup.
    :param volume_meta: the volume's own metadata as JSON text, or None.
    :param extra_metadata: the driver's own, or None.
    :param resumed: whether a run that was broken off may have stored objects
        already; those that are right are kept.
    """

    def __init__(self, store: ObjectStore, record: BackupRecord,
                 source: VolumeSource, settings: Settings, monitor: Monitor,
                 parent: DigestSpool | None = None,
                 volume_meta: str | None = None,
                 extra_metadata: Any = None,
                 resumed: bool = False) -> None:
        self._store = store
        self._record = record
        self._prefix = prefix_of(record)
        self._source = source
        self._settings = settings
        self._monitor = monitor
        self._parent = parent
        self._volume_meta = volume_meta
        self._extra_metadata = extra_metadata
        self._resumed = resumed
        self._format = formats.of(settings.format_version)
        self._changed_bytes = 0
        self._stored_bytes = 0

    def run(self) -> BackupSummary:
        """Do it all.

        :raises InvalidVolume: there is nothing to back up.
        :raises Cancelled: the host has ended the backup; nothing is left.
        :raises ObjectExists: another job writes this backup, or has.
        """
        if not self._source.size_bytes:
            raise errors.InvalidVolume(volume=self._record.volume_id,
                                       reason='it has no bytes')
        try:
            present = self._present()
            self._monitor.enter('store')
            with DigestSpool() as spool:
                objects = self._store_extents(spool, present)
                self._remove_strays(present, objects)
                self._monitor.poll()
                self._monitor.enter('commit')
                summary = self._commit(spool, objects)
                # Who deletes a backup says so first and then lists objects:
                # either that list has all of them, or this sees it.
                self._monitor.poll()
                return summary
        except BaseException as exc:
            self._remove_leftovers(exc)
            raise

    def _present(self) -> frozenset[str]:
        """The objects that a run which was broken off has left.

        :raises ObjectExists: there are some that are not this job's, or
            there is a manifest.
        """
        names = frozenset(
            name for name in run_one(
                self._settings.executor, self._monitor.tick,
                self._store.names, self._prefix)
            if formats.names.belongs_to(self._prefix, name))
        manifest = formats.names.manifest(self._prefix)
        for name in names:
            if not self._resumed or name == manifest:
                raise errors.ObjectExists(container=self._store.container,
                                          object_name=name)
        return names

    def _remove_strays(self, present: frozenset[str], objects: Any) -> None:
        """Delete what an earlier run has stored and this one has not."""
        strays = present.difference(objects.names())
        if strays:
            run_one(self._settings.executor, self._monitor.tick,
                    self._store.delete, strays)

    def _remove_leftovers(self, cause: BaseException) -> None:
        """Delete what was written; a store that hangs is not waited for."""
        self._monitor.enter('clean_up')
        if isinstance(cause, errors.ObjectExists):
            cause.add_note('objects of the other writer are left under '
                           f'{self._prefix}')
            return
        store = ObjectStore(self._store.driver, self._store.container)
        try:
            clean_up(self._settings.executor, store.container, cause,
                     functools.partial(remove_objects, store, formats.names,
                                       self._prefix))
        except errors.DriverError as exc:
            cause.add_note(f'objects of the broken-off backup are left under '
                           f'{self._prefix}: {exc}')

    def _store_extents(self, spool: DigestSpool,
                       present: frozenset[str]) -> Any:
        objects = self._format.manifest.ObjectList(self._prefix)
        with (open_workers(self._settings.executor,
                           self._settings.parallelism) as workers,
              self._stopping()):
            regions = (self._all_regions() if self._parent is None else
                       self._changed_regions(self._parent, workers, spool))
            store = self._store.with_extra_metadata(self._extra_metadata)
            writer = self._writer(store, spool, workers, present)
            for stored, size in ordered(
                    workers.io, writer.store,
                    writer.units(self._prefix, regions),
                    2 * workers.io_threads, self._monitor.tick):
                objects.append(stored)
                self._changed_bytes += stored.length
                self._stored_bytes += size
        return objects

    def _writer(self, store: ObjectStore, spool: DigestSpool,
                workers: Workers,
                present: frozenset[str]) -> Any:
        """What stores regions; ``store`` takes each of its ``units``."""
        counted = self._parent is None
        given = (store, self._source, spool, self._settings, self._monitor)
        if self._format.PACKED:
            return PackWriter(*given, counted, present)
        kept = KeptObjects(*given, present) if present else None
        return ExtentWriter(*given, workers.cpu, counted, kept)

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Have workers leave early when the coordinator leaves by an error."""
        try:
            yield
        except BaseException:
            self._monitor.stop()
            raise

    def _all_regions(self) -> Iterator[Region]:
        return self._source.regions(self._settings.block_size_bytes)

    def _changed_regions(self, parent: DigestSpool, workers: Workers,
                         spool: DigestSpool) -> Iterator[Region]:
        block_size = self._settings.block_size_bytes
        scanner = _Scanner(self._source, block_size, parent, spool,
                           self._monitor)
        return itertools.chain.from_iterable(ordered(
            workers.cpu, scanner.scan,
            _pieces(self._source.regions(block_size), block_size),
            4 * workers.io_threads, self._monitor.tick))

    def _commit(self, spool: DigestSpool, objects: Any) -> BackupSummary:
        block_size = self._settings.block_size_bytes
        record = self._record
        table = self._write(
            self._store.put, formats.names.digest_table(self._prefix),
            lambda: self._format.digest_table.serialize(
                record, block_size, spool.batches()))
        manifest = self._write(
            self._store.commit, formats.names.manifest(self._prefix),
            lambda: self._format.manifest.serialize(formats.Manifest(
                record, objects, self._format.VERSION, self._volume_meta,
                self._extra_metadata, self._source.size_bytes, block_size,
                table)))
        return BackupSummary(
            object_count=len(objects), volume_bytes=self._source.size_bytes,
            changed_bytes=self._changed_bytes,
            stored_bytes=self._stored_bytes,
            manifest_sha256=manifest, digest_table_sha256=table,
            format_version=self._format.VERSION)

    def _write(self, store: _Store, name: str,
               pieces: Callable[[], Iterable[bytes]]) -> str:
        """Store pieces as one object.

        :param store: ``put`` or ``commit`` of the store.
        :param pieces: gives them all, again for each new try.
        :returns: the sha256 of all of them.
        """
        def produce(writer: Writer) -> str:
            sha256 = hashlib.sha256()
            for piece in pieces():
                self._monitor.check()
                sha256.update(piece)
                writer.write(piece)
            return sha256.hexdigest()

        def write() -> str:
            digest = store(name, produce)
            if self._monitor.is_stopped():
                # The job has given this up and cleaned up already.
                self._store.delete([name])
            return digest

        with self._stopping():
            return run_one(self._settings.executor, self._monitor.tick, write)


class _Scanner:
    """Hashes pieces of the volume and compares them with the parent."""

    def __init__(self, source: VolumeSource, block_size_bytes: int,
                 parent: DigestSpool, spool: DigestSpool,
                 monitor: Monitor) -> None:
        self._source = source
        self._block_size = block_size_bytes
        self._parent = parent
        self._spool = spool
        self._monitor = monitor
        self._buffers = BufferPool(piece_bytes(block_size_bytes))

    def scan(self, region: Region) -> list[Region]:
        """The parts of a region that are not as the parent had them.

        A zero region is whole blocks.
        """
        self._monitor.check()
        first = region.start // self._block_size
        count = digests.block_count(region.end - region.start,
                                    self._block_size)
        new = self._digests(region, count)
        self._spool.write(first, new)
        old = self._parent.read(first, count)
        self._monitor.advance(region.end - region.start)
        return [
            Region((first + low) * self._block_size,
                   min((first + high) * self._block_size, region.end),
                   region.zero)
            for low, high in digests.differing_runs(new, old)]

    def _digests(self, region: Region, count: int) -> bytes:
        if region.zero:
            return digests.zero_digests(count, self._block_size)
        found = []
        with self._buffers.borrow() as buffer:
            for start in range(region.start, region.end, len(buffer)):
                data = buffer[:region.end - start]
                self._source.read_into(start, data)
                found.append(digests.hash_blocks(data, self._block_size))
        return b''.join(found)


def _pieces(regions: Iterable[Region],
            block_size_bytes: int) -> Iterator[tuple[Region]]:
    """Regions cut to what one worker takes at a time."""
    data_bytes = piece_bytes(block_size_bytes, _SCANNED_PIECES)
    for region in regions:
        whole = region.end - region.end % block_size_bytes
        if region.zero and whole > region.start:
            step = _HOLE_BLOCKS * block_size_bytes
            for start in range(region.start, whole, step):
                yield (Region(start, min(start + step, whole), True),)
            region = Region(whole, region.end)
        for start in range(region.start, region.end, data_bytes):
            yield (Region(start, min(start + data_bytes, region.end)),)
