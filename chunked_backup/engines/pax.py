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

"""The headers of a tar archive in the pax format, as GNU tar reads them.

Each member has an extended header, which holds what does not fit into the
old one: nanoseconds, long or odd names, large numbers, and

``SCHILY.xattr.<name>``
    an extended attribute, its value as it is
``SCHILY.acl.access``, ``SCHILY.acl.default``
    an ACL, as text
``GNU.sparse.*``
    a file with holes, in GNU's format 1.0: where its data is stands before
    them

Names are bytes. They are relative and begin with ``./``, so none is taken for
an option or a device. A tree that is a single file has the member ``./file``.
"""

import functools
import os
import struct
import tarfile
from collections.abc import Sequence

from chunked_backup.trees import entry as entries
from chunked_backup.trees import owners
from chunked_backup.trees.entry import Entry

BLOCK_BYTES = tarfile.BLOCKSIZE
#: What stands behind the last member.
END = bytes(2 * BLOCK_BYTES)

_TYPES = {entries.FILE: tarfile.REGTYPE, entries.DIRECTORY: tarfile.DIRTYPE,
          entries.SYMLINK: tarfile.SYMTYPE, entries.FIFO: tarfile.FIFOTYPE,
          entries.CHARACTER: tarfile.CHRTYPE, entries.BLOCK: tarfile.BLKTYPE}
# What the old header holds.
_MOST_NAME_BYTES = 100
_MOST_OWNER_BYTES = 31
_ID_LIMIT = 1 << 21
_NUMBER_LIMIT = 1 << 33
_NS_PER_S = 10 ** 9

_ACLS = {b'system.posix_acl_access': b'SCHILY.acl.access',
         b'system.posix_acl_default': b'SCHILY.acl.default'}
_ACL_VERSION = struct.pack('<I', 2)
_ACL_ENTRY = struct.Struct('<HHI')
_ACL_TAGS = {1: 'user', 2: 'user', 4: 'group', 8: 'group', 16: 'mask',
             32: 'other'}
_NAMED_USER = 2
_NAMED_GROUP = 8

#: An extended header: keywords and values.
Records = list[tuple[bytes, bytes]]


def is_member(entry: Entry) -> bool:
    """Whether an archive can hold it; there is no member for a socket."""
    return entry.kind in _TYPES


def header(entry: Entry, size: int = 0) -> bytes:
    """What stands before the contents of a member.

    :param entry: what it is; a further name of a file becomes a link.
    :param size: of the contents, in bytes.
    """
    name = _name(entry)
    return _header(entry, name, size, _text(b'path', name))


def sparse_header(entry: Entry, size: int,
                  ranges: Sequence[tuple[int, int]]) -> bytes:
    """What stands before the contents of a file with holes.

    :param size: of the file with its holes, in bytes.
    :param ranges: offsets of start and end of what is no hole; the contents
        of the member are these, one after the other.
    """
    numbers = [len(ranges) + 1]
    for start, end in ranges:
        numbers += start, end - start
    numbers += size, 0  # a hole at the end is seen by this alone
    where = padded(b''.join(b'%d\n' % number for number in numbers))
    stored = sum(end - start for start, end in ranges)
    records = [(b'GNU.sparse.major', b'1'), (b'GNU.sparse.minor', b'0'),
               (b'GNU.sparse.name', _name(entry)),
               (b'GNU.sparse.realsize', b'%d' % size)]
    return _header(entry, b'./GNUSparseFile.0/file', len(where) + stored,
                   records) + where


def padded(data: bytes) -> bytes:
    """Data with zeros behind it up to the end of a block."""
    return data + padding(len(data))


def padding(size: int) -> bytes:
    """What stands behind so many bytes of contents."""
    return bytes(-size % BLOCK_BYTES)


def _name(entry: Entry) -> bytes:
    if entry.kind != entries.DIRECTORY:
        return b'./' + (entry.path or b'file')
    return b'./' + entry.path + b'/' if entry.path else b'./'


