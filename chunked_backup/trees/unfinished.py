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

"""What a restore still waits for."""

import errno
import os
from typing import NamedTuple

from chunked_backup.flow import native
from chunked_backup.trees.directories import Handle
from chunked_backup.trees.entry import Entry

_DEFAULT_ACL = 'system.posix_acl_default'
_NO_ACL = (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS)


class UnfinishedDirectory:
    """A directory in which something is still to come.

    :ivar entry: what it is to be; None leaves it as it is.
    :ivar pending: how many things in it, or the walk itself, are to come.
    :ivar identity: device and inode; None if it could not be made.
    :ivar inherits: whether what is made in it may get an ACL from it.
    :ivar is_used: whether it may have extended attributes already.
    """

    __slots__ = ('path', 'entry', 'parent', 'pending', 'identity', 'inherits',
                 'is_used')

    def __init__(self, path: bytes, entry: Entry | None,
                 parent: 'UnfinishedDirectory | None') -> None:
        self.path = path
        self.entry = entry
        self.parent = parent
        self.pending = 1
        self.identity: tuple[int, int] | None = None
        self.inherits = False
        self.is_used = False

    def opened(self, directory: Handle, is_used: bool) -> int:
        """It is there.

        :param is_used: it is not new, or the one above it bequeaths an ACL.
        :returns: the device that it is on.
        """
        self.identity = identity(os.stat(directory.number))
        self.is_used = is_used
        self.inherits = is_used and _may_have_default_acl(directory)
        return self.identity[0]


class Link(NamedTuple):
    """A further name of a file.

    :param first: the path of the first.
    :param parent: the directory that it is to be made in.
    """

    entry: Entry
    first: bytes
    parent: UnfinishedDirectory


class FirstNames:
    """Files with several names: whether the first is there, and which others
    wait for it. Of each path: a list while others may have to wait, then
    whether it is there."""

    def __init__(self) -> None:
        self._states: dict[bytes, list[Link] | bool] = {}
        self._lock = native.lock()

    def begin(self, path: bytes) -> None:
        """A first name that will be settled."""
        self._states[path] = []

    def wait(self, path: bytes, link: Link) -> bool:
        """Whether a link has to wait; it is then given by ``settle``."""
        with self._lock:
            state = self._states.get(path, False)
            if isinstance(state, bool):
                return False
            state.append(link)
            return True

    def settle(self, path: bytes, is_there: bool) -> list[Link]:
        """Whether a first name is there; once for each.

        :returns: the links that have waited for it.
        """
        with self._lock:
            waiting, self._states[path] = self._states[path], is_there
        return [] if isinstance(waiting, bool) else waiting

    def is_there(self, path: bytes) -> bool:
        """Whether a first name was settled to be there."""
        return self._states.get(path) is True


def identity(status: os.stat_result) -> tuple[int, int]:
    """What tells a file from all others while it exists."""
    return status.st_dev, status.st_ino


def _may_have_default_acl(directory: Handle) -> bool:
    try:
        return bool(os.getxattr(directory.number, _DEFAULT_ACL))
    except OSError as exc:
        return exc.errno not in _NO_ACL
