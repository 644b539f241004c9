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

"""Writing a volume: each byte at most once, zeros as cheaply as they come."""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import stat
import struct
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors
from chunked_backup.endpoints import source as source_module
from chunked_backup.flow import direct
from chunked_backup.flow import native
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.descriptor import Descriptor
from chunked_backup.flow.failure import reason_of
from chunked_backup.flow.write_back import WriteBack

_ZEROS = bytes(1 << 20)
# As long is worth a copy to where it can be written from past the cache. What
# is shorter is sooner in the page cache, which joins it.
_SHORTEST_DIRECT_BYTES = 256 << 10
_STAGE_BYTES = 1 << 20
# linux/falloc.h, linux/fs.h
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2
_BLKZEROOUT = 0x127f
_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY)


class VolumeSink:
    """A volume to write. Any thread may call ``write`` and ``zero``.

    :param is_new: the target is known to hold only zeros, so zeros need not
        be written.
    """

    def __init__(self, is_new: bool) -> None:
        self._is_new = is_new

    def prepare(self, volume_bytes: int) -> None:
        """Make sure that the volume fits, before anything is written.

        :raises InvalidVolume: the target is too small.
        """

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data``.

        :raises VolumeIOError: the device failed.
        """
        written = 0
        try:
            while written < len(data):
                written += self._write_once(offset + written, data[written:])
        except OSError as exc:
            raise errors.VolumeIOError(
                operation='writing the volume', offset=offset + written,
                reason=reason_of(exc)) from exc

    def zero(self, start: int, end: int) -> None:
        """Have zeros in a range."""
        if self._is_new or start >= end or self._zero_fast(start, end):
            return
        for position in range(start, end, len(_ZEROS)):
            count = min(len(_ZEROS), end - position)
            self.write(position, memoryview(_ZEROS)[:count])

    def flush(self) -> None:
        """Return when all that was written is on the device."""

    def close(self) -> None:
        """Let go of the volume; the file that was handed over stays open."""

    def _write_once(self, offset: int, data: memoryview) -> int:
        raise NotImplementedError

    def _zero_fast(self, start: int, end: int) -> bool:
        """Zero a range without writing; False where that cannot be done."""
        return False


class FileSink(VolumeSink):
    """A regular file or a block device, by its descriptor."""

    def __init__(self, descriptor: int, is_new: bool) -> None:
        super().__init__(is_new)
        self._descriptor = Descriptor(descriptor)
        mode = os.fstat(descriptor).st_mode
        self._is_regular = stat.S_ISREG(mode)
        self._is_block = stat.S_ISBLK(mode)
        self._write_back = WriteBack(self._descriptor)
        self._direct = None
        self._stages = BufferPool(_STAGE_BYTES)
        if self._is_regular or self._is_block:
            self._direct = direct.open_direct(descriptor)

    def prepare(self, volume_bytes: int) -> None:
        with self._descriptor as number:
            self._fit(number, volume_bytes)

    def _fit(self, number: int, volume_bytes: int) -> None:
        size = source_module.device_size_bytes(number)
        if size >= volume_bytes:
            return
        if not self._is_regular:
            raise errors.InvalidVolume(
                volume='to restore to',
                reason=f'it has {size} bytes, the backup {volume_bytes}')
        try:
            os.ftruncate(number, volume_bytes)
        except OSError as exc:
            raise errors.VolumeIOError(
                operation='growing the target', offset=volume_bytes,
                reason=reason_of(exc)) from exc

    def _write_once(self, offset: int, data: memoryview) -> int:
        past_cache = self._direct
        if past_cache is not None and len(data) >= _SHORTEST_DIRECT_BYTES and (
                offset % direct.ALIGNMENT_BYTES == 0):
            try:
                return self._write_direct(past_cache, offset, data)
            except OSError as exc:
                if not direct.is_refusal(exc):
                    raise
                self._direct = None
        with self._descriptor as number:
            count = os.pwrite(number, data, offset)
        self._write_back.wrote(count)
        return count

    def _write_direct(self, past_cache: Descriptor, offset: int,
                      data: memoryview) -> int:
        with past_cache as number:
            if direct.may_take(offset, data):
                return os.pwrite(number, data, offset)
            with self._stages.borrow() as stage:
                stage = stage[:len(data)
                              - len(data) % direct.ALIGNMENT_BYTES]
                stage[:] = data[:len(stage)]
                return os.pwrite(number, stage, offset)

    def _zero_fast(self, start: int, end: int) -> bool:
        is_aligned = start % 512 == 0 and end % 512 == 0
        if not self._is_regular and not (self._is_block and is_aligned):
            return False
        try:
            with self._descriptor as number:
                if self._is_regular:
                    _punch_hole(number, start, end - start)
                else:
                    fcntl.ioctl(number, _BLKZEROOUT,
                                struct.pack('QQ', start, end - start))
        except OSError as exc:
            if exc.errno in _NOT_SUPPORTED:
                return False
            raise errors.VolumeIOError(
                operation='zeroing the volume', offset=start,
                reason=reason_of(exc)) from exc
        return True

    def flush(self) -> None:
        try:
            with self._descriptor as number:
                os.fsync(number)
        except OSError as exc:
            # Pipes and the like cannot be synchronised and need not be.
            if exc.errno not in _NOT_SUPPORTED:
                raise errors.VolumeIOError(
                    operation='flushing the volume', offset=0,
                    reason=reason_of(exc)) from exc

    def close(self) -> None:
        self._write_back.close()
        self._descriptor.close()
        if self._direct is not None:
            self._direct.close()


class SeekSink(VolumeSink):
    """A file-like object without a descriptor; writes take turns."""

    def __init__(self, volume_file: Any, is_new: bool) -> None:
        super().__init__(is_new)
        self._file = volume_file
        self._lock = native.lock()

    def _write_once(self, offset: int, data: memoryview) -> int:
        with self._lock:
            self._file.seek(offset)
            count = self._file.write(bytes(data))
        return len(data) if count is None else count

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as exc:
            raise errors.VolumeIOError(
                operation='flushing the volume', offset=0,
                reason=reason_of(exc)) from exc


class NullSink(VolumeSink):
    """Takes everything and keeps nothing: the sink of a verification."""

    def __init__(self) -> None:
        super().__init__(is_new=True)

    def write(self, offset: int, data: memoryview) -> None:
        pass


def open_sink(volume_file: Any, is_new: bool) -> VolumeSink:
    """The sink for whatever a volume service hands over.

    :param volume_file: a file open for writing, with or without a descriptor.
        It stays the caller's and is never closed. A sink is taken as it is.
    """
    if isinstance(volume_file, VolumeSink):
        return volume_file
    raw = source_module.unwrap(volume_file)
    descriptor = source_module.descriptor_of(raw)
    if descriptor is None:
        return SeekSink(raw, is_new)
    return FileSink(descriptor, is_new)


@contextlib.contextmanager
def opened_sink(volume_file: Any, is_new: bool) -> Iterator[VolumeSink]:
    """The same, closed at the end, unless it was one already."""
    sink = open_sink(volume_file, is_new)
    try:
        yield sink
    finally:
        if sink is not volume_file:
            sink.close()


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _punch_hole(descriptor: int, offset: int, length: int) -> None:
    """fallocate(2), which the standard library has only without its modes."""
    if _libc().fallocate(descriptor,
                         _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE,
                         ctypes.c_longlong(offset),
                         ctypes.c_longlong(length)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
