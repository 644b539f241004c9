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

"""Several extents of a volume become one object.

Runs on the io workers, several objects at a time. The extents are read about
1 MiB at a time, hashed and compressed; each is compressed by itself and is no
longer than that, so what does not shrink is found out without a second read,
and stored as it is.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks import digests
from chunked_backup.blocks.extents import last_pack_bytes
from chunked_backup.blocks.extents import longest_extent_bytes
from chunked_backup.blocks.extents import plan_packs
from chunked_backup.blocks.extents import short_pack_bytes
from chunked_backup.endpoints.source import VolumeSource
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import names
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.keep_object import Differs
from chunked_backup.jobs.keep_object import KeptPack
from chunked_backup.jobs.settings import Settings
from chunked_backup.jobs.settings import piece_bytes
from chunked_backup.model import Extent
from chunked_backup.model import PackedExtent
from chunked_backup.model import Region
from chunked_backup.model import StoredPack
from chunked_backup.store.object_store import ObjectStore

# The digests of a hole are made 4 GiB of 32 KiB blocks at a time.
_HOLE_BLOCKS = 131072
_NO_DIGEST = bytes(16)
_CODECS = {codecs.ZLIB[1]: codecs.ZLIB[0], codecs.BZ2[1]: codecs.BZ2[0]}

# How an extent is stored: its codec, and in how many bytes; zeros take none.
_Stored = tuple[str, int]


class _Empty(Exception):
    """Everything was zeros; there is no object to store."""


class _Loaded(NamedTuple):
    """An extent and its bytes; ``data`` is None for a hole."""

    extent: Extent
    data: memoryview | None


class PackWriter:
    """Stores packs of extents. ``store`` may run in several threads at once.

    :param spool: takes the digests of what is stored.
    :param counted: whether storing is what the progress counts.
    :param present: the objects that an earlier run has stored. Each is kept
        if it holds, decoded, the bytes of its extents.
    """

    def __init__(self, store: ObjectStore, source: VolumeSource,
                 spool: DigestSpool, settings: Settings, monitor: Monitor,
                 counted: bool, present: Collection[str] = ()) -> None:
        self._store = store
        self._source = source
        self._spool = spool
        self._settings = settings
        self._block_size = settings.block_size_bytes
        self._compression = _CODECS.get(settings.compression,
                                        settings.compression)
        self._monitor = monitor
        self._counted = counted
        self._present = present
        self.buffers = BufferPool(piece_bytes(self._block_size))

    def units(self, prefix: str, regions: Iterable[Region]
              ) -> Iterator[tuple[str, int, list[Extent]]]:
        """What ``store`` is to be called with to have regions stored."""
        packs = plan_packs(
            regions, self._pack_bytes,
            min(self.buffers.buffer_bytes, self._short_pack_bytes),
            self._block_size)
        for number, extents in enumerate(packs, start=1):
            yield names.data_object(prefix, number), number, extents

    def _pack_bytes(self, before_bytes: int, start: int) -> int:
        """How much an object holds at most, from how much those before hold
        and where its data begin.

        How much of a volume is no zeros is known at the end of a full backup
        alone, so its objects grow with what is stored: few data in a large
        volume become several objects, too. Towards its end they are shorter.
        """
        settings = self._settings
        if self._counted:
            limits = (settings.chunk_size_bytes, self._block_size,
                      settings.parallelism)
            return min(
                longest_extent_bytes(before_bytes, *limits),
                last_pack_bytes(self._source.size_bytes - start, *limits))
        return self._short_pack_bytes

    @property
    def _short_pack_bytes(self) -> int:
        return short_pack_bytes(self._settings.chunk_size_bytes,
                                self._block_size)

    def store(self, name: str, number: int,
              extents: list[Extent]) -> tuple[StoredPack, int]:
        """Write the object; its manifest entries and its stored size."""
        self._monitor.check()
        work = _Work(self, name, extents)
        if name not in self._present or not self._is_kept(work):
            self._put(work)
        if self._monitor.is_stopped():
            # The job may have given this worker up and cleaned up already.
            self._store.delete([name])
        return StoredPack(number, work.entries), work.stored_bytes

    def _put(self, work: '_Work') -> None:
        def produce(writer: Any) -> None:
            work.run(functools.partial(self._write, writer))
            if not work.stored_bytes:
                raise _Empty()

        try:
            self._store.put(work.name, produce)
        except _Empty:
            pass  # leaving a writer by an error leaves no object

    def _is_kept(self, work: '_Work') -> bool:
        try:
            with self._store.reader(work.name) as reader:
                kept = KeptPack(reader, self._compression)
                work.run(functools.partial(self._match, kept))
                return bool(work.stored_bytes) and kept.is_at_end()
        except (Differs, errors.ObjectNotFound):
            return False

    def _write(self, writer: Any, batch: list[_Loaded]) -> list[_Stored]:
        encoded = [self._compress(loaded.data) for loaded in batch]
        parts = [stored for _, stored in encoded if len(stored)]
        if parts:
            writer.write(parts[0] if len(parts) == 1 else b''.join(parts))
        return [(codec, len(stored)) for codec, stored in encoded]

    def _match(self, kept: KeptPack, batch: list[_Loaded]) -> list[_Stored]:
        return [(codecs.NONE, 0) if data is None or digests.is_zero(data)
                else kept.match(data) for _, data in batch]

    def _compress(self, data: memoryview | None
                  ) -> tuple[str, bytes | memoryview]:
        if data is None or digests.is_zero(data):
            return codecs.NONE, b''
        if codecs.is_compressible(self._compression, data):
            stored = codecs.compress(self._compression, data)
            if len(stored) < len(data):
                return self._compression, stored
        return codecs.NONE, data

    # What the work on one object needs.

    def load(self, extents: list[Extent],
             buffer: memoryview) -> Iterator[list[_Loaded]]:
        """The extents with their bytes, as many at a time as fit."""
        batch: list[_Loaded] = []
        filled = 0
        for extent in extents:
            if extent.zero:
                batch.append(_Loaded(extent, None))
                continue
            if filled + extent.length > len(buffer):
                yield batch
                batch, filled = [], 0
            data = buffer[filled:filled + extent.length]
            self._source.read_into(extent.offset, data)
            filled += extent.length
            batch.append(_Loaded(extent, data))
        yield batch

    def hash(self, batch: list[_Loaded]) -> list[bytes]:
        """The digest of each extent; those of its blocks are kept."""
        found = []
        for extent, data in batch:
            first = extent.offset // self._block_size
            if data is None:
                self._hash_hole(first, digests.block_count(
                    extent.length, self._block_size))
                found.append(_NO_DIGEST)
                continue
            blocks = digests.hash_blocks(data, self._block_size)
            self._spool.write(first, blocks)
            found.append(digests.extent_digest(extent.offset, blocks))
        return found

    def advance(self, count: int) -> None:
        """So much more is done, or less, where it is done again."""
        if self._counted:
            self._monitor.advance(count)

    def check(self) -> None:
        """:raises Cancelled: the job has ended."""
        self._monitor.check()

    def _hash_hole(self, first: int, count: int) -> None:
        for start in range(first, first + count, _HOLE_BLOCKS):
            self._monitor.check()
            self._spool.write(start, digests.zero_digests(
                min(_HOLE_BLOCKS, first + count - start), self._block_size))


class _Work:
    """The work on one object. It may be done several times, as the store
    fails or what is there differs; the last time counts.

    :ivar entries: what the manifest is to say of each extent.
    """

    def __init__(self, writer: PackWriter, name: str,
                 extents: list[Extent]) -> None:
        self._writer = writer
        self._extents = extents
        self.name = name
        self.entries: list[PackedExtent] = []
        self.stored_bytes = 0

    def run(self, settle: Callable[[list[_Loaded]], list[_Stored]]) -> None:
        """Read and hash all.

        :param settle: writes the next extents, or finds out how they are
            stored already.
        """
        self._begin()
        with self._writer.buffers.borrow() as buffer:
            for batch in self._writer.load(self._extents, buffer):
                self._writer.check()
                # Both on this thread, in whose processor's cache the bytes
                # are: 1 GiB with zstd took 1.5 s, and 1.8 s while another
                # thread hashed.
                found = self._writer.hash(batch)
                self._add(batch, settle(batch), found)
                self._writer.advance(sum(loaded.extent.length
                                         for loaded in batch))

    def _begin(self) -> None:
        self._writer.advance(-sum(entry.length for entry in self.entries))
        self.entries = []
        self.stored_bytes = 0

    def _add(self, batch: list[_Loaded], stored: list[_Stored],
             found: list[bytes]) -> None:
        for (extent, _), (codec, size), digest in zip(batch, stored, found):
            self.entries.append(PackedExtent(
                self.name if size else None, extent.offset, extent.length,
                codec, self.stored_bytes if size else 0, size,
                digest if size else _NO_DIGEST))
            self.stored_bytes += size
