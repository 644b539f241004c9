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

import io
import json

import pytest

from chunked_backup import errors
from chunked_backup.formats import Manifest
from chunked_backup.formats.cinder_v1 import manifest
from chunked_backup.model import StoredObject
from tests.unit import harness

MD5 = 'd41d8cd98f00b204e9800998ecf8427e'


def object_list(*stored, prefix='prefix'):
    objects = manifest.ObjectList(prefix)
    for each in stored:
        objects.append(each)
    return objects


def entry(offset=0, length=512, compression='zlib', md5=MD5):
    return {'offset': offset, 'length': length, 'compression': compression,
            'md5': md5}


def document(**changes):
    """A sound manifest as Python values, with some changed; a value of
    Ellipsis leaves the key out."""
    values = {
        'version': '1.0.0', 'backup_id': 'backup', 'volume_id': 'volume',
        'backup_name': None, 'backup_description': None,
        'created_at': '2026-01-02', 'parent_id': None, 'volume_meta': None,
        'objects': [{'prefix-00001': entry()}]}
    values.update(changes)
    return {key: value for key, value in values.items()
            if value is not ...}


def parse(values, backup_id='backup'):
    text = values if isinstance(values, bytes) else json.dumps(
        values).encode()
    return manifest.parse(io.BytesIO(text), backup_id, 'prefix')


def test_the_bytes_are_those_of_cinder():
    record = harness.record(name='caf\u00e9 "x"', description='two\nlines',
                            parent_id='parent')
    objects = object_list(
        StoredObject('prefix-00001', 0, 4096, 'zlib', MD5),
        StoredObject('prefix-00002', 4096, 10, 'none', MD5))
    written = b''.join(manifest.serialize(Manifest(
        record, objects, '1.0.0', '{"version": 2}', {'key': ['value', 1.5]})))
    assert written.decode() == json.dumps({
        'version': '1.0.0', 'backup_id': 'backup', 'volume_id': 'volume',
        'backup_name': 'caf\u00e9 "x"', 'backup_description': 'two\nlines',
        'created_at': '2026-01-02', 'parent_id': 'parent',
        'volume_meta': '{"version": 2}',
        'extra_metadata': {'key': ['value', 1.5]},
        'objects': [
            {'prefix-00001': entry(0, 4096)},
            {'prefix-00002': entry(4096, 10, 'none')}],
    }, sort_keys=True, indent=2)


def test_no_extra_metadata_is_left_out():
    written = b''.join(manifest.serialize(
        Manifest(harness.record(), object_list(), '1.0.0')))
    assert 'extra_metadata' not in json.loads(written)
    assert json.loads(written)['objects'] == []


def test_a_long_list_is_written_in_pieces():
    objects = object_list(*[StoredObject(f'prefix-{number:05d}', number, 1,
                                         'none', MD5)
                            for number in range(1, 5001)])
    pieces = list(manifest.serialize(
        Manifest(harness.record(), objects, '1.0.0')))
    assert 3 < len(pieces) < 9
    assert max(map(len, pieces)) < 300000
    assert len(json.loads(b''.join(pieces))['objects']) == 5000


def test_names_that_are_not_numbered_are_kept():
    stored = [StoredObject('prefix-00002', 0, 512, 'bz2', MD5),
              StoredObject('another', 512, 512, 'gzip', None),
              StoredObject('prefix-00003', 1024, 512, 'zstd', MD5)]
    objects = object_list(*stored)
    assert list(objects) == stored and len(objects) == 3


def test_objects_come_sorted_by_offset_when_asked():
    objects = object_list(StoredObject('prefix-00001', 512, 9, 'none', MD5),
                          StoredObject('prefix-00002', 0, 9, 'none', MD5))
    assert [stored.offset for stored in objects.sorted()] == [0, 512]
    assert [stored.offset for stored in objects] == [512, 0]


def test_everything_in_a_manifest_is_read():
    found = parse(document(backup_name='n', backup_description='d',
                           parent_id='p', volume_meta='{}',
                           extra_metadata={'ratio': 0.1}))
    assert found.record == harness.record(
        container=None, name='n', description='d', parent_id='p')
    assert found.volume_meta == '{}'
    assert found.extra_metadata == {'ratio': 0.1}
    assert list(found.objects) == [
        StoredObject('prefix-00001', 0, 512, 'zlib', MD5)]


def test_a_manifest_may_leave_out_what_older_releases_did():
    found = parse(document(
        parent_id=..., volume_meta=..., backup_name=...,
        backup_description=..., objects=[{'prefix-00001': {
            'offset': 0, 'length': 5, 'compression': 'none'}}]))
    assert found.record.parent_id is None
    assert found.objects[0].md5 is None


