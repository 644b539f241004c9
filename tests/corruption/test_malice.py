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

"""Repositories made to do harm: typed errors only, in bounded memory."""

import bz2
import dataclasses
import hashlib
import json
import random
import sys
import tracemalloc
import zlib

import pytest
import zstandard

from chunked_backup import errors
from chunked_backup.hosts.standalone.rebuild import rebuild
from tests import support
from tests.corruption import chains
from tests.corruption.chains import BLOCK
from tests.corruption.chains import VOLUME_BYTES
from tests.corruption.chains import never_wrong
from tests.fuzz.mutations import mutated

MIB = 1 << 20
LARGEST_MEMORY_BYTES = 24 * MIB


@pytest.fixture
def chain(conf):
    return chains.make('zlib', version='1.0.0')


@pytest.fixture
def bounded():
    """Fails a test that takes much memory at any time."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LARGEST_MEMORY_BYTES


def encoded(document):
    return json.dumps(document, sort_keys=True, indent=2).encode()


def with_document(chain, kind, level, change):
    """A service over the chain with one JSON document changed; no record
    knows what it was before, as an attacker would have it."""
    [name] = chain.names(kind, level)
    document = json.loads(chain.objects[name])
    changed = change(document)
    data = changed if isinstance(changed, bytes) else encoded(
        document if changed is None else changed)
    return chain.with_changes({name: data}, keep_sha256=False)


def assert_refused(chain, service, level=2, kind=errors.CorruptBackup):
    for error in never_wrong(chain, service, level):
        assert isinstance(error, kind), error


# Manifests.

def entry_of(document, index=0):
    [(name, fields)] = document['objects'][index].items()
    return name, fields


BAD_NUMBERS = [-1, -512, -2 ** 63, 2 ** 62 + 1, 2 ** 63, 2 ** 64, 10 ** 30,
               10 ** 4000, 1.5, 1e300, True, False, None, '0', '', [], {},
               float('nan'), float('inf'), float('-inf')]


@pytest.mark.parametrize('field', ['offset', 'length'])
@pytest.mark.parametrize('number', BAD_NUMBERS,
                         ids=lambda number: repr(number)[:20])
def test_a_bad_offset_or_length_is_refused(chain, bounded, field, number):
    def change(document):
        _, fields = entry_of(document)
        fields[field] = number

    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)  # to write what no attacker would parse
    try:
        service = with_document(chain, 'manifest', 2, change)
    finally:
        sys.set_int_max_str_digits(limit)
    assert_refused(chain, service)


@pytest.mark.parametrize('offset', [VOLUME_BYTES, VOLUME_BYTES * 10,
                                    2 ** 40, 2 ** 62 - BLOCK])
def test_an_object_beyond_the_volume_is_refused(chain, bounded, offset):
    def change(document):
        entry_of(document)[1]['offset'] = offset

    assert_refused(chain, with_document(chain, 'manifest', 2, change))


@pytest.mark.parametrize('length', [2 ** 31, 2 ** 40, 2 ** 62 - VOLUME_BYTES])
def test_a_huge_length_is_refused_in_little_memory(chain, bounded, length):
    def change(document):
        entry_of(document, -1)[1]['length'] = length

    for level in range(3):
        verified, _ = never_wrong(
            chain, with_document(chain, 'manifest', level, change), level)
        assert isinstance(verified, errors.CorruptBackup)


def test_overlapping_objects_are_refused(chain):
    def change(document):
        document['objects'].append({
            entry_of(document)[0].replace('-00001', '-99999'):
            entry_of(document)[1]})

    assert_refused(chain, with_document(chain, 'manifest', 2, change))


@pytest.mark.parametrize('offset', [1, 100, BLOCK - 1, BLOCK + 1])
def test_an_offset_within_a_block_is_refused(chain, offset):
    def change(document):
        entry_of(document)[1]['offset'] += offset

    assert_refused(chain, with_document(chain, 'manifest', 2, change))


@pytest.mark.parametrize('name', [
    '', '..', '../../../../etc/passwd', '/etc/passwd', 'x', '\0', '\ud800',
    'x' * 100_000, '-00001'], ids=lambda name: ascii(name)[:20])
def test_the_name_of_a_foreign_object_is_refused(chain, bounded, name):
    def change(document):
        _, fields = entry_of(document)
        document['objects'][0] = {name: fields}

    assert_refused(chain, with_document(chain, 'manifest', 2, change))


def test_a_manifest_cannot_reach_the_objects_of_another_backup(chain):
    """Otherwise a tenant could restore another's data to a volume."""
    theirs = chain.names('data', 0)[0]

    def change(document):
        _, fields = entry_of(document)
        document['objects'][0] = {theirs: fields}

    service = with_document(chain, 'manifest', 2, change)
    real = service.driver.get_object_reader
    opened = []

    def get_object_reader(container, name, extra_metadata=None):
        opened.append(name)
        return real(container, name, extra_metadata)

    service.driver.get_object_reader = get_object_reader
    error = chains.attempt(service.verify, service.find(chain.ids[2]))
    assert isinstance(error, errors.CorruptBackup)
    assert 'none of this backup' in str(error)
    assert theirs not in opened


