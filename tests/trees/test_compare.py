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

"""The comparer sees each kind of difference, and none where there is none."""

import os
import shutil
import socket

import pytest

from tests.trees import compare
from tests.trees import zoo

TIME_NS = 1600000000123456789


@pytest.fixture
def pair(tmp_path):
    """Two trees that are the same."""
    for name in ('one', 'other'):
        root = tmp_path / name
        root.mkdir()
        (root / 'directory').mkdir()
        (root / 'directory' / 'file').write_bytes(b'contents')
        (root / 'large').write_bytes(zoo.data(1, (1 << 20) + 5))
        (root / 'linked').write_bytes(b'linked')
        os.link(root / 'linked', root / 'directory' / 'linked-too')
        os.symlink('large', root / 'symlink')
        os.mkfifo(root / 'fifo')
        os.mknod(root / 'device', 0o020600, os.makedev(1, 3))
        (root / 'sparse').touch()
        os.truncate(root / 'sparse', 1 << 20)
        os.setxattr(root / 'large', 'user.name', b'value')
        for where, _, names, number in os.fwalk(root, topdown=False):
            for name in [*names, '.']:
                os.utime(name, ns=(0, TIME_NS), dir_fd=number,
                         follow_symlinks=False)
    return tmp_path / 'one', tmp_path / 'other'


def keep_times(root, change):
    """Make a change that leaves all times of modification alone."""
    before = {path: os.lstat(path).st_mtime_ns
              for path in [root, *root.rglob('*')]}
    change(root)
    for path, time_ns in before.items():
        if os.path.lexists(path):
            os.utime(path, ns=(0, time_ns), follow_symlinks=False)


def test_what_is_the_same_has_no_differences(pair):
    assert compare.differences(*pair) == []


def test_the_zoo_is_itself(tmp_path):
    zoo.build(tmp_path / 'zoo')

    assert compare.differences(tmp_path / 'zoo', tmp_path / 'zoo') == []


def rewrite(name, offset, new):
    def change(root):
        with open(root / name, 'r+b') as file:
            file.seek(offset)
            file.write(new)
    return change


def replace(name, make):
    def change(root):
        shutil.rmtree(root / name) if (root / name).is_dir() and not (
            root / name).is_symlink() else (root / name).unlink()
        make(root / name)
        os.utime(root / name, ns=(0, TIME_NS), follow_symlinks=False)
    return change


def unlink_and_copy(root):
    (root / 'linked').unlink()
    (root / 'linked').write_bytes(b'linked')
    os.utime(root / 'linked', ns=(0, TIME_NS))


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize('change, expected', [
    (rewrite('directory/file', 3, b'X'), 'contents differ at 3'),
    (rewrite('large', 1 << 20, b'XXXXX'), 'contents differ at 1048576'),
    (rewrite('large', (1 << 20) + 5, b'X'), 'size'),
    (rewrite('sparse', 4096, bytes(4096)), 'holes'),
    (lambda root: os.truncate(root / 'directory/file', 4), 'size'),
    (lambda root: os.chmod(root / 'large', 0o600), 'mode'),
    (lambda root: os.chmod(root / 'large', 0o4644), 'mode'),
    (lambda root: os.chmod(root / 'directory', 0o1755), 'mode'),
    (lambda root: os.chmod(root, 0o711), "b'': mode"),
    (lambda root: os.chown(root / 'large', 1, -1), 'uid'),
    (lambda root: os.chown(root / 'fifo', -1, 1), 'gid'),
    (lambda root: os.chown(root / 'symlink', 1, -1, follow_symlinks=False),
     'uid'),
    (lambda root: os.setxattr(root / 'large', 'user.name', b'other'),
     'user.name'),
    (lambda root: os.removexattr(root / 'large', 'user.name'), 'user.name'),
    (lambda root: os.setxattr(root / 'directory', 'user.more', b''),
     'user.more'),
    (lambda root: os.setxattr(root / 'symlink', 'trusted.more', b'1',
                              follow_symlinks=False), 'trusted.more'),
    (lambda root: os.setxattr(root / 'directory', 'system.posix_acl_default',
                              zoo.DEFAULT_ACL), 'system.posix_acl_default'),
    (lambda root: os.setxattr(root / 'large', 'security.capability',
                              zoo.CAPABILITY), 'security.capability'),
    (replace('symlink', lambda path: path.symlink_to('linked')), 'target'),
    (replace('symlink', lambda path: path.write_bytes(b'')), 'type'),
    (replace('directory', lambda path: path.touch()), 'type'),
    (replace('fifo', make_socket), 'type'),
    (replace('device', lambda path: os.mknod(path, 0o020600,
                                             os.makedev(1, 5))), 'device'),
    (replace('device', lambda path: os.mknod(path, 0o060600,
                                             os.makedev(1, 3))), 'type'),
    (unlink_and_copy, 'is the same as'),
    (lambda root: (root / 'linked').unlink(), 'missing'),
    (lambda root: (root / 'directory/new').mkdir(), 'not in the original'),
])
def test_a_difference_is_seen(pair, change, expected):
    keep_times(pair[1], change)

    found = compare.differences(*pair)
    assert any(expected in line for line in found), found
    assert compare.differences(pair[1], pair[0]) != []


@pytest.mark.parametrize('name', ['', 'directory', 'large', 'symlink', 'fifo'])
def test_a_nanosecond_is_seen(pair, name):
    os.utime(pair[1] / name, ns=(0, TIME_NS + 1), follow_symlinks=False)

    found = compare.differences(*pair)
    assert len(found) == 1 and 'mtime' in found[0]


def test_a_link_too_many_is_seen(pair):
    def change(root):
        (root / 'directory/file').unlink()
        os.link(root / 'linked', root / 'directory/file')

    keep_times(pair[0], lambda root: rewrite('directory/file', 0,
                                             b'linked\0\0')(root))
    keep_times(pair[1], change)
    found = compare.differences(*pair)
    assert any('is the same as' in line for line in found)


def test_holes_may_be_left_out_of_account(pair):
    keep_times(pair[1], rewrite('sparse', 4096, bytes(4096)))

    assert compare.differences(*pair, holes=False) == []


def test_single_files_are_compared(tmp_path):
    for name in ('one', 'other'):
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, ns=(0, 0))

    found = compare.differences(tmp_path / 'one', tmp_path / 'other')
    assert len(found) == 2
    assert compare.differences(tmp_path / 'one', tmp_path / 'one') == []
