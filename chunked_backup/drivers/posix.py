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

"""Backups in a directory: a local disk, or anything mounted there.

A container is a directory below the repository, an object a file in it. A
file appears whole or not at all: it is written under a temporary name, synced,
renamed, and its directory synced. A file that must not replace another is
linked to its name instead, which only one of several writers can do.

Nothing outside the repository can be reached: names are checked, and every
directory on the way is opened by its descriptor without following symbolic
links. The repository's own path may be a link; that is the operator's choice.
"""

import contextlib
import datetime
import errno
import functools
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import errors
from chunked_backup import opts
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.flow.direct import DirectStream
from chunked_backup.model import Unfinished

GROUP = cfg.OptGroup('chunked_backup_posix',
                     title='Chunked backups in a directory')

OPTS = [
    cfg.StrOpt(
        'path', deprecated_opts=opts.cinder_option('backup_posix_path'),
        help='The repository: the directory that holds all backups. Without '
             'it, $state_path/backup within Cinder, otherwise '
             'chunked-backup in the data directory of the user.'),
    cfg.StrOpt(
        'container', deprecated_opts=opts.cinder_option('backup_container'),
        help='A directory below the repository for all backups that name '
             'none. Without it, each backup has one of its own.'),
    cfg.IntOpt(
        'chunk_size_bytes', default=1999994880, min=1,
        deprecated_opts=opts.cinder_option('backup_file_size'),
        help='No file holds more of a volume than this; a multiple of '
             'sha_block_size_bytes.'),
    cfg.IntOpt(
        'sha_block_size_bytes', default=32768, min=1,
        deprecated_opts=opts.cinder_option('backup_sha_block_size_bytes'),
        help='Changes are found in blocks of this size. All backups of a '
             'chain have to have the same.'),
    cfg.BoolOpt(
        'enable_progress_timer', default=True,
        deprecated_opts=opts.cinder_option('backup_enable_progress_timer'),
        help='Whether the volume service is told how far a backup is.'),
]

_DIRECTORY_MODE = 0o770
_FILE_MODE = 0o660
_TEMPORARY_PREFIX = '.'
_TEMPORARY_SUFFIX = '.tmp'
_LONGEST_NAME_BYTES = 255
_LONGEST_CONTAINER = 255  # characters, as Cinder has it
_CATALOGUE = 'catalogue'

_READ_BYTES = 1 << 20
_STAGE_BYTES = 1 << 20
_MAKE_ATTEMPTS = 50
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
_TRANSIENT = (errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]


