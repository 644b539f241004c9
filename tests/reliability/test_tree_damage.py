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

"""Damaged backups of trees: whatever is restored is what was there, and
whatever is not is told."""

import itertools
import random
import shutil

import pytest

from chunked_backup import errors
from chunked_backup.trees.target import TreeTarget
from tests.trees import compare
from tests.trees import mutations
from tests.trees.test_engines import Repository


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
                self.backup, lambda report: TreeTarget(target, report))
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

    def restored_wrongly_with(self, name, data):
        """The same with other bytes in the place of an object, or None for
        no object; what was there is put back."""
        kept = self.objects[name]
        try:
            if data is None:
                del self.objects[name]
            else:
                self.objects[name] = data
            return self.restored_wrongly()
        finally:
            self.objects[name] = kept


@pytest.fixture(params=['rsync', 'tar'])
def damaged(request, tmp_path):
    return Damaged(tmp_path, request.param)


def test_what_is_whole_restores(damaged):
    assert damaged.restored_wrongly() == []


def test_flipped_bits(damaged, ledger, scale):
    counted = ledger('bit flips, trees')
    source = random.Random(4)
    for name in damaged.names:
        for _ in range(scale(12, 500)):
            counted.point()
            data = bytearray(damaged.objects[name])
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
            if damaged.restored_wrongly_with(name, bytes(data)):
                counted.silent.append(name)


def test_what_is_cut_emptied_extended_or_missing(damaged, ledger):
    counted = ledger('objects, trees')
    for name in damaged.names:
        data = damaged.objects[name]
        for other in (data[:-1], data[:len(data) // 2], b'', data + b'\0',
                      data + data, None):
            counted.point()
            if damaged.restored_wrongly_with(name, other):
                counted.silent.append(f'{name}, {len(other or "")} bytes')


def test_swapped_objects(damaged, ledger):
    counted = ledger('objects, trees')
    for one, other in itertools.permutations(damaged.names, 2):
        counted.point()
        if damaged.restored_wrongly_with(one, damaged.objects[other]):
            counted.silent.append(f'{one} is {other}')


def test_the_older_manifest_in_the_place_of_the_newer(damaged):
    old, new = (f'{backup.prefix}_manifest'
                for backup in (damaged.older, damaged.backup))
    damaged.objects[new] = damaged.objects[old]
    with pytest.raises(errors.CorruptBackup, match='sha256'):
        damaged.repository.service.verify(damaged.backup)
