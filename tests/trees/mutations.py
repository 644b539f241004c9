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

"""The changes that an incremental backup of a tree has to get right.

``build`` makes a tree, each of ``MUTATIONS`` is the steps of one case: a
function of the root for each level after the first.
"""

import os
import pathlib
import shutil

from tests.trees import zoo

BLOCK = 4096
BLOCKS = 50


def build(root):
    """The tree that all mutations begin with.

    :param root: a directory that is not there yet.
    """
    root = pathlib.Path(root)
    root.mkdir()
    (root / 'blocks').write_bytes(zoo.data('blocks', BLOCKS * BLOCK))
    # Its last block is short.
    (root / 'second').write_bytes(zoo.data('second', 24 * BLOCK + 1697))
    a, b, c = (zoo.data(name, BLOCK) for name in 'abc')
    (root / 'duplicates').write_bytes(a + b + a + c + a + a + b + b + c)
    (root / 'text').write_bytes(b'a text\n' * 10)
    (root / 'empty-file').touch()
    (root / 'directory' / 'inner').mkdir(parents=True)
    (root / 'directory' / 'file').write_bytes(b'in a directory')
    (root / 'directory' / 'inner' / 'file').write_bytes(b'further in')
    (root / 'empty-directory').mkdir()
    (root / 'symlink').symlink_to('text')
    (root / 'directory-link').symlink_to('directory')
    (root / 'name').write_bytes(b'of several names')
    os.link(root / 'name', root / 'name-too')
    os.link(root / 'name', root / 'directory' / 'name')
    with open(root / 'sparse', 'wb') as file:
        file.truncate(4 << 20)
        os.pwrite(file.fileno(), zoo.data('sparse', 8192), 1 << 20)
    os.mkfifo(root / 'fifo')
    os.setxattr(root / 'text', 'user.name', b'value')
    os.setxattr(root / 'directory', 'user.name', b'value')


def splice(name, offset, count, new=b''):
    """Have other bytes in the place of some, which may be of another
    number."""
    def step(root):
        old = (root / name).read_bytes()
        with open(root / name, 'r+b') as file:
            file.write(old[:offset] + new + old[offset + count:])
            file.truncate()
    return step


def in_place(name, offset, new):
    def step(root):
        with open(root / name, 'r+b') as file:
            file.seek(offset)
            file.write(new)
    return step


def reorder(name, order):
    """Have the blocks of a file in another order."""
    def step(root):
        old = (root / name).read_bytes()
        blocks = [old[start:start + BLOCK]
                  for start in range(0, len(old), BLOCK)]
        (root / name).write_bytes(b''.join(blocks[i] for i in order))
    return step


def remove(name):
    def step(root):
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return step


def steps(*several):
    """Several steps as one."""
    def step(root):
        for one in several:
            one(root)
    return step


def write(name, new):
    return lambda root: (root / name).write_bytes(new)


def make_directory(name):
    def step(root):
        (root / name / 'made').mkdir(parents=True)
        (root / name / 'made' / 'file').write_bytes(b'new')
        (root / name / 'file').write_bytes(b'new, too')
    return step


def symlink(name, target):
    return lambda root: (root / name).symlink_to(target)


def rename(name, new):
    return lambda root: (root / name).rename(root / new)


def link(name, new):
    return lambda root: os.link(root / name, root / new)


def chmod(name, mode):
    return lambda root: (root / name).chmod(mode)


def chown(name, uid, gid):
    return lambda root: os.chown(root / name, uid, gid, follow_symlinks=False)


def touch(name, time_ns=1500000000987654321):
    return lambda root: os.utime(root / name, ns=(0, time_ns),
                                 follow_symlinks=False)


def setxattr(name, key, value):
    return lambda root: os.setxattr(root / name, key, value,
                                    follow_symlinks=False)


def removexattr(name, key):
    return lambda root: os.removexattr(root / name, key)


def truncate(name, size):
    return lambda root: os.truncate(root / name, size)