class PosixBackupDriver(driver.ChunkedBackupDriver):
    """Keeps backups below ``backup_path``.

    :param backup_path: in place of the option ``path``.
    """

    takes_memoryviews = True
    spool_bytes = _STAGE_BYTES
    cinder_driver = 'cinder.backup.drivers.posix.PosixBackupDriver'

    def __init__(self, context: Any = None,
                 backup_path: str | None = None) -> None:
        conf = cfg.CONF
        conf.register_group(GROUP)
        conf.register_opts(OPTS, group=GROUP)
        mine = conf.chunked_backup_posix
        super().__init__(context, mine.chunk_size_bytes,
                         mine.sha_block_size_bytes, '.',
                         mine.enable_progress_timer)
        self.backup_path = backup_path or mine.path or default_path(
            conf, 'backup', 'chunked-backup')
        self._stages = BufferPool(_STAGE_BYTES)

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return opts.OPTS + OPTS

    def check_store(self) -> None:
        """The repository is there, or can be made, and can be written."""
        with self._classified(self.backup_path):
            os.makedirs(self.backup_path, mode=_DIRECTORY_MODE, exist_ok=True)
            if not os.access(self.backup_path, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES,
                                      os.strerror(errno.EACCES))

    def put_container(self, container: str) -> None:
        parts = _checked_container(container)
        with self._classified(container):
            os.makedirs(self.backup_path, mode=_DIRECTORY_MODE, exist_ok=True)
            for attempt in range(_MAKE_ATTEMPTS):
                try:
                    return _make_path(self._open_repository(), parts)
                except FileNotFoundError:
                    # A deletion next door has just removed an empty parent.
                    if attempt + 1 == _MAKE_ATTEMPTS:
                        raise

    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        with self._directory(container) as directory:
            with (self._classified(container),
                  os.scandir(directory) as entries):
                return [entry.name for entry in entries
                        if entry.name.startswith(prefix)
                        and _is_object_name(entry.name)
                        and not entry.is_dir(follow_symlinks=False)]

    def get_object_ages(self, container: str,
                        prefix: str) -> dict[str, float]:
        return self._ages(container, lambda name: name.startswith(prefix)
                          and _is_object_name(name))

    def get_unfinished(self, container: str) -> Iterable[Unfinished]:
        return [Unfinished(None, age_s, name) for name, age_s
                in self._ages(container, _is_temporary_name).items()]

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None:
        with (self._directory(container) as directory,
              self._classified(container),
              contextlib.suppress(FileNotFoundError)):
            os.unlink(unfinished.handle, dir_fd=directory)

    def _ages(self, container: str,
              wanted: Callable[[str], bool]) -> dict[str, float]:
        ages = {}
        with (self._directory(container) as directory,
              self._classified(container)):
            names = [name for name in os.listdir(directory) if wanted(name)]
            now_s = _clock_s(directory, container)
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=directory,
                                    follow_symlinks=False)
                    if not stat.S_ISDIR(found.st_mode):
                        ages[name] = max(0.0, now_s - found.st_mtime)
        return ages

    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager['_Writer']:
        return self._writer(container, object_name, exclusive=False)

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> contextlib.AbstractContextManager['_Writer']:
        return self._writer(container, object_name, exclusive=True)

    @contextlib.contextmanager
    def _writer(self, container: str, object_name: str,
                exclusive: bool) -> Iterator['_Writer']:
        _check_object_name(object_name)
        classified = functools.partial(self._classified, container,
                                       object_name, errors.ContainerNotFound)
        with (self._directory(container) as directory,
              self._stages.borrow() as stage):
            writer = _Writer(directory, object_name, classified, exclusive,
                             stage)
            try:
                yield writer
                writer.commit()
            except BaseException:
                writer.discard()
                raise

    @contextlib.contextmanager
    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None) -> Iterator['_Reader']:
        _check_object_name(object_name)
        classified = functools.partial(self._classified, container,
                                       object_name)
        with self._directory(container) as directory, classified():
            descriptor = os.open(
                object_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                | os.O_CLOEXEC, dir_fd=directory)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise errors.AccessDenied(
                    container=container, object_name=object_name,
                    reason='it is no regular file')
            yield _Reader(descriptor, classified)
        finally:
            os.close(descriptor)

    def delete_object(self, container: str, object_name: str) -> None:
        _check_object_name(object_name)
        with contextlib.suppress(errors.ObjectNotFound,
                                 errors.ContainerNotFound):
            with (self._directory(container) as directory,
                  self._classified(container, object_name)):
                os.unlink(object_name, dir_fd=directory)

    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        container = container or self.conf.chunked_backup_posix.container
        if container is not None:
            _checked_container(container)
            return container
        return '/'.join(_own(backup.id))

    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        return None

    def _generate_object_name_prefix(self, backup: Any) -> str:
        now = datetime.datetime.now(datetime.UTC)
        return (f'volume_{backup.volume_id}_{now:%Y%m%d%H%M%S}_backup_'
                f'{backup.id}')

    def get_containers(self) -> Iterable[str]:
        """Every directory below the repository that holds a file."""
        def fail(error: OSError) -> None:
            gone = isinstance(error, FileNotFoundError)
            if not gone or error.filename == self.backup_path:
                raise error  # others go when a backup next door is deleted

        with self._classified(self.backup_path):
            for path, directories, files in os.walk(self.backup_path,
                                                    onerror=fail):
                container = os.path.relpath(path, self.backup_path)
                if container == '.':
                    # Of the file system, and for nobody to read.
                    directories[:] = set(directories) - {'lost+found'}
                elif files and _is_container(container):
                    yield container

    @property
    def catalogue_container(self) -> str:
        return _CATALOGUE

    def discard_container(self, container: str) -> None:
        """Remove what broken-off writes left in the directory, then it and
        its parents as far as they are empty.

        A directory that a user or an option has named stays: another backup
        may be about to write to it, or have a temporary file in it.
        """
        parts = _checked_container(container)
        with contextlib.suppress(errors.ContainerNotFound):
            if _is_own(parts):
                self._remove_temporaries(container)
            elif container != _CATALOGUE:
                return
            while parts and self._remove_if_empty(container, parts):
                parts = parts[:-1]

    def _remove_temporaries(self, container: str) -> None:
        with (self._directory(container) as directory,
              self._classified(container)):
            for name in os.listdir(directory):
                if _is_temporary_name(name):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory)

    def _remove_if_empty(self, container: str, parts: list[str]) -> bool:
        with (self._nested(container, parts[:-1]) as parent,
              self._classified(container)):
            try:
                os.rmdir(parts[-1], dir_fd=parent)
            except FileNotFoundError:
                pass  # a deletion next door was faster
            except OSError as exc:
                if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                raise
        return True

    # The ways into the repository.

    def _directory(self, container: str
                   ) -> contextlib.AbstractContextManager[int]:
        """A descriptor of a container's directory."""
        return self._nested(container, _checked_container(container))

    @contextlib.contextmanager
    def _nested(self, container: str, parts: list[str]) -> Iterator[int]:
        """A descriptor of a directory below the repository, or of that."""
        with self._classified(container):
            descriptor = self._open_repository()
            for part in parts:
                try:
                    inner = os.open(part, _OPEN_DIRECTORY | os.O_NOFOLLOW,
                                    dir_fd=descriptor)
                except FileNotFoundError as exc:
                    raise errors.ContainerNotFound(
                        container=container,
                        reason=f'{self.backup_path} has no such directory'
                    ) from exc
                finally:
                    os.close(descriptor)
                descriptor = inner
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_repository(self) -> int:
        try:
            return os.open(self.backup_path, _OPEN_DIRECTORY)
        except FileNotFoundError as exc:
            raise errors.RepositoryNotFound(
                repository=self.backup_path) from exc

    @contextlib.contextmanager
    def _classified(self, container: str, object_name: str | None = None,
                    missing: type[errors.DriverError] = errors.ObjectNotFound
                    ) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise _classify(exc, container, object_name, missing) from exc


