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

"""The directories of a repository, and the ways into them.

Each on the way is opened by its descriptor, and no symbolic link is followed
but that which the repository's own path may be.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from chunked_backup import errors
from chunked_backup.drivers.posix import files
from chunked_backup.drivers.posix import names
from chunked_backup.drivers.posix.classify import classified

_DIRECTORY_MODE = 0o770
_MAKE_ATTEMPTS = 50
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Repository:
    """The directory that holds all containers.

    :param path: where it is.
    :param ensure_ready: called before each use; raises where what is at the
        path is not the repository.
    """

    def __init__(self, path: str, ensure_ready: Callable[[], None]) -> None:
        self._path = path
        self._ensure_ready = ensure_ready

    def check(self) -> None:
        """It is there, or can be made, and can be written."""
        self._ensure_ready()
        with classified(self._path):
            self._create()
            if not os.access(self._path, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES,
                                      os.strerror(errno.EACCES))

    def make(self, container: str) -> None:
        """Have the directory of a container, and the repository."""
        parts = names.container_parts(container)
        self._ensure_ready()
        with classified(container):
            self._create()
            for attempt in range(_MAKE_ATTEMPTS):
                try:
                    return _make_path(self._open(), parts)
                except FileNotFoundError:
                    # A deletion next door has just removed an empty parent.
                    if attempt + 1 == _MAKE_ATTEMPTS:
                        raise

    def directory(self, container: str
                  ) -> contextlib.AbstractContextManager[int]:
        """A descriptor of a container's directory.

        :raises ContainerNotFound: there is none.
        """
        return self._nested(container, names.container_parts(container))

    def remove_if_empty(self, container: str) -> None:
        """Remove a directory and its parents as far as they are empty."""
        parts = names.container_parts(container)
        while parts and self._remove(container, parts):
            parts = parts[:-1]

    def containers(self) -> Iterator[str]:
        """Every directory that holds a file."""
        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error
            if error.filename == self._path:
                raise errors.RepositoryNotFound(
                    repository=self._path) from error
            # Others go when a backup next door is deleted.

        self._ensure_ready()
        with classified(self._path):
            for path, directories, found in os.walk(self._path, onerror=fail):
                container = os.path.relpath(path, self._path)
                if container == '.':
                    # Of the file system, and for nobody to read.
                    directories[:] = set(directories) - {'lost+found'}
                elif found and names.is_container(container):
                    yield container

    def _create(self) -> None:
        os.makedirs(self._path, mode=_DIRECTORY_MODE, exist_ok=True)

    def _open(self) -> int:
        self._ensure_ready()
        try:
            return os.open(self._path, _OPEN_DIRECTORY)
        except FileNotFoundError as exc:
            raise errors.RepositoryNotFound(repository=self._path) from exc

    @contextlib.contextmanager
    def _nested(self, container: str, parts: list[str]) -> Iterator[int]:
        """A descriptor of a directory below the repository, or of that."""
        with classified(container):
            descriptor = self._open()
            for part in parts:
                try:
                    inner = _enter(descriptor, part)
                except FileNotFoundError as exc:
                    raise errors.ContainerNotFound(
                        container=container,
                        reason=f'{self._path} has no such directory') from exc
                finally:
                    os.close(descriptor)
                descriptor = inner
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _remove(self, container: str, parts: list[str]) -> bool:
        with (self._nested(container, parts[:-1]) as parent,
              classified(container)):
            try:
                os.rmdir(parts[-1], dir_fd=parent)
            except FileNotFoundError:
                pass  # a deletion next door was faster
            except OSError as exc:
                if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                raise
        return True


def ages(directory: int, container: str,
         wanted: Callable[[str], bool]) -> dict[str, float]:
    """How many seconds ago files were written, by the file system's clock.

    :param wanted: which files, by their names.
    :raises ContainerNotFound: the directory was removed just now.
    """
    found = [name for name in os.listdir(directory) if wanted(name)]
    now_s = _clock_s(directory, container)
    ages_s = {}
    for name in found:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                ages_s[name] = max(0.0, now_s - status.st_mtime)
    return ages_s


def remove_temporaries(directory: int) -> None:
    """Remove what broken-off writes left in a directory."""
    for name in os.listdir(directory):
        if names.is_temporary_name(name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)


def _clock_s(directory: int, container: str) -> float:
    """The time of the file system, which may be another machine's."""
    name = names.new_temporary_name()
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                             | os.O_CLOEXEC, files.FILE_MODE,
                             dir_fd=directory)
    except FileNotFoundError as exc:
        raise errors.ContainerNotFound(
            container=container, reason='it was removed just now') from exc
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)


def _make_path(directory: int, parts: list[str]) -> None:
    """Make nested directories; ``directory`` is closed."""
    for part in parts[:-1]:
        directory = _enter_or_make(directory, part, None)
    os.close(_enter_or_make(directory, parts[-1], _DIRECTORY_MODE))


def _enter_or_make(parent: int, name: str, mode: int | None) -> int:
    """Open a directory and close its parent; make it if need be.

    :param mode: for a new directory; None leaves it to the umask.
    """
    try:
        made = False
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o777 if mode is None else mode, dir_fd=parent)
            made = True
        inner = _enter(parent, name)
        if made:
            if mode is not None:
                os.fchmod(inner, mode)
            os.fsync(parent)
        return inner
    finally:
        os.close(parent)


def _enter(parent: int, name: str) -> int:
    return os.open(name, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
