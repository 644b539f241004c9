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

"""Any tree is copied, to nowhere or over any other."""

import os
import pathlib
import tempfile

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from tests.trees import compare
from tests.trees import copying
from tests.trees import zoo

# Few names, so that two trees often have the same.
NAMES = st.sampled_from([b'a', b'a.b', b'\xff', b'-\n'])
MODES = st.integers(0, 0o7777)
TIMES_NS = st.integers(-2 ** 31 * 10 ** 9, 2 ** 33 * 10 ** 9)
OWNERS = st.sampled_from([(0, 0), (1, 1), (54321, 54322)])
XATTRS = st.dictionaries(st.sampled_from([b'user.a', b'user.b\xff',
                                          b'trusted.c']),
                         st.binary(max_size=9), max_size=2)
#: Data (True) and holes, in units of 4096 bytes.
LAYOUTS = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=3)

FILES = st.tuples(st.just('f'), LAYOUTS, st.integers(0, 100))
OTHERS = st.sampled_from([('l', b'a'), ('l', b'..'), ('l', b'\xff'),
                          ('p', None), ('c', None), ('s', None)])


def with_attributes(contents):
    return st.tuples(contents, MODES, OWNERS, TIMES_NS, XATTRS)


def directories(children, min_size=0):
    return with_attributes(st.tuples(
        st.just('d'), st.dictionaries(NAMES, children, min_size=min_size,
                                      max_size=4)))


LEAVES = with_attributes(st.one_of(FILES, OTHERS, st.just(('h', None))))
TREES = directories(st.one_of(LEAVES, directories(st.one_of(
    LEAVES, directories(LEAVES)))), min_size=2)


def make(path, node, files):
    """Make what a node describes; ``files`` are those that links can be
    made to."""
    (kind, *contents), mode, owner, time_ns, xattrs = node
    if kind == 'h':
        if files:
            os.link(files[0], path, follow_symlinks=False)
        return
    if kind == 'd':
        os.mkdir(path)
        for name, child in contents[0].items():
            make(path + b'/' + name, child, files)
    elif kind == 'f':
        make_file(path, *contents)
        files.append(path)
    elif kind == 'l':
        os.symlink(contents[0], path)
    else:
        os.mknod(path, {'p': 0o010600, 'c': 0o020600, 's': 0o140600}[kind],
                 os.makedev(1, 3) if kind == 'c' else 0)
    os.chown(path, *owner, follow_symlinks=False)
    for name, value in xattrs.items():
        if kind in 'fd' or name.startswith(b'trusted'):
            os.setxattr(path, name, value, follow_symlinks=False)
    if kind != 'l':
        os.chmod(path, mode)
    os.utime(path, ns=(0, time_ns), follow_symlinks=False)


def make_file(path, layout, tail):
    with open(path, 'wb') as file:
        for is_data, count in layout:
            if is_data:
                file.write(zoo.data(count, count * 4096))
            else:
                file.seek(count * 4096, os.SEEK_CUR)
        file.write(b'x' * tail)
        file.truncate(file.tell())


@settings(max_examples=40)
@given(TREES, TREES, st.sampled_from([0, 3]))
def test_any_tree_is_copied_to_nowhere_or_over_another(one, other, workers):
    with tempfile.TemporaryDirectory() as top:
        top = pathlib.Path(top)
        for name, tree in (('one', one), ('other', other)):
            make(os.fsencode(top / name), tree, [])

        assert copying.copy(top / 'one', top / 'copy', workers=workers) == []
        assert compare.differences(top / 'one', top / 'copy') == []

        assert copying.copy(top / 'other', top / 'copy', workers=workers,
                            restore={'overwrite': True}) == []
        assert [line for line
                in compare.differences(top / 'other', top / 'copy')
                if not line.endswith('not in the original')] == []
        for where, _, names in os.walk(top / 'copy'):
            assert not [name for name in names if name.endswith('.part')]
