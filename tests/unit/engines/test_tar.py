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

"""What the tar engine writes is an archive that GNU tar unpacks."""

import functools
import os
import subprocess
import tarfile

import pytest

from chunked_backup.engines import tar
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.jobs import tree_file
from chunked_backup.trees.scan import TreeScanner
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.trees import compare
from tests.trees import mutations
from tests.trees import zoo


class Repository:

    def __init__(self, path):
        self._path = path
        self.problems = []
        self.service = TreeService(
            support.memory_driver(), report=lambda path, reason:
            self.problems.append((path, reason)))

    def back_up(self, source):
        return self.service.backup(
            str(source), functools.partial(TreeScanner, source), 'a tree',
            load_engine('tar', None), LevelPolicy(True))

    def archive(self, backup):
        """The stream of a backup as a file."""
        path = self._path / f'{backup.id}.tar'
        with open(path, 'wb') as file:
            for piece in self.service.stream(backup):
                file.write(piece)
        return path

    def unpack(self, backup, target):
        """What GNU tar makes of a backup."""
        target.mkdir(exist_ok=True)
        subprocess.run(
            ['tar', '-x', '--xattrs', '--xattrs-include=*', '--acls',
             '--warning=no-timestamp', '-f', self.archive(backup), '-C',
             target], check=True)
        return target

    def restore(self, backup, target):
        totals = self.service.restore(
            backup, functools.partial(TreeTarget, target))
        assert totals.damaged == totals.problems == 0
        return target


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'source'
    path.mkdir()
    return path


def test_gnu_tar_unpacks_the_zoo(repository, tmp_path):
    zoo.build(tmp_path / 'zoo', beyond_path_max=False, sockets=False)
    backup = repository.back_up(tmp_path / 'zoo')

    unpacked = repository.unpack(backup, tmp_path / 'unpacked')

    assert compare.differences(tmp_path / 'zoo', unpacked) == []
    assert repository.problems == []


def test_gnu_tar_unpacks_level_after_level(repository, tmp_path):
    source, target = tmp_path / 'source', tmp_path / 'target'
    mutations.build(source)
    for name in ('nothing', 'touch a symlink', 'touch a fifo',
                 'insert 1 byte in front', 'hole filled', 'new directory',
                 'another name', 'set an ACL', 'hole made larger',
                 'chmod the root', 'every file'):
        (step,) = mutations.MUTATIONS[name]
        step(source)
        repository.unpack(repository.back_up(source), target)

        assert compare.differences(source, target) == [], name


def test_an_incremental_has_what_has_changed(repository, source, monkeypatch):
    monkeypatch.setattr('chunked_backup.jobs.tree_backup._COARSEST_CLOCK_NS',
                        -10 ** 13)
    for name in ('a', 'b', 'c'):
        (source / name).write_bytes(name.encode())
    os.link(source / 'a', source / 'd')
    for name in ('e', 'f'):
        os.mkfifo(source / name)
    for name in ('g', 'h', 'i'):
        os.symlink('a', source / name)
    repository.back_up(source)
    (source / 'b').write_bytes(b'changed')
    (source / 'e').chmod(0o600)
    os.utime(source / 'g', ns=(1, 1), follow_symlinks=False)
    (source / 'h').unlink()
    os.symlink('b', source / 'h')
    with tarfile.open(repository.archive(repository.back_up(source))) as file:
        assert file.getnames() == ['.', './b', './d', './e', './g', './h']
        assert file.extractfile('./b').read() == b'changed'


def test_a_socket_is_in_the_index_alone(repository, tmp_path):
    zoo.build(tmp_path / 'zoo')
    backup = repository.back_up(tmp_path / 'zoo')

    assert compare.differences(
        tmp_path / 'zoo', repository.restore(backup, tmp_path / 'to')) == []


@pytest.mark.parametrize('size', [0, 511, 512, 1 << 20, (1 << 20) + 1])
def test_a_single_file(repository, tmp_path, size):
    (tmp_path / 'one').write_bytes(zoo.data('one', size))
    backup = repository.back_up(tmp_path / 'one')

    assert compare.differences(
        tmp_path / 'one', repository.restore(backup, tmp_path / 'to')) == []
    with tarfile.open(repository.archive(backup)) as file:
        (member,) = file
        assert file.extractfile(member).read() == zoo.data('one', size)


# What changes while it is read

