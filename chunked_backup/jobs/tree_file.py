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

"""One file of a tree, open to be backed up."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

from chunked_backup.flow.failure import reason_of
from chunked_backup.trees.entry import Entry

_READ_BYTES = 1 << 20


class Unreadable(Exception):
    """A file cannot be read; its neighbours are none the worse for it."""


class SourceFile:
    """Reads a file once, from the beginning to wherever it ends by then.

    :param descriptor: open for reading; whoever opened it closes it.
    :param go_on: called before each read; may raise to end it all.
    """

    def __init__(self, descriptor: int, go_on: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._go_on = go_on
        self.stat = os.fstat(descriptor)

    def read(self, size: int = _READ_BYTES) -> bytes:
        """At most ``size`` bytes; ``b''`` at the end.

        :raises Unreadable: the file system has failed.
        """
        self._go_on()
        try:
            return os.read(self._descriptor, size)
        except OSError as exc:
            raise Unreadable(reason_of(exc)) from exc

    def is_as_in(self, entry: Entry) -> bool:
        """Whether it was opened as the walk has found it."""
        return _state(self.stat) == (entry.size, entry.mtime_ns,
                                     entry.ctime_ns)

    def has_changed(self) -> bool:
        """Whether it was written to, or anything about it changed, since it
        was opened."""
        return _state(os.fstat(self._descriptor)) != _state(self.stat)

    def holes(self) -> Iterator[tuple[int, int]]:
        """The ranges in which the file system keeps nothing, in order.

        They are asked for one by one: with those behind what was read
        already, a file that changes meanwhile would be told wrongly.
        """
        if self.stat.st_blocks * 512 >= self.stat.st_size:
            return
        end = self.stat.st_size
        position = 0
        while position < end:
            hole = self._seek(position, os.SEEK_HOLE, end)
            data = self._seek(hole, os.SEEK_DATA, end) if hole < end else end
            if data > hole:
                yield hole, data
            position = data

    def _seek(self, position: int, whence: int, end: int) -> int:
        """Where the next hole or data begins; reading is not disturbed."""
        read_from = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        try:
            return min(os.lseek(self._descriptor, position, whence), end)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing more behind it
                return end
            raise Unreadable(reason_of(exc)) from exc
        finally:
            os.lseek(self._descriptor, read_from, os.SEEK_SET)


def _state(status: Any) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