@pytest.mark.parametrize('change', [
    lambda document: document.pop('objects') and None,
    lambda document: document.pop('backup_id') and None,
    lambda document: document.pop('volume_id') and None,
    lambda document: document.pop('version') and None,
    lambda document: document.pop('created_at') and None,
    lambda document: document.update(version='1.0.1'),
    lambda document: document.update(version=1),
    lambda document: document.update(objects={}),
    lambda document: document.update(objects=None),
    lambda document: document.update(objects='none'),
    lambda document: document.update(objects=[[]]),
    lambda document: document.update(objects=[{}]),
    lambda document: document.update(objects=[None]),
    lambda document: document.update(objects=[{'name': 1}]),
    lambda document: document.update(parent_id=document['backup_id']),
    lambda document: document.update(parent_id=['x']),
    lambda document: document.update(volume_id='another'),
    lambda document: document.update(backup_name=7),
    lambda document: document.update(volume_meta={'a': 1}),
    lambda document: entry_of(document)[1].update(compression='lzma'),
    lambda document: entry_of(document)[1].update(compression=None),
    lambda document: entry_of(document)[1].pop('compression') and None,
    lambda document: entry_of(document)[1].update(md5='x' * 32),
    lambda document: entry_of(document)[1].update(md5=['x']),
    lambda document: encoded([document]),
    lambda document: b'', lambda document: b'null', lambda document: b'{',
    lambda document: b'\xff\xfe' + encoded(document),
    lambda document: encoded(document) + b'{}',
    lambda document: encoded(document)[:-1],
    lambda document: encoded(document).replace(b'"objects"', b'"objects": '
                                               b'[], "objects"'),
    lambda document: b'[' * 200_000,
    lambda document: b'{"a":' * 200_000,
    lambda document: b'{"a": ' + b'[' * 200_000 + b']' * 200_000 + b'}',
    lambda document: b'{"a": ' + b'9' * 200_000 + b'}',
    lambda document: b'{"a": 1e' + b'9' * 200_000 + b'}',
    lambda document: b'{"a": "' + b'\\ud800' * 1000 + b'"}',
], ids=lambda change: None)
@pytest.mark.parametrize('level', [0, 2])
def test_a_manifest_of_another_shape_is_refused(chain, bounded, change,
                                                level):
    assert_refused(chain, with_document(chain, 'manifest', level, change),
                   level)


def test_an_incremental_does_not_pass_for_a_full_backup(chain):
    def change(document):
        document['parent_id'] = None

    assert_refused(chain, with_document(chain, 'manifest', 2, change))


# Digest tables.

