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

"""The rsync engine: only the blocks of a file that are new are stored.

The stream of data is nothing but those bytes, one file after another. Of each
file of more than one block a signature is kept; at the next backup a rolling
match against it finds every block that is still there, wherever it has moved.
What comes of it is not an edit of the old file but a list of extents, partly
of this backup, partly of those before, from which the file is put together.

One pass over the file does it all: its digest, its new signature, and what
differs from the old.
"""

import bisect
import itertools
import operator
from collections.abc import Iterable, Iterator

import blake3

from chunked_backup import delta
from chunked_backup import engine
from chunked_backup import errors
from chunked_backup.blocks import digests
from chunked_backup.flow.executors import Workers
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1.index import Extents
from chunked_backup.formats.tree_v1.index import Place
from chunked_backup.formats.tree_v1.index import ZEROS
from chunked_backup.formats.tree_v1.index import extents_of
from chunked_backup.jobs.tree_file import SourceFile
from chunked_backup.store.stream_reader import SegmentCache
from chunked_backup.store.stream_writer import StreamWriter
from chunked_backup.trees.entry import Entry

#: A file has no more blocks than this; those of longer files are longer, so
#: that a signature never takes more than 24 MiB of memory.
_MOST_BLOCKS = 1 << 20
_CACHE_BYTES = 32 << 20
_NO_HOLE = (1 << 63, 1 << 63)


class RsyncEngine(engine.BackupEngine):
    """Block deltas by a rolling match."""

    name = 'rsync'

    def __init__(self, block_size_bytes: int = (
            delta.DEFAULT_BLOCK_SIZE_BYTES)) -> None:
        if not 1 <= block_size_bytes <= delta.MAX_BLOCK_SIZE_BYTES:
            raise errors.InvalidInput(
                reason=f'a block size of {block_size_bytes} bytes: it must be '
                       f'1 to {delta.MAX_BLOCK_SIZE_BYTES}')
        super().__init__(block_size_bytes)

    def open(self, workers: Workers) -> None:
        self._cache = SegmentCache(workers.io, _CACHE_BYTES)

    def backup_data(self, entry: Entry, file: SourceFile,
                    old: Content | None) -> tuple[Content, int]:
        block_size = _long_enough(self.block_size_bytes, entry.size)
        beginning = _read_full(file, block_size + 1)
        if len(beginning) <= block_size:
            content = self._store_short(file, beginning, old)
            return content, len(beginning)
        pieces = itertools.chain((beginning,), iter(file.read, b''))
        encoder = self._encoder(old, entry.size)
        builder = _ContentBuilder(self.level.data, self.level_number,
                                  file.holes(), old)
        if encoder is None:
            signature = self._store_all(pieces, block_size, builder)
        else:
            signature = self._store_delta(pieces, encoder, builder)
        if old is not None and old.digest == signature.digest:
            return old, signature.length
        return Content(signature.digest, builder.extents.pack(),
                       self._store_signature(signature)), signature.length

    def _store_short(self, file: SourceFile, data: bytes,
                     old: Content | None) -> Content:
        """A file of at most one block, which no signature is kept of."""
        digest = blake3.blake3(data).digest()
        if old is not None and old.digest == digest:
            return old
        builder = _ContentBuilder(self.level.data, self.level_number,
                                  file.holes(), None)
        builder.literal(data)
        return Content(digest, builder.extents.pack())

    def _encoder(self, old: Content | None,
                 size: int) -> delta.DeltaEncoder | None:
        """What finds the old blocks in a file; None where there are none, or
        where there would be too many of their size."""
        if old is None or old.signature is None or self.parent is None:
            return None
        signature = delta.Signature.from_bytes(self.parent.read(
            self._cache, operator.attrgetter('signatures'), old.signature,
            self.monitor.tick))
        places = list(extents_of(old))
        if (sum(place.length for place in places) != signature.length
                or any(place.offset + place.length >= 1 << 64
                       for place in places)):
            raise errors.CorruptBackup(
                backup_id=self.parent.newest.manifest.id,
                reason='a signature and the ranges of its file do not fit')
        old_size = signature.block_size_bytes
        if _long_enough(old_size, size) > 2 * old_size:
            return None
        return delta.DeltaEncoder(signature)

    @staticmethod
    def _store_all(pieces: Iterable[bytes], block_size_bytes: int,
                   builder: '_ContentBuilder') -> delta.Signature:
        signatures = delta.SignatureBuilder(block_size_bytes)
        for piece in pieces:
            signatures.update(piece)
            builder.literal(piece)
        return signatures.finish()

    @staticmethod
    def _store_delta(pieces: Iterable[bytes], encoder: delta.DeltaEncoder,
                     builder: '_ContentBuilder') -> delta.Signature:
        for piece in pieces:
            builder.apply(encoder.update(piece))
        builder.apply(encoder.finish())
        return encoder.signature

    def _store_signature(self, signature: delta.Signature) -> Place:
        packed = signature.to_bytes()
        place = Place(self.level_number, self.level.signatures.position,
                      len(packed))
        self.level.signatures.write(packed)
        return place


