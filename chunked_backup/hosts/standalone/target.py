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
more to somebody than its bytes (an owner, a link, an open descriptor). If that
does not come to its end, the target begins with a note that says so; a file
that was empty is empty again.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

from chunked_backup import errors
from chunked_backup.endpoints.marked import MarkedSink
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.endpoints.sink import open_sink
from chunked_backup.flow.failure import reason_of


class Target:
    """An open target.

    :param sink: takes the volume.
    :param is_new: it is known to hold only zeros.
    """

    def __init__(self, sink: VolumeSink, is_new: bool) -> None:
        self.sink = sink
        self.is_new = is_new
        self.volume_bytes: int | None = None

    def finish(self, volume_bytes: int) -> None:
        """Say how long the restored volume is; a longer file is cut."""
        self.volume_bytes = volume_bytes


@contextlib.contextmanager
def open_target(path: str, force: bool,
                backup_id: str) -> Iterator[Target]:
    """Open a target; leaving by an exception removes a new file.

    :param force: overwrite what is there.
    :param backup_id: what is restored, for a note in an incomplete target.
    :raises TargetNotEmpty: something is there.
    :raises InvalidVolume: it is no file and no block device, or in use.
    :raises TargetIncomplete: in place of an exception within the block, when
        what was there has been overwritten, and not all of it.
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
        yield from _empty(path, backup_id)
    elif not force:
        raise errors.TargetNotEmpty(path=path)
    elif stat.S_ISREG(mode):
        yield from _existing(path, os.O_RDWR, backup_id)
    else:
        # O_EXCL refuses a device that is mounted or otherwise in use.
        yield from _existing(path, os.O_RDWR | os.O_EXCL, backup_id)


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
            with contextlib.closing(open_sink(file, True)) as sink:
                yield Target(sink, is_new=True)
        if os.path.lexists(path):
            raise errors.TargetNotEmpty(path=path)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _empty(path: str, backup_id: str) -> Iterator[Target]:
    with (_opened(path, os.O_RDWR) as file,
          contextlib.closing(_marked(file, True, backup_id)) as sink):
        target = Target(sink, is_new=True)
        try:
            yield target
        except BaseException as exc:
            try:
                os.ftruncate(file.fileno(), 0)
            except OSError as other:
                exc.add_note(f'{path} could not be emptied again: '
                             f'{reason_of(other)}')
            raise
        _cut(file, target.volume_bytes)


def _existing(path: str, flags: int, backup_id: str) -> Iterator[Target]:
    with (_opened(path, flags) as file,
          contextlib.closing(_marked(file, False, backup_id)) as sink):
        target = Target(sink, is_new=False)
        try:
            yield target
        except BaseException as exc:
            if not sink.is_incomplete:
                raise
            raise errors.TargetIncomplete(
                path=path, backup_id=backup_id,
                reason=str(exc) or 'interrupted') from exc
        _cut(file, target.volume_bytes)


def _marked(file: BinaryIO, is_new: bool, backup_id: str) -> MarkedSink:
    return MarkedSink(open_sink(file, is_new), f'of backup {backup_id}')


def _opened(path: str, flags: int) -> BinaryIO:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except OSError as exc:
        raise _unusable(path, exc) from exc
    return open(descriptor, 'r+b', buffering=0)


def _cut(file: BinaryIO, volume_bytes: int | None) -> None:
    """Have a file be no longer than the volume."""
    if (volume_bytes is None
            or not stat.S_ISREG(os.fstat(file.fileno()).st_mode)):
        return
    try:
        os.ftruncate(file.fileno(), volume_bytes)
        os.fsync(file.fileno())
    except OSError as exc:
        raise errors.VolumeIOError(
            operation='cutting the target to the size of the volume',
            offset=volume_bytes, reason=reason_of(exc)) from exc


def _unusable(path: str, error: OSError) -> errors.InvalidVolume:
    return errors.InvalidVolume(volume=path, reason=reason_of(error))