@pytest.mark.parametrize('change', [
    lambda document: document.update(chunk_size=0),
    lambda document: document.update(chunk_size=-512),
    lambda document: document.update(chunk_size=2 ** 62),
    lambda document: document.update(chunk_size=2 ** 70),
    lambda document: document.update(chunk_size=1),
    lambda document: document.update(chunk_size=511),
    lambda document: document.update(chunk_size=1024),
    lambda document: document.update(chunk_size=512.0),
    lambda document: document.update(chunk_size='512'),
    lambda document: document.update(chunk_size=None),
    lambda document: document.update(chunk_size=True),
    lambda document: document.update(sha256s=[]),
    lambda document: document.update(sha256s={}),
    lambda document: document.update(sha256s=None),
    lambda document: document.update(sha256s=['x']),
    lambda document: document.update(sha256s=[None]),
    lambda document: document.update(sha256s=[['00' * 32]]),
    lambda document: document['sha256s'].append('00' * 31),
    lambda document: document['sha256s'].append('00' * 33),
    lambda document: document['sha256s'].append('0x' + '00' * 31),
    lambda document: document['sha256s'].append('00' * 32),
    lambda document: document['sha256s'].insert(0, '00' * 32),
    lambda document: document['sha256s'].reverse(),
    lambda document: document.update(
        sha256s=document['sha256s'] + ['00' * 32] * 100_000),
    lambda document: document.update(version='2.0.0'),
    lambda document: document.update(backup_id='another'),
    lambda document: document.pop('chunk_size') and None,
    lambda document: document.pop('sha256s') and None,
    lambda document: b'{"chunk_size": 512, "sha256s": [' + b'"x",' * 100_000,
    lambda document: b'[' * 200_000,
    lambda document: encoded(document).replace(b'"sha256s"', b'"sha256s": '
                                               b'[], "sha256s"'),
    lambda document: encoded(document) + b'x',
], ids=lambda change: None)
def test_a_digest_table_of_another_shape_is_refused(chain, bounded, change):
    assert_refused(chain, with_document(chain, 'digest table', 2, change))


def test_fewer_digests_do_not_pass_for_a_smaller_volume_with_the_catalogue(
        chain):
    [name] = chain.names('digest table', 2)
    document = json.loads(chain.objects[name])
    del document['sha256s'][-5:]
    service = chain.with_changes({name: encoded(document)})
    assert_refused(chain, service)


@pytest.mark.parametrize('length', [-2, -1, -256])
def test_a_shorter_last_object_does_not_pass_for_a_smaller_volume(chain,
                                                                  length):
    """The volume ends in a block of zeros, which nobody fetches."""
    def change(document):
        entry_of(document, -1)[1]['length'] += length

    service = with_document(chain, 'manifest', 0, change)
    never_wrong(chain, service, 0)


# Random changes.

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('kind', ['manifest', 'digest table'])
def test_random_changes_never_succeed_wrongly(chain, kind, seed):
    rng = random.Random(f'{kind} {seed}')
    refused = 0
    for _ in range(75):
        level = rng.randrange(3)
        service = with_document(chain, kind, level,
                                lambda document: mutated(rng, document))
        verified, _ = never_wrong(chain, service, level,
                                  size_is_known=kind == 'manifest')
        refused += isinstance(verified, errors.CorruptBackup)
    assert refused > 35


@pytest.mark.parametrize('seed', range(4))
def test_random_records_give_typed_errors(chain, seed):
    rng = random.Random(seed)
    for _ in range(50):
        level = rng.randrange(3)
        [name] = chain.names('record', level)
        record = mutated(rng, json.loads(chain.objects[name]))
        service = chain.with_changes({name: encoded(record)})
        never_wrong(chain, service, level)
        never_wrong(chain, service, 2)
        assert len(service.backups()) in (2, 3)


# Bombs.

def stream_of(compressor, count):
    piece = bytes(MIB)
    parts = [compressor.compress(piece) for _ in range(count)]
    return b''.join(parts) + compressor.flush()


def zlib_bomb():
    return 'zlib', stream_of(zlib.compressobj(9), 64)


def bz2_bomb():
    return 'bz2', stream_of(bz2.BZ2Compressor(9), 64)


def zstd_bomb():
    return 'zstd', stream_of(zstandard.ZstdCompressor(
        level=3).compressobj(), 1024)


def zstd_frames():
    """Frame behind frame, each with its size."""
    return 'zstd', zstandard.ZstdCompressor().compress(bytes(MIB)) * 1000


def zstd_window():
    """A frame that asks for a window of 2 GiB."""
    return 'zstd', bytes.fromhex('28b52ffd' '00' 'a8' '010000') * 10


def zstd_content_size():
    """A frame that claims to hold 2**62 bytes."""
    return 'zstd', bytes.fromhex('28b52ffd' 'e0') + (2 ** 62).to_bytes(
        8, 'little') + bytes.fromhex('010000')


