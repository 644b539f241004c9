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

"""Reading a tree that others may be changing."""

import dataclasses
import errno
import io
import os
import stat
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator

from chunked_backup import errors
from chunked_backup.flow.failure import reason_of
from chunked_backup.trees import directories
from chunked_backup.trees import entry as entries
from chunked_backup.trees import owners
from chunked_backup.trees import patterns
from chunked_backup.trees.directories import Handle
from chunked_backup.trees.entry import Entry

#: Told of each entry that cannot be read: its path and the reason.
Report = Callable[[bytes, str], None]

_KINDS = {
    stat.S_IFREG: entries.FILE, stat.S_IFDIR: entries.DIRECTORY,
    stat.S_IFLNK: entries.SYMLINK, stat.S_IFIFO: entries.FIFO,
    stat.S_IFCHR: entries.CHARACTER, stat.S_IFBLK: entries.BLOCK,
    stat.S_IFSOCK: entries.SOCKET}
_DEVICES = (entries.CHARACTER, entries.BLOCK)
_DEREFERENCE = (None, 'soft', 'hard', 'all')
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_ENCODING = sys.getfilesystemencoding()
_ENCODING_ERRORS = sys.getfilesystemencodeerrors()
_NO_XATTRS_HERE = (errno.EOPNOTSUPP, errno.ENOSYS)


@dataclasses.dataclass(slots=True)
class _FirstName:
    path: bytes
    links_to_come: int


class TreeScanner:
    """The entries of a tree in the order of ``Entry.sort_key``.

    Iterating reads one directory at a time, so memory grows with the largest
    directory and with the number of files that have several names, not with
    the tree. What vanishes meanwhile or cannot be read is reported and left
    out, and harms nothing else. A tree that is changed meanwhile cannot lead
    outside of it.

    :param root: a directory, or anything else, which then is the only entry.
        A symlink here is followed.
    :param report: told of what cannot be read.
    :param excludes: patterns of what to leave out; see ``patterns``.
    :param one_file_system: leave out what other file systems hold; where they
        are mounted, the directory remains.
    :param dereference: 'soft' has symlinks replaced by what they point to,
        'hard' has each name of a file be a file of its own, 'all' both, None
        neither. A symlink that leads nowhere or to a directory above it
        stays one.
    :raises InvalidTree: there is nothing to read at ``root``; also while it is
        iterated.
    """

    def __init__(self, root: str | bytes, report: Report,
                 excludes: Iterable[str | bytes] = (),
                 one_file_system: bool = False,
                 dereference: str | None = None) -> None:
        if dereference not in _DEREFERENCE:
            raise errors.InvalidInput(
                reason=f'symlinks can be dereferenced soft, hard or all, not '
                       f'{dereference}')
        self._name = os.fsdecode(root)
        try:
            self._root = directories.open_root(root)
        except OSError as exc:
            raise errors.InvalidTree(path=self._name,
                                     reason=reason_of(exc)) from exc
        self._report = report
        self._excludes = patterns.Excludes(excludes)
        self._one_file_system = one_file_system
        self._follow = dereference in ('soft', 'all')
        self._links = dereference not in ('hard', 'all')
        self._directories = directories.Directories(self._root, self._follow)
        self._first_names: dict[tuple[int, int], _FirstName] = {}
        self._above: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[Entry]:
        self._first_names.clear()
        root = describe(b'', os.stat(self._root.number), self._root.path, True,
                        self._report)
        yield root
        if root.kind == entries.DIRECTORY:
            yield from self._walk(root)

    def open_file(self, entry: Entry) -> io.FileIO:
        """A file of this tree, to be read and closed; on any thread.

        :raises OSError: it cannot be opened, or is no file any more.
        """
        if entry.path:
            directory, name = self._directories.of(entry.path)
            flags = _OPEN if self._follow else _OPEN | os.O_NOFOLLOW
            number = directories.open_untouched(name, flags, directory.number)
        else:
            number = directories.open_untouched(self._root.path, _OPEN)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.ESTALE, 'it is no file any more')
        return io.FileIO(number)

    def reread(self, entry: Entry, file: io.FileIO) -> Entry:
        """What the open file is now, as an entry of the same place.

        Compared by ``same_content``, it tells whether the file has changed
        since it was scanned.

        :raises OSError: it cannot be examined.
        """
        fresh = describe(entry.path, os.fstat(file.fileno()),
                         b'/proc/self/fd/%d' % file.fileno(), True,
                         self._report)
        fresh.hardlink = entry.hardlink
        return fresh

    def _walk(self, root: Entry) -> Iterator[Entry]:
        levels = [(b'', self._names(b''))]
        self._above = [(root.device, root.inode)]
        while levels:
            path, names = levels[-1]
            prefix = path + b'/' if path else b''
            directory = self._directory(path) if names else None
            while names and directory:
                name = names.pop()
                entry = self._entry(directory, prefix + name, name)
                if entry is None:
                    continue
                yield entry
                if entry.kind == entries.DIRECTORY and (
                        entry.device == root.device
                        or not self._one_file_system):
                    levels.append((entry.path, self._names(entry.path)))
                    self._above.append((entry.device, entry.inode))
                    break
            else:
                levels.pop()
                self._above.pop()

    def _directory(self, path: bytes) -> Handle | None:
        try:
            return self._directories.get(path)
        except OSError as exc:
            self._report(path, reason_of(exc))
            return None

    def _names(self, path: bytes) -> list[bytes]:
        """The names in a directory, the last one first, to be popped."""
        try:
            with os.scandir(self._directories.get(path).number) as found:
                names = [each.name.encode(_ENCODING, _ENCODING_ERRORS)
                         for each in found]
        except OSError as exc:
            if not path:  # it would pass for an empty tree
                raise errors.InvalidTree(path=self._name,
                                         reason=reason_of(exc)) from exc
            self._report(path, reason_of(exc))
            return []
        names.sort(reverse=True)
        return names

    def _entry(self, directory: Handle, path: bytes,
               name: bytes) -> Entry | None:
        """What has a name; None if it is left out or was reported."""
        try:
            status = os.stat(name, dir_fd=directory.number,
                             follow_symlinks=False)
            followed = None
            if self._follow and stat.S_ISLNK(status.st_mode):
                followed = self._followed(directory, name)
            if self._excludes and self._excludes(
                    path, stat.S_ISDIR((followed or status).st_mode)):
                return None
            entry = describe(path, followed or status, directory.prefix + name,
                             followed is not None, self._report)
        except OSError as exc:
            self._report(path, reason_of(exc))
            return None
        if entry.links > 1 and self._links and (
                entry.kind != entries.DIRECTORY):
            entry.hardlink = self._first_name(entry)
        return entry

    def _followed(self, directory: Handle,
                  name: bytes) -> os.stat_result | None:
        """What a symlink leads to, unless that is nowhere or in a loop."""
        try:
            status = os.stat(name, dir_fd=directory.number)
        except OSError:  # it is kept as the symlink that it is
            return None
        loops = (status.st_dev, status.st_ino) in self._above
        return None if loops else status

    def _first_name(self, entry: Entry) -> bytes | None:
        """The path that the inode of an entry was met by before, if any.

        An inode is forgotten when all its names have been met.
        """
        inode = entry.device, entry.inode
        known = self._first_names.get(inode)
        if known is None:
            self._first_names[inode] = _FirstName(entry.path, entry.links - 1)
            return None
        known.links_to_come -= 1
        if not known.links_to_come:
            del self._first_names[inode]
        return known.path


