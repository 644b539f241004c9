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

import concurrent.futures
import errno
import itertools
import os
import random
import shutil
import stat
import subprocess
import threading
import tracemalloc

import pytest

from chunked_backup import errors
from chunked_backup.trees import entry as entries
from chunked_backup.trees import flush
from chunked_backup.trees import target as targets
from chunked_backup.trees.entry import Entry
from chunked_backup.trees.target import TreeTarget
from tests.trees import compare
from tests.trees import copying
from tests.trees import zoo

TIME_NS = 1234567890123456789
UID = os.geteuid()


def entry(path, kind, **fields):
    """An entry of ours with a time of its own."""
    if kind == entries.SYMLINK:
        fields.setdefault('target', b'somewhere')
        fields.setdefault('mode', 0o777)
    fields.setdefault('mode', 0o755 if kind == entries.DIRECTORY else 0o640)
    return Entry(path, kind, uid=UID, gid=UID, mtime_ns=TIME_NS, **fields)


ROOT = entry(b'', 'd')


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'target'


@pytest.fixture
def outside(tmp_path):
    """What a restore must never touch."""
    path = tmp_path / 'outside'
    path.mkdir()
    (path / 'file').write_bytes(b'precious')
    path.chmod(0o500)
    os.utime(path / 'file', ns=(5, 5))
    os.utime(path, ns=(5, 5))
    before = tmp_path / 'before'
    copying.copy(path, before)
    yield path
    assert compare.differences(before, path) == []


def restore(tree, *several, data=b'data'):
    """Add entries, each file with some data, and finish."""
    for one in several:
        writer = tree.add(one)
        if writer is not None:
            with writer as file:
                file.write(data)
    tree.finish()


def reasons(reported):
    return dict(reported)


# Where a restore may begin


def test_the_root_is_made_with_all_above_it(tmp_path, report, reported):
    root = tmp_path / 'several' / 'levels'
    restore(TreeTarget(root, report), entry(b'', 'd', mode=0o711),
            entry(b'a', 'f'))

    assert (root / 'a').read_bytes() == b'data'
    assert root.stat().st_mode & 0o7777 == 0o711
    assert root.stat().st_mtime_ns == TIME_NS
    assert reported == []


def test_an_empty_directory_will_do(root, report):
    root.mkdir()
    restore(TreeTarget(root, report), ROOT, entry(b'a', 'f'))

    assert os.listdir(root) == ['a']


@pytest.mark.parametrize('make', [
    lambda root: (root.mkdir(), (root / 'a').touch()),
    lambda root: root.write_bytes(b'here'),
    lambda root: root.symlink_to('nowhere'),
    os.mkfifo,
], ids=['directory', 'file', 'dangling', 'fifo'])
def test_what_is_there_is_not_overwritten_unasked(root, report, make):
    make(root)
    before = os.lstat(root)

    with pytest.raises(errors.TreeNotEmpty, match='--overwrite'):
        TreeTarget(root, report)
    assert os.lstat(root) == before


