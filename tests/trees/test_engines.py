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

"""Each engine, at every level: what is restored is what was there."""

import errno
import functools
import shutil

import pytest

from chunked_backup import errors
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.hosts.standalone import tree_job
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.jobs import tree_backup
from chunked_backup.jobs.tree_level import TreeSettings
from chunked_backup.trees.scan import TreeScanner
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.trees import compare
from tests.trees import mutations
from tests.trees import zoo

ENGINES = ('rsync', 'tar')


class Repository:
    """Backups of one tree, and what they restore.

    :param top: a directory for what is restored.
    """

    def __init__(self, top, engine, mode='threads', driver=None):
        support.override(executor=mode)
        self.problems = []
        self.service = TreeService(
            driver or support.memory_driver(),
            report=lambda path, reason: self.problems.append((path, reason)))
        self._top = top
        self._engine = engine

    def back_up(self, source, block_size_bytes=mutations.BLOCK, **options):
        policy = LevelPolicy(True, **options)
        return self.service.backup(
            str(source), functools.partial(TreeScanner, source), 'a tree',
            load_engine(self._engine, block_size_bytes), policy)

    def restore(self, backup, target=None, **options):
        target = target or self._top / backup.id
        totals = self.service.restore(
            backup, functools.partial(TreeTarget, target, **options))
        assert totals.damaged == 0
        return target

    def differences(self, backup, expected, holes=True):
        target = self.restore(backup)
        try:
            return compare.differences(expected, target, holes)
        finally:
            shutil.rmtree(target)


def copy(source, target):
    """What a tree is now; cp is no code of ours."""
    import subprocess
    subprocess.run(['cp', '-a', source, target], check=True)
    return target


@pytest.fixture(params=ENGINES)
def repository(request, tmp_path):
    return Repository(tmp_path, request.param)


@pytest.mark.parametrize('trusting', [False, True])
@pytest.mark.parametrize('name', mutations.MUTATIONS)
def test_a_change_is_restored_at_every_level(repository, tmp_path, name,
                                             trusting, monkeypatch):
    if trusting:  # that what looks the same is the same, as hours later
        monkeypatch.setattr(tree_backup, '_COARSEST_CLOCK_NS', -10 ** 13)
    source = tmp_path / 'source'
    mutations.build(source)
    points = [(repository.back_up(source), copy(source, tmp_path / '0'))]
    for number, step in enumerate(mutations.MUTATIONS[name], start=1):
        step(source)
        points.append((repository.back_up(source),
                       copy(source, tmp_path / str(number))))

    # Neither cp nor the rsync engine tells zeros from the hole that was there.
    holes = name != 'zeros in the place of a hole'
    for level, (backup, expected) in enumerate(points):
        assert backup.level == level
        assert repository.differences(backup, expected, holes) == []
    assert repository.problems == []


@pytest.mark.parametrize('segment_bytes', [777, 4096, 50_000])
@pytest.mark.parametrize('name', [
    'level after level', 'truncate and grow', 'every file', 'hole filled',
    'rename, then change', 'delete and recreate a file'])
def test_files_that_span_segments(repository, tmp_path, name, segment_bytes,
                                  monkeypatch):
    monkeypatch.setattr(tree_job, 'TreeSettings', functools.partial(
        TreeSettings, segment_bytes=segment_bytes))
    source = tmp_path / 'source'
    mutations.build(source)
    backup = repository.back_up(source)
    for step in mutations.MUTATIONS[name]:
        step(source)
        backup = repository.back_up(source)
    assert repository.differences(backup, source) == []
    assert repository.problems == []


@pytest.mark.parametrize('mode', ['threads', 'serial'])
@pytest.mark.parametrize('engine', ENGINES)
def test_the_zoo_at_every_level(tmp_path, engine, mode):
    repository = Repository(tmp_path, engine, mode)
    source = tmp_path / 'zoo'
    zoo.build(source, beyond_path_max=False)
    first = repository.back_up(source)
    mutations.append_to_each(source)
    second = repository.back_up(source)
    third = repository.back_up(source)

    for backup in (second, third):
        assert repository.differences(backup, source) == []
        assert repository.service.verify(backup).damaged == 0
    other = tmp_path / 'other'
    zoo.build(other, beyond_path_max=False)
    assert _but_times(repository.differences(first, other)) == []
    assert repository.problems == []


