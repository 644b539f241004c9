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

"""A real tree, by each engine, in each store that an example configures.

With CHUNKED_BACKUP_WHOLE_LIBRARY=1 in the environment, the whole library of
the interpreter is backed up in place of a part of it, by each engine to each
store that has the room.
"""

import itertools
import os
import pathlib
import shutil
import subprocess

import pytest

from tests.trees import compare
from tests.trees import mutations
from tests.trees import zoo

_WHOLE = 'CHUNKED_BACKUP_WHOLE_LIBRARY' in os.environ
#: What of the interpreter's library is enough to show the same.
_PART = ('asyncio', 'email', 'json')


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    """The library of the interpreter, or a part, and a zoo of odd files."""
    library = os.path.dirname(os.__file__)
    tree = tmp_path_factory.mktemp('library') / 'tree'
    if _WHOLE:
        # Packages of others, which may be 50,000 files, are not its own.
        shutil.copytree(library, tree, symlinks=True,
                        ignore=shutil.ignore_patterns('site-packages'))
    else:
        tree.mkdir()
        for path in pathlib.Path(library).glob('[a-g]*.py'):
            shutil.copy2(path, tree)
        for name in _PART:
            shutil.copytree(os.path.join(library, name), tree / name)
    zoo.build(tree / 'zoo', beyond_path_max=False)
    return tree


#: Each store with one engine: what an engine writes is bytes to all of them.
#: POSIX is behind NFS, and in tests/functional with either.
_STORIES = [('swift', 'tar'), ('s3_on_ceph', 'rsync'), ('s3_on_swift', 'tar'),
            ('nfs', 'rsync')]
if _WHOLE:
    _STORIES = list(itertools.product(
        ('swift', 's3_on_ceph', 's3_on_swift', 'posix'), ('rsync', 'tar')))


@pytest.mark.parametrize('example, engine', _STORIES, indirect=['example'])
def test_the_whole_story_of_a_tree(example, engine, library, tmp_path):
    tree = _copy(library, tmp_path / 'tree')
    points = {}
    for number, change in enumerate((mutations.nothing, *_CHANGES)):
        change(tree)
        made = example.json('tree', 'backup', tree, '--name', 'library',
                            '--engine', engine, '--incremental')
        assert (made['level'], made['problems']) == (number, 0)
        points[made['id']] = _copy(tree, tmp_path / f'point {number}')

    for backup_id, expected in points.items():
        target = tmp_path / 'target'
        example.run('tree', 'restore', backup_id, target)
        assert compare.differences(expected, target) == []
        shutil.rmtree(target)
    checked = example.json('repository', 'check', '--read-data')
    assert [each['result'] for each in checked] == ['sound'] * len(points)
    example.run('tree', 'delete', '--cascade', next(iter(points)))
    assert example.stored() == []


def _copy(source, target):
    subprocess.run(['cp', '-a', source, target], check=True)
    return target


def _edit(tree):
    """As a release does: some lines here and there."""
    for path in sorted(tree.glob('*.py'))[::5]:
        data = path.read_bytes()
        path.write_bytes(b'# A line more.\n' + data[:1000] + data[1010:])


def _move(tree):
    (tree / 'email').rename(tree / 'zoo' / 'email')
    shutil.rmtree(tree / 'asyncio')
    (tree / 'asyncio').symlink_to('json')


def _grow(tree):
    mutations.append_to_each(tree)


_CHANGES = (_edit, _move, _grow)