class _Writer:
    """A file that has no name of its own until it is whole.

    :param classified: a context manager that turns errors into ours.
    :param exclusive: whether a file of the object's name stays as it is.
    :param stage: a buffer for the time that the writer is in use.
    """

    def __init__(self, directory: int, object_name: str,
                 classified: Callable, exclusive: bool,
                 stage: memoryview) -> None:
        self._directory = directory
        self._object_name = object_name
        self._classified = classified
        self._exclusive = exclusive
        self._size_bytes = 0
        self._temporary: str | None = (
            f'{_TEMPORARY_PREFIX}{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}')
        with classified():
            self._descriptor: int | None = os.open(
                self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE,
                dir_fd=directory)
        self._stream = DirectStream(self._descriptor, stage)

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast('B')
        with self._classified():
            self._stream.write(view)
        self._size_bytes += len(view)
        return len(view)

    def commit(self) -> None:
        """Have everything on the disk, then under the object's name."""
        with self._classified():
            self._stream.finish()
            os.fchmod(self._descriptor, _FILE_MODE)  # whatever the umask
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
            self._temporary = None
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
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._directory)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class _Reader:
    """Reads a file; ``skip`` costs nothing."""

    def __init__(self, descriptor: int, classified: Callable) -> None:
        self._descriptor = descriptor
        self._classified = classified

    def read(self, size: int = -1) -> bytes:
        with self._classified():
            if size >= 0:
                return os.read(self._descriptor, size)
            return b''.join(iter(
                lambda: os.read(self._descriptor, _READ_BYTES), b''))

    def skip(self, count: int) -> None:
        os.lseek(self._descriptor, count, os.SEEK_CUR)


