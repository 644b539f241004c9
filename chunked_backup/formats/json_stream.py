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

"""JSON documents too large to be held, read event by event.

A thin layer over ijson with one error for all that can be wrong: no JSON, a
key twice, nesting without end.
"""

from collections.abc import Iterator
from typing import Any

import ijson

from chunked_backup.blocks.codecs import Source
from chunked_backup.formats.fields import InvalidDocument

_DEEPEST = 50
_OPENING = ('start_map', 'start_array')


class Events:
    """A walk through one JSON document whose top is a map.

    :raises InvalidDocument: by each of its methods.
    """

    def __init__(self, stream: Source) -> None:
        # Without use_float a number could be too large for its type, which
        # raises errors that are not ijson's.
        self._events: Iterator[tuple[str, Any]] = ijson.basic_parse(
            _WithNewline(stream), use_float=True)

    def _next(self) -> tuple[str, Any]:
        try:
            return next(self._events)
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as exc:
            raise InvalidDocument(f'it is no JSON ({exc})') from exc
        except StopIteration:
            raise InvalidDocument('it ends early') from None

    def keys(self) -> Iterator[str]:
        """Each key of the top map; read its value before the next."""
        if self._next()[0] != 'start_map':
            raise InvalidDocument('it is no map')
        yield from self._keys()
        try:
            next(self._events)
        except StopIteration:
            return
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as exc:
            raise InvalidDocument(f'it is no JSON ({exc})') from exc
        raise InvalidDocument('something follows its end')

    def items(self) -> Iterator[Any]:
        """Each element of the array that comes next, as Python values."""
        if self._next()[0] != 'start_array':
            raise InvalidDocument('a list was expected')
        return self._elements(depth=0)

    def value(self) -> Any:
        """Whatever comes next, as Python values."""
        return self._build(*self._next(), depth=0)

    def _build(self, event: str, value: Any, depth: int) -> Any:
        """What an event begins.

        :param depth: how many maps and lists it is in.
        """
        if event not in _OPENING:
            return value
        if depth == _DEEPEST:
            raise InvalidDocument('it is nested too deeply')
        if event == 'start_array':
            return list(self._elements(depth + 1))
        return {key: self._build(*self._next(), depth + 1)
                for key in self._keys()}

    def _elements(self, depth: int) -> Iterator[Any]:
        while (event := self._next())[0] != 'end_array':
            yield self._build(*event, depth)

    def _keys(self) -> Iterator[str]:
        """Of the map that has begun, up to its end."""
        seen = set()
        while (event := self._next())[0] != 'end_map':
            key = event[1]
            if key in seen:
                raise InvalidDocument(f'{key} stands in it twice')
            seen.add(key)
            yield key


class _WithNewline:
    """A stream with a newline added at its end.

    The parser overlooks a string behind the document that is never closed;
    a newline within a string it refuses.
    """

    def __init__(self, stream: Source) -> None:
        self._stream = stream
        self._ended = False

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if data or not size or self._ended:
            return data
        self._ended = True
        return b'\n'