SHORT = 100_000
LONG = 3 << 20


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something happen to the file ``b`` before its second read."""
    def arrange(step):
        read = tree_file.SourceFile.read
        counts = {}

        def racing(file, size=1 << 20):
            if os.readlink(f'/proc/self/fd/{file._descriptor}').endswith('/b'):
                counts['b'] = counts.get('b', 0) + 1
                if counts['b'] == 2:
                    step()
            # Short files are read in several pieces as well.
            return read(file, min(size, 40_000))
        monkeypatch.setattr(tree_file.SourceFile, 'read', racing)
    return arrange


def three(source, size):
    for name in ('a', 'b', 'c'):
        (source / name).write_bytes(zoo.data(name, size))


def neighbours_are_well(repository, backup, source, target):
    """All but ``b`` are what they were, in the archive and restored."""
    for tree in (repository.unpack(backup, target / 'unpacked'),
                 repository.restore(backup, target / 'restored')):
        assert [line for line in compare.differences(source, tree)
                if not line.startswith("b'b'")
                and not line.startswith("b'': mtime")] == []
    return target / 'unpacked' / 'b', target / 'restored' / 'b'


@pytest.mark.parametrize('size', [SHORT, LONG])
def test_a_file_that_grows_is_cut_off(repository, source, tmp_path, meanwhile,
                                      size):
    three(source, size)
    meanwhile(functools.partial(
        mutations.splice('b', size, 0, b'more' * 100_000), source))
    backup = repository.back_up(source)

    for found in neighbours_are_well(repository, backup, source, tmp_path):
        assert found.read_bytes() == zoo.data('b', size)
    assert [path for path, _ in repository.problems] == [b'b']
    assert 'changed while it was read' in repository.problems[0][1]


@pytest.mark.parametrize('size', [SHORT, LONG])
@pytest.mark.parametrize('left', [0, 50_000])
def test_a_file_that_shrinks_is_filled_up(repository, source, tmp_path,
                                          meanwhile, size, left):
    three(source, size)
    meanwhile(functools.partial(mutations.truncate('b', left), source))
    backup = repository.back_up(source)
    length = max(left, 40_000)
    expected = zoo.data('b', size)[:length]

    unpacked, restored = neighbours_are_well(repository, backup, source,
                                             tmp_path)
    assert restored.read_bytes() == expected
    if size == LONG:
        expected = expected.ljust(size, b'\0')
    assert unpacked.read_bytes() == expected
    assert [path for path, _ in repository.problems] == [b'b']


def failing():
    raise tree_file.Unreadable('Input/output error')


def test_a_short_file_that_fails_is_in_no_archive(repository, source,
                                                  tmp_path, meanwhile):
    three(source, SHORT)
    meanwhile(failing)
    backup = repository.back_up(source)

    unpacked, restored = neighbours_are_well(repository, backup, source,
                                             tmp_path)
    assert not unpacked.exists() and not restored.exists()
    assert repository.problems == [
        (b'b', 'left out: Input/output error')]


def test_a_long_file_that_fails_is_filled_up(repository, source, tmp_path,
                                             meanwhile):
    three(source, LONG)
    meanwhile(failing)
    backup = repository.back_up(source)

    unpacked, restored = neighbours_are_well(repository, backup, source,
                                             tmp_path)
    assert not restored.exists()
    assert unpacked.read_bytes() == zoo.data('b', LONG)[:40_000].ljust(
        LONG, b'\0')
    assert repository.problems == [(b'b', 'left out: Input/output error')]


def sparse(path, size):
    with open(path, 'wb') as file:
        file.truncate(size)
        os.pwrite(file.fileno(), b'data', size // 2)


def test_a_hole_that_is_filled_is_not_lost(repository, source, tmp_path,
                                           meanwhile):
    sparse(source / 'b', 300_000)
    meanwhile(functools.partial(
        mutations.in_place('b', 250_000, b'filled'), source))
    backup = repository.back_up(source)

    for found in neighbours_are_well(repository, backup, source, tmp_path):
        assert found.read_bytes() == (source / 'b').read_bytes()
    assert 'changed' in repository.problems[0][1]


def test_a_long_file_whose_hole_is_filled_is_left_out(
        repository, source, tmp_path, meanwhile):
    three(source, SHORT)
    sparse(source / 'b', LONG)
    meanwhile(functools.partial(
        mutations.in_place('b', LONG - 5000, b'filled'), source))
    backup = repository.back_up(source)

    _, restored = neighbours_are_well(repository, backup, source, tmp_path)
    assert not restored.exists()
    assert repository.problems == [
        (b'b', 'left out: a hole in it was filled meanwhile')]


def test_an_error_of_the_store_does_not_fill_anything_up(
        repository, source, monkeypatch):
    three(source, LONG)

    def fill_up(member):
        raise AssertionError('the backup is over')

    def failing(file, size):
        raise KeyboardInterrupt

    monkeypatch.setattr(tar._Member, 'fill_up', fill_up)
    monkeypatch.setattr(tree_file.SourceFile, 'read', failing)
    with pytest.raises(KeyboardInterrupt):
        repository.back_up(source)