def test_what_is_deeper_than_a_path_may_be_long(repository, tmp_path):
    zoo.build(tmp_path / 'zoo')
    backup = repository.back_up(tmp_path / 'zoo')
    assert repository.differences(backup, tmp_path / 'zoo') == []


def _but_times(lines):
    """Two zoos are made at two times."""
    return [line for line in lines if ': mtime' not in line]


def test_a_differential_restores_what_is_newest(repository, tmp_path):
    source = tmp_path / 'source'
    mutations.build(source)
    points = []
    for number in range(6):
        mutations.splice('blocks', 1000 * number, 0, b'number %d' % number)(
            source)
        (source / f'new {number}').write_bytes(b'new')
        points.append((repository.back_up(source, always_level=2),
                       copy(source, tmp_path / str(number))))
    assert [backup.level for backup, _ in points] == [0, 1, 2, 2, 2, 2]
    for backup, expected in points:
        assert repository.differences(backup, expected) == []


def test_a_chain_of_many_levels(repository, tmp_path):
    source = tmp_path / 'source'
    mutations.build(source)
    backups = []
    for number in range(25):
        mutations.in_place('blocks', 8000 * number, b'number %d' % number)(
            source)
        backups.append(repository.back_up(source))
    assert backups[-1].level == 24
    assert repository.differences(backups[-1], source) == []


def test_a_restore_over_an_older_tree(repository, tmp_path):
    source = tmp_path / 'source'
    mutations.build(source)
    target = repository.restore(repository.back_up(source),
                                tmp_path / 'target')
    mutations.append_to_each(source)
    shutil.rmtree(source / 'directory')
    (source / 'directory').write_bytes(b'a file now')
    repository.restore(repository.back_up(source), target, overwrite=True)
    assert compare.differences(source, target) == []


@pytest.mark.parametrize('name, most_bytes', [
    ('insert 1 byte in front', 2 * mutations.BLOCK),
    ('insert 3 bytes', 2 * mutations.BLOCK),
    ('delete a byte in front', 2 * mutations.BLOCK),
    ('swap two blocks', 0), ('all blocks reversed', 0),
    ('duplicate blocks reordered', 0), ('in place, a byte', mutations.BLOCK),
    ('rename a file', 0), ('rename a directory', 0), ('touch a file', 0),
    ('chmod a file', 0), ('nothing', 0), ('exchange two files', 0),
])
def test_the_rsync_engine_stores_what_is_new(tmp_path, name, most_bytes):
    repository = Repository(tmp_path, 'rsync')
    source = tmp_path / 'source'
    mutations.build(source)
    repository.back_up(source)
    for step in mutations.MUTATIONS[name]:
        step(source)
    assert repository.back_up(source).totals['new_bytes'] <= most_bytes


@pytest.mark.parametrize('block_size_bytes', [
    mutations.BLOCK // 2, 16 * mutations.BLOCK])
def test_files_of_earlier_backups_keep_their_blocks(tmp_path,
                                                    block_size_bytes):
    repository = Repository(tmp_path, 'rsync')
    source = tmp_path / 'source'
    mutations.build(source)
    repository.back_up(source)
    mutations.in_place('blocks', 8000, b'changed')(source)
    backup = repository.back_up(source, block_size_bytes)
    assert backup.totals['new_bytes'] <= mutations.BLOCK


@pytest.mark.parametrize('blocks, expected', [(16, 8), (17, 17)])
def test_of_too_many_old_blocks_none_is_looked_for(tmp_path, monkeypatch,
                                                   blocks, expected):
    monkeypatch.setattr('chunked_backup.engines.rsync._MOST_BLOCKS', 8)
    repository = Repository(tmp_path, 'rsync')
    source = tmp_path / 'file'
    data = zoo.data('long', blocks * mutations.BLOCK)
    source.write_bytes(data[:8 * mutations.BLOCK])
    repository.back_up(source)
    source.write_bytes(data)
    new_bytes = repository.back_up(source).totals['new_bytes']
    assert new_bytes == expected * mutations.BLOCK


@pytest.mark.parametrize('engine', ENGINES)
def test_a_restore_that_does_not_reach_the_disk_fails(tmp_path, engine,
                                                      monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr('chunked_backup.trees.target.flush', fail)
    repository = Repository(tmp_path, engine)
    source = tmp_path / 'source'
    mutations.build(source)
    backup = repository.back_up(source)
    with pytest.raises(errors.TreeTargetFailed, match='Input/output error'):
        repository.restore(backup)
    assert repository.service.verify(backup).damaged == 0
