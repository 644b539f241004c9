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

"""The contents of a file of a tree that is being restored."""

import contextlib
import os
from types import TracebackType
from typing import Protocol, Self

from chunked_backup.trees.directories import Handle
from chunked_backup.trees.entry import Entry
from chunked_backup.trees.unfinished import UnfinishedDirectory


class Files(Protocol):
    """What a file's writer needs of the target."""

    def create_part(self, path: bytes) -> tuple[Handle, bytes, int]: ...

    def complete_part(self, number: int, entry: Entry,
                      parent: UnfinishedDirectory) -> None: ...

    def name_part(self, directory: Handle, part: bytes,
                  entry: Entry) -> None: ...

    def settle_file(self, entry: Entry, parent: UnfinishedDirectory,
                    is_there: bool) -> None: ...


class FileWriter:
    """The contents of one file; a context manager, for one thread.

    Leaving it without an error gives the file its metadata and its name;
    leaving it with one removes it. Entering, writing and leaving raise
    OSError where the file system does; then the file is not there.

    A writer that is not to be entered is discarded, or its directory never
    gets its metadata.
    """

    def __init__(self, target: Files, entry: Entry,
                 parent: UnfinishedDirectory) -> None:
        self.entry = entry
        self._target = target
        self._parent = parent
        self._end = 0
        self._has_hole_at_end = False

    def __enter__(self) -> Self:
        try:
            self._directory, self._part, self._number = (
                self._target.create_part(self.entry.path))
        except BaseException:
            self.discard()
            raise
        return self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of ``data``."""
        left = memoryview(data)
        if left:
            self._has_hole_at_end = False
        while left:
            written = os.pwrite(self._number, left, self._end)
            self._end += written
            left = left[written:]

    def skip(self, count: int) -> None:
        """Append a hole of ``count`` bytes."""
        if count:
            self._end += count
            self._has_hole_at_end = True

    def discard(self) -> None:
        """There will be no such file."""
        self._target.settle_file(self.entry, self._parent, False)

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        is_there = False
        try:
            self._close(kind is None)
            if kind is None:
                self._target.name_part(self._directory, self._part,
                                       self.entry)
                is_there = True
        finally:
            try:
                if not is_there:
                    self._remove_part()
            finally:
                self._target.settle_file(self.entry, self._parent, is_there)

    def _close(self, complete: bool) -> None:
        """Before it gets its name: NFS says only here that it had no room."""
        try:
            if complete:
                if self._has_hole_at_end:
                    os.ftruncate(self._number, self._end)
                self._target.complete_part(self._number, self.entry,
                                           self._parent)
        finally:
            os.close(self._number)

    def _remove_part(self) -> None:
        # Somebody else may have removed it; that is no news.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._part, dir_fd=self._directory.number)
