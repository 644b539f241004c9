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

"""One stored object comes back: fetched, decoded, checked, written.

Runs on the io workers, several objects at a time; checking and writing are
handed to the cpu workers one piece behind the decoding, so that even a single
huge object keeps more than one core busy.
"""

import hashlib
import itertools
from collections.abc import Iterator
from typing import cast

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks.plan import Fetch
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.flow import native
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.executors import Executor
from chunked_backup.flow.monitor import Monitor
from chunked_backup.jobs.chain import Chain
from chunked_backup.jobs.checked_sink import CheckedSink
from chunked_backup.jobs.checked_sink import Piece
from chunked_backup.jobs.checked_sink import Ranges
from chunked_backup.jobs.checked_sink import cut
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.settings import PIECE_BYTES
from chunked_backup.jobs.settings import piece_bytes
from chunked_backup.model import StoredObject
from chunked_backup.store.reader import Reader


class ObjectFetcher:
    """Fetches objects. ``fetch`` may run in several threads at once.

    :param faults: is told of damage.
    :param thorough: read each object to its end and check its md5.
    """

    def __init__(self, chain: Chain, sink: VolumeSink, monitor: Monitor,
                 faults: Faults, cpu: Executor, thorough: bool) -> None:
        self.chain = chain
        self.checked = CheckedSink(sink, chain.digests,
                                   chain.block_size_bytes, monitor, faults)
        self.monitor = monitor
        self.faults = faults
        self.cpu = cpu
        self.thorough = thorough
        self.buffers = BufferPool(piece_bytes(chain.block_size_bytes))

    def fetch(self, fetch: Fetch) -> None:
        """Bring the wanted ranges of one object into the sink.

        :raises CorruptObject: it is missing or not what was recorded.
        """
        transfer = _Transfer(self, fetch)
        try:
            transfer.run()
        except errors.CorruptObject as exc:
            if not self.faults.salvage:
                raise
            # Nothing from here on can be had from this object.
            transfer.finish_checks()
            self.checked.give_up(transfer.remaining(), exc)


class _Transfer:
    """The way of one object."""

    def __init__(self, fetcher: ObjectFetcher, fetch: Fetch) -> None:
        self._fetcher = fetcher
        self._level = fetcher.chain.levels[fetch.level]
        self._stored = cast(StoredObject, fetch.stored)
        self._ranges = fetch.ranges
        self._block_size = fetcher.chain.block_size_bytes
        self._position = fetch.stored.offset
        self._running: list[native.Future[None]] = []
        self._md5 = hashlib.md5(usedforsecurity=False)

    def remaining(self) -> Ranges:
        """The wanted ranges behind the last good piece."""
        return list(cut(self._ranges, self._position, self._ranges[-1][1]))

    def finish_checks(self) -> None:
        """Wait for the checks under way, and raise what they found."""
        running, self._running = self._running, []
        for future in running:
            future.result()

    def run(self) -> None:
        self._check_ranges()
        with self._fetcher.faults.of_object(self._corrupt):
            if not len(self._fetcher.chain.digests):
                self._check_md5()
            with self._level.store.reader(self._stored.name) as reader:
                self._copy(reader)

    def _check_ranges(self) -> None:
        """Only whole blocks can be checked."""
        end = self._fetcher.chain.volume_bytes
        for low, high in self._ranges:
            if low % self._block_size or (high % self._block_size
                                          and high != end):
                raise self._corrupt(f'it holds a part of a block only, from '
                                    f'{low} to {high}')

    def _copy(self, reader: Reader) -> None:
        plain = codecs.decompressor(self._stored.compression, reader)
        buffers = self._fetcher.buffers
        last = self._stored.end if self._fetcher.thorough else (
            self._ranges[-1][1])
        with buffers.borrow() as one, buffers.borrow() as other:
            try:
                unused = itertools.cycle((one, other))
                while self._position < last:
                    self._fetcher.monitor.check()
                    self._step(plain, reader, unused, last)
            finally:  # the buffers are in use until then
                native.wait_all(self._running)
        self.finish_checks()
        if last == self._stored.end:
            self._check_end(plain)

    def _step(self, plain: codecs.Decompressor, reader: Reader,
              unused: Iterator[memoryview], last: int) -> None:
        """Read one piece; check and write the one before it meanwhile.

        :param unused: gives the buffer that the piece before is not in; only
            a piece that is read takes one.
        :param last: where in the volume what is read of the object ends.
        """
        start = self._position
        length = min(self._fetcher.buffers.buffer_bytes,
                     self._stored.end - start)
        parts = list(cut(self._ranges, start, start + length))
        if not parts and self._skip(reader, length):
            self._position += length
            return
        data = next(unused)[:length]
        self._fill(plain, data)
        self.finish_checks()
        self._check(data, [(low, data[low - start:high - start])
                           for low, high in parts], start + length >= last)
        self._position += length

    def _check(self, data: memoryview, pieces: list[Piece],
               is_last: bool) -> None:
        """Have a piece checked and written, the last one here: there is
        nothing more to read meanwhile, and most objects have one alone."""
        if is_last:
            self._fetcher.checked.write(pieces, self._corrupt)
            if self._fetcher.thorough:
                self._md5.update(data)
            return
        self._running = [self._fetcher.cpu.submit(
            self._fetcher.checked.write, pieces, self._corrupt)]
        if self._fetcher.thorough:
            self._running.append(
                self._fetcher.cpu.submit(self._md5.update, data))

    def _skip(self, reader: Reader, length: int) -> bool:
        return (not self._fetcher.thorough
                and self._stored.compression == codecs.NONE
                and reader.skip(length))

    def _fill(self, plain: codecs.Decompressor, data: memoryview) -> None:
        filled = 0
        while filled < len(data):
            piece = plain.read(len(data) - filled)
            if not piece:
                raise self._corrupt(
                    'it is cut short: it should hold '
                    f'{self._stored.length} bytes and ends after '
                    f'{self._position + filled - self._stored.offset}')
            data[filled:filled + len(piece)] = piece
            filled += len(piece)

    def _check_md5(self) -> None:
        """Read the object for its md5 alone: in a salvage without digests
        nothing else tells, before a byte is written, that it is sound."""
        if self._stored.md5 is None:
            raise self._corrupt('neither the sha256 of its blocks nor its '
                                'md5 is known, so nothing tells whether it '
                                'is sound')
        with self._level.store.reader(self._stored.name) as reader:
            plain = codecs.decompressor(self._stored.compression, reader)
            md5 = hashlib.md5(usedforsecurity=False)
            left = self._stored.length
            while left and (data := plain.read(min(left, PIECE_BYTES))):
                md5.update(data)
                left -= len(data)
            if (left or plain.read(1)
                    or md5.hexdigest() != self._stored.md5):
                raise self._corrupt('its md5 or its length is not the one '
                                    'recorded')

    def _check_end(self, plain: codecs.Decompressor) -> None:
        if plain.read(1):
            raise self._corrupt('it holds more than the '
                                f'{self._stored.length} bytes recorded')
        if (self._fetcher.thorough and self._stored.md5 is not None
                and self._md5.hexdigest() != self._stored.md5):
            raise self._corrupt(f'its md5 is {self._md5.hexdigest()}, '
                                f'recorded is {self._stored.md5}')

    def _corrupt(self, reason: str,
                 offset: int | None = None) -> errors.CorruptObject:
        if offset is None:
            offset = max(self._position, self._ranges[0][0])
        return errors.CorruptObject(
            backup_id=self._level.record.id, object_name=self._stored.name,
            offset=offset, reason=reason)
