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


"""Objects that a broken-off run has stored, kept if they are right.

Nothing is believed: an object is kept only when its bytes, decoded, are those
that the volume has there now. So it does not matter what has changed since, in
the volume or in the configuration; what does not fit is stored anew.
"""

import hashlib
from collections.abc import Collection, Iterator

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks import digests
from chunked_backup.endpoints.source import VolumeSource
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.monitor import Monitor
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.jobs.settings import Settings
from chunked_backup.jobs.settings import piece_bytes
from chunked_backup.model import Extent
from chunked_backup.model import StoredObject
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.reader import Reader
from chunked_backup.store.reader import take


class Differs(Exception):
    """An object does not hold what the volume does."""


class KeptObjects:
    """Finds them. ``find`` may run in several threads at once.

    :param spool: takes the digests of what is kept.
    :param names: the objects that there may be.
    """

    def __init__(self, store: ObjectStore, source: VolumeSource,
                 spool: DigestSpool, settings: Settings, monitor: Monitor,
                 names: Collection[str]) -> None:
        self._store = store
        self._source = source
        self._spool = spool
        self._block_size = settings.block_size_bytes
        # How an extent may have been stored; zeros are never without.
        self._spellings = dict.fromkeys(
            (settings.compression, codecs.NONE, codecs.ZLIB[0]))
        self._monitor = monitor
        self._names = names
        self._buffers = BufferPool(piece_bytes(self._block_size))

    def find(self, name: str,
             extent: Extent) -> tuple[StoredObject, int] | None:
        """The manifest entry and the stored size of an object that holds an
        extent; None if it has to be stored."""
        if name not in self._names:
            return None
        for compression in self._spellings:
            try:
                return self._compare(name, extent, compression)
            except errors.ObjectNotFound:
                return None
            except (errors.DecodeError, Differs):
                continue
        return None

    def _compare(self, name: str, extent: Extent,
                 compression: str) -> tuple[StoredObject, int]:
        md5 = hashlib.md5(usedforsecurity=False)
        with (self._store.reader(name) as reader,
              self._buffers.borrow() as buffer):
            plain = codecs.decompressor(compression, reader)
            for start, data in self._read(extent, buffer):
                if not _continues(plain, data):
                    raise Differs()
                self._spool.write(
                    start // self._block_size,
                    digests.hash_blocks(data, self._block_size))
                md5.update(data)
            if plain.read(1):
                raise Differs()
        return StoredObject(name, extent.offset, extent.length, compression,
                            md5.hexdigest()), reader.read_bytes

    def _read(self, extent: Extent,
              buffer: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The pieces of an extent, as the volume has them."""
        end = extent.offset + extent.length
        for start in range(extent.offset, end, len(buffer)):
            self._monitor.check()
            data = buffer[:min(len(buffer), end - start)]
            self._source.read_into(start, data)
            yield start, data


class KeptPack:
    """Finds out how an object holds several extents, one after the other.

    :param compression: the codec of those that were worth it.
    """

    def __init__(self, reader: Reader, compression: str) -> None:
        self._reader = reader
        self._compression = compression
        self._ahead = b''

    def match(self, data: memoryview) -> tuple[str, int]:
        """The codec and the stored size of the next extent.

        What is stored is compared decoded: isal makes of the same bytes now
        and then another stream (of 2 pieces in 270, in two of 24 processes).

        :param data: what it has to hold.
        :raises Differs: it holds something else.
        """
        plain = bytes(data)
        self._look_ahead(len(plain))
        # No extent takes more room than its plain bytes.
        stored = self._ahead[:len(plain)]
        codec, size = codecs.NONE, len(plain)
        if stored != plain:
            codec, size = self._compression, self._stream_bytes(stored, plain)
        self._ahead = self._ahead[size:]
        return codec, size

    def is_at_end(self) -> bool:
        """Whether there is nothing more in the object."""
        self._look_ahead(1)
        return not self._ahead

    def _look_ahead(self, size: int) -> None:
        missing = size - len(self._ahead)
        if missing > 0:
            self._ahead += take(self._reader, missing)

    def _stream_bytes(self, stored: bytes, plain: bytes) -> int:
        try:
            found, size = codecs.decompress_first(self._compression, stored,
                                                  len(plain))
        except errors.DecodeError as exc:
            raise Differs() from exc
        if found != plain:
            raise Differs()
        return size


def _continues(plain: codecs.Decompressor, data: memoryview) -> bool:
    """Whether the next bytes of a stream are these."""
    position = 0
    while position < len(data):
        piece = plain.read(len(data) - position)
        # Bytes are compared at once, memoryviews one item after the other.
        if not piece or bytes(piece) != bytes(
                data[position:position + len(piece)]):
            return False
        position += len(piece)
    return True
