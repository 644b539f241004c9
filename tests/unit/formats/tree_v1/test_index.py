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

import hashlib
import struct
import sys

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies

from chunked_backup import errors
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.formats.tree_v1 import index
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry

DIGEST = hashlib.sha256(b'').digest()


def file_record(path, *places, signature=None):
    extents = index.Extents()
    for place in places:
        extents.add(*place)
    return Record(Entry(path, entries.FILE, size=sum(
        length for _, _, length in places)),
        Content(DIGEST, extents.pack(), signature))


RECORDS = [
    Record(Entry(b'', entries.DIRECTORY), None),
    file_record(b'a', (0, 10, 5), (index.ZEROS, 0, 7), (2, 0, 1)),
    Record(Entry(b'b', entries.DIRECTORY), None),
    file_record(b'b/\xff\n', (1, 2, 3), signature=index.Place(1, 2, 3)),
    Record(Entry(b'b-', entries.SYMLINK, target=b'x'), None),
    file_record(b'c', signature=index.Place(0, 0, 3)),
]


def packed(records):
    return (b''.join(index.pack(*record) for record in records)
            + index.pack_end(len(records)))


@pytest.mark.parametrize('step', [1, 10, 10000])
def test_records_come_back_however_the_stream_is_cut(step):
    data = packed(RECORDS)
    pieces = [data[start:start + step] for start in range(0, len(data), step)]
    assert list(index.unpack(pieces, 'backup')) == RECORDS


def test_extents_that_continue_each_other_are_one():
    extents = index.Extents()
    for place in ((0, 0, 5), (0, 5, 5), (0, 11, 1), (1, 12, 1),
                  (index.ZEROS, 0, 4), (index.ZEROS, 0, 4), (1, 13, 0),
                  (1, 13, 2), (1, 15, 2)):
        extents.add(*place)
    assert list(index.extents_of(Content(DIGEST, extents.pack()))) == [
        (0, 0, 10), (0, 11, 1), (1, 12, 1), (index.ZEROS, 0, 8), (1, 13, 4)]


@pytest.mark.parametrize('other', [False, True])
def test_extents_are_little_endian_on_every_machine(other, monkeypatch):
    """One of the other order reads as many numbers the other way round."""
    extents = index.Extents()
    extents.add(1, 2, 3)
    if other:
        monkeypatch.setattr(sys, 'byteorder', 'big')
    packed = extents.pack()
    assert packed == struct.pack('>QQQ' if other else '<QQQ', 1, 2, 3)
    assert list(index.extents_of(Content(DIGEST, packed))) == [(1, 2, 3)]


def test_each_record_is_found_where_it_is():
    data = packed(RECORDS)
    for step in (7, len(data)):
        pieces = [data[start:start + step]
                  for start in range(0, len(data), step)]
        for record, start, length in index.unpack_located(pieces, 'backup'):
            one = index.unpack_one(data[start:start + length], 'backup')
            assert one == record


@pytest.mark.parametrize('data', [b'', b'\xc1', index.pack_end(1),
                                  index.pack(*RECORDS[1])[:-1]])
def test_where_no_record_is_none_is_found(data):
    with pytest.raises(errors.CorruptBackup, match='its index'):
        index.unpack_one(data, 'backup')


def test_an_empty_index_is_one():
    assert list(index.unpack([index.pack_end(0)], 'backup')) == []
    refused(b'')


def refused(data):
    with pytest.raises(errors.CorruptBackup, match='its index'):
        list(index.unpack([data], 'backup'))


def test_an_index_that_is_cut_short_is_refused():
    data = packed(RECORDS)
    for length in range(len(data)):
        refused(data[:length])


def test_an_index_that_goes_on_is_refused():
    refused(packed(RECORDS) + b'\0')
    refused(packed(RECORDS) + index.pack(*RECORDS[0]))
    refused(packed(RECORDS) + index.pack_end(len(RECORDS)))
    refused(packed(RECORDS)[:-1] + index.pack_end(4))


@pytest.mark.parametrize('records', [
    RECORDS[::-1], [RECORDS[1], RECORDS[1]], [RECORDS[4], RECORDS[3]]])
def test_an_index_that_is_not_in_order_is_refused(records):
    refused(packed(records))


@pytest.mark.parametrize('change', [
    {1: b'short'}, {1: 'text'}, {2: b'odd'}, {2: None}, {3: (1, 2)},
    {3: (1, 2, -3)}, {3: (1, 2, 'x')}, {3: 7}, {0: ()}, {0: None}])
def test_a_record_that_is_not_understood_is_refused(change):
    values = msgpack.unpackb(index.pack(*RECORDS[3]), use_list=True)
    for position, value in change.items():
        values[position] = value
    refused(msgpack.packb(values) + index.pack_end(1))


@pytest.mark.parametrize('values', [
    None, 1, [], [1], {}, 'text', [None] * 5, [[None] * 4] * 4])
def test_what_is_no_record_is_refused(values):
    refused(msgpack.packb(values) + index.pack_end(1))


def test_content_of_what_is_no_file_is_refused():
    refused(index.pack(RECORDS[0].entry, RECORDS[1].content)
            + index.pack_end(1))


@given(strategies.binary(max_size=200))
def test_any_bytes_are_an_index_or_damage(data):
    try:
        list(index.unpack([data], 'backup'))
    except errors.CorruptBackup:
        pass


@given(strategies.data())
def test_a_changed_index_is_an_index_or_damage(data):
    stored = bytearray(packed(RECORDS))
    position = data.draw(strategies.integers(0, len(stored) - 1))
    stored[position] = data.draw(strategies.integers(0, 255))
    try:
        list(index.unpack([bytes(stored)], 'backup'))
    except errors.CorruptBackup:
        pass
