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

"""How a check says what it expects."""

from collections.abc import Callable
from typing import Any

from chunked_backup.testing.contract.promise import BrokenPromise


def require(kept: object, message: str) -> None:
    """:raises BrokenPromise: ``kept`` is not true."""
    if not kept:
        raise BrokenPromise(message)


def require_equal(found: Any, expected: Any, what: str) -> None:
    """:raises BrokenPromise: ``what`` is not as expected, and what it is."""
    if found != expected:
        raise BrokenPromise(f'{what}: {_shown(found)} was found, '
                            f'{_shown(expected)} was expected')


def require_raises(expected: type[Exception],
                   function: Callable[..., object], *arguments: Any) -> None:
    """:raises BrokenPromise: calling it does not raise that."""
    try:
        result = function(*arguments)
    except expected:
        return
    except Exception as exc:
        raise BrokenPromise(f'{expected.__name__} was expected, it raised '
                            f'{type(exc).__name__}: {exc}') from exc
    raise BrokenPromise(f'{expected.__name__} was expected, it gave '
                        f'{_shown(result)}')


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)) and len(value) > 40:
        return f'{len(value)} bytes that begin with {bytes(value[:40])!r}'
    if isinstance(value, (list, set)) and len(value) > 5:
        return f'{len(value)} names'
    return repr(value)
