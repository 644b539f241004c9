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

"""A bounded, ordered window over an executor."""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, TypeVarTuple

from chunked_backup.flow.executors import Executor
from chunked_backup.flow.native import Future

Arguments = TypeVarTuple('Arguments')
Result = TypeVar('Result')


def ordered(executor: Executor, function: Callable[[*Arguments], Result],
            items: Iterable[tuple[*Arguments]], limit: int,
            tick: Callable[[], None]) -> Iterator[Result]:
    """``function(*item)`` for each item, in order, at most ``limit`` ahead.

    Items are drawn only when there is room, so a lazy ``items`` may itself
    wait for other workers. Memory is bounded by ``limit`` results. The first
    error ends the stream.
    """
    pending: collections.deque[Future[Result]] = collections.deque()
    for item in items:
        while len(pending) >= limit:
            yield executor.result(pending.popleft(), tick)
        pending.append(executor.submit(function, *item))
        while pending and pending[0].done():
            yield executor.result(pending.popleft(), tick)
    while pending:
        yield executor.result(pending.popleft(), tick)