def test_a_root_that_cannot_be_listed_is_no_tree(root, report, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(os, 'listdir', fail)
    root.mkdir()

    with pytest.raises(errors.InvalidTree, match='Input/output error'):
        TreeTarget(root, report)


def test_a_symlink_to_the_root_is_followed(root, tmp_path, report):
    root.mkdir()
    (tmp_path / 'link').symlink_to('target')
    restore(TreeTarget(tmp_path / 'link', report), ROOT, entry(b'a', 'f'))

    assert (root / 'a').read_bytes() == b'data'
    assert (tmp_path / 'link').is_symlink()


def test_a_root_that_is_a_file_is_no_tree(root, report):
    root.write_bytes(b'here')
    tree = TreeTarget(root, report, overwrite=True)

    with pytest.raises(errors.InvalidTree):
        tree.add(ROOT)
    assert root.read_bytes() == b'here'


@pytest.mark.parametrize('is_there', [False, True])
def test_a_single_file_gets_the_name_of_the_root(root, report, reported,
                                                 is_there):
    if is_there:
        root.write_bytes(b'much more than what is to come')
    restore(TreeTarget(root, report, overwrite=is_there),
            entry(b'', 'f', mode=0o600))

    assert root.read_bytes() == b'data'
    assert root.stat().st_mtime_ns == TIME_NS
    assert os.listdir(root.parent) == ['target']
    assert reported == []


def test_a_single_file_replaces_no_directory(root, report):
    root.mkdir()
    tree = TreeTarget(root, report)

    with pytest.raises(errors.InvalidTree, match='name a file'):
        tree.add(entry(b'', 'f'))


def test_a_single_symlink_is_not_followed(root, outside, report, reported):
    root.symlink_to(outside / 'file')
    restore(TreeTarget(root, report, overwrite=True), entry(b'', 'f'))

    assert not root.is_symlink()
    assert root.read_bytes() == b'data'
    assert reported == []


# Entries that nobody could have scanned


@pytest.mark.parametrize('several', [
    [ROOT, entry(b'b', 'f'), entry(b'a', 'f')],
    [ROOT, entry(b'a', 'f'), entry(b'a', 'f')],
    [ROOT, ROOT],
    [ROOT, entry(b'a', 'd'), entry(b'a.b', 'f'), entry(b'a/b', 'f')],
    [entry(b'a', 'f'), ROOT],
    [ROOT, entry(b'a', 'l', target=b'/etc'), entry(b'a/b', 'f')],
    [ROOT, entry(b'a', 'l', target=b'..'), entry(b'a/b/c', 'd')],
    [ROOT, entry(b'a', 'f'), entry(b'a/b', 'f')],
    [ROOT, entry(b'a', 'p'), entry(b'a/b', 'd')],
    [entry(b'', 'f'), entry(b'a', 'f')],
    [entry(b'', 'l', target=b'..'), entry(b'a', 'f')],
])
@pytest.mark.parametrize('overwrite', [False, True])
def test_what_is_no_walk_is_refused(root, report, several, overwrite):
    tree = TreeTarget(root, report, overwrite=overwrite)

    with pytest.raises(errors.InvalidEntry):
        restore(tree, *several)


# Never outside


def test_a_symlink_planted_for_a_directory_is_not_followed(
        root, outside, report, reported):
    root.mkdir()
    (root / 'a').symlink_to(outside)
    tree = TreeTarget(root, report, overwrite=True)
    restore(tree, ROOT, entry(b'a', 'd'), entry(b'a/file', 'f'),
            entry(b'a/p', 'p'))

    assert not (root / 'a').is_symlink()
    assert sorted(os.listdir(root / 'a')) == ['file', 'p']
    assert reported == []


def test_a_symlink_planted_for_a_directory_that_is_not_added_is_not_followed(
        root, outside, report, reported):
    root.mkdir()
    (root / 'a').symlink_to(outside)
    tree = TreeTarget(root, report, overwrite=True)
    restore(tree, entry(b'a/file', 'f'), entry(b'a/p', 'p'),
            entry(b'b/file', 'f'))

    assert sorted(reasons(reported)) == [b'a/file', b'a/p']
    assert (root / 'b' / 'file').read_bytes() == b'data'


def plant(root, name, outside):
    """Put a symlink where a directory was; what was in it is aside."""
    os.rename(root / name, root / 'aside')
    os.symlink(outside, root / name)


@pytest.mark.parametrize('kind', ['f', 'd', 'l', 'p', 'c', 's'])
def test_a_symlink_planted_meanwhile_is_not_followed(root, outside, report,
                                                     kind):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    tree.add(entry(b'a', 'd'))
    plant(root, 'a', outside)

    restore(tree, entry(b'a/file', kind))
    assert os.listdir(outside) == ['file']


@pytest.mark.parametrize('kind', ['f', 'd', 'l', 'p', 'c', 's'])
def test_nor_when_the_directory_has_to_be_opened_again(
        root, outside, report, reported, kind, monkeypatch):
    monkeypatch.setattr('chunked_backup.trees.directories._MOST_OPEN', 1)
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    tree.add(entry(b'a', 'd'))
    tree.add(entry(b'a/b', 'd'))
    plant(root, 'a', outside)

    try:
        restore(tree, entry(b'a/file', kind))
    except NotADirectoryError:
        assert kind == 'f'
    assert (b'a' in reasons(reported)) == (kind != 'f')


def test_a_symlink_planted_for_a_file_is_replaced(root, outside, report,
                                                  reported):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    with tree.add(entry(b'file', 'f')) as file:
        (root / 'file').symlink_to(outside / 'file')
        file.write(b'data')
    tree.finish()

    assert not (root / 'file').is_symlink()
    assert (root / 'file').read_bytes() == b'data'
    assert reported == []


@pytest.mark.parametrize('kind', ['l', 'p', 'c', 's', 'd'])
def test_what_is_planted_for_a_special_file_is_left_alone(
        root, outside, report, reported, kind):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    os.symlink(outside, root / 'name')
    restore(tree, entry(b'name', kind, mode=0o777))

    assert reported == [(b'name', os.strerror(errno.EEXIST))]
    assert os.readlink(root / 'name') == str(outside)


def test_metadata_goes_to_what_was_made_or_nowhere(root, outside, report,
                                                   reported, monkeypatch):
    """Another name of a file of others is planted right after the making."""
    mknod = os.mknod

    def racing(name, mode, device, dir_fd):
        mknod(name, mode, device, dir_fd=dir_fd)
        os.unlink(name, dir_fd=dir_fd)
        os.link(outside / 'file', root / 'fifo')

    monkeypatch.setattr(targets.os, 'mknod', racing)
    tree = TreeTarget(root, report)
    restore(tree, ROOT, entry(b'fifo', 'p', mode=0o4777))

    assert reported == [(b'fifo', os.strerror(errno.ESTALE))]
    (root / 'fifo').unlink()


def test_nor_to_a_file_that_has_come_in_its_place(root, report, reported,
                                                  monkeypatch):
    theirs = root.parent / 'theirs'
    theirs.write_bytes(b'precious')
    theirs.chmod(0o600)
    monkeypatch.setattr(
        targets.os, 'mknod',
        lambda *_, dir_fd: os.rename(theirs, root / 'fifo'))
    restore(TreeTarget(root, report), ROOT, entry(b'fifo', 'p', mode=0o777))

    assert reported == [(b'fifo', os.strerror(errno.ESTALE))]
    assert (root / 'fifo').stat().st_mode & 0o7777 == 0o600


def test_another_fifo_is_not_taken_for_ours(root, outside, report, reported,
                                            monkeypatch):
    os.mkfifo(root.parent / 'theirs', 0o600)

    def racing(name, mode, device, dir_fd):
        os.link(root.parent / 'theirs', root / 'fifo')

    monkeypatch.setattr(targets.os, 'mknod', racing)
    restore(TreeTarget(root, report), ROOT, entry(b'fifo', 'p', mode=0o777))

    assert reported == [(b'fifo', os.strerror(errno.ESTALE))]
    assert (root.parent / 'theirs').stat().st_mode & 0o7777 == 0o600


def test_a_directory_that_was_replaced_does_not_get_the_metadata(
        root, report, reported, monkeypatch):
    monkeypatch.setattr('chunked_backup.trees.directories._MOST_OPEN', 1)
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    tree.add(entry(b'a', 'd', mode=0o777))
    tree.add(entry(b'a/b', 'd'))
    os.rename(root / 'a', root / 'aside')
    (root / 'a').mkdir(mode=0o700)
    tree.finish()

    assert (root / 'a').stat().st_mode & 0o7777 == 0o700
    assert (b'a', os.strerror(errno.ESTALE)) in reported


def test_a_restore_that_is_torn_apart_stays_inside(root, outside, report):
    """A directory and a symlink take turns as fast as they can."""
    is_over = threading.Event()

    def swap():
        while not is_over.is_set():
            try:
                os.symlink(outside, root / 'link')
                os.rename(root / 'a', root / 'aside')
                os.rename(root / 'link', root / 'a')
                os.unlink(root / 'a')
                os.rename(root / 'aside', root / 'a')
            except OSError:
                for name in ('link', 'a'):
                    if (root / name).is_symlink():
                        os.unlink(root / name)

    root.mkdir()
    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        for _ in range(150):
            tree = TreeTarget(root, report, overwrite=True)
            for one in (ROOT, entry(b'a', 'd'), entry(b'a/b', 'd'),
                        entry(b'a/b/c', 'p'), entry(b'a/file', 'f'),
                        entry(b'a/l', 'l'), entry(b'a/p', 'p', mode=0o777)):
                writer = tree.add(one)
                try:
                    if writer is not None:
                        with writer as file:
                            file.write(b'data')
                except OSError:
                    continue  # it is elsewhere just now
            tree.finish()
    finally:
        is_over.set()
        attacker.join()


# What is there already


MAKE = {
    'f': lambda path: path.write_bytes(b'old'),
    'd': lambda path: (path.mkdir(mode=0o500), (path / 'x').mkdir(),
                       (path / 'x' / 'y').write_bytes(b'old')),
    'l': lambda path: path.symlink_to('/etc'),
    'p': os.mkfifo,
    'c': lambda path: os.mknod(path, 0o020600, os.makedev(1, 3)),
    's': lambda path: os.mknod(path, 0o140600),
}
FORMATS = {'f': stat.S_IFREG, 'd': stat.S_IFDIR, 'l': stat.S_IFLNK,
           'p': stat.S_IFIFO, 'c': stat.S_IFCHR, 's': stat.S_IFSOCK}


@pytest.mark.parametrize('old, new', list(itertools.product(MAKE, MAKE)))
def test_what_is_in_the_way_is_replaced(root, report, reported, old, new):
    root.mkdir()
    MAKE[old](root / 'name')
    (root / 'other').write_bytes(b'stays')
    restore(TreeTarget(root, report, overwrite=True), ROOT,
            entry(b'name', new))

    status = os.lstat(root / 'name')
    assert stat.S_IFMT(status.st_mode) == FORMATS[new]
    assert status.st_mtime_ns == TIME_NS
    if new == 'f':
        assert (root / 'name').read_bytes() == b'data'
    if new == old == 'd':
        assert (root / 'name' / 'x' / 'y').read_bytes() == b'old'
    assert (root / 'other').read_bytes() == b'stays'
    assert reported == []


def test_a_tree_in_the_way_goes_but_not_what_it_links_to(root, outside,
                                                         report, reported):
    inner = root / 'name'
    for depth in range(300):
        inner = inner / 'd'
    inner.mkdir(parents=True)
    (inner / 'link').symlink_to(outside)
    os.link(outside / 'file', inner / 'file')
    restore(TreeTarget(root, report, overwrite=True), ROOT,
            entry(b'name', 'f'))

    assert (root / 'name').is_file()
    assert reported == []


def test_a_directory_that_is_there_becomes_that_of_the_backup(root, report,
                                                              reported):
    (root / 'a').mkdir(parents=True)
    (root / 'a').chmod(0o100)
    os.setxattr(root / 'a', 'user.old', b'1')
    os.setxattr(root / 'a', 'system.posix_acl_default', zoo.DEFAULT_ACL)
    os.setxattr(root, 'user.old', b'1')
    restore(TreeTarget(root, report, overwrite=True), ROOT,
            entry(b'a', 'd', xattrs=((b'user.new', b'2'),)),
            entry(b'a/b', 'd'), entry(b'a/b/c', 'f'), entry(b'a/f', 'f'),
            entry(b'a/p', 'p'))

    assert os.listxattr(root) == []
    assert os.listxattr(root / 'a') == ['user.new']
    for name in ('b', 'b/c', 'f', 'p'):
        assert os.listxattr(root / 'a' / name) == []
    assert (root / 'a' / 'f').stat().st_mode & 0o7777 == 0o640
    assert (root / 'a').stat().st_mode & 0o7777 == 0o755
    assert reported == []


def test_the_zoo_in_a_place_with_an_acl_of_its_own(tmp_path):
    """What is new inherits the ACL, and is not to have it."""
    zoo.build(tmp_path / 'zoo')
    copy = tmp_path / 'copy'
    copy.mkdir(mode=0o2777)
    os.chown(copy, -1, 54322)
    copy.chmod(0o2777)
    os.setxattr(copy, 'system.posix_acl_default', zoo.DEFAULT_ACL)

    assert copying.copy(tmp_path / 'zoo', copy) == []
    assert compare.differences(tmp_path / 'zoo', copy) == []


# Files


def test_nothing_inherits_an_acl_that_cannot_be_read(root, report, reported,
                                                     monkeypatch):
    root.mkdir()
    os.setxattr(root, 'system.posix_acl_default', zoo.DEFAULT_ACL)
    tree = TreeTarget(root, report, overwrite=True)
    with monkeypatch.context() as patch:
        def fail(*arguments):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        patch.setattr(os, 'getxattr', fail)
        tree.add(ROOT)
    restore(tree, entry(b'file', 'f'))

    assert os.listxattr(root / 'file') == []
    assert reported == []


def test_a_file_has_its_name_when_it_is_complete(root, report):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    with tree.add(entry(b'file', 'f', mode=0o4755)) as file:
        file.write(b'da')
        (part,) = os.listdir(root)
        assert part.endswith('.part') and part.startswith('.')
        assert (root / part).stat().st_mode & 0o7777 == 0o600
        file.write(bytearray(b't'))
        file.write(memoryview(b'a'))
        file.write(b'')
    tree.finish()

    assert os.listdir(root) == ['file']
    assert (root / 'file').read_bytes() == b'data'
    assert (root / 'file').stat().st_mode & 0o7777 == 0o4755


def test_holes_are_holes(root, report):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    with tree.add(entry(b'file', 'f')) as file:
        file.skip(1 << 20)
        file.write(b'data')
        file.skip(1 << 20)
    with tree.add(entry(b'hole', 'f')) as file:
        file.skip(5)
        file.write(b'')
    tree.finish()

    assert (root / 'file').read_bytes() == (
        bytes(1 << 20) + b'data' + bytes(1 << 20))
    assert (root / 'file').stat().st_blocks * 512 <= 65536
    assert (root / 'hole').read_bytes() == bytes(5)


def test_short_writes_are_gone_on_with(root, report, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(targets.os, 'pwrite', lambda number, data, offset:
                        pwrite(number, data[:3], offset))
    restore(TreeTarget(root, report), ROOT, entry(b'file', 'f'),
            data=b'0123456789')

    assert (root / 'file').read_bytes() == b'0123456789'


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_file_that_fails_is_not_there_or_as_it_was(root, report, reported,
                                                     overwrite):
    if overwrite:
        root.mkdir()
        (root / 'file').write_bytes(b'old')
    tree = TreeTarget(root, report, overwrite=overwrite)
    tree.add(ROOT)
    with pytest.raises(ZeroDivisionError):
        with tree.add(entry(b'file', 'f')) as file:
            file.write(b'da')
            1 / 0
    tree.finish()

    assert os.listdir(root) == (['file'] if overwrite else [])
    if overwrite:
        assert (root / 'file').read_bytes() == b'old'
    assert root.stat().st_mtime_ns == TIME_NS
    assert reported == []


@pytest.mark.parametrize('fails', [False, True])
def test_a_part_that_somebody_removes_is_an_error_of_its_own(root, report,
                                                             fails):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    with pytest.raises(ZeroDivisionError if fails else FileNotFoundError):
        with tree.add(entry(b'file', 'f')) as file:
            file.write(b'data')
            (part,) = os.listdir(root)
            (root / part).unlink()
            if fails:
                1 / 0
    tree.finish()

    assert os.listdir(root) == []
    assert root.stat().st_mtime_ns == TIME_NS


@pytest.mark.parametrize('call', ['open', 'pwrite', 'ftruncate', 'close',
                                  'rename'])
def test_a_device_that_fails_leaves_no_part(root, report, reported,
                                            monkeypatch, call):
    close = os.close
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    tree.add(entry(b'a', 'd'))
    before = len(os.listdir('/proc/self/fd'))
    with monkeypatch.context() as patch:
        def fail(*arguments, **keywords):
            if call == 'close':  # done, whatever it says
                close(*arguments)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patch.setattr(targets.os, call, fail)
        with pytest.raises(OSError, match='No space'):
            with tree.add(entry(b'a/file', 'f')) as file:
                file.write(b'data')
                file.skip(5)
    tree.finish()

    assert os.listdir(root / 'a') == []
    assert (root / 'a').stat().st_mtime_ns == TIME_NS
    assert len(os.listdir('/proc/self/fd')) == before
    assert reported == []


def test_a_name_of_255_bytes_has_a_part_too(root, report, reported):
    restore(TreeTarget(root, report), ROOT, entry(b'n' * 255, 'f'))

    assert os.listdir(root) == ['n' * 255]
    assert reported == []


def test_no_part_ever_takes_the_name_of_another_file(root, report,
                                                     monkeypatch):
    monkeypatch.setattr(targets.secrets, 'token_hex', lambda count: 'same')
    root.mkdir()
    (root / '.same-0.part').write_bytes(b'theirs')
    tree = TreeTarget(root, report, overwrite=True)
    tree.add(ROOT)

    with pytest.raises(FileExistsError):
        with tree.add(entry(b'file', 'f')):
            raise AssertionError('it was opened')
    assert (root / '.same-0.part').read_bytes() == b'theirs'


def test_memory_does_not_grow_with_the_tree(root, report):
    def add(numbers):
        for number in numbers:
            tree.add(entry(b'%06d' % number, 'd'))
            for name in b'abcdefghij':
                with tree.add(entry(b'%06d/%c' % (number, name), 'f')):
                    pass

    tree = TreeTarget(root, report)
    tree.add(ROOT)
    add(range(200))  # as many directories as are held open
    tracemalloc.start()
    try:
        add(range(200, 600))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    tree.finish()

    assert peak < 100000  # what 4000 entries would take alone
    assert len(os.listdir(root)) == 600


# Directories


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_directory_is_finished_after_all_that_is_in_it(root, report, order):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    tree.add(entry(b'a', 'd', mode=0o500))
    writers = [tree.add(entry(b'a/f', 'f'))]
    tree.add(entry(b'a/sub', 'd', mode=0o000))
    writers.append(tree.add(entry(b'a/sub/g', 'f')))
    writers.append(tree.add(entry(b'z', 'f')))
    tree.finish()
    for number in order:
        assert root.stat().st_mtime_ns != TIME_NS
        with writers[number] as file:
            file.write(b'data')

    for name, mode in (('', 0o755), ('a', 0o500), ('a/sub', 0o000)):
        assert (root / name).stat().st_mtime_ns == TIME_NS
        assert (root / name).stat().st_mode & 0o7777 == mode
    assert (root / 'a' / 'sub' / 'g').read_bytes() == b'data'


def test_a_writer_that_is_discarded_is_not_waited_for(root, report):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    tree.add(entry(b'a', 'd'))
    tree.add(entry(b'a/f', 'f')).discard()
    tree.finish()

    assert (root / 'a').stat().st_mtime_ns == TIME_NS
    assert os.listdir(root / 'a') == []


def test_directories_that_are_not_added_are_made(root, report, reported):
    restore(TreeTarget(root, report), entry(b'a/b/c', 'f'),
            entry(b'a/b/d/e', 'p'), entry(b'a/f', 'l'), entry(b'g', 'f'))

    assert (root / 'a' / 'b' / 'c').read_bytes() == b'data'
    assert (root / 'a' / 'b' / 'd' / 'e').is_fifo()
    assert (root / 'a' / 'b').stat().st_mode & 0o700 == 0o700
    assert reported == []


def test_what_is_below_a_directory_that_failed_is_reported(
        root, report, reported, monkeypatch):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    (root / 'a').mkdir()
    tree.add(entry(b'a', 'd'))
    for path, kind in ((b'a/b', 'f'), (b'a/c', 'd'), (b'a/c/d', 'p')):
        assert tree.add(entry(path, kind)) is None
    restore(tree, entry(b'z', 'f'))

    assert reasons(reported) == {
        b'a': os.strerror(errno.EEXIST),
        **{path: os.strerror(errno.ENOTDIR)
           for path in (b'a/b', b'a/c', b'a/c/d')}}
    assert (root / 'z').read_bytes() == b'data'
    assert os.listdir(root / 'a') == []


# Hard links


FIRST = entry(b'a', 'f', links=3)
SECOND = entry(b'b', 'f', links=3, hardlink=b'a')
THIRD = entry(b'c/d', 'f', links=3, hardlink=b'a')


def test_links_wait_for_the_first_name(root, report, reported):
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    first = tree.add(FIRST)
    assert tree.add(SECOND) is None
    tree.add(entry(b'c', 'd'))
    assert tree.add(THIRD) is None
    tree.finish()
    assert os.listdir(root / 'c') == []
    with first as file:
        file.write(b'data')

    assert (root / 'a').stat().st_nlink == 3
    assert (root / 'c' / 'd').samefile(root / 'b')
    assert (root / 'c').stat().st_mtime_ns == TIME_NS
    assert root.stat().st_mtime_ns == TIME_NS
    assert reported == []


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('waits', [False, True])
def test_links_to_a_name_that_failed_are_reported(root, report, reported,
                                                  overwrite, waits):
    if overwrite:
        root.mkdir()
        (root / 'a').write_bytes(b'old, and not to be linked to')
    tree = TreeTarget(root, report, overwrite=overwrite)
    tree.add(ROOT)
    first = tree.add(FIRST)
    if waits:
        tree.add(SECOND)
    first.discard()
    if not waits:
        tree.add(SECOND)
    tree.finish()

    assert not (root / 'b').exists()
    assert [path for path, _ in reported] == [b'b']
    assert '"a"' in reported[0][1]
    assert root.stat().st_mtime_ns == TIME_NS


def test_a_link_to_what_was_not_added_is_reported(root, report, reported):
    root.mkdir()
    (root / 'a').write_bytes(b'old')
    restore(TreeTarget(root, report, overwrite=True), ROOT, SECOND)

    assert [path for path, _ in reported] == [b'b']
    assert not (root / 'b').exists()


@pytest.mark.parametrize('kind', ['l', 'p', 'c', 's'])
def test_special_files_have_several_names_too(root, report, reported, kind):
    restore(TreeTarget(root, report), ROOT, entry(b'a', kind, links=2),
            entry(b'b', kind, links=2, hardlink=b'a'))

    assert os.lstat(root / 'a').st_ino == os.lstat(root / 'b').st_ino
    assert reported == []


def test_a_link_replaces_what_is_there(root, report, reported):
    root.mkdir()
    (root / 'b').mkdir()
    (root / 'b' / 'x').touch()
    (root / 'c').symlink_to('/etc')
    tree = TreeTarget(root, report, overwrite=True)
    restore(tree, ROOT, FIRST, SECOND, entry(b'c', 'd'), THIRD)

    assert (root / 'a').stat().st_nlink == 3
    assert reported == []


# Owners and privileges


def test_owners_go_by_name_and_then_by_number(root, report, monkeypatch):
    known = {'alice': 7001, 'staff': 7002}
    monkeypatch.setattr('chunked_backup.trees.owners.uid_of', known.get)
    monkeypatch.setattr('chunked_backup.trees.owners.gid_of', known.get)
    owned = [
        Entry(b'a', 'f', 0o600, 5000, 5001, 'alice', 'staff'),
        Entry(b'b', 'p', 0o600, 5000, 5001, 'unknown', 'staff'),
        Entry(b'c', 'l', 0o777, 5000, 5001, 'alice', '', target=b'x'),
        Entry(b'd', 'd', 0o700, 5000, 5001, '', '')]
    for numeric, name in ((False, 'by-name'), (True, 'by-number')):
        restore(TreeTarget(root / name, report, numeric_owner=numeric), ROOT,
                *owned)

    def found(name):
        return [(status.st_uid, status.st_gid) for status in (
            os.lstat(root / name / one) for one in 'abcd')]

    assert found('by-name') == [(7001, 7002), (5000, 7002), (7001, 5001),
                                (5000, 5001)]
    assert found('by-number') == [(5000, 5001)] * 4


def test_without_privileges_the_rest_is_restored(open_path, as_nobody, report,
                                                 reported):
    with as_nobody():
        tree = TreeTarget(open_path / 'target', report)
        restore(
            tree, Entry(b'', 'd', 0o700, 0, 0),
            Entry(b'device', 'c', 0o600, 0, 0, rdev=os.makedev(1, 3)),
            Entry(b'file', 'f', 0o6755, 0, 0, mtime_ns=TIME_NS,
                  xattrs=((b'trusted.x', b'1'), (b'user.x', b'2'))),
            Entry(b'own', 'f', 0o4755, 65534, 65534),
            Entry(b'socket', 's', 0o600, 0, 0))

    root = open_path / 'target'
    found = reasons(reported)
    assert found.pop(b'device') == os.strerror(errno.EPERM)
    owners = [path for path, reason in reported if 'owner' in reason]
    assert len(owners) == 1
    assert (b'file', 'extended attribute trusted.x: '
            + os.strerror(errno.EPERM)) in reported
    assert len(reported) == 3
    assert not (root / 'device').exists()
    assert os.getxattr(root / 'file', 'user.x') == b'2'
    assert (root / 'file').stat().st_mode & 0o7777 == 0o755
    assert (root / 'file').stat().st_mtime_ns == TIME_NS
    assert (root / 'own').stat().st_mode & 0o7777 == 0o4755
    assert stat.S_ISSOCK((root / 'socket').stat().st_mode)


def test_a_tree_of_ones_own_is_restored_without_privileges(
        open_path, as_nobody):
    with as_nobody():
        root = open_path / 'one'
        (root / 'closed' / 'inner').mkdir(parents=True)
        (root / 'closed' / 'inner' / 'file').write_bytes(b'file')
        (root / 'closed' / 'file').write_bytes(b'file')
        (root / 'closed').chmod(0o500)
        copying.copy(root, open_path / 'other')
        reported = copying.copy(root, open_path / 'other',
                                restore={'overwrite': True})

    assert reported == []
    assert compare.differences(root, open_path / 'other') == []


def test_an_attribute_that_cannot_be_set_is_reported(root, report, reported):
    restore(TreeTarget(root, report), ROOT,
            entry(b'a', 'f', xattrs=((b'nonsense', b'1'),
                                     (b'user.x', b'2'))))

    assert reported == [(b'a', 'extended attribute nonsense: '
                               + os.strerror(errno.EOPNOTSUPP))]
    assert os.listxattr(root / 'a') == ['user.x']


def test_what_cannot_be_made_harms_nobody_else(root, report, reported,
                                               monkeypatch):
    def fail(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ('mkdir', 'symlink', 'mknod', 'link'):
        tree = TreeTarget(root / name, report)
        tree.add(ROOT)
        with monkeypatch.context() as patch:
            patch.setattr(targets.os, name, fail)
            with tree.add(FIRST) as file:
                file.write(b'data')
            for one in (SECOND, entry(b'd', 'd'), entry(b'l', 'l'),
                        entry(b'p', 'p')):
                tree.add(one)
        restore(tree, entry(b'z', 'f'))

        assert reported.pop()[0] in (b'b', b'd', b'l', b'p')
        assert reported == []
        assert len(os.listdir(root / name)) == 5
        assert (root / name).stat().st_mtime_ns == TIME_NS


# On the disk


@pytest.fixture
def disk(tmp_path):
    """A file system of its own."""
    path = tmp_path / 'target' / 'disk'
    path.mkdir(parents=True)
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', path], check=True)
    yield path
    subprocess.run(['umount', path], check=True)


def test_each_file_system_is_flushed_once(root, report, disk, monkeypatch):
    flushed = []
    monkeypatch.setattr(targets, 'flush', lambda descriptor: flushed.append(
        os.fstat(descriptor).st_dev))
    tree = TreeTarget(root, report, overwrite=True)
    restore(tree, ROOT, entry(b'a', 'd'), entry(b'a/1', 'f'),
            entry(b'disk', 'd'), entry(b'disk/2', 'f'),
            entry(b'disk/b', 'd'), entry(b'disk/b/3', 'f'))
    tree.flush()

    assert sorted(flushed) == sorted([root.stat().st_dev,
                                      disk.stat().st_dev])


def test_a_flush_that_fails_is_told():
    with pytest.raises(OSError) as failed:
        flush.flush(-1)
    assert failed.value.errno == errno.EBADF


# In parallel


def test_files_are_written_by_many_threads(tmp_path, root, report, reported):
    generator = random.Random(1)
    tree = TreeTarget(root, report)
    tree.add(ROOT)
    expected = {}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def write(writer, data):
            with writer as file:
                for start in range(0, len(data), 100):
                    file.write(data[start:start + 100])

        done = []
        for number in range(30):
            tree.add(entry(b'%03d' % number, 'd', mode=0o500))
            for name in (b'f', b'g', b'h'):
                path = b'%03d/%b' % (number, name)
                expected[path] = generator.randbytes(
                    generator.randrange(2000))
                done.append(pool.submit(
                    write, tree.add(entry(path, 'f', links=2)),
                    expected[path]))
            tree.add(entry(b'%03d/i' % number, 'f', links=2,
                           hardlink=b'%03d/f' % number))
        tree.finish()
        for future in done:
            future.result()

    for path, data in expected.items():
        assert (root / os.fsdecode(path)).read_bytes() == data
    for number in range(30):
        directory = root / f'{number:03}'
        assert directory.stat().st_mtime_ns == TIME_NS
        assert (directory / 'i').samefile(directory / 'f')
    assert reported == []
    shutil.rmtree(root)
