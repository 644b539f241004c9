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

"""One entry of a file tree: all that is known of it but its contents."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from chunked_backup import errors

FILE = 'f'
DIRECTORY = 'd'
SYMLINK = 'l'
FIFO = 'p'
CHARACTER = 'c'
BLOCK = 'b'
SOCKET = 's'
KINDS = frozenset((FILE, DIRECTORY, SYMLINK, FIFO, CHARACTER, BLOCK, SOCKET))

#: A path may be longer than PATH_MAX, which limits one call only.
MAX_PATH_BYTES = 1 << 16
#: What Linux allows for the target of a symlink, for the names and values of
#: extended attributes, for all names of one file.
_MAX_TARGET_BYTES = 4095
_MAX_XATTR_NAME_BYTES = 255
_MAX_XATTR_VALUE_BYTES = 1 << 16
_MAX_XATTRS = 1 << 15
_MAX_OWNER_NAME = 255
_ID_LIMIT = (1 << 32) - 1  # which stands for "no change"
_S64_LIMIT = 1 << 63
_SHOWN_BYTES = 200

_NS_PER_S = 10 ** 9
_NO_XATTRS = ()


@dataclasses.dataclass(slots=True)
class Entry:
    """A name in a tree, and the inode behind it.

    :ivar path: relative to the root of the tree, components joined by ``/``;
        ``b''`` is the root itself.
    :ivar kind: one of the constants of this module.
    :ivar mode: the permission bits with setuid, setgid and sticky, 0o7777.
    :ivar user: the name of ``uid``, '' where it has none; likewise group.
    :ivar size: in bytes, of a file; otherwise 0.
    :ivar inode: the number of the inode; device is that of its file system.
    :ivar links: how many names the inode has, in this tree or elsewhere.
    :ivar rdev: the number of a character or block device; otherwise 0.
    :ivar target: where a symlink points; otherwise b''.
    :ivar xattrs: pairs of name and value, sorted. ACLs are the names
        ``system.posix_acl_*``, capabilities ``security.capability``.
    :ivar hardlink: the path of the first entry of the same inode, where that
        came earlier in this tree; otherwise None.
    """

    path: bytes
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    user: str = ''
    group: str = ''
    mtime_ns: int = 0
    ctime_ns: int = 0
    size: int = 0
    inode: int = 0
    device: int = 0
    links: int = 1
    rdev: int = 0
    target: bytes = b''
    xattrs: tuple[tuple[bytes, bytes], ...] = _NO_XATTRS
    hardlink: bytes | None = None

    @property
    def sort_key(self) -> bytes:
        """See ``path_sort_key``."""
        return self.path.replace(b'/', b'\0')


def path_sort_key(path: bytes) -> bytes:
    """What brings paths into the order of a walk.

    A directory comes before what is in it, and siblings are in the order of
    their bytes. NUL is in no name and below all that is, so this is the order
    of the tuples of components, in less memory and half the time.
    """
    return path.replace(b'/', b'\0')


def same_content(a: Entry, b: Entry) -> bool:
    """Whether the contents of an entry may be taken as unchanged.

    The device is left out: its number may change whenever a machine starts.
    """
    return (a.size == b.size and a.mtime_ns == b.mtime_ns
            and a.ctime_ns == b.ctime_ns and a.inode == b.inode
            and a.kind == b.kind)


def pack(entry: Entry) -> tuple[Any, ...]:
    """The entry in types that MessagePack has.

    Times are seconds and nanoseconds: 64 bits of nanoseconds would not take
    every time that a file system does.
    """
    mtime_s, mtime_ns = divmod(entry.mtime_ns, _NS_PER_S)
    ctime_s, ctime_ns = divmod(entry.ctime_ns, _NS_PER_S)
    return (entry.path, entry.kind, entry.mode, entry.uid, entry.gid,
            entry.user, entry.group, mtime_s, mtime_ns, ctime_s, ctime_ns,
            entry.size, entry.inode, entry.device, entry.links, entry.rdev,
            entry.target, entry.xattrs, entry.hardlink)


def unpack(fields: Sequence[Any]) -> Entry:
    """The entry that was packed; trusts nothing.

    :param fields: what ``pack`` gave; a list stands for any tuple in it.
    :raises InvalidEntry: it is none, or one that nobody could have read from
        a file system; its path may lead out of the tree.
    """
    if (type(fields) not in (tuple, list)
            or tuple(map(type, fields)) not in _TYPES):
        raise _invalid(fields, 'its fields are not those of an entry')
    (path, kind, mode, uid, gid, user, group, mtime_s, mtime_ns, ctime_s,
     ctime_ns, size, inode, device, links, rdev, target, xattrs,
     hardlink) = fields
    if path:
        check_path(path)
    if kind not in KINDS:
        raise _invalid(fields, f'nothing is of the kind {kind[:10]!r}')
    if not (0 <= mode <= 0o7777 and 0 <= uid < _ID_LIMIT > gid >= 0
            and 0 <= size < _S64_LIMIT and 0 <= mtime_ns < _NS_PER_S
            and 0 <= ctime_ns < _NS_PER_S and inode >= 0 and device >= 0
            and links >= 0 and 0 <= rdev < 2 * _S64_LIMIT
            and -_S64_LIMIT <= mtime_s < _S64_LIMIT):
        raise _invalid(fields, 'a number is out of its range')
    if (len(user) > _MAX_OWNER_NAME or len(group) > _MAX_OWNER_NAME
            or '\0' in user or '\0' in group):
        raise _invalid(fields, 'nobody can have the name of its owner')
    if kind != FILE:
        _check_special(fields, kind, size, rdev, target)
    elif rdev or target:
        raise _invalid(fields, 'a file has no device and no target')
    if xattrs:
        xattrs = _checked_xattrs(fields, xattrs)
    else:
        xattrs = _NO_XATTRS
    if hardlink is not None:
        _check_hardlink(fields, path, kind, hardlink)
    return Entry(path, kind, mode, uid, gid, user, group,
                 mtime_s * _NS_PER_S + mtime_ns,
                 ctime_s * _NS_PER_S + ctime_ns, size, inode, device, links,
                 rdev, target, xattrs, hardlink)


_TYPES = frozenset(
    (bytes, str, int, int, int, str, str, *(int,) * 9, bytes, pairs, link)
    for pairs in (tuple, list) for link in (bytes, type(None)))


def check_path(path: bytes) -> None:
    """Refuse a path that does not name something below the root of a tree.

    :raises InvalidEntry: it is empty, absolute or too long, or has an empty
        component, ``.``, ``..`` or NUL.
    """
    between = b'/' + path + b'/'
    if (b'//' in between or b'/../' in between or b'/./' in between
            or b'\0' in path or len(path) > MAX_PATH_BYTES):
        raise errors.InvalidEntry(
            path=path[:_SHOWN_BYTES],
            reason='its path does not name anything in a tree')


def _check_special(fields: Sequence[Any], kind: str, size: int, rdev: int,
                   target: bytes) -> None:
    if size:
        raise _invalid(fields, 'only a file has a size')
    if rdev and kind != CHARACTER and kind != BLOCK:
        raise _invalid(fields, 'only a device has a device number')
    if kind == SYMLINK:
        if not 0 < len(target) <= _MAX_TARGET_BYTES or b'\0' in target:
            raise _invalid(fields, 'no symlink can have its target')
    elif target:
        raise _invalid(fields, 'only a symlink has a target')


def _checked_xattrs(fields: Sequence[Any], xattrs: Sequence[Any],
                    ) -> tuple[tuple[bytes, bytes], ...]:
    checked = []
    for pair in xattrs:
        if not (type(pair) in (tuple, list)
                and tuple(map(type, pair)) == (bytes, bytes)
                and 0 < len(pair[0]) <= _MAX_XATTR_NAME_BYTES
                and b'\0' not in pair[0]
                and len(pair[1]) <= _MAX_XATTR_VALUE_BYTES):
            raise _invalid(fields, 'no file can have its extended attributes')
        checked.append(tuple(pair))
    if len(xattrs) > _MAX_XATTRS or any(
            one[0] >= other[0] for one, other in itertools.pairwise(checked)):
        raise _invalid(fields, 'its extended attributes are not in order')
    return tuple(checked)


def _check_hardlink(fields: Sequence[Any], path: bytes, kind: str,
                    hardlink: bytes) -> None:
    check_path(hardlink)
    if kind == DIRECTORY or path_sort_key(hardlink) >= path_sort_key(path):
        raise _invalid(fields, 'it cannot be a link to another entry')


def _invalid(fields: Sequence[Any], reason: str) -> errors.InvalidEntry:
    path = b'?'
    if type(fields) in (tuple, list) and fields and type(fields[0]) is bytes:
        path = fields[0]
    return errors.InvalidEntry(path=path[:_SHOWN_BYTES], reason=reason)
