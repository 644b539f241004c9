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

import pytest

from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.jobs.tree_diff import differences
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry


def file(path, content=b'x', **values):
    return Record(Entry(path, entries.FILE, **values),
                  Content(content.ljust(32), b''))


def directory(path, **values):
    return Record(Entry(path, entries.DIRECTORY, **values), None)


def found(old, new):
    return list(differences(old, new))


def test_the_same_tree_has_no_differences():
    tree = [directory(b''), file(b'a'), directory(b'b'), file(b'b/a')]
    assert found(tree, tree) == []


def test_what_came_and_what_went():
    assert found([directory(b''), file(b'a'), file(b'c')],
                 [directory(b''), file(b'b'), file(b'c'), file(b'd')]) == [
        ('removed', b'a', ()), ('added', b'b', ()), ('added', b'd', ())]


def test_one_side_may_be_empty():
    assert found([file(b'a')], []) == [('removed', b'a', ())]
    assert found([], [file(b'a')]) == [('added', b'a', ())]


@pytest.mark.parametrize('change, what', [
    (dict(content=b'y'), ('content',)),
    (dict(content=b'y', size=2, mtime_ns=3), ('content', 'mtime_ns', 'size')),
    (dict(mode=0o600), ('mode',)),
    (dict(xattrs=((b'user.a', b'b'),)), ('xattrs',)),
    (dict(inode=5, ctime_ns=5, links=2), ()),
])
def test_what_changed(change, what):
    expected = [('changed', b'a', what)] if what else []
    assert found([file(b'a')], [file(b'a', **change)]) == expected


def test_a_kind_that_changed():
    assert found([file(b'a')], [directory(b'a')]) == [
        ('changed', b'a', ('content', 'kind'))]
