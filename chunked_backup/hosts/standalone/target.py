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

"""The file or device that a stand-alone restore writes to.

A file that is new appears under its name only when the restore has succeeded.
One that exists is overwritten in place, because it may be a device, or mean
more to somebody than its bytes (an owner, a link, an open descriptor).
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

from chunked_backup import errors


class Target:
    """An open target.

    :param is_new: it is known to hold only zeros.
    """

    def __init__(self, file: BinaryIO, is_new: bool) -> None:
        self.file = file
        self.is_new = is_new
        self.volume_bytes: int | None = None

    def finish(self, volume_bytes: int) -> None:
        """Say how long the restored volume is; a longer file is cut."""
        self.volume_bytes = volume_bytes


@contextlib.contextmanager
def open_target(path: str, force: bool) -> Iterator[Target]:
    """Open a target; leaving by an exception removes a new file.

    :param force: overwrite what is there.
    :raises TargetNotEmpty: something is there.
    :raises InvalidVolume: it is no file and no block device, or in use.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        yield from _new_file(path)
        return
    except OSError as exc:
        raise _unusable(path, exc) from exc
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise errors.InvalidVolume(
            volume=path, reason='it is neither a file nor a block device')
    if stat.S_ISREG(mode) and not os.path.getsize(path):
        yield from _existing(path, os.O_RDWR, is_new=True)
    elif not force:
        raise errors.TargetNotEmpty(path=path)
    elif stat.S_ISREG(mode):
        yield from _existing(path, os.O_RDWR, is_new=False)
    else:
        # O_EXCL refuses a device that is mounted or otherwise in use.
        yield from _existing(path, os.O_RDWR | os.O_EXCL, is_new=False)


def _new_file(path: str) -> Iterator[Target]:
    directory, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(
        directory, f'.{name[:100]}.{secrets.token_hex(4)}.restoring')
    try:  # from before it exists, as a signal may come at any moment
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT
                                 | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise _unusable(path, exc) from exc
        with open(descriptor, 'r+b', buffering=0) as file:
            target = Target(file, is_new=True)
            yield target
        if os.path.lexists(path):
            raise errors.TargetNotEmpty(path=path)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _existing(path: str, flags: int, is_new: bool) -> Iterator[Target]:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except OSError as exc:
        raise _unusable(path, exc) from exc
    with open(descriptor, 'r+b', buffering=0) as file:
        target = Target(file, is_new)
        yield target
        if (target.volume_bytes is not None
                and stat.S_ISREG(os.fstat(descriptor).st_mode)):
            os.ftruncate(descriptor, target.volume_bytes)
            os.fsync(descriptor)


def _unusable(path: str, error: OSError) -> errors.InvalidVolume:
    return errors.InvalidVolume(volume=path, reason=error.strerror)