def _header(entry: Entry, name: bytes, size: int, records: Records) -> bytes:
    info = tarfile.TarInfo(_ascii(name, _MOST_NAME_BYTES))
    info.type = _TYPES[entry.kind]
    records = records + _metadata(info, entry)
    if size < _NUMBER_LIMIT:
        info.size = size
    else:
        records.append((b'size', b'%d' % size))
    if entry.hardlink is not None:
        info.type = tarfile.LNKTYPE
        records += _link(info, b'./' + entry.hardlink)
    elif entry.kind == entries.SYMLINK:
        records += _link(info, entry.target)
    extended = b''.join(_record(*record) for record in records)
    return b''.join((_extended_header(len(extended)), padded(extended),
                     info.tobuf(tarfile.USTAR_FORMAT, 'ascii')))


def _link(info: tarfile.TarInfo, target: bytes) -> Records:
    info.linkname = _ascii(target, _MOST_NAME_BYTES)
    return _text(b'linkpath', target)


def _metadata(info: tarfile.TarInfo, entry: Entry) -> Records:
    """Set what the old header takes; what it does not is given back."""
    info.mode = entry.mode
    seconds, nanoseconds = divmod(entry.mtime_ns, _NS_PER_S)
    records = []
    if nanoseconds or not 0 <= seconds < _NUMBER_LIMIT:
        records.append((b'mtime', _decimal(entry.mtime_ns)))
    info.mtime = min(max(seconds, 0), _NUMBER_LIMIT - 1)
    for keyword, number in ((b'uid', entry.uid), (b'gid', entry.gid)):
        if number >= _ID_LIMIT:
            records.append((keyword, b'%d' % number))
    info.uid = entry.uid % _ID_LIMIT
    info.gid = entry.gid % _ID_LIMIT
    for keyword, owner in ((b'uname', entry.user), (b'gname', entry.group)):
        if len(owner) > _MOST_OWNER_BYTES or not owner.isascii():
            records.append((keyword, owner.encode()))
    info.uname = _ascii(entry.user.encode(), _MOST_OWNER_BYTES)
    info.gname = _ascii(entry.group.encode(), _MOST_OWNER_BYTES)
    info.devmajor = os.major(entry.rdev)
    info.devminor = os.minor(entry.rdev)
    for name, value in entry.xattrs:
        records.append(_xattr(name, value))
    return records


def _xattr(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    text = _acl_text(value) if name in _ACLS else None
    if text is not None:
        return _ACLS[name], text
    # The keyword ends at the first "=".
    return (b'SCHILY.xattr.' + name.replace(b'%', b'%25').replace(
        b'=', b'%3D'), value)


def _acl_text(value: bytes) -> bytes | None:
    """An ACL in words; None if it is none."""
    if value[:4] != _ACL_VERSION or (len(value) - 4) % _ACL_ENTRY.size:
        return None
    lines = []
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(value[4:]):
        if tag not in _ACL_TAGS:
            return None
        who = ''
        if tag == _NAMED_USER:
            who = owners.user_name(number) or str(number)
        elif tag == _NAMED_GROUP:
            who = owners.group_name(number) or str(number)
        lines.append(f'{_ACL_TAGS[tag]}:{who}:' + ''.join(
            sign if permissions & bit else '-'
            for sign, bit in (('r', 4), ('w', 2), ('x', 1))))
    return '\n'.join(lines).encode()


def _decimal(time_ns: int) -> bytes:
    """A time in seconds; of a negative one as well, all of it."""
    seconds, nanoseconds = divmod(abs(time_ns), _NS_PER_S)
    sign = '-' if time_ns < 0 else ''
    return f'{sign}{seconds}.{nanoseconds:09}'.encode()


def _text(keyword: bytes, value: bytes) -> Records:
    """A record for a text that the old header does not take."""
    if len(value) <= _MOST_NAME_BYTES and value.isascii():
        return []
    return [(keyword, value)]


def _ascii(value: bytes, most: int) -> str:
    return value[:most].decode('ascii', 'replace').replace('\ufffd', '?')


def _record(keyword: bytes, value: bytes) -> bytes:
    """Its length, which counts itself, a keyword and a value."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b'%d %b=%b\n' % (length, keyword, value)


@functools.lru_cache(maxsize=1024)
def _extended_header(size: int) -> bytes:
    info = tarfile.TarInfo('./PaxHeaders/x')
    info.type = tarfile.XHDTYPE
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT, 'ascii')
