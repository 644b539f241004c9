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

"""Writing a tree below a directory, and never anywhere else.

Entries come in the order of a walk, from one thread; the contents of files
may be written by many, in any order. A file gets its name when it is
complete, a directory its metadata when all that is in it is complete.
"""

import errno
import itertools
import os
import secrets
import stat
from collections.abc import Callable

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.flow.failure import reason_of
from chunked_backup.trees import directories
from chunked_backup.trees import entry as entries
from chunked_backup.trees.directories import Directories
from chunked_backup.trees.directories import Handle
from chunked_backup.trees.entry import Entry
from chunked_backup.trees.file_writer import FileWriter
from chunked_backup.trees.flush import flush
from chunked_backup.trees.metadata import MetadataSetter
from chunked_backup.trees.unfinished import FirstNames
from chunked_backup.trees.unfinished import Link
from chunked_backup.trees.unfinished import UnfinishedDirectory
from chunked_backup.trees.unfinished import identity

_FORMATS = {entries.FIFO: stat.S_IFIFO, entries.CHARACTER: stat.S_IFCHR,
            entries.BLOCK: stat.S_IFBLK, entries.SOCKET: stat.S_IFSOCK,
            entries.SYMLINK: stat.S_IFLNK}
_OPEN_NEW = (os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
             | os.O_CLOEXEC)
_OPEN_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o700


