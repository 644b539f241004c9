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
"""The one place that tries again.

Drivers classify their errors; only ``TransientDriverError`` is worth another
try. The retries that client libraries have of their own are off, or they
would multiply.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from chunked_backup import errors

Result = TypeVar('Result')

_LONGEST_WAIT_S = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how patiently.

    :param attempts: how often a request is made at most.
    :param wait_s: at most how long to wait before the second; the limit
        doubles for each that follows. The wait is random below it, so that
        many clients do not come back at once.
    :param sleep: waits so many seconds; may raise to end it all.
    :param retried: told of each request that is made once more.
    """

    attempts: int = 4
    wait_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    retried: Callable[[], None] = lambda: None

    def call(self, function: Callable[[], Result]) -> Result:
        """The result of ``function``, which may be called several times.

        :raises DriverError: what the last try has raised.
        """
        try:
            return function()  # tenacity takes 30 us, which few calls need
        except errors.TransientDriverError as exc:
            failed = [exc]

        def again() -> Result:
            if failed:  # the first try was that
                raise failed.pop()
            return function()

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(
                errors.TransientDriverError),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_random_exponential(
                multiplier=self.wait_s, max=_LONGEST_WAIT_S),
            before_sleep=lambda state: self.retried(),
            sleep=self.sleep, reraise=True)(again)
