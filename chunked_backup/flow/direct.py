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

"""Writing past the page cache.

What a backup or a restore writes is not read again soon. In the cache it takes
the place of what others read, and copying it there costs time: 1 GiB took
0.3 to 1.3 s of CPU and a flush of 0.4 s at the end, past the cache 0.1 s in
all. So whole pages go past it where the file system can, and the rest, and
everything where it cannot, through it. Both may be mixed in one file.
"""

import ctypes
import errno
import fcntl
import os

from chunked_backup.flow.descriptor import Descriptor

#: Offset, length and memory have to be multiples of it.
ALIGNMENT_BYTES = 4096
_REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP)


class DirectStream:
    """A new file, written from its beginning to its end.

    :param descriptor: open for writing; it stays the caller's.
    :param stage: a buffer of a ``BufferPool`` that nobody else has, whole
        pages; what does not lie in memory as the disk wants it is copied
        there first.
    """

    def __init__(self, descriptor: int, stage: memoryview) -> None:
        self._descriptor = descriptor
        self._stage = stage
        self._staged = 0
        self._is_direct = False
        self._may_be_direct = True

    def write(self, data: memoryview) -> None:
        """Write all of ``data``, now or later.

        :raises OSError: the disk failed, now or before.
        """
        if not self._staged and may_take(0, data):
            self._write_out(data)
            return
        while len(data):
            taken = min(len(data), len(self._stage) - self._staged)
            self._stage[self._staged:self._staged + taken] = data[:taken]
            self._staged += taken
            data = data[taken:]
            if self._staged == len(self._stage):
                self._write_stage()

    def finish(self) -> None:
        """Write what is left; then everything is with the system."""
        self._write_stage()

    def _write_stage(self) -> None:
        staged, self._staged = self._staged, 0
        self._write_out(self._stage[:staged])

    def _write_out(self, data: memoryview) -> None:
        while len(data):
            data = data[self._write_once(data):]

    def _write_once(self, data: memoryview) -> int:
        is_whole = self._may_be_direct and may_take(0, data)
        if is_whole != self._is_direct:
            self._set_direct(is_whole)
        try:
            return os.write(self._descriptor, data)
        except OSError as exc:
            if not self._is_direct or exc.errno not in _REFUSALS:
                raise
            self._may_be_direct = False
            return 0

    def _set_direct(self, wanted: bool) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        flags = flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags)
            self._is_direct = wanted
        except OSError as exc:
            if exc.errno not in _REFUSALS:
                raise
            self._may_be_direct = False


def open_direct(descriptor: int) -> Descriptor | None:
    """Open a file once more, for writing past the cache.

    :returns: None where the system or the file system cannot do that.
    """
    try:
        opened = os.open(f'/proc/self/fd/{descriptor}',
                         os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:  # all that is lost is time
        return None
    try:
        return Descriptor(opened)
    finally:
        os.close(opened)


def may_take(offset: int, data: memoryview) -> bool:
    """Whether data lies in a file and in memory as writing past the cache
    wants it. Memory that is read-only is taken not to."""
    if not len(data) or data.readonly:
        return False
    return not (offset % ALIGNMENT_BYTES or len(data) % ALIGNMENT_BYTES
                or _address(data) % ALIGNMENT_BYTES)


def _address(data: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(data))


def is_refusal(error: OSError) -> bool:
    """Whether an error says that this cannot be written past the cache."""
    return error.errno in _REFUSALS