class TreeTarget:
    """A tree that is being restored.

    What cannot be made is reported and harms nothing else. Whatever is in
    the way of an entry and of another kind is removed, if ``overwrite`` is
    set; what is there besides stays.

    :param root: the directory to restore to, made if it is missing. A symlink
        here is followed. Where the root of the tree is no directory, this is
        its name.
    :param report: told the path of each entry that could not be restored as
        it was, and the reason; from any thread.
    :param overwrite: restore into what is there already.
    :param numeric_owner: see ``MetadataSetter``.
    :raises TreeNotEmpty: something is there, and is not to be overwritten.
    :raises InvalidTree: it cannot be seen whether something is.
    """

    def __init__(self, root: str | bytes, report: Callable[[bytes, str], None],
                 overwrite: bool = False, numeric_owner: bool = False) -> None:
        self._root = os.path.abspath(os.fsencode(root))
        self._report = report
        self._overwrite = overwrite
        self._metadata = MetadataSetter(report, numeric_owner)
        self._opened: Directories | None = None
        self._name_of_root = b''
        self._walk: list[UnfinishedDirectory] = []
        #: A directory of each file system that is written to.
        self._devices: dict[int, bytes] = {}
        self._last: Entry | None = None
        self._first_names = FirstNames()
        self._lock = native.lock()
        self._part_prefix = b'.' + secrets.token_hex(4).encode()
        self._part_numbers = itertools.count()
        if not overwrite and _is_something(self._root):
            raise errors.TreeNotEmpty(path=os.fsdecode(self._root))

    def add(self, entry: Entry) -> FileWriter | None:
        """The next entry of the tree; one thread adds them, in order.

        Directories that are not added, only what is in them, are made with
        the modes of new ones. A link to an entry that was not added is
        reported: whoever restores a part of a tree adds it as a file.

        :returns: a file's writer, which any thread may use; nothing for what
            has no contents.
        :raises InvalidEntry: it is out of order, or below what is no
            directory; somebody has meddled with the backup.
        :raises InvalidTree: there cannot be a tree at the root.
        """
        self._check_order(entry)
        if self._opened is None:
            self._begin(entry)
            if entry.kind == entries.DIRECTORY and not entry.path:
                return None
        try:
            parent = self._enter(entry.path)
            if entry.kind == entries.DIRECTORY:
                self._make_directory(entry, parent)
            elif entry.hardlink is not None:
                self._add_link(Link(entry, entry.hardlink, parent))
            elif entry.kind == entries.FILE:
                return self._add_file(entry, parent)
            else:
                self._make_special(entry, parent)
        except OSError as exc:
            self._report(entry.path, reason_of(exc))
        return None

    def finish(self) -> None:
        """No more entries come. When all files are complete, so are all
        directories."""
        while self._walk:
            self._release(self._walk.pop())

    def flush(self) -> None:
        """Have all of it outlive a loss of power, when all is finished.

        Once for each file system and not for each file, which would write
        small files many times slower.

        :raises OSError: it is not known to be on the disk.
        """
        for path in self._devices.values():
            flush(self._directories.get(path).number)

    # The walk

    def _check_order(self, entry: Entry) -> None:
        last, self._last = self._last, entry
        if last is None:
            return
        if entry.sort_key <= last.sort_key:
            raise errors.InvalidEntry(path=entry.path,
                                      reason='it is out of order')
        if last.kind != entries.DIRECTORY and _is_below(entry.path, last.path):
            raise errors.InvalidEntry(path=entry.path,
                                      reason='it is below no directory')

    def _begin(self, first: Entry) -> None:
        root = self._root
        single = not first.path and first.kind != entries.DIRECTORY
        if single and os.path.isdir(root):
            raise errors.InvalidTree(
                path=os.fsdecode(root), reason='it is a directory and the '
                'backup is that of a single file; name a file')
        if single:
            root, self._name_of_root = os.path.split(root)
        try:
            os.makedirs(root, exist_ok=True)
            self._opened = Directories(directories.open_root(root))
            node = UnfinishedDirectory(b'', None, None)
            self._begin_writing(node, True)
            if not first.path and not single:
                node.entry = first
        except OSError as exc:
            raise errors.InvalidTree(path=os.fsdecode(root),
                                     reason=reason_of(exc)) from exc
        self._walk.append(node)

    @property
    def _directories(self) -> Directories:
        if self._opened is None:
            raise ValueError('the first entry opens the root')
        return self._opened

    def _enter(self, path: bytes) -> UnfinishedDirectory:
        """The directory that an entry is in; those that the walk has left are
        released, those that nobody has added are made."""
        while not _is_below(path, self._walk[-1].path):
            self._release(self._walk.pop())
        parent = path.rpartition(b'/')[0]
        while self._walk[-1].path != parent:
            self._make_missing(path, self._walk[-1])
        if self._walk[-1].identity is None:
            raise OSError(errno.ENOTDIR, '')
        return self._walk[-1]

    def _make_missing(self, path: bytes, above: UnfinishedDirectory) -> None:
        """Make the one directory on the way to a path that comes next."""
        if above.identity is None:
            raise OSError(errno.ENOTDIR, '')
        start = len(above.path) + 1 if above.path else 0
        missing = path[:path.index(b'/', start)]
        directory, name = self._directories.of(missing)
        try:
            os.mkdir(name, dir_fd=directory.number)
        except FileExistsError:
            pass  # opening it goes through no symlink
        node = UnfinishedDirectory(missing, None, above)
        self._begin_writing(node, True)
        self._push(node, above)

    def _begin_writing(self, node: UnfinishedDirectory,
                       is_used: bool) -> None:
        device = node.opened(self._directories.get(node.path), is_used)
        self._devices.setdefault(device, node.path)

    def _push(self, node: UnfinishedDirectory,
              above: UnfinishedDirectory) -> None:
        self._hold(above)
        self._walk.append(node)

    def _hold(self, node: UnfinishedDirectory) -> None:
        with self._lock:
            node.pending += 1

    def _release(self, node: UnfinishedDirectory | None) -> None:
        """One thing less is to come in a directory; give it its metadata, and
        go on with the one above, when nothing is."""
        while node is not None:
            with self._lock:
                node.pending -= 1
                if node.pending:
                    return
            self._finalise(node)
            node = node.parent

    def _finalise(self, node: UnfinishedDirectory) -> None:
        if node.entry is None or node.identity is None:
            return
        try:
            directory = self._directories.get(node.path)
            if identity(os.stat(directory.number)) != node.identity:
                raise OSError(errno.ESTALE, '')
            self._metadata.apply(directory.number, node.entry, node.is_used)
        except OSError as exc:
            self._report(node.path, reason_of(exc))

    # What has no contents

    def _make_directory(self, entry: Entry,
                        parent: UnfinishedDirectory) -> None:
        node = UnfinishedDirectory(entry.path, entry, parent)
        self._push(node, parent)
        directory, name = self._place(entry.path)
        is_used = parent.inherits
        try:
            os.mkdir(name, _PRIVATE, dir_fd=directory.number)
        except FileExistsError:
            if not self._overwrite:
                raise
            is_used = self._take_directory(directory, name) or is_used
        self._begin_writing(node, is_used)

    def _take_directory(self, directory: Handle, name: bytes) -> bool:
        """Have a directory where something is, and write in it; whether it
        was one before."""
        place = Handle(os.open(name, _OPEN_PLACE, dir_fd=directory.number))
        status = os.stat(place.number)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=directory.number)
            os.mkdir(name, _PRIVATE, dir_fd=directory.number)
            return False
        if status.st_mode & _PRIVATE != _PRIVATE:
            os.chmod(place.path, stat.S_IMODE(status.st_mode) | _PRIVATE)
        return True

    def _make_special(self, entry: Entry, parent: UnfinishedDirectory) -> None:
        directory, name = self._place(entry.path)
        self._clear(directory, name, entry.path)
        if entry.kind == entries.SYMLINK:
            os.symlink(entry.target, name, dir_fd=directory.number)
        else:
            os.mknod(name, _FORMATS[entry.kind] | 0o600, entry.rdev,
                     dir_fd=directory.number)
        if entry.links > 1:
            self._first_names.begin(entry.path)
            self._first_names.settle(entry.path, True)
        place = Handle(os.open(name, _OPEN_PLACE, dir_fd=directory.number))
        status = os.stat(place.number)
        # Were it another file with another name, that would change, too.
        if (stat.S_IFMT(status.st_mode) != _FORMATS[entry.kind]
                or status.st_nlink != 1):
            raise OSError(errno.ESTALE, '')
        self._metadata.apply(place.path, entry, parent.inherits)

    def _add_link(self, link: Link) -> None:
        self._hold(link.parent)
        if not self._first_names.wait(link.first, link):
            self._link(link)

    def _link(self, link: Link) -> None:
        path = link.entry.path
        try:
            if not self._first_names.is_there(link.first):
                raise OSError(errno.ENOENT, '')
            first, first_name = self._place(link.first)
            directory, name = self._place(path)
            self._clear(directory, name, path)
            os.link(first_name, name, src_dir_fd=first.number,
                    dst_dir_fd=directory.number, follow_symlinks=False)
        except OSError as exc:
            self._report(path,
                         f'it cannot be linked to "{_shown(link.first)}": '
                         f'{reason_of(exc)}')
        finally:
            self._release(link.parent)

    def _place(self, path: bytes) -> tuple[Handle, bytes]:
        if not path:
            return self._directories.get(b''), self._name_of_root
        return self._directories.of(path)

    def _clear(self, directory: Handle, name: bytes, path: bytes) -> None:
        """Remove what is in the way, if that is wanted."""
        if not self._overwrite:
            return
        try:
            os.unlink(name, dir_fd=directory.number)
        except FileNotFoundError:
            pass  # as it should be
        except IsADirectoryError:
            directories.remove_tree(self._directories, path)

    # Files

    def _add_file(self, entry: Entry,
                  parent: UnfinishedDirectory) -> FileWriter:
        self._hold(parent)
        if entry.links > 1:
            self._first_names.begin(entry.path)
        return FileWriter(self, entry, parent)

    def create_part(self, path: bytes) -> tuple[Handle, bytes, int]:
        """For ``FileWriter``: where a file is written before it gets its
        name, and the descriptor of it."""
        directory, _ = self._place(path)
        part = b'%b-%d.part' % (self._part_prefix, next(self._part_numbers))
        return directory, part, os.open(part, _OPEN_NEW, 0o600,
                                        dir_fd=directory.number)

    def complete_part(self, number: int, entry: Entry,
                      parent: UnfinishedDirectory) -> None:
        """For ``FileWriter``: give a file its metadata."""
        self._metadata.apply(number, entry, parent.inherits)

    def name_part(self, directory: Handle, part: bytes,
                  entry: Entry) -> None:
        """For ``FileWriter``: give a file its name."""
        name = entry.path.rpartition(b'/')[2] or self._name_of_root
        try:
            os.rename(part, name, src_dir_fd=directory.number,
                      dst_dir_fd=directory.number)
        except IsADirectoryError:
            self._clear(directory, name, entry.path)
            os.rename(part, name, src_dir_fd=directory.number,
                      dst_dir_fd=directory.number)

    def settle_file(self, entry: Entry, parent: UnfinishedDirectory,
                    is_there: bool) -> None:
        """For ``FileWriter``: a file is complete, or will never be."""
        if entry.links > 1:
            for link in self._first_names.settle(entry.path, is_there):
                self._link(link)
        self._release(parent)


def _is_below(path: bytes, above: bytes) -> bool:
    return not above or path.startswith(above + b'/')


def _is_something(path: bytes) -> bool:
    """Whether there is anything at a path but an empty directory.

    :raises InvalidTree: that cannot be seen.
    """
    try:
        return bool(os.listdir(path))
    except FileNotFoundError:
        return os.path.islink(path)
    except NotADirectoryError:
        return True
    except OSError as exc:
        raise errors.InvalidTree(path=os.fsdecode(path),
                                 reason=reason_of(exc)) from exc


def _shown(path: bytes) -> str:
    return path.decode(errors='backslashreplace')