def test_keys_of_later_releases_are_left_out():
    assert parse(document(added_later=[{'a': 1}])).record.id == 'backup'


def test_one_entry_may_hold_several_objects():
    found = parse(document(objects=[{'prefix-00001': entry(0),
                                     'prefix-00002': entry(512)}]))
    assert [stored.offset for stored in found.objects] == [0, 512]


def test_whose_manifest_it_is_may_be_left_open():
    assert parse(document(backup_id='any'), None).record.id == 'any'


@pytest.mark.parametrize('changes', [
    {'version': ...}, {'version': 1}, {'backup_id': ...},
    {'backup_id': 'other'}, {'backup_id': None}, {'volume_id': ...},
    {'volume_id': 7}, {'created_at': ...}, {'created_at': None},
    {'backup_name': 1}, {'backup_description': []}, {'parent_id': 5},
    {'parent_id': False}, {'volume_meta': {}}, {'objects': None},
    {'objects': {}}, {'objects': [[]]}, {'objects': [{}]},
    {'objects': [None]}, {'objects': ['prefix-00001']},
    {'objects': [{'prefix-00001': []}]}, {'objects': [{'': entry()}]},
], ids=str)
def test_a_manifest_that_lacks_or_confuses_something_is_corrupt(changes):
    with pytest.raises(errors.CorruptBackup) as caught:
        parse(document(**changes))
    assert caught.value.backup_id == 'backup'


def test_a_manifest_without_a_list_of_objects_is_corrupt():
    with pytest.raises(errors.CorruptBackup, match='objects'):
        parse(document(objects=...))


@pytest.mark.parametrize('key, value', [
    ('offset', '-1'), ('offset', '1.0'), ('offset', '0e0'),
    ('offset', 'true'), ('offset', '"0"'), ('offset', 'null'),
    ('offset', 'NaN'), ('offset', '[0]'), ('offset', str((1 << 62) + 1)),
    ('offset', str(1 << 63)), ('offset', '1' + '0' * 5000),
    ('offset', '1e999999999999999999999'), ('length', '0'),
    ('length', '-5'), ('length', '0.5'), ('length', 'false'),
    ('length', 'null'), ('length', str(1 << 64)), ('compression', '"lz4"'),
    ('compression', '"ZLIB"'), ('compression', 'null'),
    ('compression', '["zlib"]'), ('compression', '{}'), ('md5', '"x"'),
    ('md5', '"' + MD5.upper() + '"'), ('md5', '"' + MD5 + '\\n"'),
    ('md5', '5'), ('md5', '["' + MD5 + '"]'), ('md5', '"' + MD5 + '0"')],
    ids=lambda text: text[:30])
def test_an_object_that_makes_no_sense_is_corrupt(key, value):
    text = json.dumps(document(objects=[{'prefix-00001': {
        **entry(), key: 'the value'}}])).replace('"the value"', value)
    with pytest.raises(errors.CorruptBackup):
        parse(text.encode())


@pytest.mark.parametrize('name', [
    '', 'other-00001', 'prefix', 'prefix2-00001', 'prefix-1', '../x',
    'prefix-00001/../../x', 'prefix-00001\n'])
def test_an_object_of_another_backup_is_corrupt(name):
    with pytest.raises(errors.CorruptBackup):
        parse(document(objects=[{name: entry()}]))


@pytest.mark.parametrize('offsets', [(0, 0), (0, 511), (511, 0),
                                     (5120, 0, 4609)])
def test_objects_that_overlap_are_corrupt(offsets):
    with pytest.raises(errors.CorruptBackup, match='overlap'):
        parse(document(objects=[
            {f'prefix-{number:05d}': entry(offset)}
            for number, offset in enumerate(offsets, start=1)]))


@pytest.mark.parametrize('text', [
    b'{"backup_id": "backup", "backup_id": "backup"}',
    b'{"objects": [], "objects": []}',
    b'{"objects": [{"o": {"offset": 0, "offset": 0}}]}',
    b'{"objects": [{"o": {}, "o": {}}]}'])
def test_a_key_that_stands_twice_is_corrupt(text):
    with pytest.raises(errors.CorruptBackup, match='twice'):
        parse(text)


def test_a_manifest_cut_short_anywhere_is_corrupt():
    whole = json.dumps(document(), sort_keys=True, indent=2).encode()
    for end in range(len(whole)):
        with pytest.raises(errors.CorruptBackup):
            parse(whole[:end])


@pytest.mark.parametrize('junk', [b'x', b'{}', b'\0', b'"', b'[', b'1'])
def test_bytes_behind_a_manifest_are_corrupt(junk):
    with pytest.raises(errors.CorruptBackup):
        parse(json.dumps(document()).encode() + junk)
