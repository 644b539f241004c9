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

"""What one operation has done and cost so far."""

import time

from chunked_backup.flow import native

PREPARE = 'prepare'


class Tally:
    """Counted by any number of threads; the coordinator says what stage it is.

    ``done_bytes`` are those of the volume, or of files. ``written_bytes`` and
    ``read_bytes`` went to and came from the store, tries that failed
    included. ``retries`` counts requests that were made once more. ``stages``
    has the seconds of each stage that has ended, by name.
    """

    def __init__(self) -> None:
        self.done_bytes = 0
        self.written_bytes = 0
        self.read_bytes = 0
        self.retries = 0
        self.stage = PREPARE
        self.stages: dict[str, float] = {}
        self._began_s = self._entered_s = time.monotonic()
        self._lock = native.lock()

    def advance(self, count: int) -> None:
        """Count bytes as done; fewer than none by a try that has failed."""
        with self._lock:
            self.done_bytes += count

    def wrote(self, count: int) -> None:
        """Count bytes that went to the store."""
        with self._lock:
            self.written_bytes += count

    def read(self, count: int) -> None:
        """Count bytes that came from the store."""
        with self._lock:
            self.read_bytes += count

    def retried(self) -> None:
        """Count a request that is made once more."""
        with self._lock:
            self.retries += 1

    def enter(self, stage: str) -> None:
        """Begin a stage, which ends the one before."""
        now_s = time.monotonic()
        self.stages[self.stage] = (self.stages.get(self.stage, 0.0)
                                   + now_s - self._entered_s)
        self.stage, self._entered_s = stage, now_s

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._began_s
