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

"""Tidying up behind what has failed; a store that hangs is not waited for."""

import math
import time
from collections.abc import Callable

from chunked_backup import errors
from chunked_backup.flow.executors import run_one

_STALL_S = 120.0
# Somebody waits who has given a signal. With the grace of the workers before,
# all is over in five seconds: by one answer that does not come, or by several
# that are each late.
_CANCELLED_STALL_S = 1.5
_CANCELLED_LATE_S = 1.0
#: An answer that takes longer is late.
_PROMPT_S = 0.4


def clean_up(executor: str, container: str | None, cause: BaseException,
             function: Callable[[Callable[[], None]], object]) -> None:
    """Run what tidies up, as long as the store answers.

    :param executor: the mode, as of ``run_one``.
    :param container: where, for errors.
    :param cause: why there is something to tidy up.
    :param function: is given what to call whenever the store has answered.
    :raises TransientDriverError: it does not answer; the function is left
        behind.
    :raises ChunkedBackupError: the function has failed.
    """
    patience = _Patience(isinstance(cause, errors.Cancelled
                                    | KeyboardInterrupt))

    def check() -> None:
        if patience.is_over():
            raise errors.TransientDriverError(
                container=container, object_name=None,
                reason='it does not answer')

    run_one(executor, check, function, patience.answered)


class _Patience:
    """:param is_short: whether somebody waits."""

    def __init__(self, is_short: bool) -> None:
        self._stall_s = _CANCELLED_STALL_S if is_short else _STALL_S
        self._left_s = _CANCELLED_LATE_S if is_short else math.inf
        self._answered_s = time.monotonic()

    def answered(self) -> None:
        """The store has answered."""
        now_s = time.monotonic()
        self._left_s -= max(0.0, now_s - self._answered_s - _PROMPT_S)
        self._answered_s = now_s

    def is_over(self) -> bool:
        """Whether it should have answered by now."""
        waited_s = time.monotonic() - self._answered_s
        return waited_s > min(self._stall_s, self._left_s + _PROMPT_S)
