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

"""The directories of a tree, by descriptors and never by long names.

A name with slashes in it is looked up anew at each use, and whoever may
write in a tree can put a symlink in its way meanwhile. So each component is
opened in the directory before it, none through a symlink, and everything else
is done by one name in an open directory.
"""

import collections
import contextlib
import os

from chunked_backup import errors
from chunked_backup.flow import native

#: At most so many are held open: deep trees must not run out of descriptors.
_MOST_OPEN = 128
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PROC = '/proc/self/fd'


class Handle:
    """An open descriptor, closed with the last reference to it.

    :ivar number: for ``dir_fd=``.
    :ivar path: a path that means what is open, and nothing else, whatever
        happens to its names; for calls that take no descriptor.
    :ivar prefix: the same of a directory, to have a name appended.
    """

    __slots__ = ('number', 'path', 'prefix')

    def __init__(self, number: int) -> None:
        self.number = number
        self.path = b'/proc/self/fd/%d' % number
        self.prefix = self.path + b'/'

    def __del__(self) -> None:
        os.close(self.number)


class Directories:
    """Opens the directories below a root and keeps those used last.

    Any thread may call it.

    :param root: the root of the tree, see ``open_root``.
    :param follow: go through symlinks all the same, because the user has
        asked for it.
    """

    def __init__(self, root: Handle, follow: bool = False) -> None:
        self._root = root
        self._flags = _FLAGS | (0 if follow else os.O_NOFOLLOW)
        self._known: collections.OrderedDict[bytes, Handle] = (
            collections.OrderedDict())
        self._lock = native.lock()

    def get(self, path: bytes) -> Handle:
        """The directory of a path; ``b''`` is the root.

        :raises OSError: it is not there, no directory, or not to be read.
        """
        with self._lock:
            directory = self._known.get(path)
            if directory is None:
                return self._descend(path)
            self._known.move_to_end(path)
            return directory

    def of(self, path: bytes) -> tuple[Handle, bytes]:
        """The directory that an entry is in, and its name there.

        :raises OSError: as for ``get``.
        """
        parent, _, name = path.rpartition(b'/')
        return self.get(parent), name

    def _descend(self, path: bytes) -> Handle:
        names = []
        while path and path not in self._known:
            path, _, name = path.rpartition(b'/')
            names.append(name)
        directory = self._known.get(path) or self._open(b'', b'.', self._root)
        for name in reversed(names):
            path = path + b'/' + name if path else name
            directory = self._open(path, name, directory)
        return directory

    def _open(self, path: bytes, name: bytes, parent: Handle) -> Handle:
        directory = Handle(open_untouched(name, self._flags, parent.number))
        self._known[path] = directory
        if len(self._known) > _MOST_OPEN:
            self._known.popitem(last=False)
        return directory


def open_root(path: str | bytes) -> Handle:
    """What the user has named as a root, of any kind; here symlinks count.

    :raises OSError: as open(2).
    :raises ConfigurationError: /proc is missing.
    """
    if not os.path.isdir(_PROC):
        raise errors.ConfigurationError(
            reason=f'{_PROC} is not there, and without it extended '
                   'attributes cannot be reached safely; mount /proc')
    return Handle(os.open(path, os.O_PATH | os.O_CLOEXEC))


def open_untouched(name: str | bytes, flags: int,
                   directory: int | None = None) -> int:
    """open(2) without a change of the time of access, where that is allowed:
    only to the owner and to root."""
    with contextlib.suppress(PermissionError):
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    return os.open(name, flags, dir_fd=directory)


def remove_tree(tree: Directories, path: bytes) -> None:
    """Remove a directory and what is in it, through no symlink.

    Nothing may be looked for below it any more.

    :raises OSError: something cannot be removed; a part of it may be gone.
    """
    waiting = [path]
    while waiting:
        path = waiting[-1]
        directory = tree.get(path)
        inner = []
        for name in map(os.fsencode, os.listdir(directory.number)):
            try:
                os.unlink(name, dir_fd=directory.number)
            except IsADirectoryError:
                inner.append(path + b'/' + name)
        if inner:  # it is looked at again when they are gone
            waiting += inner
            continue
        parent, name = tree.of(path)
        os.rmdir(name, dir_fd=parent.number)
        waiting.pop()