def _classify(error: OSError, container: str, object_name: str | None,
              missing: type[errors.DriverError]) -> errors.DriverError:
    """Our error for the system's.

    :param missing: what it means that the object's file is not found.
    """
    reason = error.strerror or str(error)
    kind = errors.DriverError
    if error.errno == errno.ENOENT and object_name is not None:
        kind = missing
    elif error.errno == errno.EEXIST and object_name is not None:
        kind = errors.ObjectExists
    elif error.errno in _OUT_OF_SPACE:
        kind = errors.OutOfSpace
    elif error.errno in _DENIED:
        kind = errors.AccessDenied
    elif error.errno in _IN_THE_WAY:
        kind = errors.AccessDenied
        reason = f'a symbolic link or a file is in the way: {reason}'
    elif error.errno in _TRANSIENT:
        kind = errors.TransientDriverError
    return kind(container=container, object_name=object_name, reason=reason)


def default_path(conf: cfg.ConfigOpts, in_state: str, in_data: str) -> str:
    """A directory of that name: below Cinder's ``state_path``, or below the
    data directory of the user."""
    if opts.within_cinder():
        return os.path.join(conf.state_path, in_state)
    data = os.environ.get('XDG_DATA_HOME') or os.path.expanduser(
        '~/.local/share')
    return os.path.join(data, in_data)


def _clock_s(directory: int, container: str) -> float:
    """The time of the file system, which may be another machine's.

    :raises ContainerNotFound: the directory was removed just now.
    """
    name = f'{_TEMPORARY_PREFIX}{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}'
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                             | os.O_CLOEXEC, _FILE_MODE, dir_fd=directory)
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
        inner = os.open(name, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        if made:
            if mode is not None:
                os.fchmod(inner, mode)
            os.fsync(parent)
        return inner
    finally:
        os.close(parent)


def _checked_container(container: str) -> list[str]:
    """The directories of a container's path.

    :raises InvalidName: it could lead outside the repository.
    """
    parts = container.split('/')
    problem = next(filter(None, map(_problem, parts)), None)
    if problem is None and len(container) > _LONGEST_CONTAINER:
        problem = f'it is longer than {_LONGEST_CONTAINER} characters'
    if problem:
        raise errors.InvalidName(kind='container', name=container,
                                 reason=problem)
    return parts


def _is_container(container: str) -> bool:
    try:
        _checked_container(container)
    except errors.InvalidName:
        return False
    return True


def _is_own(parts: list[str]) -> bool:
    """Whether a container was made for one backup alone."""
    return len(parts) == 3 and parts == _own(parts[-1])


def _own(backup_id: str) -> list[str]:
    return [backup_id[0:2], backup_id[2:4], backup_id]


def _check_object_name(name: str) -> None:
    problem = _problem(name)
    if problem is None and '/' in name:
        problem = 'it has a slash'
    if problem is None and name.startswith(_TEMPORARY_PREFIX):
        problem = 'it begins with a dot'
    if problem:
        raise errors.InvalidName(kind='object', name=name, reason=problem)


def _problem(part: str) -> str | None:
    if part in ('', '.', '..'):
        return 'it is empty, absolute, or leads to another directory'
    if '\0' in part:
        return 'it has a NUL'
    try:
        encoded = part.encode()
    except UnicodeEncodeError:
        return 'it is no valid text'
    if len(encoded) > _LONGEST_NAME_BYTES:
        return f'a part of it is longer than {_LONGEST_NAME_BYTES} bytes'
    return None


def _is_object_name(name: str) -> bool:
    try:
        _check_object_name(name)
    except errors.InvalidName:
        return False
    return True


def _is_temporary_name(name: str) -> bool:
    return (name.startswith(_TEMPORARY_PREFIX)
            and name.endswith(_TEMPORARY_SUFFIX))
