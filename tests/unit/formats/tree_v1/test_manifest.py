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

import json

import pytest
from hypothesis import given
from hypothesis import strategies

from chunked_backup import errors
from chunked_backup.formats.tree_v1 import TreeManifest
from chunked_backup.formats.tree_v1 import manifest
from chunked_backup.formats.tree_v1 import names
from chunked_backup.model import Segment


def example(**changes):
    fields = dict(
        id='c', name='home', parent_id='b', ancestors=['a', 'b'],
        engine='rsync', settings={'block_size_bytes': 65536},
        source='/home/\udcff', host='here',
        created_at='2026-01-02 03:04:05+00:00', started_ns=17,
        totals={'files': 3}, streams={
            'data': [Segment(10, 7, 'zlib', bytes(32)),
                     Segment(5, 5, 'none', bytes(range(32)))],
            'index': [Segment(1, 1, 'none', bytes(32))], 'signatures': []})
    return TreeManifest(**{**fields, **changes})


def fields():
    return json.loads(manifest.serialize(example()))


def test_a_manifest_comes_back():
    read = manifest.parse(manifest.serialize(example()), 'c')
    assert read == example()
    assert read.level == 2


def refused(values, backup_id='c'):
    data = values if isinstance(values, bytes) else json.dumps(
        values).encode()
    with pytest.raises(errors.CorruptBackup, match='manifest') as caught:
        manifest.parse(data, backup_id)
    return str(caught.value)


@pytest.mark.parametrize('data', [
    b'', b'{', b'[]', b'null', b'{}', b'\xff', b'[' * 100000])
def test_what_is_no_manifest_is_refused(data):
    refused(data)


def test_a_version_of_the_future_is_named():
    assert 'its version 2' in refused({**fields(), 'version': 2})


def test_a_manifest_of_another_backup_is_refused():
    assert 'it is of backup c' in refused(fields(), 'd')


@pytest.mark.parametrize('name', sorted(fields()))
def test_each_field_is_wanted(name):
    values = fields()
    del values[name]
    refused(values)


def test_a_field_too_many_is_refused():
    refused({**fields(), 'more': 1})


@pytest.mark.parametrize('change', [
    {'id': 1}, {'name': None}, {'ancestors': 'ab'}, {'ancestors': [1, 'b']},
    {'ancestors': ['b', 'b']}, {'ancestors': ['a', 'c']}, {'ancestors': []},
    {'parent_id': 'a'}, {'parent_id': None}, {'settings': []},
    {'source': 3}, {'started_ns': '1'}, {'totals': {'files': 'x'}},
    {'created_at': 'today'}, {'created_at': '2026-01-02 03:04:05'},
    {'created_at': '0001-01-01 00:00:00+14:00'},
    {'streams': {}}, {'streams': None}])
def test_a_field_that_is_not_understood_is_refused(change):
    refused({**fields(), **change})


@pytest.mark.parametrize('segment', [
    [], [1, 1, 'none'], [0, 1, 'none', '00' * 32], [1, 0, 'none', '00' * 32],
    [-1, 1, 'none', '00' * 32], [1.5, 1, 'none', '00' * 32],
    [True, 1, 'none', '00' * 32], [1, 1, 'rar', '00' * 32],
    [1, 1, 'none', '00'], [1, 1, 'none', 'zz'], [1, 1, 'none', None],
    'text', None])
def test_a_segment_that_is_not_understood_is_refused(segment):
    values = fields()
    values['streams']['index'] = [segment]
    refused(values)


@given(strategies.data())
def test_a_changed_manifest_is_a_manifest_or_damage(data):
    stored = bytearray(manifest.serialize(example()))
    position = data.draw(strategies.integers(0, len(stored) - 1))
    stored[position] = data.draw(strategies.integers(0, 255))
    try:
        manifest.parse(bytes(stored), 'c')
    except errors.CorruptBackup:
        pass


def test_names():
    prefix = names.prefix('2026-01-02 03:04:05.678+00:00', 'an-id')
    assert prefix == 'tree_20260102030405_an-id'
    assert names.segment(prefix, 'data')(7) == prefix + '_data_00000007'
    assert names.prefix_of_manifest(names.manifest(prefix)) == prefix
    assert names.id_of(prefix) == 'an-id'
    assert names.prefix_of_manifest('volume_x_metadata') is None
    assert names.prefix_of_manifest('other_manifest') is None
    for stream in names.STREAMS:
        name = names.segment(prefix, stream)(1)
        assert names.belongs_to(prefix, name)
        assert names.prefix_of(name) == prefix
    assert names.prefix_of(names.manifest(prefix)) == prefix
    assert names.prefix_of('volume_data_00000001') is None
    assert names.belongs_to(prefix, names.manifest(prefix))
    for other in (prefix, prefix + '_other_00000001', prefix + '_data_1',
                  'x' + names.manifest(prefix), prefix + '_data_00000001x'):
        assert not names.belongs_to(prefix, other)


def test_no_name_is_one_of_a_volume():
    from chunked_backup.formats import names as volume_names
    prefix = names.prefix('2026-01-02', 'an-id')
    for name in (names.manifest(prefix),
                 *(names.segment(prefix, stream)(1)
                   for stream in names.STREAMS)):
        assert not volume_names.belongs_to(prefix, name)
        assert volume_names.prefix_of_manifest(name) is None
