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

"""Files that have another name than they had at the parent.

A renamed file keeps its inode. So the content that a new name had under its
old one is found by the number of the inode, in the index of the parent, and
is what the new is compared with. Whether it is the same the bytes alone tell:
a number that was used again costs a comparison, no more.
"""

import array
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from chunked_backup.flow.executors import Workers
from chunked_backup.formats import tree_v1
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.formats.tree_v1.index import Place
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.store.stream_reader import SegmentCache
from chunked_backup.trees.entry import Entry

if TYPE_CHECKING:
    import numpy

_CACHE_BYTES = 16 << 20


class RenamedFiles:
    """Finds files of a parent by inode.

    Its index is read when the first is asked for. 20 bytes are kept for each
    file of more than no bytes.
    """

    def __init__(self, parent: StoredChain, workers: Workers,
                 tick: Callable[[], None]) -> None:
        self._parent = parent
        self._workers = workers
        self._tick = tick
        self._cache = SegmentCache(workers.io, _CACHE_BYTES)
        self._files: _Files | None = None

    def find(self, entry: Entry) -> Record | None:
        """The file that had the inode at the parent, if there was one."""
        if not entry.size:
            return None
        if self._files is None:
            self._files = self._read()
        inodes, offsets, lengths = self._files
        index = int(inodes.searchsorted(entry.inode))
        if index == len(inodes) or int(inodes[index]) != entry.inode:
            return None
        manifest = self._parent.newest.manifest
        data = self._parent.read(
            self._cache, operator.attrgetter('index'),
            Place(manifest.level, int(offsets[index]), int(lengths[index])),
            self._tick)
        return tree_v1.index.unpack_one(data, manifest.id)

    def _read(self) -> '_Files':
        import numpy

        inodes = array.array('Q')
        offsets = array.array('Q')
        lengths = array.array('I')
        newest = self._parent.newest
        for record, offset, length in tree_v1.index.unpack_located(
                newest.index.read(self._workers.io, 2), newest.manifest.id):
            if record.content is not None and record.entry.size:
                inodes.append(record.entry.inode)
                offsets.append(offset)
                lengths.append(length)
        unsorted = numpy.frombuffer(inodes, numpy.uint64)
        order = unsorted.argsort(kind='stable')
        return _Files(unsorted[order],
                      numpy.frombuffer(offsets, numpy.uint64)[order],
                      numpy.frombuffer(lengths, numpy.uint32)[order])


class _Files(NamedTuple):
    """Of each file, in the order of inodes: where its record is."""

    inodes: 'numpy.ndarray'
    offsets: 'numpy.ndarray'
    lengths: 'numpy.ndarray'
