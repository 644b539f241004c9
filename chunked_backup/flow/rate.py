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

"""How much a job may move in a second."""

import time
from collections.abc import Callable

from chunked_backup.flow import native

#: What was not moved for lack of work is lost but for so much.
_SAVED_S = 1.0


class RateLimit:
    """Keeps all workers of a job together below a rate.

    A worker that has moved something waits until the rate allows that much,
    so a single large piece passes at once and the next ones pay for it.

    :param bytes_per_s: the rate; 0 for none.
    :param pause: has a worker wait so many seconds; may raise to end it.
    """

    def __init__(self, bytes_per_s: int,
                 pause: Callable[[float], None]) -> None:
        self._bytes_per_s = bytes_per_s
        self._pause = pause
        self._free_s = time.monotonic()
        self._lock = native.lock()

    def spend(self, count: int) -> None:
        """Account for bytes that were moved, and wait as long as they take.

        :raises Cancelled: the job has ended meanwhile.
        """
        if not self._bytes_per_s:
            return
        with self._lock:
            now_s = time.monotonic()
            self._free_s = (max(self._free_s, now_s - _SAVED_S)
                            + count / self._bytes_per_s)
            wait_s = self._free_s - now_s
        if wait_s > 0:
            self._pause(wait_s)


#: For those who may move what they want.
UNLIMITED = RateLimit(0, time.sleep)
