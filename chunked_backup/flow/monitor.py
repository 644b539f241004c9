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

"""Progress and cancelling, between workers and the coordinator."""

import math
import time
from collections.abc import Callable

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.flow.tally import Tally

POLL_INTERVAL_S = 1.0


class Monitor:
    """What a job has done so far, and whether it may go on.

    Workers call ``advance`` and ``check``; the coordinator calls ``tick``,
    which asks the host at most once in ``POLL_INTERVAL_S`` seconds.

    :param total_bytes: what 100 % is.
    :param cancelled: asked by the coordinator; gives the error to end with,
        or None to go on.
    :param report: told by the coordinator (done bytes, total bytes).
    :param activity: a number that changes while the store is busy with one
        long request, of which the workers see nothing.
    :param stall_timeout_s: when nothing at all has moved for so long, the job
        ends; a store that drips or hangs would otherwise hold it for ever.
    :param tally: what else counts what is done; it has the stage, too.
    """

    def __init__(self, total_bytes: int,
                 cancelled: Callable[[], errors.Cancelled | None],
                 report: Callable[[int, int], None],
                 activity: Callable[[], int] = lambda: 0,
                 stall_timeout_s: float = math.inf,
                 tally: Tally | None = None) -> None:
        self.total_bytes = total_bytes
        self.tally = tally or Tally()
        self._cancelled = cancelled
        self._report = report
        self._activity = activity
        self._stall_timeout_s = stall_timeout_s
        self._moves = 0
        self._last_move: tuple[int, int] = (0, 0)
        self._last_move_s = time.monotonic()
        self._done_bytes = 0
        self._lock = native.lock()
        self._stopped = native.event()
        self._polled_s = time.monotonic()

    def advance(self, count: int) -> None:
        """Count bytes of the volume as done."""
        with self._lock:
            self._done_bytes += count
            self._moves += 1
        self.tally.advance(count)

    def check(self) -> None:
        """Leave a worker whose job has ended.

        :raises Cancelled: the coordinator has given the job up.
        """
        self._moves += 1  # a lost update does no harm
        if self.is_stopped():
            raise errors.Cancelled()

    def enter(self, stage: str) -> None:
        """Begin a stage of the work; only the coordinator does."""
        self.tally.enter(stage)

    def pause(self, wait_s: float) -> None:
        """Have a worker wait; it leaves if the job ends meanwhile."""
        self._stopped.wait(wait_s)
        self.check()

    def is_stopped(self) -> bool:
        """Whether the coordinator has given the job up."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Have every worker leave at its next check."""
        self._stopped.set()

    def tick(self) -> None:
        """Report progress and ask whether to go on, when it is time.

        :raises Cancelled: the host has said so.
        :raises Stalled: nothing has moved for too long.
        """
        now_s = time.monotonic()
        if now_s - self._polled_s >= POLL_INTERVAL_S:
            self._polled_s = now_s
            self.poll()

    def poll(self) -> None:
        """Report progress and ask whether to go on, now."""
        self._check_stall()
        self._report(min(self._done_bytes, self.total_bytes),
                     self.total_bytes)
        error = self._cancelled()
        if error is not None:
            self.stop()
            raise error

    def _check_stall(self) -> None:
        move = (self._moves, self._activity())
        now_s = time.monotonic()
        if move != self._last_move:
            self._last_move, self._last_move_s = move, now_s
        elif now_s - self._last_move_s > self._stall_timeout_s:
            self.stop()
            raise errors.Stalled(seconds=self._stall_timeout_s)
