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

"""A tree with one of every odd thing that a file system can hold."""

import functools
import os
import pathlib
import random
import socket
import stat
import struct

#: What a root only can make: devices, owners, trusted attributes.
IS_ROOT = os.geteuid() == 0

ODD_NAMES = [
    b'non-utf8-\xff\xfe\x80', b'new\nline', b'x;touch pwned;', b' spaces ',
    b'-rf', b'--help', b'"quotes\'', b'back\\slash', b'*?[a]', b'tab\t',
    b'\x01control\x7f', b'$(touch pwned)', b'...', b'..a', b'~', b'#hash#',
    b'!bang', b'%s%d{}', b'=', b'@long', 'snowman-\u2603'.encode(),
    b'n' * 255, b'\xff' * 255]

BLOCK = 65536
SIZES = [0, 1, 2, 511, 512, 513, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1,
         2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, (1 << 20) - 1, (1 << 20) + 1]

TIMES_NS = [1, 999999999, 1000000001, -1, -1000000001, -2 ** 31 * 10 ** 9,
            1234567890123456789, 2 ** 33 * 10 ** 9 + 7]

CAPABILITY = struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0)


@functools.lru_cache(maxsize=64)
def data(seed, size):
    """Bytes that cannot be compressed, the same for a seed each time."""
    return random.Random(seed).randbytes(size)


def acl(*entries):
    """An ACL as the kernel has it, of (tag, permissions, id)."""
    return struct.pack('<I', 2) + b''.join(
        struct.pack('<HHI', *entry) for entry in entries)


_NOBODY = 0xffffffff
ACL = acl((1, 6, _NOBODY), (2, 7, 54321), (4, 4, _NOBODY), (8, 5, 54322),
          (16, 7, _NOBODY), (32, 4, _NOBODY))
DEFAULT_ACL = acl((1, 7, _NOBODY), (2, 5, 54321), (4, 5, _NOBODY),
                  (16, 5, _NOBODY), (32, 0, _NOBODY))


def build(root, beyond_path_max=True, sockets=True):
    """Make the zoo.

    :param root: a directory that is not there yet.
    :param beyond_path_max: with paths longer than a system call takes.
    :param sockets: with a socket, which archives of tar do not know.
    """
    root = pathlib.Path(os.fsdecode(root))
    root.mkdir()
    _names(root / 'names')
    _contents(root / 'contents')
    _holes(root / 'holes')
    _links(root / 'links')
    _modes(root / 'modes')
    _special(root / 'special', sockets)
    _xattrs(root / 'xattrs')
    _depths(root / 'deep', beyond_path_max)
    if IS_ROOT:
        _owners(root / 'owners')
        _devices(root / 'devices')
    _times(root / 'times')
    root.chmod(0o751)
    os.utime(root, ns=(5, 1600000000987654321))


def _names(root):
    root.mkdir()
    for number, name in enumerate(ODD_NAMES):
        path = os.fsencode(root) + b'/' + name
        with open(path, 'wb') as file:
            file.write(b'%d' % number)
    (root / 'a').mkdir()
    (root / 'a' / 'z').write_bytes(b'a/z, which comes before a.b')
    (root / 'a.b').write_bytes(b'a.b')
    inner = os.fsencode(root) + b'/dir-\xff\n;'
    os.mkdir(inner)
    with open(inner + b'/\xfe', 'wb') as file:
        file.write(b'inside')


def _contents(root):
    root.mkdir()
    for size in SIZES:
        (root / f'size-{size}').write_bytes(data(size, size))
    (root / 'large').write_bytes(data('large', 3 * (1 << 20) + 12345))
    (root / 'zeros').write_bytes(bytes(3 * BLOCK + 5))
    (root / 'repeated').write_bytes(data('block', BLOCK) * 5 + b'end')
    (root / 'empty-directory').mkdir()
    (root / 'empty-directories').mkdir()
    (root / 'empty-directories' / 'inner').mkdir()


def _holes(root):
    root.mkdir()
    layouts = {
        'all': (8 << 20, []), 'front': (1 << 20, [(1 << 20) - 4096]),
        'end': (4 << 20, [0]), 'middle': (4 << 20, [0, (4 << 20) - 4096]),
        'many': (16 << 20, range(0, 16 << 20, 1 << 20)),
        'odd-end': ((1 << 20) + 777, [8192]), 'one': (1, [])}
    for name, (size, places) in layouts.items():
        with open(root / name, 'wb') as file:
            file.truncate(size)
            for place in places:
                os.pwrite(file.fileno(), data(place, 4096), place)


def _links(root):
    root.mkdir()
    (root / 'file').write_bytes(b'the file')
    (root / 'directory').mkdir()
    (root / 'directory' / 'inner').write_bytes(b'inner')
    for name, target in {
            'to-file': b'file', 'to-directory': b'directory',
            'dangling': b'nowhere/at/all', 'absolute': b'/etc/passwd',
            'outside': b'../../..', 'to-itself': b'to-itself',
            'odd': b'\xff\n; ', 'long': b'l/' * 2047 + b'l'}.items():
        os.symlink(target, os.fsencode(root / name))
    os.link(root / 'file', root / 'directory' / 'another-name')
    os.link(root / 'file', root / 'a-name-before')
    (root / 'empty').touch()
    os.link(root / 'empty', root / 'empty-too')
    os.link(root / 'dangling', root / 'dangling-too', follow_symlinks=False)
    os.mkfifo(root / 'fifo')
    os.link(root / 'fifo', root / 'fifo-too')
    os.utime(root / 'to-file', ns=(1, 1111111111222222222),
             follow_symlinks=False)


