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
"""A file descriptor of our own, open as long as anyone may use it."""

import errno
import os

from chunked_backup.flow import native


class Descriptor:
    """A duplicate of a descriptor that is closed when nobody uses it.

    A worker that hangs in a read or a write may outlive its job, which does
    not wait for it for ever. Were the caller's descriptor used, the number
    could by then belong to another file, and the worker would write there.

    ::

        with descriptor as number:  # what the functions of os take
            os.pread(number, ...)

    It is closed with its last reference, or after ``close`` and the last use.
    An error that is kept holds references for long, and a device that is
    still open then cannot be detached.
    """

    def __init__(self, descriptor: int) -> None:
        self._lock = native.lock()
        self._users = 0
        self._is_closing = False
        self._number: int | None = os.dup(descriptor)

    def __enter__(self) -> int:
        with self._lock:
            if self._number is None or self._is_closing:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._users += 1
            return self._number

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            self._close_if_idle()

    def close(self) -> None:
        """Close it as soon as nobody uses it any more."""
        with self._lock:
            self._is_closing = True
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._is_closing and not self._users and self._number is not None:
            number, self._number = self._number, None
            os.close(number)

    def __del__(self) -> None:
        number = getattr(self, '_number', None)
        if number is not None:
            os.close(number)
