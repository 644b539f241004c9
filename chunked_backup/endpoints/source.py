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

"""Reading a volume: exact ranges, from any thread, holes known unread."""

import errno
import os
import stat
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.flow.descriptor import Descriptor
from chunked_backup.flow.failure import reason_of
from chunked_backup.model import Region


class VolumeSource:
    """A volume to read. ``size_bytes`` is fixed when it is opened."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``; short reads are joined.

        :raises VolumeIOError: the device failed, or ended early.
        """
        filled = 0
        while filled < len(buffer):
            position = offset + filled
            try:
                count = self._read_once(position, buffer[filled:])
            except OSError as exc:
                raise errors.VolumeIOError(
                    operation='reading the volume', offset=position,
                    reason=reason_of(exc)) from exc
            if not count:
                raise self._ended_early(position)
            filled += count

    def close(self) -> None:
        """Let go of the volume; the file that was handed over stays open."""

    def _ended_early(self, offset: int) -> errors.VolumeIOError:
        return errors.VolumeIOError(
            operation='reading the volume', offset=offset,
            reason='the volume ended early; it had '
                   f'{self.size_bytes} bytes when the backup began')

    def _read_once(self, offset: int, buffer: memoryview) -> int:
        raise NotImplementedError

    def regions(self, block_size_bytes: int) -> Iterator[Region]:
        """All of the volume in order, holes marked where they are known.

        Regions begin on block boundaries; a hole is whole blocks.
        """
        yield Region(0, self.size_bytes)


class FileSource(VolumeSource):
    """A regular file or a block device, by its descriptor.

    Reads are positional: the position of the file does not matter to them,
    and any number of threads may read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = Descriptor(descriptor)
        self._is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        super().__init__(device_size_bytes(descriptor))

    def _read_once(self, offset: int, buffer: memoryview) -> int:
        with self._descriptor as number:
            return os.preadv(number, [buffer], offset)

    def close(self) -> None:
        self._descriptor.close()

    def regions(self, block_size_bytes: int) -> Iterator[Region]:
        if not self._is_regular:
            yield Region(0, self.size_bytes)
            return
        position = 0
        for start, end in self._data_ranges():
            start -= start % block_size_bytes
            end = min(-(-end // block_size_bytes) * block_size_bytes,
                      self.size_bytes)
            if start > position:
                yield Region(position, start, zero=True)
            if end > max(position, start):
                yield Region(max(position, start), end)
                position = end
        if position < self.size_bytes:
            yield Region(position, self.size_bytes, zero=True)

    def _data_ranges(self) -> Iterator[tuple[int, int]]:
        end = 0
        try:
            with self._descriptor as number:
                ranges = data_ranges(number, self.size_bytes)
            while True:
                with self._descriptor as number:  # never over a yield
                    found = next(ranges, None)
                    if found is None:
                        size = device_size_bytes(number)
                        break
                start, end = found
                yield start, end
        except OSError as exc:
            raise errors.VolumeIOError(
                operation='finding holes', offset=end,
                reason=reason_of(exc)) from exc
        if size < self.size_bytes:  # what is missing is no hole
            raise self._ended_early(size)


class SeekSource(VolumeSource):
    """A file-like object without a descriptor, as os-brick's for RBD.

    It has one position, so reads take turns.
    """

    def __init__(self, volume_file: Any) -> None:
        self._file = volume_file
        self._lock = native.lock()
        super().__init__(volume_file.seek(0, os.SEEK_END)
                         or volume_file.tell())

    def _read_once(self, offset: int, buffer: memoryview) -> int:
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(len(buffer))
        buffer[:len(data)] = data
        return len(data)


def open_source(volume_file: Any) -> VolumeSource:
    """The source for whatever a volume service hands over.

    :param volume_file: an open file with or without a descriptor. It stays
        the caller's: it is never closed, and must stay open.
    """
    raw = unwrap(volume_file)
    descriptor = descriptor_of(raw)
    return SeekSource(raw) if descriptor is None else FileSource(descriptor)


def unwrap(volume_file: Any) -> Any:
    """The file inside an ``eventlet.tpool.Proxy``, which hangs when a native
    thread of ours calls it; any other file as it is."""
    return getattr(volume_file, '_obj', volume_file)


def descriptor_of(volume_file: Any) -> int | None:
    """The file's descriptor, or None where it has none."""
    try:
        descriptor = volume_file.fileno()
    except (AttributeError, OSError):
        return None
    return descriptor if isinstance(descriptor, int) else None


def data_ranges(descriptor: int, size_bytes: int,
                ) -> Iterator[tuple[int, int]]:
    """The ranges of a regular file that are no holes, in order.

    :returns: offsets of start and end, none beyond ``size_bytes``. Of a file
        that has shrunk meanwhile there is none beyond its end.
    :raises OSError: the file cannot be examined.
    """
    end = 0
    while end < size_bytes:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            hole = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing but a hole is left
                return
            if exc.errno != errno.EINVAL:
                raise
            yield end, size_bytes  # a file system without SEEK_DATA
            return
        if start >= size_bytes:  # the file has grown meanwhile
            return
        yield start, min(hole, size_bytes)
        end = hole


def device_size_bytes(descriptor: int) -> int:
    """The size of a regular file or a block device."""
    mode = os.fstat(descriptor)
    if stat.S_ISREG(mode.st_mode):
        return mode.st_size
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)
