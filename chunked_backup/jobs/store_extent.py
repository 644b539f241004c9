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

"""One extent of a volume becomes one object.

Runs on the io workers, several extents at a time; hashing of long extents is
handed to the cpu workers, so that reading, hashing, compressing and writing
of even a single huge object overlap. Memory is two pieces an object,
whatever its length.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from chunked_backup.blocks import codecs
from chunked_backup.blocks import digests
from chunked_backup.blocks.extents import longest_extent_bytes
from chunked_backup.blocks.extents import plan_extents
from chunked_backup.endpoints.source import VolumeSource
from chunked_backup.flow import native
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.executors import Executor
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import names
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.keep_object import KeptObjects
from chunked_backup.jobs.settings import Settings
from chunked_backup.jobs.settings import piece_bytes
from chunked_backup.model import Extent
from chunked_backup.model import Region
from chunked_backup.model import StoredObject
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.object_store import Writer

_SAMPLES = 8
_SAMPLE_BYTES = 64 << 10
# An object is worth compressing when its samples shrink by 2 %.
_WORTHWHILE = 0.98
_ZEROS = bytes(1 << 20)


class _Md5(Protocol):
    """Takes what an object holds; gives its md5, if it is wanted."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str | None: ...


class _NotSmaller(Exception):
    """Compressing a whole object has gained nothing."""


