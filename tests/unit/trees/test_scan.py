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

import errno
import itertools
import os
import shutil
import stat
import threading
import tracemalloc

import pytest

from chunked_backup import errors
from chunked_backup.trees import entry
from chunked_backup.trees import scan
from tests.trees import zoo


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / 'tree'
    (root / 'a' / 'inner').mkdir(parents=True)
    (root / 'a' / 'inner' / 'file').write_bytes(b'inner')
    (root / 'a' / 'z').write_bytes(b'z')
    (root / 'a.b').write_bytes(b'a.b')
    (root / 'c').write_bytes(b'contents')
    return root


@pytest.fixture
def outside(tmp_path):
    """What nobody may read by way of the tree."""
    path = tmp_path / 'outside'
    path.mkdir()
    (path / 'file').write_bytes(b'secret')
    (path / 'secret').write_bytes(b'secret')
    return path


def scanner(root, report, **options):
    return scan.TreeScanner(root, report, **options)


def paths(root, report, **options):
    return [one.path for one in scanner(root, report, **options)]


WALK = [b'', b'a', b'a/inner', b'a/inner/file', b'a/z', b'a.b', b'c']


def test_entries_come_in_the_order_of_their_keys(tree, report, reported):
    assert paths(tree, report) == WALK
    assert paths(os.fsencode(tree) + b'/', report) == WALK
    assert reported == []


def test_a_scanner_may_be_iterated_again(tree, report):
    os.link(tree / 'c', tree / 'd')
    both = scanner(tree, report)

    assert list(both) == list(both)


def test_the_zoo_is_complete_and_each_entry_can_be_packed(tmp_path, report,
                                                          reported):
    zoo.build(tmp_path / 'zoo')
    expected = {b''}
    for where, directories, files, _ in os.fwalk(
            os.fsencode(tmp_path / 'zoo'), follow_symlinks=False):
        prefix = where[len(os.fsencode(tmp_path / 'zoo')) + 1:]
        expected |= {os.path.join(prefix, name)
                     for name in directories + files}

    found = list(scanner(tmp_path / 'zoo', report))

    assert {one.path for one in found} == expected
    assert [one.sort_key for one in found] == sorted(
        one.sort_key for one in found)
    for one in found:
        assert entry.unpack(entry.pack(one)) == one
    assert reported == []


def test_an_entry_says_what_the_file_system_says(tree, report):
    path = tree / 'c'
    os.chown(path, 54321, 0)
    path.chmod(0o4751)
    os.utime(path, ns=(0, -1))
    os.setxattr(path, 'user.b', b'2')
    os.setxattr(path, 'user.a', b'')
    os.link(path, tree / 'd')
    os.mknod(tree / 'e', 0o060640, os.makedev(7, 300))
    os.symlink(b'\xff', tree / 'f')
    status = os.stat(path)

    c, d, e, f = list(scanner(tree, report))[-4:]

    assert c == entry.Entry(
        b'c', 'f', 0o4751, 54321, 0, '', 'root', -1, status.st_ctime_ns, 8,
        status.st_ino, status.st_dev, 2, 0, b'',
        ((b'user.a', b''), (b'user.b', b'2')), None)
    assert (d.path, d.hardlink, d.size) == (b'd', b'c', 8)
    assert (e.kind, e.rdev, e.mode, e.size) == (
        'b', os.makedev(7, 300), 0o640, 0)
    assert (f.kind, f.target, f.size) == ('l', b'\xff', 0)


def test_a_single_file_is_a_tree(tree, report):
    one = scanner(tree / 'c', report)

    (root,) = one
    assert (root.path, root.kind, root.size) == (b'', 'f', 8)
    with one.open_file(root) as file:
        assert file.read() == b'contents'


def test_the_root_itself_may_be_reached_by_a_symlink(tree, tmp_path, report):
    (tmp_path / 'link').symlink_to('tree')
    (tmp_path / 'file-link').symlink_to('tree/c')

    assert paths(tmp_path / 'link', report) == WALK
    (root,) = scanner(tmp_path / 'file-link', report)
    assert (root.kind, root.size) == ('f', 8)


