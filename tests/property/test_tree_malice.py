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

"""Whatever a backup says, nothing outside of the target is touched, and no
error comes that nobody expects."""

import os
import pathlib
import tempfile

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from chunked_backup import errors
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry
from chunked_backup.trees.target import TreeTarget
from tests.trees import compare
from tests.trees import copying

OUTSIDE = b'../outside'
PATHS = st.sampled_from([
    b'', b'a', b'b', b'link', b'a/link', b'a/link/a', b'a/b', b'a/b/a',
    b'link/a', b'link/b', b'link/b/c', b'b/a'])
U64 = st.integers(0, 2 ** 64 - 1)
IDS = st.sampled_from([0, 1, 2 ** 31, 2 ** 32 - 2])
#: All that fits into the fields, if not into any file system.
TIMES_NS = st.integers(-2 ** 63 * 10 ** 9, 2 ** 63 * 10 ** 9 - 1) | (
    st.integers(-10 ** 18, 10 ** 18))
OWNERS = st.sampled_from(['', 'root', 'nobody', '\ud800', 'no such', '%s'])
XATTRS = st.dictionaries(
    st.sampled_from([b'user.a', b'trusted.\xff', b'security.capability',
                     b'system.posix_acl_access', b'system.posix_acl_default',
                     b'nonsense', b'system.x', b'/']),
    st.binary(max_size=50), max_size=2).map(
        lambda pairs: tuple(sorted(pairs.items())))


@st.composite
def hostile(draw):
    kind = draw(st.sampled_from(sorted(entries.KINDS)))
    return Entry(
        draw(PATHS), kind, draw(st.integers(0, 0o7777)), draw(IDS), draw(IDS),
        draw(OWNERS), draw(OWNERS), draw(TIMES_NS), 0, 0, draw(U64), draw(U64),
        draw(st.integers(0, 3)),
        draw(U64) if kind in 'cb' else 0,
        draw(st.sampled_from([b'..', OUTSIDE, b'a', b'/'])) if kind == 'l'
        else b'', draw(XATTRS),
        draw(st.none() | PATHS) if kind != 'd' else None)


def plant(root):
    (root / 'a').mkdir(parents=True)
    for link in ('link', 'a/link', 'a/b'):
        (root / link).symlink_to(root.parent / 'outside')
    os.link(root.parent / 'outside' / 'a', root / 'b')


def is_sound(one):
    """Whether the index of a backup can hold it."""
    try:
        return entries.unpack(entries.pack(one)) == one
    except errors.InvalidEntry:
        return False


@settings(max_examples=80)
@given(st.lists(hostile().filter(is_sound), min_size=4, max_size=8),
       st.integers(0, 3))
def test_nothing_outside_is_touched(several, luck):
    if luck:  # otherwise they are out of order, which is soon noticed
        several = list({one.sort_key: one for one in sorted(
            several, key=lambda one: one.sort_key)}.values())
    with tempfile.TemporaryDirectory() as top:
        root = pathlib.Path(top) / 'root'
        (root.parent / 'outside' / 'b').mkdir(parents=True)
        (root.parent / 'outside' / 'a').write_bytes(b'precious')
        (root.parent / 'outside').chmod(0o500)
        copying.copy(root.parent / 'outside', root.parent / 'expected')
        plant(root)
        tree = TreeTarget(root, lambda *_: None, overwrite=True)
        try:
            for one in several:
                writer = tree.add(one)
                if writer is not None:
                    write(writer)
        except (errors.InvalidEntry, errors.InvalidTree):
            pass  # somebody has meddled with the backup, and it was noticed
        tree.finish()

        assert compare.differences(root.parent / 'expected',
                                   root.parent / 'outside') == []


def write(writer):
    try:
        with writer as file:
            file.write(b'data')
    except OSError:
        pass  # whoever restores reports it


@given(st.lists(st.recursive(
    st.none() | st.binary(max_size=3) | st.text(max_size=3) | st.booleans()
    | st.integers(-2, 3) | st.floats(), lambda inner: st.lists(
        inner, max_size=3), max_leaves=3), min_size=19, max_size=19))
def test_no_nonsense_is_an_entry(fields):
    try:
        one = entries.unpack(fields)
    except errors.InvalidEntry:
        return
    assert entries.unpack(entries.pack(one)) == one


@given(st.integers(0, 18), st.none() | st.binary(max_size=3)
       | st.text(max_size=3) | st.integers(-2 ** 63, 2 ** 64 - 1)
       | st.lists(st.tuples(st.binary(max_size=2), st.binary(max_size=2))))
def test_no_field_gets_through_unchecked(position, value):
    fields = list(entries.pack(Entry(b'b', 'f', xattrs=((b'x', b'y'),),
                                     hardlink=b'a')))
    fields[position] = value
    try:
        one = entries.unpack(fields)
    except errors.InvalidEntry:
        return
    assert list(entries.pack(one)) == [
        tuple(map(tuple, field)) if type(field) is list else field
        for field in fields]