def behind_the_clock(name, step):
    """A change that leaves size and time of modification as they were."""
    def hidden(root):
        before = os.stat(root / name)
        step(root)
        os.utime(root / name, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert os.stat(root / name).st_size == before.st_size
    return hidden


def append_to_each(root):
    for path in root.rglob('*'):
        if path.is_file() and not path.is_symlink():
            with open(path, 'ab') as file:
                file.write(b'more')


def nothing(root):
    pass


_SWAPPED = [0, 1, 7, 3, 4, 5, 6, 2, *range(8, BLOCKS)]

MUTATIONS = {
    'nothing': (nothing,),
    'append': (splice('blocks', BLOCKS * BLOCK, 0, zoo.data(1, 10000)),),
    'append a byte': (splice('second', 24 * BLOCK + 1697, 0, b'x'),),
    'in place, a block': (in_place('blocks', 9 * BLOCK, zoo.data(2, BLOCK)),),
    'in place, a byte': (in_place('blocks', 9 * BLOCK + 5, b'x'),),
    'in place, across blocks': (
        in_place('blocks', 9 * BLOCK - 7, zoo.data(3, 100)),),
    'in place, behind the clock': (
        behind_the_clock('blocks', in_place('blocks', 70000, b'hidden')),),
    'insert 1 byte in front': (splice('blocks', 0, 0, b'x'),),
    'insert 1 byte': (splice('blocks', 20 * BLOCK + 1, 0, b'x'),),
    'insert 3 bytes': (splice('blocks', 20 * BLOCK + 1, 0, b'xyz'),),
    'insert a block': (
        splice('blocks', 20 * BLOCK, 0, zoo.data(4, BLOCK)),),
    'insert a block, not aligned': (
        splice('blocks', 20 * BLOCK + 99, 0, zoo.data(4, BLOCK)),),
    'delete a block': (splice('blocks', 20 * BLOCK, BLOCK),),
    'delete a block, not aligned': (splice('blocks', 20 * BLOCK + 9, BLOCK),),
    'delete a byte in front': (splice('blocks', 0, 1),),
    'swap two blocks': (reorder('blocks', _SWAPPED),),
    'duplicate blocks reordered': (
        reorder('duplicates', [8, 0, 0, 1, 3, 7, 6, 5, 4, 2, 1]),),
    'all blocks reversed': (reorder('blocks', range(BLOCKS)[::-1]),),
    'truncate to a block': (truncate('blocks', 30 * BLOCK),),
    'truncate within a block': (truncate('blocks', 30 * BLOCK + 77),),
    'truncate to nothing': (truncate('blocks', 0),),
    'truncate and grow': (
        truncate('blocks', 1000),
        splice('blocks', 1000, 0, zoo.data(5, 3 * BLOCK))),
    'from nothing to something': (
        write('empty-file', zoo.data(6, 5 * BLOCK + 1)),),
    'two files': (steps(
        in_place('blocks', 3 * BLOCK, b'one'),
        in_place('second', 24 * BLOCK + 1690, b'another')),),
    'every file': (append_to_each,),
    'all other contents': (write('blocks', zoo.data(7, BLOCKS * BLOCK)),),
    'level after level': (
        in_place('blocks', 0, b'one'), splice('blocks', 7, 0, b'two'),
        splice('blocks', 30 * BLOCK, 5000), nothing,
        in_place('blocks', 0, b'five')),
    'chmod a file': (chmod('text', 0o4711),),
    'chmod a directory': (chmod('directory', 0o1700),),
    'chmod the root': (chmod('', 0o711),),
    'chown a file': (chown('text', 54321, 54322),),
    'chown a symlink': (chown('symlink', 54321, 54322),),
    'chown a directory': (chown('directory', 54321, 54322),),
    'touch a file': (touch('blocks'),),
    'touch a directory': (touch('directory'),),
    'touch a symlink': (touch('symlink'),),
    'touch a fifo': (touch('fifo'),),
    'touch one of several names': (touch('name'),),
    'set an attribute': (setxattr('blocks', 'user.new', b'new'),),
    'change an attribute': (setxattr('text', 'user.name', b'other'),),
    'remove an attribute': (removexattr('text', 'user.name'),),
    'change an attribute of a directory': (
        setxattr('directory', 'user.name', b'other'),),
    'set an ACL': (setxattr('text', 'system.posix_acl_access', zoo.ACL),),
    'set a default ACL': (
        setxattr('directory', 'system.posix_acl_default', zoo.DEFAULT_ACL),
        make_directory('directory/made')),
    'set a capability': (
        setxattr('text', 'security.capability', zoo.CAPABILITY),),
    'new file': (write('new', b'new'),),
    'new empty file': (write('new', b''),),
    'new directory': (make_directory('new'),),
    'new symlink': (symlink('new', 'nowhere'),),
    'delete a file': (remove('text'),),
    'delete a directory': (remove('directory'),),
    'delete an empty directory': (remove('empty-directory'),),
    'delete a symlink': (remove('symlink'),),
    'delete a fifo': (remove('fifo'),),
    'delete everything': (steps(*(
        remove(name) for name in (
            'blocks', 'second', 'duplicates', 'text', 'empty-file',
            'directory', 'empty-directory', 'symlink', 'directory-link',
            'name', 'name-too', 'sparse', 'fifo'))),),
    'delete and recreate a file': (
        remove('blocks'), write('blocks', zoo.data(8, 100000)),
        in_place('blocks', 50000, b'again')),
    'delete and recreate the same file': (
        remove('text'), write('text', b'a text\n' * 10)),
    'delete and recreate a directory': (
        remove('directory'), make_directory('directory')),
    'delete and recreate at once': (
        steps(remove('text'), write('text', b'b text\n' * 10)),),
    'symlink to another target': (
        steps(remove('symlink'), symlink('symlink', 'blocks')),),
    'symlink to a directory instead': (
        steps(remove('symlink'), symlink('symlink', 'directory')),),
    'file to symlink': (
        steps(remove('text'), symlink('text', 'blocks')),),
    'symlink to file': (
        steps(remove('symlink'), write('symlink', b'a file now')),),
    'file to directory': (
        steps(remove('text'), make_directory('text')),),
    'directory to file': (
        steps(remove('directory'), write('directory', b'a file now')),),
    'directory to symlink': (
        steps(remove('directory'), symlink('directory', 'empty-directory')),),
    'symlink to directory': (
        steps(remove('directory-link'), make_directory('directory-link')),),
    'file to directory and back': (
        steps(remove('text'), make_directory('text')),
        steps(remove('text'), write('text', b'a file again'))),
    'file to fifo': (
        steps(remove('text'), lambda root: os.mkfifo(root / 'text')),),
    'fifo to file': (
        steps(remove('fifo'), write('fifo', b'a file now')),),
    'rename a file': (rename('blocks', 'renamed'),),
    'rename a file over another': (rename('blocks', 'second'),),
    'rename a directory': (rename('directory', 'renamed'),),
    'exchange two files': (steps(
        rename('blocks', 'third'), rename('second', 'blocks'),
        rename('third', 'second')),),
    'move a file into a directory': (rename('text', 'directory/text'),),
    'rename, then change': (
        rename('blocks', 'renamed'), in_place('renamed', 5, b'changed')),
    'replace a file by a new one': (steps(
        write('new', zoo.data('blocks', BLOCKS * BLOCK)),
        rename('new', 'blocks')),),
    'change a file of several names': (in_place('name', 0, b'OF'),),
    'another name': (link('blocks', 'directory/blocks'),),
    'one name less': (remove('name-too'),),
    'first of several names gone': (remove('directory/name'),),
    'all names but one gone': (
        steps(remove('directory/name'), remove('name')),),
    'hard link broken': (steps(
        remove('name-too'), write('name-too', b'of several names')),),
    'hard link made of equal files': (
        write('equal', b'a text\n' * 10),
        steps(remove('equal'), link('text', 'equal'))),
    'hole filled': (in_place('sparse', 2 << 20, zoo.data(9, 10000)),),
    'hole made larger': (truncate('sparse', 9 << 20),),
    'zeros in the place of a hole': (in_place('sparse', 0, bytes(8192)),),
    'all a hole': (
        steps(truncate('sparse', 0), truncate('sparse', 4 << 20)),),
    'hole in the place of data': (
        steps(truncate('blocks', 5000), truncate('blocks', 150000)),),
}
