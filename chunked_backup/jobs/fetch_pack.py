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

"""Extents come back from objects that hold several of them.

The extents that are needed of one object are read in runs: those that lie
near each other by one request, up to some MiB. Runs are independent, so the
io workers bring several at a time, of one object, too. Of a run a MiB at a
time is fetched, decoded, checked and written.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks import digests
from chunked_backup.blocks.plan import Fetch
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import names
from chunked_backup.formats.volume_v2.manifest import ObjectList
from chunked_backup.jobs.chain import Chain
from chunked_backup.jobs.chain import Level
from chunked_backup.jobs.checked_sink import CheckedSink
from chunked_backup.jobs.checked_sink import Piece
from chunked_backup.jobs.checked_sink import Ranges
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.settings import PIECE_BYTES
from chunked_backup.model import PackedExtent
from chunked_backup.store.place import prefix_of
from chunked_backup.store.reader import Reader
from chunked_backup.store.reader import take

# A request costs what reading this much more costs, and one is long enough
# that its own cost does not count.
_LARGEST_GAP_BYTES = 256 << 10
_RUN_BYTES = 8 << 20
_ZERO_BLOCKS = 131072

#: Extents, each with the ranges of the volume that are needed of it.
Wanted = list[tuple[PackedExtent, Ranges]]


class Run(NamedTuple):
    """Extents of one object that lie near each other.

    :param level: index into the chain.
    :param to_end: whether the object ends with the last of them.
    """

    level: int
    wanted: Wanted
    to_end: bool

    @property
    def start(self) -> int:
        """Where in the object the first of them begins."""
        return self.wanted[0][0].start

    @property
    def end(self) -> int:
        """Where in the object the last of them ends."""
        return _end_of(self.wanted)


class PackFetcher:
    """Fetches runs. ``fetch`` may run in several threads at once.

    :param faults: is told of damage.
    :param thorough: check all of each extent, not only what is needed.
    """

    def __init__(self, chain: Chain, sink: VolumeSink, monitor: Monitor,
                 faults: Faults, thorough: bool) -> None:
        self._chain = chain
        self._checked = CheckedSink(sink, chain.digests,
                                    chain.block_size_bytes, monitor, faults)
        self._monitor = monitor
        self._faults = faults
        # Only a digest that covers all of an extent can be checked then.
        self._whole = thorough or not len(chain.digests)
        self._thorough = thorough

    def runs(self, fetch: Fetch) -> Iterator[Run]:
        """What ``fetch`` is to be called with to have one object fetched."""
        level = self._chain.levels[fetch.level]
        objects = cast(ObjectList, level.manifest.objects)
        wanted: Wanted = []
        for extent, parts in self._wanted(objects, fetch):
            if wanted and not self._fits(wanted, extent):
                yield Run(fetch.level, wanted, False)
                wanted = []
            wanted.append((extent, parts))
        yield Run(fetch.level, wanted,
                  objects.ends_object(wanted[-1][0]))

    @staticmethod
    def _fits(wanted: Wanted, extent: PackedExtent) -> bool:
        first, last = wanted[0][0], wanted[-1][0]
        end = extent.start + extent.stored_bytes
        return (end - first.start <= _RUN_BYTES and extent.start - last.start
                - last.stored_bytes <= _LARGEST_GAP_BYTES)

    def _wanted(self, objects: ObjectList, fetch: Fetch
                ) -> Iterator[tuple[PackedExtent, Ranges]]:
        """The extents in which the ranges lie, and of one that is stored as
        it is no more than those."""
        for extent, parts in objects.within(fetch.ranges):
            if extent.name != fetch.stored.name:
                continue
            if (extent.compression != codecs.NONE or self._whole
                    or extent.name is None
                    or parts == [(extent.offset, extent.end)]):
                yield extent, parts
                continue
            for low, high in parts:
                yield _part_of(extent, low, high), [(low, high)]

    def fetch(self, run: Run) -> None:
        """Bring the extents of a run into the sink.

        :raises CorruptObject: the object is missing or not what was
            recorded.
        """
        transfer = _Transfer(self._chain.levels[run.level], run)
        if run.wanted[0][0].name is None:
            for extent, parts in run.wanted:
                self._bring_zeros(transfer, parts)
            return
        try:
            with self._faults.of_object(transfer.corrupt):
                self._read(transfer)
        except errors.CorruptObject as exc:
            if not self._faults.salvage:
                raise
            # Nothing from here on can be had from this run.
            for _, parts in transfer.remaining():
                self._checked.give_up(parts, exc)

    def _read(self, transfer: '_Transfer') -> None:
        run = transfer.run
        more = int(run.to_end)
        with transfer.level.store.reader(
                transfer.name, run.start,
                run.end - run.start + more) as reader:
            position = run.start
            for batch in self._batches(run.wanted):
                self._monitor.check()
                stored = _take_all(reader, batch, position)
                position = _end_of(batch)
                self._bring(transfer, batch, stored)
                if len(stored) < len(batch):
                    extent = batch[len(stored)][0]
                    raise transfer.corrupt(
                        'it is cut short: it should have '
                        f'{extent.start + extent.stored_bytes} bytes or more')
            if more and reader.read(1):
                raise transfer.corrupt(
                    f'it holds more than the {run.end} bytes recorded')

    def _batches(self, wanted: Wanted) -> Iterator[Wanted]:
        """As much as is in memory at a time; in a salvage each extent by
        itself, so that what cannot be read takes no other with it."""
        limit = 0 if self._faults.salvage else PIECE_BYTES
        batch: Wanted = []
        length = 0
        for each in wanted:
            length += each[0].length
            if batch and length > limit:
                yield batch
                batch, length = [], each[0].length
            batch.append(each)
        yield batch

    def _bring(self, transfer: '_Transfer', batch: Wanted,
               stored: list[memoryview]) -> None:
        """Bring extents, all but those of which the object has nothing.

        Each step is done for all of them before the next. In so short a loop
        a thread seldom holds Python's lock while another wants it: a chain of
        1 GiB was restored with 22,000 switches of threads in place of 33,000.
        """
        pieces: list[Piece] = []
        whole = []
        for (extent, parts), mine in zip(batch, stored):
            try:
                plain = self._decode(transfer, extent, parts, mine)
            except errors.CorruptObject as exc:
                self._checked.give_up(parts, exc)
                continue
            pieces += [(low, plain[low - extent.offset:high - extent.offset])
                       for low, high in parts]
            whole.append((extent, parts, plain))
        self._checked.write(pieces, transfer.corrupt)
        if self._thorough:  # what is not needed of them, too
            for extent, parts, plain in whole:
                self._check_digest(transfer, extent, parts, plain)
        transfer.done += len(stored)

    def _decode(self, transfer: '_Transfer', extent: PackedExtent,
                parts: Ranges, stored: memoryview) -> memoryview:
        plain = stored
        if extent.compression != codecs.NONE:
            try:
                plain = memoryview(codecs.decompress(
                    extent.compression, bytes(stored), extent.length))
            except errors.DecodeError as exc:
                raise transfer.corrupt(str(exc), parts[0][0]) from exc
        if len(plain) != extent.length:
            raise transfer.corrupt(
                f'an extent of it holds {len(plain)} bytes or more, recorded '
                f'are {extent.length}', parts[0][0])
        if not len(self._chain.digests):
            self._check_digest(transfer, extent, parts, plain)
        return plain

    @staticmethod
    def _check_digest(transfer: '_Transfer', extent: PackedExtent,
                      parts: Ranges, plain: memoryview) -> None:
        found = digests.extent_digest(extent.offset, digests.hash_blocks(
            plain, transfer.block_size_bytes))
        if found != extent.digest:
            raise transfer.corrupt(
                f'the digest of an extent of it is {found.hex()}, recorded '
                f'is {extent.digest.hex()}', parts[0][0])

    def _bring_zeros(self, transfer: '_Transfer', parts: Ranges) -> None:
        step = _ZERO_BLOCKS * self._chain.block_size_bytes
        for low, high in parts:
            for start in range(low, high, step):
                self._monitor.check()
                self._checked.zero(start, min(start + step, high),
                                   transfer.corrupt)


class _Transfer:
    """The way of one run.

    :ivar done: how many of its extents are in the sink.
    """

    def __init__(self, level: Level, run: Run) -> None:
        self.level = level
        self.run = run
        self.done = 0
        self.name = run.wanted[0][0].name or ''
        self.block_size_bytes = level.manifest.block_size_bytes or 1

    def remaining(self) -> Wanted:
        return self.run.wanted[self.done:]

    def corrupt(self, reason: str,
                offset: int | None = None) -> errors.CorruptObject:
        if offset is None:
            extent, parts = (self.remaining() or self.run.wanted[-1:])[0]
            offset = parts[0][0]
        return errors.CorruptObject(
            backup_id=self.level.record.id,
            object_name=self.name or names.manifest(
                prefix_of(self.level.record)),
            offset=offset, reason=reason)


def _take_all(reader: Reader, batch: Wanted,
              position: int) -> list[memoryview]:
    """The stored bytes of each extent, up to the first that is cut short.

    :param position: where in the object the reader is.
    """
    stored: list[memoryview] = []
    for stretch in _stretches(batch):
        start = stretch[0][0].start
        _pass(reader, start - position)
        position = _end_of(stretch)
        data = memoryview(take(reader, position - start))
        for extent, _ in stretch:
            low = extent.start - start
            if low + extent.stored_bytes > len(data):
                return stored
            stored.append(data[low:low + extent.stored_bytes])
    return stored


def _stretches(batch: Wanted) -> Iterator[Wanted]:
    """What adjoins in the object, so that one read brings it.

    Gaps are not read: it would save two thirds of the reads but little time,
    and there may be a sector in one that cannot be read.
    """
    stretch = batch[:1]
    for each in batch[1:]:
        if each[0].start != _end_of(stretch):
            yield stretch
            stretch = []
        stretch.append(each)
    yield stretch


def _end_of(wanted: Wanted) -> int:
    """Where in the object the last of them ends."""
    last = wanted[-1][0]
    return last.start + last.stored_bytes


def _part_of(extent: PackedExtent, low: int, high: int) -> PackedExtent:
    """The part of an extent, stored as it is, that lies there."""
    return PackedExtent(extent.name, low, high - low, extent.compression,
                        extent.start + low - extent.offset, high - low,
                        extent.digest)


def _pass(reader: Reader, count: int) -> None:
    """Leave out what lies between two extents."""
    if count and not reader.skip(count):
        take(reader, count)