def _modes(root):
    root.mkdir()
    for mode in (0o4755, 0o2755, 0o6711, 0o1644, 0o000, 0o400, 0o777, 0o7777):
        (root / f'file-{mode:o}').write_bytes(b'%o' % mode)
        (root / f'file-{mode:o}').chmod(mode)
    for mode in (0o1777, 0o2775, 0o700, 0o555, 0o7777, 0o000):
        inner = root / f'directory-{mode:o}'
        inner.mkdir()
        (inner / 'inner').write_bytes(b'inner')
        inner.chmod(mode if IS_ROOT or mode else 0o500)


def _special(root, sockets):
    root.mkdir()
    os.mkfifo(root / 'fifo', 0o640)
    if sockets:
        here = os.open(root, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f'/proc/self/fd/{here}/socket')
        os.close(here)
        (root / 'socket').chmod(0o751)


def _devices(root):
    root.mkdir()
    for name, kind, major, minor in [
            ('null', stat.S_IFCHR, 1, 3), ('zero', stat.S_IFCHR, 0, 0),
            ('disk', stat.S_IFBLK, 7, 200),
            ('large', stat.S_IFBLK, 259, 70000)]:
        os.mknod(root / name, kind | 0o660, os.makedev(major, minor))


def _xattrs(root):
    root.mkdir()
    for name in ('file', 'empty', 'acl', 'capable'):
        (root / name).write_bytes(name.encode())
    (root / 'empty').write_bytes(b'')
    (root / 'directory').mkdir()
    for path in (root / 'file', root / 'empty', root / 'directory'):
        os.setxattr(path, 'user.plain', b'text')
        os.setxattr(path, 'user.binary', b'\0\xff=\n"')
        os.setxattr(path, 'user.empty', b'')
        os.setxattr(path, b'user.\xff\xfe', b'an odd name')
        os.setxattr(path, 'user.long', b'v' * 2000)
    os.setxattr(root / 'acl', 'system.posix_acl_access', ACL)
    inherited = root / 'inherited'
    inherited.mkdir()
    os.setxattr(inherited, 'system.posix_acl_default', DEFAULT_ACL)
    (inherited / 'file').write_bytes(b'inherits')
    (inherited / 'directory').mkdir()
    (inherited / 'bare').write_bytes(b'does not')
    os.removexattr(inherited / 'bare', 'system.posix_acl_access')
    (inherited / 'bare').chmod(0o644)
    if IS_ROOT:
        os.setxattr(root / 'capable', 'security.capability', CAPABILITY)
        os.symlink('file', root / 'symlink')
        for name in ('file', 'directory', 'symlink'):
            os.setxattr(root / name, 'trusted.zoo', b'trusted\0',
                        follow_symlinks=False)


def _depths(root, beyond_path_max):
    root.mkdir()
    inner = root
    for number in range(50):
        inner = inner / f'{number}'
        inner.mkdir()
    (inner / 'bottom').write_bytes(b'bottom')
    if not beyond_path_max:
        return
    here = os.open(root, os.O_RDONLY)
    for number in range(20):
        name = f'{number}-'.ljust(250, 'x')
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    with open(os.open('bottom', os.O_WRONLY | os.O_CREAT, dir_fd=here),
              'wb') as file:
        file.write(b'5000 bytes below')
    os.close(here)


def _owners(root):
    root.mkdir()
    for uid, gid in [(54321, 54322), (4000000000, 4000000001), (1, 1),
                     (0, 54322), (65534, 0)]:
        path = root / f'{uid}-{gid}'
        path.write_bytes(b'owned')
        os.chown(path, uid, gid)
        path.chmod(0o6755)
        os.symlink('nowhere', root / f'link-{uid}-{gid}')
        os.chown(root / f'link-{uid}-{gid}', uid, gid, follow_symlinks=False)
        (root / f'directory-{uid}-{gid}').mkdir()
        os.chown(root / f'directory-{uid}-{gid}', uid, gid)


def _times(root):
    root.mkdir()
    for number, time_ns in enumerate(TIMES_NS):
        (root / f'file-{number}').write_bytes(b'%d' % time_ns)
        os.symlink('nowhere', root / f'link-{number}')
        os.mkfifo(root / f'fifo-{number}')
        (root / f'directory-{number}').mkdir()
        (root / f'directory-{number}' / 'inner').write_bytes(b'inner')
    for number, time_ns in enumerate(TIMES_NS):
        for kind in ('file', 'link', 'fifo', 'directory'):
            os.utime(root / f'{kind}-{number}', ns=(time_ns, time_ns),
                     follow_symlinks=False)
    os.utime(root, ns=(1, 1))
