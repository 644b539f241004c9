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

import contextlib
import copy
import io
import json

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup import errors
from chunked_backup.formats import Manifest
from chunked_backup.formats.cinder_v1 import digest_table
from chunked_backup.formats.cinder_v1 import manifest
from chunked_backup.model import BackupRecord
from chunked_backup.model import StoredObject

TEXT = st.text(st.characters(exclude_categories=['Cs']), max_size=20)
MAYBE = st.none() | TEXT
HEX = '0123456789abcdef'
RECORDS = st.builds(
    BackupRecord, id=TEXT, volume_id=TEXT, parent_id=MAYBE,
    prefix=st.just('prefix'), name=MAYBE, description=MAYBE, created_at=TEXT)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62)
    | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)


@st.composite
def stored_objects(draw):
    """Objects that do not overlap, in any order, under any numbers."""
    found = []
    position = 0
    for gap, length, number in draw(st.lists(st.tuples(
            st.integers(0, 1 << 40), st.integers(1, 1 << 40),
            st.none() | st.integers(0, 10 ** 9)), max_size=6)):
        position += gap
        if number is None:
            number = len(found) + 1
        found.append(StoredObject(
            f'prefix-{number:05d}', position, length,
            draw(st.sampled_from(['none', 'zlib', 'gzip', 'bz2', 'bzip2',
                                  'zstd'])),
            draw(st.none() | st.text(HEX, min_size=32, max_size=32))))
        position += length
    return draw(st.permutations(found))


class Slow:
    def __init__(self, data, sizes):
        self._stream = io.BytesIO(data)
        self._sizes = sizes
        self._turn = 0

    def read(self, size):
        self._turn += 1
        most = self._sizes[self._turn % len(self._sizes)]
        return self._stream.read(min(size, most))


SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=4)


def object_list(stored):
    objects = manifest.ObjectList('prefix')
    for each in stored:
        objects.append(each)
    return objects


def manifest_values(record, stored, volume_meta, extra):
    """The same with nothing but the standard library."""
    values = {
        'version': '1.0.0', 'backup_id': record.id,
        'volume_id': record.volume_id, 'backup_name': record.name,
        'backup_description': record.description,
        'created_at': record.created_at, 'parent_id': record.parent_id,
        'volume_meta': volume_meta, 'objects': []}
    for each in stored:
        entry = {'offset': each.offset, 'length': each.length,
                 'compression': each.compression}
        if each.md5 is not None:
            entry['md5'] = each.md5
        values['objects'].append({each.name: entry})
    if extra:
        values['extra_metadata'] = extra
    return values


@given(RECORDS, stored_objects(), MAYBE, JSON, SIZES)
def test_a_manifest_is_json_and_comes_back(record, stored, volume_meta,
                                           extra, sizes):
    objects = object_list(stored)
    assert list(objects) == stored
    written = b''.join(manifest.serialize(
        Manifest(record, objects, '1.0.0', volume_meta, extra)))
    assert written.decode() == json.dumps(
        manifest_values(record, stored, volume_meta, extra),
        sort_keys=True, indent=2)
    found = manifest.parse(Slow(written, sizes), record.id, 'prefix')
    assert found.record == record
    assert list(found.objects) == stored
    assert list(found.objects.sorted()) == sorted(
        stored, key=lambda each: each.offset)
    assert found.volume_meta == volume_meta
    assert found.extra_metadata == (extra or None)


@given(RECORDS, st.integers(1, 1 << 31),
       st.lists(st.binary(min_size=32, max_size=32), max_size=9),
       st.integers(1, 9), SIZES, st.sampled_from([None, 0, 2, 7]))
def test_a_digest_table_is_json_and_comes_back(record, block, digests, batch,
                                               sizes, indent):
    values = {
        'version': '1.0.0', 'backup_id': record.id,
        'volume_id': record.volume_id, 'backup_name': record.name,
        'backup_description': record.description,
        'created_at': record.created_at, 'chunk_size': block,
        'sha256s': [digest.hex() for digest in digests]}
    written = b''.join(digest_table.serialize(
        record, block, [b''.join(digests[start:start + batch])
                        for start in range(0, len(digests), batch)]))
    assert written.decode() == json.dumps(values, sort_keys=True, indent=2)
    for text in (written, json.dumps(values, indent=indent).encode()):
        kept = bytearray()
        block_size = digest_table.parse(
            lambda: contextlib.nullcontext(Slow(text, sizes)), record.id,
            kept.extend)
        assert block_size == block
        assert kept == b''.join(digests)


def parse_manifest(text):
    manifest.parse(io.BytesIO(text), 'backup', 'prefix')


def parse_table(text):
    digest_table.parse(lambda: contextlib.nullcontext(io.BytesIO(text)),
                       'backup', lambda digests: None)


SOUND_MANIFEST = json.dumps(manifest_values(
    BackupRecord('backup', 'volume'),
    [StoredObject('prefix-00001', 0, 512, 'zlib', '0' * 32),
     StoredObject('prefix-00002', 512, 512, 'none', None)], '{}', {'a': 1}),
    sort_keys=True, indent=2).encode()
SOUND_TABLE = b''.join(digest_table.serialize(
    BackupRecord('backup', 'volume'), 512, [bytes(range(96))]))
DOCUMENTS = st.sampled_from([(parse_manifest, SOUND_MANIFEST),
                             (parse_table, SOUND_TABLE)])


def corrupt_or_sound(parse, text):
    """No other error than the one that is promised."""
    try:
        parse(text)
    except errors.CorruptBackup:
        return False
    return True


@given(DOCUMENTS, st.binary(max_size=300))
def test_any_bytes_are_corrupt(document, text):
    assert not corrupt_or_sound(document[0], text)


@given(DOCUMENTS, st.data())
def test_any_change_of_bytes_is_corrupt_or_sound(document, data):
    parse, sound = document
    at = data.draw(st.integers(0, len(sound)))
    removed = data.draw(st.integers(0, 30))
    added = data.draw(st.binary(max_size=12) | st.sampled_from(
        [b'{', b'}', b'[', b']', b'"', b'\\', b',', b'NaN', b'-1', b'1e999',
         b'1e99999999999999999999', b'9' * 5000, b'\\ud800', b'null',
         b'[' * 5000, b'{"a":' * 5000, b'"objects": [],', b'\xff']))
    corrupt_or_sound(parse, sound[:at] + added + sound[at + removed:])


def places(values, path=()):
    """The path of every value within JSON values."""
    yield path
    if isinstance(values, dict):
        for key, value in values.items():
            yield from places(value, path + (key,))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from places(value, path + (index,))


@given(DOCUMENTS, st.data())
@example((parse_table, SOUND_TABLE), None)
def test_any_other_value_anywhere_is_corrupt_or_sound(document, data):
    parse, sound = document
    values = json.loads(sound)
    assert corrupt_or_sound(parse, json.dumps(values).encode())
    if data is None:
        return
    *path, last = data.draw(st.sampled_from(
        [path for path in places(values) if path]))
    values = copy.deepcopy(values)
    inner = values
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(
        JSON | st.integers(1 << 62, 1 << 80) | st.just(float('nan'))
        | st.just(float('inf')))
    corrupt_or_sound(parse, json.dumps(values).encode())
    corrupt_or_sound(parse, json.dumps(values, sort_keys=True,
                                       indent=2).encode())
