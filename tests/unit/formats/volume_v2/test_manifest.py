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

import base64
import hashlib
import io
import json
import struct

import pytest

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.formats import Manifest
from chunked_backup.formats.volume_v2 import manifest
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredPack
from tests.unit import harness

BLOCK = 512
DIGEST = bytes(range(16))
TABLE = 'ab' * 32


def extent(block, stored=100, number=1, start=0, blocks=1, codec='zlib'):
    return PackedExtent(f'prefix-{number:05d}', block * BLOCK,
                        blocks * BLOCK, codec, start, stored, DIGEST)


def zeros(block, blocks=1):
    return PackedExtent(None, block * BLOCK, blocks * BLOCK, 'none', 0, 0,
                        bytes(16))


def written(*packs, volume_bytes=100 * BLOCK, **values):
    objects = manifest.ObjectList('prefix')
    for number, extents in packs:
        objects.append(StoredPack(number, list(extents)))
    values = {'record': harness.record(), 'objects': objects,
              'version': '2.0.0', 'volume_bytes': volume_bytes,
              'block_size_bytes': BLOCK, 'digest_table_sha256': TABLE,
              **values}
    return b''.join(manifest.serialize(Manifest(**values)))


def sealed(text):
    """A text that may have been changed, with the sha256 that it has now."""
    *lines, _ = text.splitlines(keepends=True)
    before = b''.join(lines)
    return before + b'],"sha256": "%s"}\n' % (
        hashlib.sha256(before).hexdigest().encode())


def with_header(text, **changes):
    head, rest = text.split(b'\n', 1)
    header = json.loads(head + b']}') | changes
    return sealed(json.dumps(header).encode().removesuffix(b']}') + b'\n'
                  + rest)


def parse(text, **keywords):
    return formats.parse_manifest(io.BytesIO(text), 'backup', 'prefix',
                                  **keywords)


PACKS = ((1, [zeros(0, 3), extent(3), extent(5, 50, start=100)]),
         (3, [extent(9, 512, 3, codec='none'), zeros(10, 4),
              extent(20, 7, 3, start=512, blocks=2, codec='zstd')]))


@pytest.mark.parametrize('rest', [
    b'"backup_id": "backup"}', b'"any": [', b'', b'\xff', b'"' * 99])
def test_a_later_format_is_told_by_its_version_whatever_it_is(rest):
    with pytest.raises(errors.UnknownFormat, match=r'3\.0\.0.*2\.0\.0'):
        parse(b'{"version": "3.0.0", ' + rest)


def test_a_manifest_comes_back():
    found = parse(written(*PACKS, volume_meta='{"version": 2}',
                          extra_metadata={'key': 'value'}))
    assert found.record.name == 'a name'
    assert (found.version, found.volume_bytes, found.block_size_bytes,
            found.digest_table_sha256) == ('2.0.0', 100 * BLOCK, BLOCK, TABLE)
    assert (found.volume_meta, found.extra_metadata) == (
        '{"version": 2}', {'key': 'value'})
    assert list(found.objects) == [*PACKS[0][1], *PACKS[1][1]]
    assert len(found.objects) == 2
    assert list(found.objects.names()) == ['prefix-00001', 'prefix-00003']


def test_it_is_json_that_cinder_refuses_by_its_version():
    document = json.loads(written(*PACKS))
    assert document['version'] == '2.0.0'
    assert [number for number, _ in document['extents']] == [1, 3]
    [_, text] = document['extents'][1]
    assert struct.unpack_from('<QQIB16s', base64.b64decode(text)) == (
        9 * BLOCK, BLOCK, 512, 1, DIGEST)


def test_a_manifest_without_extents():
    assert list(parse(written()).objects) == []


def test_near_zeros_are_one_extent():
    found = parse(written((1, [zeros(0, 2), zeros(2, 3)]),
                          (2, [zeros(5), extent(6, number=2)])))
    assert list(found.objects) == [zeros(0, 6), extent(6, number=2)]
    assert list(found.objects.names()) == ['prefix-00002']


def test_the_last_block_of_a_volume_may_be_short():
    last = extent(9)._replace(length=7, stored_bytes=7, compression='bz2')
    text = written((1, [last]), volume_bytes=9 * BLOCK + 7)
    assert list(parse(text).objects) == [last]


@pytest.mark.parametrize('volume_bytes', [1, 1 << 62])
def test_a_volume_of_any_size(volume_bytes):
    assert parse(written(volume_bytes=volume_bytes)).volume_bytes == (
        volume_bytes)


def test_an_extent_as_long_as_may_be_in_the_last_object_there_can_be():
    last = extent(0, 1, (1 << 32) - 1, blocks=32768)
    text = written(((1 << 32) - 1, [last]), volume_bytes=1 << 30)
    [found] = parse(text).objects
    assert (found.length, found.stored_bytes) == (16 << 20, 1)
    with pytest.raises(errors.CorruptBackup, match='no number of an object'):
        parse(sealed(text.replace(b'[4294967295', b'[4294967296')))


def test_many_extents_are_written_and_read_in_batches():
    extents = [extent(block, 9, start=9 * block) for block in range(5000)]
    text = written((1, extents), volume_bytes=5000 * BLOCK)
    assert len(text.splitlines()) == 2 + 5
    found = parse(text)
    assert list(found.objects) == extents and len(found.objects) == 1


