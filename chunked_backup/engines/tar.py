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

"""The tar engine: the files that have changed are stored, whole.

The stream of data is a tar archive, so that GNU tar can read it without any
of this: of a full backup everything, of an incremental the files that were
read, whatever else has changed, and all directories and further names of
files. What has gone is told by the index alone. There is no member for a
socket.

A restore takes the bytes of files out of the archive where the index says
that they are, and everything else from the index.

The size of a member stands before it. A file that shrinks while it is read is
filled up with zeros in the archive; one that grows is cut off where it ended
when it was opened. If reading a longer file fails half way, or a hole that
was announced is one no more, what there is of it stays in the archive, filled
up, as it does with tar; the index does not have it.
"""

import dataclasses
import itertools
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import blake3

from chunked_backup import engine
from chunked_backup.blocks import digests
from chunked_backup.engines import pax
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.formats.tree_v1.index import Extents
from chunked_backup.formats.tree_v1.index import ZEROS
from chunked_backup.jobs.tree_file import SourceFile
from chunked_backup.jobs.tree_file import Unreadable
from chunked_backup.store.stream_writer import StreamWriter
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry

#: A file up to this is read before anything of it is written.
_SHORT_BYTES = 1 << 20
_ZEROS = bytes(1 << 16)


class TarEngine(engine.BackupEngine):
    """Whole files in a tar archive."""

    name = 'tar'

    def backup_entry(self, entry: Entry, old: Record | None) -> None:
        if pax.is_member(entry) and not _is_the_same(entry, old):
            self.level.data.write(pax.header(entry))

    def backup_data(self, entry: Entry, file: SourceFile,
                    old: Content | None) -> tuple[Content, int]:
        size = file.stat.st_size
        holes = list(file.holes())
        pieces: Iterable[bytes] = _read(file, size)
        if size <= _SHORT_BYTES:
            data = b''.join(pieces)
            if len(data) < size or not _are_zero(data, holes):
                size, holes = len(data), []
            pieces = (data,)
        return self._store(entry, _Layout(size, holes), pieces)

    def backup_end(self) -> None:
        self.level.data.write(pax.END)

    def metadata(self) -> dict[str, Any]:
        return {}

    def _store(self, entry: Entry, layout: '_Layout',
               pieces: Iterable[bytes]) -> tuple[Content, int]:
        data = self.level.data
        if layout.ranges == [(0, layout.size)] or not layout.size:
            data.write(pax.header(entry, layout.size))
        else:
            data.write(pax.sparse_header(entry, layout.size, layout.ranges))
        member = _Member(data, self.level_number, layout)
        try:
            for piece in pieces:
                member.write(piece)
        except Unreadable:
            member.fill_up()
            raise
        member.fill_up()
        return member.content(), member.size


class _Layout:
    """Where the data of a file is.

    :param size: of the file, in bytes.
    :param holes: offsets of start and end, in order.
    :ivar ranges: likewise of what is no hole.
    """

    def __init__(self, size: int, holes: list[tuple[int, int]]) -> None:
        self.size = size
        borders = [0, *itertools.chain.from_iterable(holes), size]
        self.ranges = [
            (start, end) for start, end in zip(borders[::2], borders[1::2])
            if start < end]

    @property
    def data_bytes(self) -> int:
        return sum(end - start for start, end in self.ranges)


class _Member:
    """The contents of a member, which are to be as long as was announced.

    :ivar size: how much of the file there was, in bytes.
    """

    def __init__(self, data: StreamWriter, level_number: int,
                 layout: _Layout) -> None:
        self.size = 0
        self._data = data
        self._level_number = level_number
        self._announced = layout.data_bytes
        self._end = data.position + self._announced
        self._ranges = iter([*layout.ranges, (layout.size, layout.size)])
        self._range = next(self._ranges)
        self._extents = Extents()
        self._digest = blake3.blake3()

    def write(self, piece: bytes) -> None:
        """What comes next in the file, holes included.

        :raises Unreadable: a hole is none any more, and its data cannot be
            stored.
        """
        self._digest.update(piece)
        view = memoryview(piece)
        while view:
            count = self._write_some(view)
            self.size += count
            view = view[count:]

    def _write_some(self, view: memoryview) -> int:
        start, end = self._range
        if self.size < start:
            count = min(len(view), start - self.size)
            if not digests.is_zero(view[:count]):
                raise Unreadable('a hole in it was filled meanwhile')
            self._extents.add(ZEROS, 0, count)
            return count
        count = min(len(view), end - self.size)
        self._extents.add(self._level_number, self._data.position, count)
        self._data.write(view[:count])
        if self.size + count == end:
            self._range = next(self._ranges, self._range)
        return count

    def fill_up(self) -> None:
        """Have the announced length, up to the end of a block."""
        while missing := self._end - self._data.position:
            self._data.write(memoryview(_ZEROS)[:missing])
        self._data.write(pax.padding(self._announced))

    def content(self) -> Content:
        return Content(self._digest.digest(), self._extents.pack())


def _is_the_same(entry: Entry, old: Record | None) -> bool:
    """Whether an archive has an entry already. A directory gets its time when
    all that is in it is there, and a further name may be one of a new file:
    those are written again."""
    return (old is not None and entry.kind != entries.DIRECTORY
            and entry.hardlink is None
            and dataclasses.replace(entry, device=0) == dataclasses.replace(
                old.entry, device=0))


def _read(file: SourceFile, size: int) -> Iterator[bytes]:
    """At most so much of a file."""
    while size and (piece := file.read(min(size, _SHORT_BYTES))):
        size -= len(piece)
        yield piece


def _are_zero(data: bytes, holes: list[tuple[int, int]]) -> bool:
    view = memoryview(data)
    return all(digests.is_zero(view[start:end]) for start, end in holes)
