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
"""Reading an object to its end, whatever happens on the way."""

import contextlib
import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from chunked_backup import errors
from chunked_backup.blocks.codecs import Source
from chunked_backup.store.retry import RetryPolicy
from chunked_backup.store.seam import ObjectReader
from chunked_backup.store.seam import SizedReader

_DISCARD_BYTES = 1 << 20

# Of classes of readers; looking at a signature takes longer than opening.
_taking_size: weakref.WeakKeyDictionary[type, bool] = (
    weakref.WeakKeyDictionary())


class Reader:
    """A driver's reader with ``read(size)``, whatever the driver has.

    When the store fails for now, the object is opened again and read on from
    where it was.

    :param open_object: gives a context manager over a driver's reader.
    :param moved: told each time how many bytes were read.
    """

    def __init__(self, open_object: Callable[
            [], contextlib.AbstractContextManager[ObjectReader]],
            policy: RetryPolicy,
            moved: Callable[[int], None] = lambda count: None) -> None:
        self._open_object = open_object
        self._policy = policy
        self._moved = moved
        self._inner: Any = None
        self._source: Source | None = None
        self._stack = contextlib.ExitStack()
        self._position = 0
        self.read_bytes = 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; ``b''`` at the end."""
        try:
            data = self._read_once(size)
        except errors.TransientDriverError:
            self._policy.retried()
            data = self._policy.call(lambda: self._read_once(size))
        self._position += len(data)
        self.read_bytes += len(data)
        self._moved(len(data))
        return data

    def skip(self, count: int) -> bool:
        """Leave out ``count`` bytes; False where only reading can."""
        self.open()
        if not hasattr(self._inner, 'skip'):
            return False
        # Of what it leaves out it may have to read some, and says so.
        self.read_bytes += self._inner.skip(count) or 0
        self._position += count
        return True

    def open(self) -> None:
        """Open the object, if it is not.

        :raises ObjectNotFound: there is none.
        """
        if self._source is None:
            self._policy.call(self._open_once)

    def close(self) -> None:
        """Close the object; reading opens it again."""
        self._inner = self._source = None
        stack, self._stack = self._stack, contextlib.ExitStack()
        stack.close()

    def _read_once(self, size: int) -> bytes:
        try:
            source = (self._open_once() if self._source is None
                      else self._source)
            return source.read(size)
        except errors.TransientDriverError:
            self._abandon()
            raise

    def _open_once(self) -> Source:
        try:
            inner = self._stack.enter_context(self._open_object())
            source: Source = (
                inner if _takes_size(inner) else _WholeObject(inner))
            if self._position and hasattr(inner, 'skip'):
                inner.skip(self._position)
            else:
                _discard(source, self._position)
        except errors.TransientDriverError:
            self._abandon()
            raise
        self._inner, self._source = inner, source
        return source

    def _abandon(self) -> None:
        # What closing a broken stream says is not news.
        with contextlib.suppress(errors.DriverError):
            self.close()


@contextlib.contextmanager
def open_part(opened: contextlib.AbstractContextManager[Any], start: int,
              length: int) -> Iterator['_Part']:
    """A part of an object that is read as a whole.

    :param opened: a driver's reader of it.
    """
    with opened as inner:
        yield _Part(inner, start, length)


class _Part:
    """Reads no more than its part; ``skip`` says how much it has read."""

    def __init__(self, inner: Any, start: int, length: int) -> None:
        self._inner = inner
        self._source = inner if _takes_size(inner) else _WholeObject(inner)
        self._left = length
        self._skip(start)

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b''.join(iter(lambda: self.read(_DISCARD_BYTES), b''))
        data = self._source.read(min(size, self._left))
        self._left -= len(data)
        return data

    def skip(self, count: int) -> int:
        count = min(count, self._left)
        self._left -= count
        return self._skip(count)

    def _skip(self, count: int) -> int:
        if hasattr(self._inner, 'skip'):
            return self._inner.skip(count) or 0
        _discard(self._source, count)
        return count


class _WholeObject:
    """A reader that knows only ``read()``, as Cinder's drivers have it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._data: memoryview | None = None

    def read(self, size: int) -> bytes:
        if self._data is None:
            self._data = memoryview(self._inner.read())
        data, self._data = self._data[:size], self._data[size:]
        return bytes(data)


def take(reader: Source, count: int) -> bytes:
    """``count`` bytes, or all there are."""
    data = reader.read(count)
    if len(data) == count:
        return data
    parts = [data]
    left = count - len(data)
    while left and parts[-1]:
        parts.append(reader.read(left))
        left -= len(parts[-1])
    return b''.join(parts)


def _discard(source: Source, count: int) -> None:
    while count:
        data = source.read(min(count, _DISCARD_BYTES))
        if not data:
            return  # what is read next tells that the object is too short
        count -= len(data)


def _takes_size(reader: Any) -> TypeGuard[SizedReader]:
    """Whether its ``read`` takes a size; found out once for each class."""
    kind = type(reader)
    is_of_class = (hasattr(kind, 'read')
                   and 'read' not in getattr(reader, '__dict__', ()))
    if not is_of_class:
        return _has_parameters(reader.read)
    if kind not in _taking_size:
        _taking_size[kind] = _has_parameters(reader.read)
    return _taking_size[kind]


def _has_parameters(function: Any) -> bool:
    try:
        return bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some readers in C have no signature
        return True