def bz2_empty_streams():
    return 'bz2', bz2.compress(b'') * 20_000


@pytest.mark.parametrize('bomb', [
    zlib_bomb, bz2_bomb, zstd_bomb, zstd_frames, zstd_window,
    zstd_content_size, bz2_empty_streams])
@pytest.mark.parametrize('length', [8 * BLOCK, 2 ** 40])
def test_a_bomb_costs_no_memory(chain, bomb, length):
    compression, data = bomb()
    [manifest] = chain.names('manifest', 0)
    document = json.loads(chain.objects[manifest])
    name, fields = entry_of(document, -1)
    fields['length'] = max(length, fields['length'])
    fields['compression'] = compression
    service = chain.with_changes(
        {manifest: encoded(document), name: data}, keep_sha256=False)
    tracemalloc.start()
    try:
        verified, _ = never_wrong(chain, service, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(verified, errors.CorruptBackup)
    assert peak < LARGEST_MEMORY_BYTES


# Parents.

def test_a_cycle_of_parents_is_refused(chain, tmp_path):
    service = chain.with_changes({})
    full = service.find(chain.ids[0])
    full.parent_id = chain.ids[2]
    service.driver.host.catalogue.save(full)
    for level in range(3):
        assert_refused(chain, service, level, errors.IncompleteChain)
    volume = tmp_path / 'volume'
    volume.write_bytes(chain.states[0])
    with pytest.raises(errors.ChunkedBackupError):
        service.backup(str(volume), volume_id=full.volume_id,
                       parent=chain.ids[2])
    assert len(service.delete(full, cascade=True)) == 3
    assert service.backups() == []


def test_a_backup_that_is_its_own_parent_is_refused(chain):
    service = chain.with_changes({})
    own = dataclasses.replace(service.find(chain.ids[0]),
                              parent_id=chain.ids[0])
    service.driver.host.catalogue.save(own)
    assert_refused(chain, service, 0, errors.IncompleteChain)


def test_a_catalogue_is_rebuilt_although_manifests_name_each_other(chain):
    [name] = chain.names('manifest', 0)
    document = json.loads(chain.objects[name]) | {'parent_id': chain.ids[2]}
    service = chain.with_changes(
        {name: encoded(document)} | dict.fromkeys(chain.names('record')))
    assert {finding.outcome for finding in rebuild(service.driver)} == {
        'damaged'}
    for level in range(3):
        assert isinstance(never_wrong(chain, service, level)[0], Exception)


def test_a_parent_of_another_volume_changes_no_byte(chain):
    """Its manifest, its record and its objects agree with each other."""
    changes = {}
    for name in chain.names('manifest', 0) + chain.names('digest table', 0):
        changes[name] = encoded(json.loads(chain.objects[name]) | {
            'volume_id': 'another'})
    service = chain.with_changes(changes, keep_sha256=False)
    full = service.find(chain.ids[0])
    full.volume_id = 'another'
    service.driver.host.catalogue.save(full)
    verified, restored = never_wrong(chain, service, 2)
    assert (isinstance(verified, errors.CorruptBackup)
            or restored == chain.states[2])


@pytest.mark.parametrize('container, prefix', [
    ('../outside', None), ('/etc', None), ('..', None), (None, '../x'),
    (None, '/etc/passwd'), (None, 'x' * 5000), (None, '\0'), ('', None)])
def test_a_record_that_points_elsewhere_reaches_nothing(tmp_path, conf,
                                                        container, prefix):
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'x_metadata').write_bytes(b'of somebody else')
    volume = tmp_path / 'volume'
    volume.write_bytes(hashlib.shake_256(b'x').digest(5000))
    service = support.service(support.posix_driver(tmp_path / 'repository'))
    backup = service.backup(str(volume))
    if container is not None:
        backup.container = container
    backup.service_metadata = prefix or backup.service_metadata
    service.driver.host.catalogue.save(backup)
    for use in (service.verify, service.driver.delete_backup):
        error = chains.attempt(use, service.find(backup.id))
        assert error is None or isinstance(error, errors.ChunkedBackupError)
    assert (outside / 'x_metadata').read_bytes() == b'of somebody else'
