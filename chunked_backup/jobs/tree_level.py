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

"""The backups of one chain of a tree, as jobs and engines see them."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence

from chunked_backup import errors
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import tree_v1
from chunked_backup.formats.tree_v1 import TreeManifest
from chunked_backup.formats.tree_v1 import names
from chunked_backup.model import Segment
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.object_store import Writer
from chunked_backup.store.stream_reader import SegmentCache
from chunked_backup.store.stream_reader import StreamReader
from chunked_backup.store.stream_writer import SEGMENT_BYTES
from chunked_backup.store.stream_writer import StreamWriter

_LARGEST_MANIFEST_BYTES = 1 << 30
# A segment is there plain and compressed, and as much again for what is not
# data.
_TIMES_IN_MEMORY = 4
_READ_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class TreeSettings:
    """:param compression: a canonical spelling.
    :param parallelism: objects in work at once.
    :param memory_limit_bytes: about what all of them may take.
    :param executor: ``threads`` or ``serial``.
    :param segment_bytes: how much of a stream is one object.
    """

    compression: str = 'zlib'
    parallelism: int = 4
    memory_limit_bytes: int = 256 << 20
    executor: str = 'threads'
    segment_bytes: int = SEGMENT_BYTES

    @property
    def ahead(self) -> int:
        """How many segments are on their way at once."""
        return max(1, min(
            self.parallelism, self.memory_limit_bytes
            // (_TIMES_IN_MEMORY * self.segment_bytes)))


class NewLevel:
    """A backup that is being written: three streams, then the manifest."""

    def __init__(self, store: ObjectStore, prefix: str, workers: Workers,
                 monitor: Monitor, settings: TreeSettings) -> None:
        self._store = store
        self._prefix = prefix
        self._streams = {
            name: StreamWriter(store, names.segment(prefix, name),
                               workers.io, monitor, settings.compression,
                               settings.ahead if name == names.DATA else 1,
                               settings.segment_bytes)
            for name in names.STREAMS}
        self.data = self._streams[names.DATA]
        self.index = self._streams[names.INDEX]
        self.signatures = self._streams[names.SIGNATURES]

    def finish(self) -> dict[str, list[Segment]]:
        """Store all that is left of the streams; their segments by name."""
        return {name: stream.finish()
                for name, stream in self._streams.items()}

    def commit(self, manifest: TreeManifest) -> str:
        """Store the manifest; the backup is then there.

        :returns: its sha256.
        :raises ObjectExists: another writer has committed it.
        """
        data = tree_v1.manifest.serialize(manifest)

        def produce(writer: Writer) -> str:
            writer.write(data)
            return hashlib.sha256(data).hexdigest()

        return self._store.commit(names.manifest(self._prefix), produce)


class StoredLevel:
    """A backup that is there."""

    def __init__(self, store: ObjectStore, prefix: str,
                 manifest: TreeManifest, monitor: Monitor) -> None:
        self.manifest = manifest
        self.data, self.index, self.signatures = (
            StreamReader(store, names.segment(prefix, name),
                         manifest.streams[name], manifest.id, monitor)
            for name in names.STREAMS)

    def records(self, workers: Workers,
                ahead: int = 2) -> Iterator[tree_v1.Record]:
        """The entries of the tree as it was, in the order of a walk."""
        return tree_v1.index.unpack(self.index.read(workers.io, ahead),
                                    self.manifest.id)


def open_level(store: ObjectStore, prefix: str, backup_id: str,
               manifest_sha256: str | None, monitor: Monitor) -> StoredLevel:
    """Read the manifest of a backup.

    :param manifest_sha256: what it was, where the host has kept it.
    :raises CorruptBackup: it is missing, broken, or not what was written.
    """
    name = names.manifest(prefix)
    data = bytearray()
    try:
        with store.reader(name) as reader:
            while piece := reader.read(_READ_BYTES):
                data += piece
                if len(data) > _LARGEST_MANIFEST_BYTES:
                    raise errors.CorruptBackup(
                        backup_id=backup_id,
                        reason=f'object {name}: it is no manifest: it has '
                               f'more than {_LARGEST_MANIFEST_BYTES} bytes')
    except (errors.ObjectNotFound, errors.ContainerNotFound) as exc:
        raise errors.IncompleteChain(
            backup_id=backup_id,
            reason=f'its manifest is missing: {exc}') from exc
    found = hashlib.sha256(data).hexdigest()
    if manifest_sha256 is not None and found != manifest_sha256:
        raise errors.CorruptBackup(
            backup_id=backup_id, reason=f'object {name}: its sha256 is '
            f'{found}, recorded is {manifest_sha256}')
    return StoredLevel(store, prefix,
                       tree_v1.manifest.parse(bytes(data), backup_id),
                       monitor)


class StoredChain:
    """A restore point: a backup and those it is built on.

    :param newest: the backup asked for.
    :param open_ancestor: gives the backup with that id; it is asked only for
        those that hold something that is wanted.
    """

    def __init__(self, newest: StoredLevel,
                 open_ancestor: Callable[[str], StoredLevel]) -> None:
        self.newest = newest
        self._open_ancestor = open_ancestor
        self._levels = {newest.manifest.level: newest}

    def level(self, number: int) -> StoredLevel:
        """The backup of that level.

        :raises CorruptBackup: there is none, or it cannot be read.
        """
        if number not in self._levels:
            manifest = self.newest.manifest
            if not 0 <= number < manifest.level:
                raise errors.CorruptBackup(
                    backup_id=manifest.id, reason='its index names level '
                    f'{number}, it has level {manifest.level}')
            self._levels[number] = self._open_ancestor(
                manifest.ancestors[number])
        return self._levels[number]

    def segments(self, stream: Callable[[StoredLevel], StreamReader],
                 place: tree_v1.index.Place
                 ) -> Iterator[tuple[StreamReader, int, int, int]]:
        """The segments with a range of a stream: reader, index of the
        segment, beginning and end within it.

        :param stream: chooses it, such as ``operator.attrgetter('data')``.
        """
        reader = stream(self.level(place.level))
        for part in reader.parts(place.offset, place.length):
            yield reader, *part

    def read(self, cache: SegmentCache,
             stream: Callable[[StoredLevel], StreamReader],
             place: tree_v1.index.Place, tick: Callable[[], None]) -> bytes:
        """A short range of a stream, as the coordinator."""
        pieces = []
        for reader, index, start, end in self.segments(stream, place):
            with cache.use(reader, index) as future:
                pieces.append(cache.result(future, tick)[start:end])
        return b''.join(pieces)


def chain_of(levels: Sequence[StoredLevel]) -> StoredChain:
    """A chain whose levels are open already, the full backup first."""
    by_id = {level.manifest.id: level for level in levels}
    return StoredChain(levels[-1], by_id.__getitem__)
