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

"""Giving a restored file what belongs to it besides its contents."""

import errno
import os
from collections.abc import Callable

from chunked_backup.flow import native
from chunked_backup.flow.failure import reason_of
from chunked_backup.trees import owners
from chunked_backup.trees.entry import SYMLINK
from chunked_backup.trees.entry import Entry

_SET_ID_BITS = 0o6000
_NONE_HERE = (errno.EOPNOTSUPP, errno.ENOSYS)


class MetadataSetter:
    """Sets owners, extended attributes, modes and times; on any thread.

    What is not permitted or not possible here is reported and harms nothing
    else; that owners cannot be changed, once only.

    :param report: told the path of an entry and what it does not get.
    :param numeric_owner: go by the numbers of owners. Otherwise their names
        count, if there are such users and groups here.
    """

    def __init__(self, report: Callable[[bytes, str], None],
                 numeric_owner: bool) -> None:
        self._report = report
        self._numeric_owner = numeric_owner
        self._owners_reported = False
        self._lock = native.lock()

    def apply(self, where: int | bytes, entry: Entry, clean: bool) -> None:
        """Make a file what its entry says.

        A change of the owner takes set-id bits and capabilities away, a
        change of the ACL may take the bits and sets others, and all of it
        changes times: hence the order.

        :param where: its descriptor, or a path that leads to it and nothing
            else; see ``Handle.path``.
        :param clean: it may have extended attributes that it is not to have.
        :raises OSError: mode or times cannot be set.
        """
        is_owned = self._set_owner(where, entry)
        if clean:
            self._remove_others(where, entry)
        for name, value in entry.xattrs:
            self._set_xattr(where, entry.path, name, value)
        if entry.kind != SYMLINK:
            os.chmod(where, entry.mode if is_owned
                     else entry.mode & ~_SET_ID_BITS)
        os.utime(where, ns=(entry.mtime_ns, entry.mtime_ns))

    def _set_owner(self, where: int | bytes, entry: Entry) -> bool:
        uid, gid = entry.uid, entry.gid
        if not self._numeric_owner:
            uid = _known(owners.uid_of(entry.user), uid)
            gid = _known(owners.gid_of(entry.group), gid)
        try:
            os.chown(where, uid, gid)
            return True
        except PermissionError:
            self._report_owner(entry)
        try:
            os.chown(where, -1, gid)  # to a group of ours
        except PermissionError:
            pass  # it has been reported
        return False

    def _report_owner(self, entry: Entry) -> None:
        with self._lock:
            reported, self._owners_reported = self._owners_reported, True
        if not reported:
            self._report(
                entry.path, 'its owner cannot be set without the privileges '
                'of root, nor those of others that follow; what is not '
                'theirs does not get its setuid and setgid bits')

    def _remove_others(self, where: int | bytes, entry: Entry) -> None:
        wanted = {name for name, _ in entry.xattrs}
        try:
            names = os.listxattr(where)
        except OSError as exc:
            if exc.errno not in _NONE_HERE:
                raise
            return
        for name in map(os.fsencode, names):
            if name in wanted:
                continue
            try:
                os.removexattr(where, name)
            except OSError as exc:
                # Labels of security modules come with every file.
                if not name.startswith(b'security.'):
                    self._report(entry.path, _of_xattr(name, exc))

    def _set_xattr(self, where: int | bytes, path: bytes, name: bytes,
                   value: bytes) -> None:
        try:
            os.setxattr(where, name, value)
        except OSError as exc:
            self._report(path, _of_xattr(name, exc))


def _known(number: int | None, otherwise: int) -> int:
    return otherwise if number is None else number


def _of_xattr(name: bytes, exc: OSError) -> str:
    return (f'extended attribute {os.fsdecode(name)}: '
            f'{reason_of(exc)}')