@pytest.mark.parametrize('name', ['missing', 'dangling', 'a.b/c'])
def test_a_root_that_is_not_there_is_an_error(tree, report, name):
    (tree / 'dangling').symlink_to('nowhere')

    with pytest.raises(errors.InvalidTree, match=name):
        scanner(tree / name, report)


def test_a_fifo_as_root_does_not_hang(tmp_path, report):
    os.mkfifo(tmp_path / 'fifo')

    (root,) = scanner(tmp_path / 'fifo', report)
    assert root.kind == 'p'


def test_without_proc_nothing_is_scanned(tree, report, monkeypatch):
    monkeypatch.setattr('chunked_backup.trees.directories._PROC',
                        str(tree / 'no'))

    with pytest.raises(errors.ConfigurationError, match='mount /proc'):
        scanner(tree, report)


# What is left out


def test_a_directory_that_is_left_out_cuts_all_below(tree, report):
    assert paths(tree, report, excludes=['/a']) == [b'', b'a.b', b'c']
    assert paths(tree, report, excludes=['inner/', '[cz]']) == [
        b'', b'a', b'a.b']
    assert paths(tree, report, excludes=['*', '!a*']) == [b'', b'a', b'a.b']
    assert paths(tree, report, excludes=['/']) == WALK


def test_other_file_systems_may_be_left_out(report, reported):
    """/sys is one on every Linux, and does not change as /proc does."""
    options = {'excludes': ['/*', '!/sys', '/sys/*', '!/sys/kernel',
                            '/sys/kernel/*']}

    assert paths('/', report, **options) == [b'', b'sys', b'sys/kernel']
    assert paths('/', report, one_file_system=True, **options) == [b'',
                                                                   b'sys']
    assert reported == []


# Symlinks and hard links


@pytest.fixture
def linked(tree, outside):
    (tree / 'to-file').symlink_to('c')
    (tree / 'to-outside').symlink_to(outside)
    (tree / 'dangling').symlink_to('nowhere')
    (tree / 'itself').symlink_to('itself')
    (tree / 'a' / 'up').symlink_to('..')
    (tree / 'b').symlink_to('a/inner')
    os.link(tree / 'c', tree / 'c-too')
    return tree


def kinds(root, report, **options):
    return {one.path: (one.kind, one.hardlink)
            for one in scanner(root, report, **options)}


def test_symlinks_and_hard_links_are_what_they_are(linked, report):
    found = kinds(linked, report)

    assert found[b'c-too'] == ('f', b'c')
    for name in (b'to-file', b'to-outside', b'dangling', b'itself', b'a/up',
                 b'b'):
        assert found[name] == ('l', None)
    assert b'b/file' not in found


@pytest.mark.parametrize('dereference', ['soft', 'all'])
def test_symlinks_are_followed_but_not_in_circles(linked, report, reported,
                                                  dereference):
    one = scanner(linked, report, dereference=dereference)
    found = {each.path: each for each in one}

    assert found[b'to-file'].kind == 'f'
    assert found[b'to-outside'].kind == found[b'b'].kind == 'd'
    assert found[b'b/file'].size == 5
    for name in (b'dangling', b'itself', b'a/up'):
        assert found[name].kind == 'l'
    for name in (b'to-file', b'to-outside/secret', b'b/file'):
        with one.open_file(found[name]) as file:
            assert len(file.read()) == found[name].size
    assert [each.sort_key for each in found.values()] == sorted(
        each.sort_key for each in found.values())
    assert (found[b'c-too'].hardlink is None) == (dereference == 'all')
    assert reported == []


def test_symlinks_that_lead_to_each_other_end(tree, report):
    (tree / 'a' / 'to-d').symlink_to('../d')
    (tree / 'd').mkdir()
    (tree / 'd' / 'to-a').symlink_to('../a')

    found = kinds(tree, report, dereference='soft')

    assert found[b'a/to-d/to-a'] == ('l', None)
    assert found[b'd/to-a/to-d'] == ('l', None)


