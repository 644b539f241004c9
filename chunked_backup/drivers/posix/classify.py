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

"""Which of our errors one of the system is."""

import contextlib
import errno
from collections.abc import Iterator

from chunked_backup import errors

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP)
_TRANSIENT = (errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR)


@contextlib.contextmanager
def classified(container: str, object_name: str | None = None,
               missing: type[errors.DriverError] = errors.ObjectNotFound
               ) -> Iterator[None]:
    """Turn errors of the system into ours.

    :param missing: what it means that the object's file is not found.
    :raises DriverError: of the kind that a caller can act on.
    """
    try:
        yield
    except OSError as exc:
        raise _classify(exc, container, object_name, missing) from exc


def _classify(error: OSError, container: str, object_name: str | None,
              missing: type[errors.DriverError]) -> errors.DriverError:
    reason = error.strerror or str(error)
    kind = errors.DriverError
    if error.errno == errno.ENOENT and object_name is not None:
        kind = missing
    elif error.errno == errno.EEXIST and object_name is not None:
        kind = errors.ObjectExists
    elif error.errno in _OUT_OF_SPACE:
        kind = errors.OutOfSpace
    elif error.errno in _DENIED:
        kind = errors.AccessDenied
    elif error.errno in _IN_THE_WAY:
        kind = errors.AccessDenied
        reason = f'a symbolic link or a file is in the way: {reason}'
    elif error.errno in _TRANSIENT:
        kind = errors.TransientDriverError
    return kind(container=container, object_name=object_name, reason=reason)
