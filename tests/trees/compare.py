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

"""Whether two trees are the same, byte by byte and attribute by attribute.

Nothing of what is tested is used here.
"""

import dataclasses
import os
import stat
from collections.abc import Iterator

_PIECE_BYTES = 1 << 20


@dataclasses.dataclass
class Found:
    """A name in a tree.

    :ivar target: of a symlink, otherwise None.
    """

    status: os.stat_result
    target: bytes | None
    xattrs: dict[str, bytes]


def differences(one, other, holes=True):
    """All that differs between two trees, a line each; [] if nothing does.

    :param holes: whether a hole and zeros that are stored differ.
    """
    return list(_differences(os.fsencode(one), os.fsencode(other), holes))


def _differences(one: bytes, other: bytes, holes: bool) -> Iterator[str]:
    left, right = _tree(one), _tree(other)
    for path in sorted(left.keys() | right.keys()):
        if path not in right:
            yield f'{path!r}: missing'
        elif path not in left:
            yield f'{path!r}: not in the original'
        else:
            for what, expected, found in _attributes(left[path], right[path]):
                yield f'{path!r}: {what}: {expected!r} became {found!r}'
    for path in sorted(left.keys() & right.keys()):
        if _are_files(left[path], right[path]):
            yield from _contents(one, other, path, holes)
    yield from _links(left, right)


def _tree(root: bytes) -> dict[bytes, Found]:
    found = {b'': _found(root, os.stat(root))}
    if not stat.S_ISDIR(found[b''].status.st_mode):
        return found
    # By descriptors: a path may be longer than one call takes.
    for where, inner, names, number in os.fwalk(root, follow_symlinks=False):
        prefix = where[len(root):].lstrip(b'/')
        for name in inner + names:
            path = prefix + b'/' + name if prefix else name
            found[path] = _found(
                b'/proc/self/fd/%d/%b' % (number, name),
                os.stat(name, dir_fd=number, follow_symlinks=False))
    return found


def _found(where: bytes, status: os.stat_result) -> Found:
    return Found(
        status,
        os.readlink(where) if stat.S_ISLNK(status.st_mode) else None,
        {name: os.getxattr(where, name, follow_symlinks=False)
         for name in os.listxattr(where, follow_symlinks=False)})


def _attributes(one: Found, other: Found) -> Iterator[tuple]:
    pairs = [
        ('type', stat.S_IFMT(one.status.st_mode),
         stat.S_IFMT(other.status.st_mode)),
        ('mode', oct(stat.S_IMODE(one.status.st_mode)),
         oct(stat.S_IMODE(other.status.st_mode))),
        ('uid', one.status.st_uid, other.status.st_uid),
        ('gid', one.status.st_gid, other.status.st_gid),
        ('mtime', one.status.st_mtime_ns, other.status.st_mtime_ns),
        ('target', one.target, other.target)]
    if _are_files(one, other):
        pairs.append(('size', one.status.st_size, other.status.st_size))
    if stat.S_ISCHR(one.status.st_mode) or stat.S_ISBLK(one.status.st_mode):
        pairs.append(('device', one.status.st_rdev, other.status.st_rdev))
    for name in sorted(one.xattrs.keys() | other.xattrs.keys()):
        pairs.append((name, one.xattrs.get(name), other.xattrs.get(name)))
    for what, expected, found in pairs:
        if expected != found:
            yield what, expected, found


def _are_files(one: Found, other: Found) -> bool:
    return (stat.S_ISREG(one.status.st_mode)
            and stat.S_ISREG(other.status.st_mode))


def _contents(one: bytes, other: bytes, path: bytes,
              holes: bool) -> Iterator[str]:
    with _open(one, path) as left, _open(other, path) as right:
        position = 0
        while True:
            expected = left.read(_PIECE_BYTES)
            found = right.read(_PIECE_BYTES)
            if expected != found:
                offset = next((number for number, (a, b) in enumerate(
                    zip(expected, found)) if a != b),
                    min(len(expected), len(found)))
                yield f'{path!r}: contents differ at {position + offset}'
                return
            if not expected:
                break
            position += len(expected)
        if holes and _data(left) != _data(right):
            yield f'{path!r}: holes: {_data(left)} became {_data(right)}'


def _open(root: bytes, path: bytes):
    if not path:
        return open(root, 'rb')
    *above, name = path.split(b'/')
    number = os.open(root, os.O_RDONLY)
    for component in above:
        inner = os.open(component, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=number)
        os.close(number)
        number = inner
    try:
        return open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=number),
                    'rb')
    finally:
        os.close(number)


def _data(file) -> list[tuple[int, int]]:
    """The ranges of a file that are no holes."""
    ranges = []
    end = 0
    size = os.fstat(file.fileno()).st_size
    while end < size:
        try:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError:  # only a hole is left
            break
        end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        ranges.append((start, end))
    return ranges


def _links(left: dict[bytes, Found],
           right: dict[bytes, Found]) -> Iterator[str]:
    one, other = _groups(left), _groups(right)
    for path in sorted(one.keys() | other.keys()):
        expected, found = one.get(path, {path}), other.get(path, {path})
        if expected != found and path in left and path in right:
            yield (f'{path!r}: is the same as {sorted(expected)} became '
                   f'{sorted(found)}')


def _groups(tree: dict[bytes, Found]) -> dict[bytes, set[bytes]]:
    """Of each path the set of the paths that share its inode."""
    inodes: dict[tuple, set[bytes]] = {}
    for path, found in tree.items():
        if not stat.S_ISDIR(found.status.st_mode):
            inode = found.status.st_dev, found.status.st_ino
            inodes.setdefault(inode, set()).add(path)
    return {path: names for names in inodes.values() for path in names}
