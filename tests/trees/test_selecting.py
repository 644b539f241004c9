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

"""Some paths of a backup, without the rest of it."""

import functools
import itertools
import os
import stat

import pytest

from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.trees.scan import TreeScanner
from chunked_backup.trees.selection import Selection
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.trees import compare
from tests.trees import zoo


@pytest.fixture(params=['rsync', 'tar'])
def restore(request, tmp_path):
    """Backs the zoo up and restores some paths of it."""
    zoo.build(tmp_path / 'zoo', beyond_path_max=False)
    reported = []
    service = TreeService(support.memory_driver(),
                          report=lambda *pair: reported.append(pair))
    backup = service.backup(
        str(tmp_path / 'zoo'), functools.partial(TreeScanner,
                                                 tmp_path / 'zoo'),
        'zoo', load_engine(request.param, None), LevelPolicy())

    def restore(*paths):
        target = tmp_path / f'some-{next(numbers)}'
        service.restore(backup, functools.partial(TreeTarget, target),
                        Selection(paths).wants)
        assert reported == []
        return tmp_path / 'zoo', target

    numbers = itertools.count()
    return restore


def names(top):
    return {path.relative_to(top).as_posix() for path in top.rglob('*')}


def test_a_further_name_without_the_first(restore):
    for name in ('fifo-too', 'dangling-too', 'empty-too', 'file',
                 'directory/another-name'):
        zoo, some = restore(os.fsencode(f'links/{name}'))

        one = os.lstat(zoo / 'links' / name)
        other = os.lstat(some / 'links' / name)
        assert (stat.S_IFMT(one.st_mode), one.st_size, one.st_mtime_ns) == (
            stat.S_IFMT(other.st_mode), other.st_size, other.st_mtime_ns)
        assert other.st_nlink == 1
        assert names(some / 'links') == {
            name, *(['directory'] if '/' in name else [])}


def test_further_names_are_links_to_the_first_of_them(restore):
    _, some = restore(b'links/file', b'links/directory', b'links/fifo',
                      b'links/fifo-too')

    links = some / 'links'
    assert os.stat(links / 'file').st_nlink == 2
    assert os.stat(links / 'fifo').st_nlink == 2
    assert (links / 'file').samefile(links / 'directory' / 'another-name')


def test_a_directory_comes_with_all_below_it(restore):
    for name in ('xattrs', 'modes', 'holes', 'times', 'names',
                 'contents/large'):
        zoo, some = restore(os.fsencode(name))

        assert compare.differences(zoo / name, some / name) == []
        assert os.listdir(some) == [name.partition('/')[0]]
        assert os.stat(some).st_mtime_ns == os.stat(zoo).st_mtime_ns
