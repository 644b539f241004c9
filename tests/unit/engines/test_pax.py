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

"""Headers as Python's own reader of archives sees them."""

import io
import os
import tarfile

import pytest

from chunked_backup.engines import pax
from chunked_backup.trees.entry import Entry
from tests.trees import zoo


def read(data):
    """The members of an archive, their contents in ``data``."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data + pax.END), mode='r:') as file:
        for member in file:
            contents = file.extractfile(member) if member.isreg() else None
            found.append((member, contents and contents.read()))
    return found


def read_one(data):
    (one,) = read(data)
    return one


def test_a_file():
    data = b'x' * 1000
    member, contents = read_one(
        pax.header(Entry(b'a/b', 'f', 0o4755, 1000, 1001, 'alice', 'staff',
                         1234567890123456789, size=1000), 1000)
        + pax.padded(data))

    assert member.name == './a/b'
    assert (member.mode, member.uid, member.gid) == (0o4755, 1000, 1001)
    assert (member.uname, member.gname) == ('alice', 'staff')
    assert member.pax_headers['mtime'] == '1234567890.123456789'
    assert contents == data


@pytest.mark.parametrize('time_ns, seconds', [
    (0, '0'), (1, '0.000000001'), (-1, '-0.000000001'),
    (-1500000000, '-1.500000000'), (-2 * 10 ** 9, '-2.000000000'),
    (10 ** 20, '100000000000.000000000'), (5 * 10 ** 9, '5')])
def test_times(time_ns, seconds):
    member, _ = read_one(pax.header(Entry(b'a', 'p', mtime_ns=time_ns)))

    assert member.pax_headers.get('mtime', str(member.mtime)) == seconds


@pytest.mark.parametrize('name', zoo.ODD_NAMES + [b'x/' * 500 + b'x'])
def test_names(name):
    for kind, type_ in (('f', tarfile.REGTYPE), ('p', tarfile.FIFOTYPE),
                        ('d', tarfile.DIRTYPE)):
        member, _ = read_one(pax.header(Entry(name, kind)))
        assert member.name.encode('utf-8', 'surrogateescape') == b'./' + name
        assert member.type == type_
    member, _ = read_one(pax.header(Entry(b'a', 'l', target=name)))
    assert member.linkname.encode('utf-8', 'surrogateescape') == name


def test_the_root():
    assert read_one(pax.header(Entry(b'', 'd')))[0].name == '.'
    assert read_one(pax.header(Entry(b'', 'f')))[0].name == './file'


def test_numbers_too_large_for_the_old_header():
    data = pax.header(Entry(b'a', 'f', uid=4000000000, gid=2 ** 21,
                            size=2 ** 40), 2 ** 40)
    with tarfile.open(fileobj=io.BytesIO(data), mode='r|') as file:
        member = file.next()

    assert (member.uid, member.gid, member.size) == (4000000000, 2 ** 21,
                                                     2 ** 40)


def test_owners_with_odd_names():
    member, _ = read_one(pax.header(
        Entry(b'a', 'f', user='ü' * 20, group='g' * 200)))

    assert (member.uname, member.gname) == ('ü' * 20, 'g' * 200)


def test_devices_and_links():
    member, _ = read_one(pax.header(
        Entry(b'a', 'b', rdev=os.makedev(259, 70000))))
    assert (member.type, member.devmajor, member.devminor) == (
        tarfile.BLKTYPE, 259, 70000)
    member, _ = read_one(pax.header(
        Entry(b'b', 'f', size=5, hardlink=b'a/b')))
    assert (member.type, member.linkname, member.size) == (
        tarfile.LNKTYPE, './a/b', 0)


def test_attributes():
    member, _ = read_one(pax.header(Entry(b'a', 'f', xattrs=(
        (b'system.posix_acl_access', zoo.ACL),
        (b'system.posix_acl_default', b'nonsense'),
        (b'user.a=b%c', b'\0\n=1'), (b'user.empty', b''),
        (b'user.\xff', b'\xff')))))

    def value(keyword):
        return member.pax_headers[keyword].encode('utf-8', 'surrogateescape')

    assert value('SCHILY.acl.access').split(b'\n') == [
        b'user::rw-', b'user:54321:rwx', b'group::r--', b'group:54322:r-x',
        b'mask::rwx', b'other::r--']
    assert value('SCHILY.xattr.system.posix_acl_default') == b'nonsense'
    assert value('SCHILY.xattr.user.a%3Db%25c') == b'\0\n=1'
    assert b'SCHILY.xattr.user.\xff=\xff\n' in pax.header(
        Entry(b'a', 'f', xattrs=((b'user.\xff', b'\xff'),)))


def test_an_acl_names_whom_it_can():
    root = zoo.acl((1, 7, 2 ** 32 - 1), (2, 1, 0), (4, 0, 2 ** 32 - 1),
                   (8, 2, 0), (16, 0, 2 ** 32 - 1), (32, 0, 2 ** 32 - 1))
    member, _ = read_one(pax.header(Entry(b'a', 'f', xattrs=(
        (b'system.posix_acl_access', root),))))

    assert 'user:root:--x\ngroup::---\ngroup:root:-w-' in (
        member.pax_headers['SCHILY.acl.access'])


@pytest.mark.parametrize('ranges', [
    [], [(0, 512)], [(1024, 1536)], [(0, 100), (5000, 5001)],
    [(number * 8192, number * 8192 + 4096) for number in range(100)]])
def test_holes(ranges):
    size = 1 << 20
    expected = bytearray(size)
    data = b''
    for start, end in ranges:
        expected[start:end] = zoo.data(start, end - start)
        data += expected[start:end]
    member, contents = read_one(
        pax.sparse_header(Entry(b'\xff', 'f', size=size), size, ranges)
        + pax.padded(data))

    assert contents == expected
    assert member.size == size
    assert member.name == './\udcff'


@pytest.mark.parametrize('length', range(80, 130))
def test_a_record_counts_itself(length):
    value = b'v' * length
    record = pax._record(b'keyword', value)

    count, _, rest = record.partition(b' ')
    assert int(count) == len(record)
    assert rest == b'keyword=' + value + b'\n'


def test_there_is_no_member_for_a_socket():
    assert [kind for kind in 'fdlpcbs'
            if not pax.is_member(Entry(b'a', kind))] == ['s']
