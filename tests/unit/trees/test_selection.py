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

from chunked_backup import errors
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry
from chunked_backup.trees.selection import Selection

TREE = [b'', b'a', b'a/b', b'a/b/c', b'a/bc', b'd']


def wanted(*paths):
    selection = Selection(paths)
    found = [path for path in TREE
             if selection.wants(Entry(path, entries.DIRECTORY))]
    return found, selection.missed()


def test_no_paths_want_everything():
    assert wanted() == (TREE, [])


@pytest.mark.parametrize('path', [
    b'a/b', b'/a/b', b'./a/b/', b'a//b', b'a/./b'])
def test_a_path_with_all_below_it_and_what_leads_to_it(path):
    assert wanted(path) == ([b'', b'a', b'a/b', b'a/b/c'], [])


def test_the_top_is_everything():
    assert wanted(b'.') == (TREE, [])
    assert wanted(b'/') == (TREE, [])


def test_several_paths():
    assert wanted(b'd', b'a/bc') == ([b'', b'a', b'a/bc', b'd'], [])


def test_what_was_not_there_is_told_as_it_was_given():
    assert wanted(b'd', b'/x/y/') == ([b'', b'd'], [b'/x/y/'])


@pytest.mark.parametrize('path', [b'../a', b'a/../../b', b'a\0'])
def test_what_leads_out_of_the_tree_is_refused(path):
    with pytest.raises(errors.InvalidInput):
        Selection([path])