def _long_enough(block_size: int, size: int) -> int:
    """The length of the blocks of a file, in bytes.

    :param block_size: of files that are not long.
    :param size: of the file, in bytes.
    """
    while (size > _MOST_BLOCKS * block_size
           and 2 * block_size <= delta.MAX_BLOCK_SIZE_BYTES):
        block_size *= 2
    return block_size


class _ContentBuilder:
    """Makes extents of what is new and what is old in a file.

    :param data: takes what is new.
    :param holes: the ranges of the file that the file system keeps nothing
        of, in order.
    :param old: where the old bytes are.
    """

    def __init__(self, data: StreamWriter, level_number: int,
                 holes: Iterator[tuple[int, int]],
                 old: Content | None) -> None:
        self.extents = Extents()
        self._data = data
        self._level_number = level_number
        self._holes = holes
        self._hole = next(holes, _NO_HOLE)
        self._position = 0
        self._old: list[Place] = []
        if old is not None:
            self._old = list(extents_of(old))
        self._old_ends = list(itertools.accumulate(
            place.length for place in self._old))

    def apply(self, operations: Iterable[delta.Op]) -> None:
        """What comes next in the file, as the match has found it."""
        for operation in operations:
            if isinstance(operation, delta.Copy):
                self.copy(operation.offset, operation.length)
            elif isinstance(operation, delta.Literal):
                self.literal(operation.data)
            else:  # as new bytes they are looked at for holes
                self.literal(bytes(operation.length))

    def copy(self, offset: int, length: int) -> None:
        """The next bytes are those of a range of the old file."""
        self._position += length
        index = bisect.bisect_right(self._old_ends, offset)
        while length:
            place = self._old[index]
            skipped = offset - (self._old_ends[index] - place.length)
            count = min(place.length - skipped, length)
            self.extents.add(place.level, place.offset + skipped, count)
            offset += count
            length -= count
            index += 1

    def literal(self, data: bytes) -> None:
        """The next bytes are new."""
        view = memoryview(data)
        while view:
            count, is_hole = self._until_border(len(view))
            # A hole may have been filled since it was asked for.
            if is_hole and digests.is_zero(view[:count]):
                self.extents.add(ZEROS, 0, count)
            else:
                self.extents.add(self._level_number, self._data.position,
                                 count)
                self._data.write(view[:count])
            self._position += count
            view = view[count:]

    def _until_border(self, most: int) -> tuple[int, bool]:
        """How many of the next bytes are in one hole, or in none."""
        while self._hole[1] <= self._position:
            self._hole = next(self._holes, _NO_HOLE)
        start, end = self._hole
        if start <= self._position:
            return min(most, end - self._position), True
        return min(most, start - self._position), False


def _read_full(file: SourceFile, size: int) -> bytes:
    """So many bytes, or fewer where the file ends."""
    data = file.read(size)
    if not data or len(data) == size:
        return data
    parts = [data]
    left = size - len(data)
    while left and (data := file.read(left)):
        parts.append(data)
        left -= len(data)
    return b''.join(parts)
