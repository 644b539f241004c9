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

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup import errors
from chunked_backup.trees import entry
from chunked_backup.trees.entry import Entry

NAMES = st.binary(min_size=1, max_size=6).filter(
    lambda name: name not in (b'.', b'..') and not {0, 47} & set(name))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b'/'.join)
U64 = st.integers(0, 2 ** 64 - 1)
#: Years 1 to 3000, which is more than 64 bits of nanoseconds.
TIMES_NS = st.integers(-62 * 10 ** 18, 33 * 10 ** 18)
OWNERS = st.text(st.characters(exclude_characters='\0',
                               exclude_categories=['Cs']), max_size=8)
XATTRS = st.dictionaries(NAMES, st.binary(max_size=9), max_size=3).map(
    lambda pairs: tuple(sorted(pairs.items())))


@st.composite
def entries(draw):
    kind = draw(st.sampled_from(sorted(entry.KINDS)))
    path = draw(PATHS | st.just(b''))
    earlier = path and kind != entry.DIRECTORY and draw(st.booleans())
    return Entry(
        path, kind, draw(st.integers(0, 0o7777)),
        draw(st.integers(0, 2 ** 32 - 2)), draw(st.integers(0, 2 ** 32 - 2)),
        draw(OWNERS), draw(OWNERS), draw(TIMES_NS), draw(TIMES_NS),
        draw(st.integers(0, 2 ** 63 - 1)) if kind == entry.FILE else 0,
        draw(U64), draw(U64), draw(U64),
        draw(U64) if kind in (entry.CHARACTER, entry.BLOCK) else 0,
        draw(NAMES) if kind == entry.SYMLINK else b'',
        draw(XATTRS), path[:1] if earlier and path[:1] != path
        and path[:1] not in (b'.', b'/') else None)


def as_lists(value):
    """As MessagePack gives it back."""
    if isinstance(value, tuple):
        return [as_lists(one) for one in value]
    return value


@given(entries())
def test_what_was_packed_is_unpacked(one):
    packed = entry.pack(one)

    assert entry.unpack(packed) == one
    assert entry.unpack(as_lists(packed)) == one
    for number in packed:
        if isinstance(number, int):
            assert -2 ** 63 <= number < 2 ** 64


@given(PATHS, PATHS)
def test_the_order_is_that_of_the_components(one, other):
    expected = tuple(one.split(b'/')) < tuple(other.split(b'/'))

    assert (entry.path_sort_key(one) < entry.path_sort_key(other)) == expected
    assert (Entry(one, 'f').sort_key < Entry(other, 'f').sort_key) == expected


def test_a_directory_comes_before_what_is_in_it_and_after_what_is_not():
    walk = [b'', b'a', b'a/b', b'a/b/c', b'a/c', b'a.b', b'ab', b'\xff']

    assert sorted(reversed(walk), key=entry.path_sort_key) == walk


FILE = Entry(b'a/file', 'f', 0o644, 1, 2, 'one', 'two', 3, 4, 5, 6, 7, 8)
LINK = Entry(b'a/link', 's', hardlink=b'a/file')
SYMLINK = Entry(b'a/symlink', 'l', target=b'..')
XATTR = (b'user.x', b'value')


def changed(**fields):
    base = FILE
    if 'target' in fields and 'kind' not in fields:
        base = SYMLINK
    return dataclasses.replace(base, **fields)


@pytest.mark.parametrize('path', [
    b'/', b'/etc/passwd', b'..', b'../a', b'a/..', b'a/../b', b'.', b'./a',
    b'a/.', b'a/./b', b'a/', b'a//b', b'//', b'a\0b', b'\0',
    b'a/' * 40000 + b'a'])
def test_a_path_that_names_nothing_below_the_root_is_refused(path):
    with pytest.raises(errors.InvalidEntry) as caught:
        entry.unpack(entry.pack(changed(path=path)))
    assert len(str(caught.value)) < 1000
    with pytest.raises(errors.InvalidEntry):
        entry.unpack(entry.pack(Entry(b'z', 'f', hardlink=path)))


@pytest.mark.parametrize('path', [
    b'...', b'..a', b'a..', b'.a', b'a.', b'a/..b/c', b'x;touch pwned;', b'-',
    b'new\nline', b'\xff\xfe', b' ', b'a\\b', b'c:'])
def test_odd_names_are_names(path):
    assert entry.unpack(entry.pack(changed(path=path))).path == path