def test_hard_links_may_be_files_of_their_own(linked, report):
    found = kinds(linked, report, dereference='hard')

    assert found[b'c-too'] == ('f', None)
    assert found[b'to-file'] == ('l', None)


def test_another_way_to_dereference_is_refused(tree, report):
    with pytest.raises(errors.InvalidInput, match='sometimes'):
        scanner(tree, report, dereference='sometimes')


def test_names_outside_of_the_tree_are_no_links(tree, tmp_path, report):
    os.link(tree / 'c', tmp_path / 'elsewhere')
    os.link(tree / 'c', tree / 'd')
    os.link(tree / 'c', tree / 'a' / 'c')

    found = kinds(tree, report)
    assert found[b'a/c'] == ('f', None)
    assert found[b'c'] == found[b'd'] == ('f', b'a/c')


# What changes meanwhile


def until(iterator, path):
    """Go on to an entry."""
    return next(one for one in iterator if one.path == path)


def test_what_vanishes_is_reported(tree, report, reported):
    walk = iter(scanner(tree, report))
    until(walk, b'a')
    (tree / 'c').unlink()

    assert [one.path for one in walk] == WALK[2:-1]
    assert reported == [(b'c', os.strerror(errno.ENOENT))]


def test_a_directory_that_vanishes_is_reported(tree, report, reported):
    walk = iter(scanner(tree, report))
    until(walk, b'a')
    shutil.rmtree(tree / 'a')

    assert [one.path for one in walk] == [b'a.b', b'c']
    assert reported == [(b'a', os.strerror(errno.ENOENT))]


def test_a_directory_that_vanishes_later_harms_nobody_else(tree, report,
                                                           reported):
    walk = iter(scanner(tree, report))
    until(walk, b'a/inner/file')
    shutil.rmtree(tree / 'a')

    assert [one.path for one in walk] == [b'a.b', b'c']
    assert {path for path, _ in reported} <= {b'a', b'a/z'}
    assert reported


def test_a_directory_that_becomes_a_symlink_is_not_followed(
        tree, outside, report, reported):
    walk = iter(scanner(tree, report))
    until(walk, b'a')
    shutil.rmtree(tree / 'a')
    (tree / 'a').symlink_to(outside)

    assert [one.path for one in walk] == [b'a.b', b'c']
    assert [path for path, _ in reported] == [b'a']


def test_a_directory_above_that_becomes_a_symlink_is_not_followed(
        tree, outside, report):
    (outside / 'z').write_bytes(b'secret')
    one = scanner(tree, report)
    walk = iter(one)
    found = [until(walk, b'a/inner')]
    (tree / 'a').rename(tree / 'moved')
    (tree / 'a').symlink_to(outside)

    found += walk
    for each in found:
        if each.kind == 'f':
            with one.open_file(each) as file:
                assert file.read() != b'secret'


@pytest.mark.parametrize('replace', [
    lambda path, outside: path.symlink_to(outside / 'secret'),
    lambda path, outside: os.mkfifo(path),
    lambda path, outside: path.mkdir(),
    lambda path, outside: os.mknod(path, 0o020666, os.makedev(1, 5)),
    lambda path, outside: None,
], ids=['symlink', 'fifo', 'directory', 'device', 'nothing'])
def test_what_is_no_file_any_more_is_not_opened(tree, outside, report,
                                                replace):
    one = scanner(tree, report)
    file = until(iter(one), b'c')
    (tree / 'c').unlink()
    replace(tree / 'c', outside)
    before = len(os.listdir('/proc/self/fd'))

    with pytest.raises(OSError):
        one.open_file(file)
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_file_below_what_became_a_symlink_is_not_opened(tree, outside,
                                                          report):
    one = scanner(tree, report)
    file = until(iter(one), b'a/inner/file')
    other = scanner(tree, report)
    shutil.rmtree(tree / 'a' / 'inner')
    (tree / 'a' / 'inner').symlink_to(outside)

    with pytest.raises(OSError):
        other.open_file(file)


