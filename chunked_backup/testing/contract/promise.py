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

"""What a promise is."""

import dataclasses
from collections.abc import Callable

from chunked_backup.testing.contract.scratch import Scratch


class BrokenPromise(AssertionError):
    """A driver does not do what every driver has to."""


class NotPromised(Exception):
    """A driver has not given the promise that a check is of."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """One promise and how to check it.

    :param name: in the words of a test's name.
    :param statement: in one sentence.
    :param run: raises ``BrokenPromise``, or ``NotPromised``.
    """

    name: str
    statement: str
    run: Callable[[Scratch], None]

    def __str__(self) -> str:
        return self.name


def promise(function: Callable[[Scratch], None]) -> Promise:
    """Make a promise of its check; the docstring is the statement."""
    return Promise(
        function.__name__, ' '.join((function.__doc__ or '').split()),
        function)