def test_the_empty_path_is_the_root_and_no_other():
    assert entry.unpack(entry.pack(changed(path=b''))).path == b''
    with pytest.raises(errors.InvalidEntry):
        entry.check_path(b'')


@pytest.mark.parametrize('fields', [
    {'mode': 0o10000}, {'mode': -1}, {'uid': -1}, {'uid': 2 ** 32 - 1},
    {'gid': -1}, {'gid': 2 ** 32 - 1}, {'size': -1}, {'size': 2 ** 63},
    {'inode': -1}, {'device': -1}, {'links': -1}, {'rdev': -1},
    {'user': 'u' * 256}, {'group': 'g' * 256}, {'user': 'a\0'},
    {'group': 'a\0'}, {'kind': 'x'}, {'kind': ''}, {'kind': 'ff'},
    {'rdev': 1}, {'kind': 'f', 'target': b'a'},
    {'kind': 'd'}, {'kind': 'l', 'target': b'a'},
    {'kind': 'p', 'size': 0, 'rdev': 1}, {'kind': 'p', 'size': 0,
                                          'target': b'a'},
    {'kind': 'l', 'size': 0}, {'target': b''}, {'target': b'a\0'},
    {'target': b'a' * 4096},
    {'hardlink': b'a/file'}, {'hardlink': b'b'}, {'hardlink': b''},
    {'kind': 'd', 'size': 0, 'hardlink': b'a'},
    {'xattrs': (XATTR, XATTR)}, {'xattrs': (XATTR, (b'user.w', b''))},
    {'xattrs': ((b'', b''),)}, {'xattrs': ((b'a\0', b''),)},
    {'xattrs': ((b'a' * 256, b''),)}, {'xattrs': ((b'a', b'b' * 65537),)},
    {'xattrs': ((b'a', b'b', b'c'),)}, {'xattrs': ((b'a',),)},
    {'xattrs': (b'ab',)}, {'xattrs': (('a', b'b'),)},
    {'xattrs': ((b'a', 'b'),)}, {'xattrs': (None,)},
], ids=repr)
def test_what_no_file_system_has_is_refused(fields):
    with pytest.raises(errors.InvalidEntry):
        entry.unpack(entry.pack(changed(**fields)))


@pytest.mark.parametrize('one', [FILE, LINK, SYMLINK])
def test_what_is_refused_above_is_so_for_its_fault_alone(one):
    assert entry.unpack(entry.pack(one)) == one


@pytest.mark.parametrize('position', range(19))
@pytest.mark.parametrize('value', [
    b'a', 'a', 1, 1.0, True, None, [], (), {}, [[b'a', b'a']]], ids=repr)
def test_a_field_of_another_type_is_refused(position, value):
    packed = list(entry.pack(changed(xattrs=(XATTR,), hardlink=b'a')))
    kinds = [type(packed[position])]
    if position == 17:
        kinds = [tuple, list]
    if position == 18:
        kinds = [bytes, type(None)]
    packed[position] = value

    if type(value) not in kinds:
        with pytest.raises(errors.InvalidEntry):
            entry.unpack(packed)


@pytest.mark.parametrize('packed', [
    [], [b'a'], entry.pack(FILE)[:-1], entry.pack(FILE) + (None,)])
def test_another_number_of_fields_is_refused(packed):
    with pytest.raises(errors.InvalidEntry):
        entry.unpack(packed)


@pytest.mark.parametrize('seconds', [-2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1])
def test_a_time_that_no_call_takes_is_refused(seconds):
    with pytest.raises(errors.InvalidEntry):
        entry.unpack(entry.pack(changed(mtime_ns=seconds * 10 ** 9)))


def test_nanoseconds_are_less_than_a_second():
    for position in (8, 10):
        for value in (-1, 10 ** 9):
            packed = list(entry.pack(FILE))
            packed[position] = value
            with pytest.raises(errors.InvalidEntry):
                entry.unpack(packed)


@pytest.mark.parametrize('field', ['size', 'mtime_ns', 'ctime_ns', 'inode'])
def test_contents_may_have_changed(field):
    other = dataclasses.replace(FILE, **{field: 99})

    assert not entry.same_content(FILE, other)


def test_another_kind_has_other_contents():
    assert not entry.same_content(FILE, dataclasses.replace(FILE, kind='s'))


def test_contents_are_the_same_on_a_device_with_another_number():
    other = dataclasses.replace(FILE, device=99, mode=0, links=2, uid=9)

    assert entry.same_content(FILE, other)
