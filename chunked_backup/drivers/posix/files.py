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

"""Files on their way to become objects, and objects that are read."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from chunked_backup.drivers.posix import names
from chunked_backup.flow.direct import DirectStream

FILE_MODE = 0o660

_READ_BYTES = 1 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

Classified = Callable[[], contextlib.AbstractContextManager[None]]


class Writer:
    """A file that has no name of its own until it is whole.

    :param classified: a context manager that turns errors into ours.
    :param exclusive: whether a file of the object's name stays as it is.
    :param stage: a buffer for the time that the writer is in use.
    """

    def __init__(self, directory: int, object_name: str,
                 classified: Classified, exclusive: bool,
                 stage: memoryview) -> None:
        self._directory = directory
        self._object_name = object_name
        self._classified = classified
        self._exclusive = exclusive
        self._size_bytes = 0
        self._temporary = names.new_temporary_name()
        self._is_committed = False
        with classified():
            self._descriptor = os.open(
                self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE,
                dir_fd=directory)
        self._is_open = True
        self._stream = DirectStream(self._descriptor, stage)

    def write(self, data: bytes | memoryview) -> int:
        """Append all of ``data``.

        :raises DriverError: the file system has failed or is full.
        """
        view = memoryview(data).cast('B')
        with self._classified():
            self._stream.write(view)
        self._size_bytes += len(view)
        return len(view)

    def commit(self) -> None:
        """Have everything on the disk, then under the object's name."""
        with self._classified():
            self._stream.finish()
            os.fchmod(self._descriptor, FILE_MODE)  # whatever the umask
            os.fsync(self._descriptor)
            size_bytes = os.fstat(self._descriptor).st_size
            if size_bytes != self._size_bytes:
                raise OSError(errno.EIO, f'{self._size_bytes} bytes were '
                              f'written, the file has {size_bytes}')
            self._close()  # NFS may report a failed write only now
            if self._exclusive:
                self._link()
            else:
                self._rename()
            self._is_committed = True
            os.fsync(self._directory)

    def _rename(self) -> None:
        os.rename(self._temporary, self._object_name,
                  src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _link(self) -> None:
        """Give the file the object's name, unless that is taken.

        A file system without links does not tell two writers apart that
        come at the same time.

        :raises FileExistsError: it is.
        """
        try:
            os.link(self._temporary, self._object_name, follow_symlinks=False,
                    src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except FileExistsError:
            # An NFS client whose request was answered twice says so, too.
            if not os.path.samestat(self._stat(self._temporary),
                                    self._stat(self._object_name)):
                raise
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            with contextlib.suppress(FileNotFoundError):
                self._stat(self._object_name)
                raise FileExistsError(errno.EEXIST,
                                      os.strerror(errno.EEXIST)) from exc
            self._rename()
            return
        os.unlink(self._temporary, dir_fd=self._directory)

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._directory, follow_symlinks=False)

    def discard(self) -> None:
        """Leave nothing of a file that was not committed.

        It is called because of an error; one of its own would hide that.
        """
        with contextlib.suppress(OSError):
            self._close()
        if not self._is_committed:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._directory)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def open_to_read(directory: int, object_name: str) -> int:
    """A descriptor of an object's file.

    :raises PermissionError: it is no regular file.
    """
    descriptor = os.open(
        object_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        | os.O_CLOEXEC, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermissionError(errno.EACCES, 'it is no regular file')
    return descriptor


class Reader:
    """Reads a file; ``skip`` costs nothing."""

    def __init__(self, descriptor: int, classified: Classified) -> None:
        self._descriptor = descriptor
        self._classified = classified

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; ``b''`` at the end.

        :raises DriverError: the file system has failed.
        """
        with self._classified():
            if size >= 0:
                return os.read(self._descriptor, size)
            return b''.join(iter(
                lambda: os.read(self._descriptor, _READ_BYTES), b''))

    def skip(self, count: int) -> None:
        """Leave out ``count`` bytes."""
        os.lseek(self._descriptor, count, os.SEEK_CUR)