def test_a_file_is_read_again(tree, report):
    one = scanner(tree, report)
    file = until(iter(one), b'c')
    with one.open_file(file) as opened:
        assert one.reread(file, opened) == file
        os.setxattr(tree / 'c', 'user.new', b'1')
        with open(tree / 'c', 'ab') as more:
            more.write(b', more of them')
        fresh = one.reread(file, opened)

    assert not entry.same_content(file, fresh)
    assert (fresh.path, fresh.size) == (b'c', 22)
    assert fresh.xattrs == ((b'user.new', b'1'),)


def test_a_tree_that_is_torn_apart_never_shows_what_is_outside(
        tree, outside, report):
    """A directory and a symlink take turns as fast as they can."""
    (tree / 'a' / 'inner' / 'secret').write_bytes(b'inner')
    is_over = threading.Event()

    def swap():
        inner, aside = tree / 'a' / 'inner', tree / 'aside'
        link = tree / 'a' / 'link'
        while not is_over.is_set():
            link.symlink_to(outside)
            os.rename(inner, aside)
            os.rename(link, inner)
            os.unlink(inner)
            os.rename(aside, inner)

    attacker = threading.Thread(target=swap)
    attacker.start()
    read = 0
    try:
        for _ in range(400):
            one = scanner(tree, report)
            for each in one:
                if each.kind == 'f':
                    try:
                        with one.open_file(each) as file:
                            assert file.read() != b'secret'
                            read += 1
                    except OSError:
                        continue  # it is elsewhere just now
    finally:
        is_over.set()
        attacker.join()
    assert read


# What cannot be read


def test_what_may_not_be_read_is_reported(open_path, as_nobody, report,
                                          reported):
    for name in ('closed', 'open'):
        (open_path / name).mkdir()
        (open_path / name / 'inner').write_bytes(b'inner')
        os.chown(open_path / name, 65534, 65534)
    (open_path / 'closed').chmod(0o000)
    (open_path / 'unreadable').write_bytes(b'private')
    (open_path / 'unreadable').chmod(0o600)
    with as_nobody():
        one = scanner(open_path, report)
        found = list(one)
        with pytest.raises(PermissionError):
            one.open_file(found[-1])
        with one.open_file(found[-2]) as file:
            assert file.read() == b'inner'

    assert [each.path for each in found] == [
        b'', b'closed', b'open', b'open/inner', b'unreadable']
    assert reported == [(b'closed', os.strerror(errno.EACCES))]


def test_a_root_that_may_not_be_read_is_no_empty_tree(open_path, as_nobody,
                                                      report):
    (open_path / 'root').mkdir()
    (open_path / 'root').chmod(0o700)
    with as_nobody():
        with pytest.raises(errors.InvalidTree, match=(
                f'/root cannot be used: {os.strerror(errno.EACCES)}')):
            paths(open_path / 'root', report)


def failing(monkeypatch, name, code, when=lambda path: True):
    original = getattr(os, name)

    def call(path, *arguments, **keywords):
        if when(path):
            raise OSError(code, os.strerror(code))
        return original(path, *arguments, **keywords)

    monkeypatch.setattr(scan.os, name, call)


def test_an_attribute_that_cannot_be_read_is_reported(tree, report, reported,
                                                      monkeypatch):
    os.setxattr(tree / 'c', 'user.name', b'value')
    failing(monkeypatch, 'getxattr', errno.EACCES)

    last = list(scanner(tree, report))[-1]

    assert (last.path, last.xattrs) == (b'c', ())
    assert reported == [(b'c', 'extended attribute user.name: '
                               + os.strerror(errno.EACCES))]


