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

"""Damage of every kind to what backups of a tree have stored.

Whatever is restored is what was there; whatever is not is told.
"""

import itertools
import random
import shutil

import pytest

from chunked_backup import errors
from tests import support
from tests.trees import compare
from tests.trees import mutations
from tests.trees.test_engines import Repository
from tests.unit import harness

ENGINES = ('rsync', 'tar')
_FLIPS = 12


class Damaged:
    """A repository with two levels of a small tree.

    :ivar objects: what is stored, by name; to be meddled with.
    """

    def __init__(self, top, engine):
        self._top = top
        self.repository = Repository(top, engine, mode='serial')
        self.source = top / 'source'
        mutations.build(self.source)
        (self.source / 'sparse').unlink()  # it is large
        self.older = self.repository.back_up(self.source)
        mutations.splice('blocks', 5000, 10, b'new')(self.source)
        self.backup = self.repository.back_up(self.source)
        stores = self.repository.service.driver.stores
        self.objects = stores[self.backup.container]
        self.names = sorted(name for name in self.objects
                            if name.startswith('tree_'))

    def restored_wrongly(self):
        """What a restore says is right and is not; None if it says that
        something is wrong.

        A file that is left out is named, so the others have to be right.
        """
        target = self._top / 'target'
        problems = self.repository.problems
        problems.clear()
        try:
            totals = self.repository.service.restore(
                self.backup, lambda report: _target(target, report))
        except errors.CorruptBackup:
            return None
        finally:
            lines = (compare.differences(self.source, target)
                     if target.exists() else [])
            shutil.rmtree(target, ignore_errors=True)
        if not totals.damaged:
            return lines
        named = {repr(path) for path, _ in problems}
        wrong = [line for line in lines
                 if line.split(': ')[0] not in named
                 and 'hard link' not in line and 'mtime' not in line]
        return wrong or None


def _target(path, report):
    from chunked_backup.trees.target import TreeTarget
    return TreeTarget(path, report)


@pytest.fixture(params=ENGINES)
def damaged(request, tmp_path):
    return Damaged(tmp_path, request.param)


def _with(damaged, name, data):
    """The outcome with other bytes in the place of an object; what was there
    is put back."""
    kept = damaged.objects[name]
    try:
        if data is None:
            del damaged.objects[name]
        else:
            damaged.objects[name] = data
        return damaged.restored_wrongly()
    finally:
        damaged.objects[name] = kept


def test_what_is_whole_restores(damaged):
    assert damaged.restored_wrongly() == []


def test_flipped_bits(damaged):
    source = random.Random(4)
    for name in damaged.names:
        for _ in range(_FLIPS):
            data = bytearray(damaged.objects[name])
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
            assert not _with(damaged, name, bytes(data)), name


def test_what_is_cut_emptied_extended_or_missing(damaged):
    for name in damaged.names:
        data = damaged.objects[name]
        for other in (data[:-1], data[:len(data) // 2], b'', data + b'\0',
                      data + data, None):
            assert not _with(damaged, name, other), name


def test_swapped_objects(damaged):
    for one, other in itertools.permutations(damaged.names, 2):
        assert not _with(damaged, one, damaged.objects[other]), (one, other)


def test_the_older_manifest_in_the_place_of_the_newer(damaged):
    old, new = (f'{backup.prefix}_manifest'
                for backup in (damaged.older, damaged.backup))
    damaged.objects[new] = damaged.objects[old]
    with pytest.raises(errors.CorruptBackup, match='sha256'):
        damaged.repository.service.verify(damaged.backup)


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('error', [
    errors.DriverError, errors.AccessDenied, errors.OutOfSpace])
def test_a_store_that_fails_at_any_call(tmp_path, engine, error):
    """The backup fails and leaves nothing; the one before it is as it was."""
    class Failing(harness.FailingDriver):
        pass

    Failing.error = error
    driver = Failing(None, support.CHUNK, support.BLOCK)
    repository = Repository(tmp_path, engine, 'serial', driver)
    source = tmp_path / 'source'
    mutations.build(source)
    backup = repository.back_up(source)
    kept = dict(driver.stores[backup.container])
    driver.calls = 0
    repository.service.delete(repository.back_up(source))
    calls = driver.calls
    assert calls > 10
    for driver.fail_at in range(calls):
        driver.calls = 0
        failed = False
        try:
            made = repository.back_up(source)
        except error:
            failed = True
        driver.fail_at = None
        if not failed:  # it was the deletion that was made to fail
            repository.service.delete(made)
        left = driver.stores[backup.container]
        assert left.keys() == kept.keys(), driver.fail_at
    assert repository.service.verify(backup).damaged == 0