class ExtentWriter:
    """Stores extents. ``store`` may run in several threads at once.

    :param spool: takes the digests of what is stored.
    :param counted: whether storing is what the progress counts.
    :param kept: what an earlier run has stored.
    """

    def __init__(self, store: ObjectStore, source: VolumeSource,
                 spool: DigestSpool, settings: Settings, monitor: Monitor,
                 cpu: Executor, counted: bool,
                 kept: KeptObjects | None = None) -> None:
        self._store = store
        self._source = source
        self._spool = spool
        self._settings = settings
        self._block_size = settings.block_size_bytes
        self._compression = settings.compression
        self._monitor = monitor
        self._cpu = cpu
        self._counted = counted
        self._kept = kept
        self._piece_bytes = piece_bytes(self._block_size)
        self._buffers = BufferPool(self._piece_bytes)
        self._new_md5 = _new_md5 if settings.write_md5 else _left_out
        self._zero_objects = _ZeroObjects(
            codecs.ZLIB[0] if self._compression == codecs.NONE
            else self._compression, self._new_md5)

    def units(self, prefix: str,
              regions: Iterable[Region]) -> Iterator[tuple[str, Extent]]:
        """What ``store`` is to be called with to have regions stored."""
        settings = self._settings
        longest = longest_extent_bytes(
            self._source.size_bytes, settings.chunk_size_bytes,
            settings.block_size_bytes, settings.parallelism)
        extents = plan_extents(regions, longest, settings.block_size_bytes,
                               settings.merge_gap_bytes)
        for number, extent in enumerate(extents, start=1):
            yield names.data_object(prefix, number), extent

    def store(self, name: str, extent: Extent) -> tuple[StoredObject, int]:
        """Write the object; its manifest entry and its stored size."""
        self._monitor.check()
        result = self._keep(name, extent) or self._store_extent(name, extent)
        if self._monitor.is_stopped():
            # The job may have given this worker up and cleaned up already.
            self._store.delete([name])
        return result

    def _keep(self, name: str,
              extent: Extent) -> tuple[StoredObject, int] | None:
        if self._kept is None:
            return None
        found = self._kept.find(name, extent)
        if found:
            self._advance(extent.length)
        return found

    def _store_extent(self, name: str,
                      extent: Extent) -> tuple[StoredObject, int]:
        if extent.zero:
            return self._store_zeros(name, extent)
        if extent.length <= self._piece_bytes:
            return self._store_piece(name, extent)
        compression = self._choose(extent)
        try:
            return self._stream(name, extent, compression)
        except _NotSmaller:
            return self._stream(name, extent, codecs.NONE)

    def _store_zeros(self, name: str,
                     extent: Extent) -> tuple[StoredObject, int]:
        encoded, md5 = self._zero_objects.get(extent.length)
        self._store.put_bytes(name, encoded)
        count = extent.length // self._block_size
        self._spool.write(extent.offset // self._block_size,
                          digests.zero_digests(count, self._block_size))
        self._advance(extent.length)
        return StoredObject(name, extent.offset, extent.length,
                            self._zero_objects.compression, md5), len(encoded)

    def _store_piece(self, name: str,
                     extent: Extent) -> tuple[StoredObject, int]:
        """A short extent: compressed whole, stored in whichever form is
        smaller."""
        with self._buffers.borrow() as buffer:
            data = buffer[:extent.length]
            self._source.read_into(extent.offset, data)
            self._spool.write(extent.offset // self._block_size,
                              digests.hash_blocks(data, self._block_size))
            md5 = self._new_md5()
            md5.update(data)
            compression = self._compression
            best: bytes | memoryview = data
            if compression != codecs.NONE:
                best = codecs.compress(compression, data)
            if len(best) >= len(data):
                compression, best = codecs.NONE, data
            self._store.put_bytes(name, best)
            size = len(best)
        self._advance(extent.length)
        return StoredObject(name, extent.offset, extent.length, compression,
                            md5.hexdigest()), size

    def _choose(self, extent: Extent) -> str:
        """Look at samples of a long extent before compressing it."""
        if self._compression == codecs.NONE:
            return codecs.NONE
        step = extent.length // _SAMPLES
        shrunk = 0
        sample = memoryview(bytearray(_SAMPLE_BYTES))
        for index in range(_SAMPLES):
            self._source.read_into(extent.offset + index * step, sample)
            shrunk += len(codecs.compress(self._compression, sample))
        if shrunk < _WORTHWHILE * _SAMPLES * _SAMPLE_BYTES:
            return self._compression
        return codecs.NONE

    def _stream(self, name: str, extent: Extent,
                compression: str) -> tuple[StoredObject, int]:
        """A long extent: read, hash, compress and write at the same time."""
        counted = 0

        def produce(writer: Writer) -> tuple[str | None, int]:
            nonlocal counted
            self._advance(-counted)  # by a try that failed
            counted = 0
            compressor = codecs.compressor(compression, extent.length)
            with (self._buffers.borrow() as one,
                  self._buffers.borrow() as other,
                  _Hasher(self._cpu, self._spool, self._block_size,
                          self._new_md5()) as hasher):
                for start, data in self._read(extent, one, other):
                    hasher.update(start, data)
                    writer.write(compressor.compress(data))
                    self._advance(len(data))
                    counted += len(data)
                writer.write(compressor.flush())
                md5 = hasher.finish()
            if (compression != codecs.NONE
                    and writer.written_bytes >= extent.length):
                self._advance(-counted)
                raise _NotSmaller()
            return md5, writer.written_bytes

        md5, size = self._store.put(name, produce)
        return StoredObject(name, extent.offset, extent.length, compression,
                            md5), size

    def _read(self, extent: Extent, one: memoryview,
              other: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The pieces of an extent, by turns in two buffers."""
        end = extent.offset + extent.length
        for start, buffer in zip(
                range(extent.offset, end, self._piece_bytes),
                itertools.cycle((one, other))):
            self._monitor.check()
            data = buffer[:min(self._piece_bytes, end - start)]
            self._source.read_into(start, data)
            yield start, data

    def _advance(self, count: int) -> None:
        if self._counted:
            self._monitor.advance(count)


def _new_md5() -> _Md5:
    return hashlib.md5(usedforsecurity=False)


class _LeftOut:
    """In place of an md5 that nobody wants."""

    def update(self, data: memoryview) -> None:
        pass

    def hexdigest(self) -> str | None:
        return None


def _left_out() -> _Md5:
    return _LeftOut()


class _Hasher:
    """Hashes one extent's pieces on other threads, in order, one behind.

    When ``update`` returns, nothing but the piece it was given is in use;
    when the block is left, nothing at all.

    :param md5: takes all pieces, too.
    """

    def __init__(self, cpu: Executor, spool: DigestSpool,
                 block_size_bytes: int, md5: _Md5) -> None:
        self._cpu = cpu
        self._spool = spool
        self._block_size = block_size_bytes
        self._md5 = md5
        self._running: list[native.Future[None]] = []

    def __enter__(self) -> '_Hasher':
        return self

    def __exit__(self, *exc_info: object) -> None:
        native.wait_all(self._running)

    def update(self, start: int, data: memoryview) -> None:
        self._wait()
        self._running = [self._cpu.submit(self._sha256, start, data),
                         self._cpu.submit(self._md5.update, data)]

    def finish(self) -> str | None:
        """The md5 of everything, if it is wanted."""
        self._wait()
        return self._md5.hexdigest()

    def _wait(self) -> None:
        for future in self._running:
            future.result()

    def _sha256(self, start: int, data: memoryview) -> None:
        self._spool.write(start // self._block_size,
                          digests.hash_blocks(data, self._block_size))


class _ZeroObjects:
    """The stored form of objects that hold only zeros, made once a size."""

    def __init__(self, compression: str, new_md5: Callable[[], _Md5]) -> None:
        self.compression = compression
        self._new_md5 = new_md5
        self._made: dict[int, tuple[bytes, str | None]] = {}
        self._lock = native.lock()

    def get(self, length: int) -> tuple[bytes, str | None]:
        """The stored bytes and the md5 of ``length`` zeros."""
        with self._lock:  # one thread computes, the others want the result
            if length not in self._made:
                self._made[length] = self._make(length)
            return self._made[length]

    def _make(self, length: int) -> tuple[bytes, str | None]:
        stream = codecs.compressor(self.compression, length)
        md5 = self._new_md5()
        parts = []
        for start in range(0, length, len(_ZEROS)):
            piece = memoryview(_ZEROS)[:length - start]
            md5.update(piece)
            parts.append(bytes(stream.compress(piece)))
        parts.append(stream.flush())
        return b''.join(parts), md5.hexdigest()