def test_an_attribute_that_has_just_gone_is_none(tree, report, reported,
                                                 monkeypatch):
    os.setxattr(tree / 'c', 'user.name', b'value')
    failing(monkeypatch, 'getxattr', errno.ENODATA)

    assert list(scanner(tree, report))[-1].xattrs == ()
    assert reported == []


def test_a_file_system_may_know_no_attributes(tree, report, reported,
                                              monkeypatch):
    failing(monkeypatch, 'listxattr', errno.EOPNOTSUPP)

    assert paths(tree, report) == WALK
    assert reported == []


def test_attributes_that_cannot_be_listed_are_reported(
        tree, report, reported, monkeypatch):
    failing(monkeypatch, 'listxattr', errno.EIO,
            lambda path: path.endswith(b'/c'))

    assert paths(tree, report) == WALK
    assert reported == [(b'c', 'extended attributes: '
                               + os.strerror(errno.EIO))]


def test_what_vanishes_before_its_attributes_are_read_is_reported(
        tree, report, reported, monkeypatch):
    failing(monkeypatch, 'listxattr', errno.ENOENT,
            lambda path: path.endswith(b'/c'))

    assert paths(tree, report) == WALK[:-1]
    assert reported == [(b'c', os.strerror(errno.ENOENT))]


@pytest.mark.parametrize('call', ['stat', 'readlink'])
def test_a_failing_device_harms_one_entry(tree, report, reported, monkeypatch,
                                          call):
    (tree / 'c').unlink()
    (tree / 'c').symlink_to('a')
    failing(monkeypatch, call, errno.EIO,
            lambda path: isinstance(path, bytes)
            and path.rpartition(b'/')[2] == b'c')

    assert paths(tree, report) == WALK[:-1]
    assert reported == [(b'c', os.strerror(errno.EIO))]


def test_reading_leaves_no_trace(tree, report):
    everything = [tree, *tree.rglob('*')]
    for path in everything:
        os.utime(path, ns=(1, 1))
    one = scanner(tree, report)
    for each in one:
        if each.kind == 'f':
            with one.open_file(each) as file:
                file.read()

    for path in everything:
        assert path.lstat().st_atime_ns == 1, path


# Of any size


def open_descriptors():
    return len(os.listdir('/proc/self/fd'))


def test_a_deep_tree_needs_few_descriptors(tmp_path, report, reported):
    depth = 400
    inner = tmp_path
    for _ in range(depth):
        (inner / 'z').touch()
        inner = inner / 'd'
        inner.mkdir()
    before = open_descriptors()
    most = 0
    one = scanner(tmp_path, report)
    count = 0
    for count, each in enumerate(one, 1):
        most = max(most, open_descriptors())
        if each.kind == 'f':
            one.open_file(each).close()

    assert count == 1 + 2 * depth
    assert most - before < 140
    assert reported == []
    del one, each
    assert open_descriptors() == before


def test_memory_does_not_grow_with_the_tree(tmp_path, report):
    for number in range(60):
        directory = tmp_path / f'{number}'
        directory.mkdir()
        for other in range(100):
            (directory / f'{other}').touch()
    one = scanner(tmp_path, report)
    for _ in itertools.islice(one, 300):  # what is made once is made
        pass
    tracemalloc.start()
    try:
        count = sum(1 for _ in one)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 1 + 60 * 101
    assert peak < 100000  # entries of 6000 files would take two million


def test_a_path_beyond_all_measure_is_reported(tree, report, reported,
                                               monkeypatch):
    monkeypatch.setattr(scan.entries, 'MAX_PATH_BYTES', 6)

    assert paths(tree, report) == [b'', b'a', b'a/z', b'a.b', b'c']
    assert reported == [(b'a/inner', os.strerror(errno.ENAMETOOLONG))]


def test_an_unknown_kind_of_file_is_reported(tree, report, reported,
                                             monkeypatch):
    monkeypatch.delitem(scan._KINDS, stat.S_IFREG)

    assert paths(tree, report) == [b'', b'a', b'a/inner']
    assert (b'c', os.strerror(errno.EINVAL)) in reported