def test_extents_are_found_by_where_they_are():
    objects = parse(written(*PACKS)).objects
    zero, first, second = PACKS[0][1][0], PACKS[0][1][2], PACKS[1][1][0]
    last = PACKS[1][1][2]
    assert list(objects.within([(4 * BLOCK, 10 * BLOCK)])) == [
        (first, [(5 * BLOCK, 6 * BLOCK)]), (second, [(9 * BLOCK, 10 * BLOCK)])]
    assert list(objects.within([(0, 1), (5, 7), (20 * BLOCK, 21 * BLOCK),
                                (21 * BLOCK, 99 * BLOCK)])) == [
        (zero, [(0, 1), (5, 7)]),
        (last, [(20 * BLOCK, 21 * BLOCK), (21 * BLOCK, 22 * BLOCK)])]
    # The one behind begins where the range ends.
    assert list(objects.within([(3 * BLOCK, 5 * BLOCK)])) == [
        (PACKS[0][1][1], [(3 * BLOCK, 4 * BLOCK)])]
    assert list(objects.within([(22 * BLOCK, 99 * BLOCK)])) == []
    assert list(objects.within([])) == []


def test_where_objects_end():
    objects = parse(written(*PACKS)).objects
    found = [stored for stored in objects if stored.name
             and objects.ends_object(stored)]
    assert found == [PACKS[0][1][2], PACKS[1][1][2]]
    far = parse(written((1, [extent(1), zeros(2, 4), zeros(9)]),
                        (2, [extent(20, number=2)]))).objects
    assert [far.ends_object(stored) for stored in far if stored.name] == [
        True, True]
    part = PACKS[1][1][2]._replace(stored_bytes=3)
    assert not objects.ends_object(part)


@pytest.mark.parametrize('changes, text', [
    ({'backup_id': 'other'}, 'other'), ({'backup_id': 5}, 'backup_id'),
    ({'volume_bytes': 0}, 'volume_bytes'),
    ({'volume_bytes': 2.5}, 'volume_bytes'),
    ({'volume_bytes': True}, 'volume_bytes'),
    ({'block_bytes': 1 << 40}, 'block_bytes'),
    ({'digest_algorithm': 'md5'}, 'md5'),
    ({'digest_table_sha256': 'x'}, 'digest_table_sha256'),
    ({'digest_table_sha256': None}, 'digest_table_sha256'),
    ({'parent_id': []}, 'parent_id'),
    ({'volume_bytes': 21 * BLOCK}, 'reaches beyond'),
    ({'block_bytes': 1024}, 'whole blocks')])
def test_a_header_that_cannot_be_is_refused(changes, text):
    with pytest.raises(errors.CorruptBackup, match=text):
        parse(with_header(written(*PACKS), **changes))


@pytest.mark.parametrize('packs, text', [
    ([(1, [extent(3), extent(3)])], 'overlaps'),
    ([(1, [extent(3), extent(2)])], 'overlaps'),
    ([(1, [extent(3, blocks=3)]), (2, [extent(5)])], 'overlaps'),
    ([(2, [extent(3)]), (1, [extent(4)])], 'out of order'),
    ([(1, [extent(99, blocks=2)])], 'beyond'),
    ([(1, [extent(1, blocks=0)])], 'empty'),
    ([(1, [extent(1)._replace(offset=1)])], 'whole blocks'),
    ([(1, [extent(1)._replace(length=BLOCK - 1)])], 'whole blocks'),
    ([(1, [extent(1, BLOCK + 1)])], 'stored bytes'),
    ([(1, [extent(1, 0)])], 'stored bytes'),
    ([(1, [extent(1, 100, codec='none')])], 'stored bytes'),
    ([(1, [zeros(1)._replace(stored_bytes=1)])], 'has bytes, and is zeros'),
])
def test_extents_that_cannot_be_are_refused(packs, text):
    with pytest.raises(errors.CorruptBackup, match=text):
        parse(written(*packs))


def test_an_extent_too_long_for_memory_is_refused():
    with pytest.raises(errors.CorruptBackup, match='too long'):
        parse(written((1, [extent(0, blocks=32769)]),
                      volume_bytes=1 << 30))


def test_every_flipped_bit_is_noticed():
    text = written(*PACKS)
    for bit in range(0, 8 * len(text), 3):
        damaged = bytearray(text)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.CorruptBackup):
            parse(bytes(damaged))


@pytest.mark.parametrize('damage', [
    lambda text: text[:-1], lambda text: text[:-80], lambda text: text[:100],
    lambda text: text + b'x\n', lambda text: text + text,
    lambda text: text.replace(b'\n', b''),
    lambda text: sealed(text.replace(b'[1, "', b'[0, "')),
    lambda text: sealed(text.replace(b'[1, "', b'["1", "')),
    lambda text: sealed(text.replace(b'[1, "', b'[1, 2, "')),
    lambda text: sealed(text.replace(b'[1, "', b'[1, "AAAA')),
    lambda text: sealed(text.replace(b'[1, "', b'[1, "\xc3\xa9')),
    lambda text: sealed(text.replace(b'[1, "', b'[1, "!')),
    lambda text: sealed(text.replace(b'[1, "', b'[' * 99999 + b'[1, "')),
    lambda text: sealed(text.replace(b'\n', b'x' * (17 << 20) + b'\n', 1)),
])
def test_what_is_no_manifest_is_refused(damage):
    with pytest.raises(errors.CorruptBackup):
        parse(damage(written(*PACKS)))


@pytest.mark.parametrize('text', [
    b'', b'\n', b'{"version": "2.0.0"}\n', b'{"version": "2.0.0", "a": [\n'])
def test_what_begins_with_no_header_is_said_to(text):
    with pytest.raises(errors.CorruptBackup, match='is no header'):
        manifest.parse(io.BytesIO(text), 'backup', 'prefix')


def test_one_that_was_altered_can_still_be_read_for_a_salvage():
    text = written(*PACKS).replace(b'a name', b'b name')
    with pytest.raises(errors.CorruptObject, match='offset 0: its sha256'):
        parse(text)
    assert parse(text, strict=False).record.name == 'b name'
