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

"""What the drivers of object stores share: an object on its way.

Up: a store wants to know an object's length and md5 before its first byte, so
that it can refuse what the network has changed. Pieces therefore collect in a
spool: up to 8 MiB in memory, beyond that in an unlinked temporary file, in
the directory that TMPDIR names. At most ``parallelism`` objects are on their
way, so the disk has to hold as many chunks.

Down: an object streams, and can be read on from anywhere.
"""

import contextlib
import hashlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.flow.failure import reason_of

SPOOL_IN_MEMORY_BYTES = 8 << 20

#: Skipping less than this is reading; a new request costs more.
_SKIP_BY_REQUEST_BYTES = 256 << 10

_LONGEST_CONTAINER_BYTES = 255
_LONGEST_NAME_BYTES = 1024


class Upload(NamedTuple):
    """A whole object, ready to be sent.

    :param file: has ``read``, ``seek`` and ``tell``; is positioned at its
        beginning and may be read several times.
    """

    file: Any
    length: int
    md5: bytes


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.length = 0
        self.md5 = hashlib.md5(usedforsecurity=False)

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast('B')
        try:
            self._file.write(view)
        except OSError as exc:
            raise errors.DriverError(
                container=None, object_name=None,
                reason='an object cannot be kept in the temporary directory '
                       f'on its way: {reason_of(exc)}') from exc
        self.md5.update(view)
        self.length += len(view)
        return len(view)


@contextlib.contextmanager
def spooled(driver: Any,
            send: Callable[[Upload], None]) -> Iterator[_Writer]:
    """A writer whose object is sent when the block ends well.

    :param driver: its ``activity`` grows while the object is being sent.
    """
    with tempfile.SpooledTemporaryFile(SPOOL_IN_MEMORY_BYTES) as file:
        writer = _Writer(file)
        yield writer
        file.seek(0)
        send(Upload(_Watched(file, driver), writer.length,
                    writer.md5.digest()))


class _Watched:
    """A file; reading it shows that a request gets on.

    Clients read some KiB at a time, when the network has taken what they
    have read before.
    """

    def __init__(self, file: IO[bytes], driver: Any) -> None:
        self._file = file
        self._driver = driver

    def read(self, size: int | None = -1) -> bytes:
        native.breathe()
        data = self._file.read(-1 if size is None else size)
        self._driver.activity += len(data)  # a lost update does no harm
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Part:
    """A part of a file, to be read like a file of its own."""

    def __init__(self, file: Any, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self._position = 0
        self.length = length

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes, or all that are left."""
        left = max(0, self.length - self._position)
        self._file.seek(self._start + self._position)
        data: bytes = self._file.read(
            left if size is None or size < 0 else min(size, left))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, in bytes; gives where that is."""
        self._position = offset + {io.SEEK_SET: 0,
                                   io.SEEK_CUR: self._position,
                                   io.SEEK_END: self.length}[whence]
        return self._position

    def tell(self) -> int:
        """Where it is, in bytes."""
        return self._position

    def md5(self) -> bytes:
        """The md5 of all of it."""
        digest = hashlib.md5(usedforsecurity=False)
        self.seek(0)
        while data := self.read(1 << 20):
            digest.update(data)
        self.seek(0)
        return digest.digest()


class RangeReader:
    """Reads an object from wherever it is asked to.

    After an error the next read goes on where the last good one ended, with
    a new request.

    :param get: opens the object at an offset, for a ``Range`` header; gives a
        stream with ``read(size)`` and the number of bytes that should come.
    :param classified: a context manager that turns errors into ours.
    :param start: where to begin.
    :param length: how much is wanted; None for all to the end.
    """

    def __init__(self, get: Callable[[str | None], tuple[Any, int]],
                 classified: Callable[
                     [], contextlib.AbstractContextManager[None]],
                 start: int = 0, length: int | None = None) -> None:
        self._get = get
        self._classified = classified
        self._position = start
        self._end = None if length is None else start + length
        self._stream: Any = None
        self._left = 0
        self._open()

    @native.on_hub
    def _open(self) -> None:
        with self._classified():
            self._stream, self._left = self._get(self._range())

    def _range(self) -> str | None:
        """The header that asks for what is left; None for all."""
        if self._end is not None:
            return f'bytes={self._position}-{self._end - 1}'
        return f'bytes={self._position}-' if self._position else None

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; ``b''`` at the end.

        :raises DriverError: the store has failed.
        """
        if size < 0:
            return b''.join(iter(lambda: self.read(1 << 20), b''))
        if not self._left or not size:
            return b''
        if self._stream is None:
            self._open()
        try:
            with self._classified():
                data = self._read_stream(min(size, self._left))
                if not data:
                    raise ConnectionError(
                        f'the answer ended {self._left} bytes early')
        except BaseException:
            self.close()
            raise
        self._left -= len(data)
        self._position += len(data)
        return data

    def skip(self, count: int) -> int:
        """Leave out what follows, up to the end at most.

        :returns: how much of it had to be read.
        """
        count = min(count, self._left)
        if count < _SKIP_BY_REQUEST_BYTES and count < self._left:
            left = count
            while left:
                left -= len(self.read(left))
            return count
        self.close()
        self._position += count
        self._left -= count
        return 0

    @native.on_hub
    def _read_stream(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        return data

    @native.on_hub
    def close(self) -> None:
        """End the request that is open."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()


def check_container(container: str) -> None:
    """Refuse what is more, or less, than the name of a container.

    :raises InvalidName: it is.
    """
    problem = _problem(container, _LONGEST_CONTAINER_BYTES)
    if problem is None and '/' in container:
        problem = 'it has a slash'
    if problem:
        raise errors.InvalidName(kind='container', name=container,
                                 reason=problem)


def check_object(object_name: str) -> None:
    """Refuse a name that clients or servers take for another one.

    :raises InvalidName: it is such a name.
    """
    problem = _problem(object_name, _LONGEST_NAME_BYTES)
    if problem is None and any(part in ('', '.', '..')
                               for part in object_name.split('/')):
        problem = 'a part between its slashes is empty, . or ..'
    if problem:
        raise errors.InvalidName(kind='object', name=object_name,
                                 reason=problem)


def _problem(name: str, longest_bytes: int) -> str | None:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return 'it is no Unicode text'
    if not name or name in ('.', '..'):
        return 'it is empty, . or ..'
    if length > longest_bytes:
        return f'it is longer than {longest_bytes} bytes'
    if any(ord(character) < 32 for character in name):
        return 'it has a control character'
    return None


def quiet(*names: str) -> None:
    """Keep loggers of client libraries from going below WARNING.

    They print requests with their headers, and so tokens and keys or parts of
    those. What matters of an answer stands in the error that is raised.
    """
    for name in names:
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)