def describe(path: bytes, status: os.stat_result, where: bytes, follow: bool,
             report: Report) -> Entry:
    """The entry of a file.

    :param path: the path that the entry is to have.
    :param where: where its symlink target and extended attributes are read.
    :param follow: whether ``where`` is a symlink to it.
    :param report: told of extended attributes that cannot be read.
    :raises OSError: it is not there any more, or is of an unknown kind.
    """
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None or len(path) > entries.MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG if kind else errno.EINVAL, '')
    return Entry(
        path, kind, status.st_mode & 0o7777, status.st_uid, status.st_gid,
        owners.user_name(status.st_uid), owners.group_name(status.st_gid),
        status.st_mtime_ns, status.st_ctime_ns,
        status.st_size if kind == entries.FILE else 0,
        status.st_ino, status.st_dev, status.st_nlink,
        status.st_rdev if kind in _DEVICES else 0,
        os.readlink(where) if kind == entries.SYMLINK else b'',
        _xattrs(path, where, follow, report))


def _xattrs(path: bytes, where: bytes, follow: bool, report: Report,
            ) -> tuple[tuple[bytes, bytes], ...]:
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except FileNotFoundError:
        raise
    except OSError as exc:
        if exc.errno not in _NO_XATTRS_HERE:
            report(path, f'extended attributes: {reason_of(exc)}')
        return ()
    found = []
    for name in sorted(map(os.fsencode, names)) if names else ():
        try:
            found.append(
                (name, os.getxattr(where, name, follow_symlinks=follow)))
        except OSError as exc:
            if exc.errno != errno.ENODATA:  # it has just been removed
                report(path, f'extended attribute {os.fsdecode(name)}: '
                             f'{reason_of(exc)}')
    return tuple(found)
