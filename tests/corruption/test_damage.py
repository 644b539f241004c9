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

"""Whatever becomes of the stored bytes, nothing succeeds with wrong bytes."""

import hashlib
import json
import random

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone.rebuild import rebuild
from tests import support
from tests.corruption import chains
from tests.corruption.chains import BLOCK
from tests.corruption.chains import never_wrong

# For each codec.
FLIPS = {'data': 120, 'digest table': 75, 'manifest': 75, 'record': 75}


@pytest.fixture(params=chains.FORMATS, ids='-'.join)
def chain(request, conf):
    version, codec = request.param
    return chains.make(codec, version=version)


def flips(chain, kind, count):
    """(name, damaged bytes) for random bits of random objects of a kind."""
    rng = random.Random(f'{kind} {count}')
    names = chain.names(kind)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(chain.objects[name])
        bit = rng.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        yield name, bytes(data)


def assert_names_the_object(chain, error, name):
    """The error of a data object says which, of which backup, and where."""
    level = chain.level_of(name)
    offset, length, _ = chains.objects_of(chain, level)[name]
    assert type(error) is errors.CorruptObject, error
    assert error.backup_id == chain.ids[level]
    assert error.object_name == name
    assert offset <= error.offset <= offset + length
    for part in (error.backup_id, name, str(error.offset)):
        assert part in str(error)


def test_the_chain_is_right_without_damage(chain):
    service = chain.with_changes({})
    for level in range(3):
        verified, restored = never_wrong(chain, service, level)
        assert verified.volume_bytes == len(restored) == chains.VOLUME_BYTES
    assert len(chain.names('data')) == {'1.0.0': 9, '2.0.0': 7}[chain.version]


def test_a_flipped_bit_in_a_data_object(chain):
    detected = harmless = 0
    for name, data in flips(chain, 'data', FLIPS['data']):
        service = chain.with_changes({name: data})
        own = chain.level_of(name)
        for level in sorted({2, own}, reverse=True):
            verified, _ = never_wrong(chain, service, level)
            if level > own:
                continue
            if chains.still_decodes(chain, name, data):
                harmless += 1
            else:
                assert_names_the_object(chain, verified, name)
                detected += 1
    assert detected + harmless == FLIPS['data']
    # Only a few bits of a compressed stream mean nothing.
    assert harmless < 0.15 * FLIPS['data']


@pytest.mark.parametrize('kind', ['digest table', 'manifest'])
def test_a_flipped_bit_is_always_detected_with_the_catalogue(chain, kind):
    for name, data in flips(chain, kind, FLIPS[kind]):
        service = chain.with_changes({name: data})
        own = chain.level_of(name)
        for level in {2, own}:
            verified, restored = never_wrong(chain, service, level)
            if level == own or kind == 'manifest':
                for error in (verified, restored):
                    assert isinstance(error, errors.CorruptBackup)
                    assert error.backup_id == chain.ids[own]


@pytest.mark.parametrize('kind', ['digest table', 'manifest'])
def test_a_flipped_bit_never_succeeds_wrongly_without_the_catalogue(
        chain, kind):
    detected = 0
    for name, data in flips(chain, kind, FLIPS[kind]):
        service = chain.with_changes({name: data}, keep_sha256=False)
        for level in {2, chain.level_of(name)}:
            verified, _ = never_wrong(chain, service, level)
            detected += isinstance(verified, errors.CorruptBackup)
    assert detected > 0.5 * FLIPS[kind]


def test_a_flipped_bit_in_a_record(chain):
    detected = 0
    for name, data in flips(chain, 'record', FLIPS['record']):
        service = chain.with_changes({name: data})
        own = chain.level_of(name)
        for level in {2, own}:
            verified, _ = never_wrong(chain, service, level)
            detected += isinstance(verified, errors.ChunkedBackupError)
        assert len(service.backups()) in (2, 3)  # the others are listed
    assert detected > 0.4 * FLIPS['record']


def test_a_catalogue_with_broken_records_is_rebuilt(chain):
    broken = {name: data[:40] for name, data in chain.objects.items()
              if chains.kind_of(name) == 'record'}
    service = chain.with_changes(broken)
    rebuild(service.driver)
    for level in range(3):
        verified, restored = never_wrong(chain, service, level)
        assert restored == chain.states[level]


def test_rebuilding_over_damage_never_succeeds_wrongly(chain):
    for kind in ('digest table', 'manifest', 'record'):
        for name, data in flips(chain, kind, 12):
            service = chain.with_changes(
                {name: data} | dict.fromkeys(chain.names('record')))
            findings = rebuild(service.driver)
            assert {finding.outcome for finding in findings} <= {
                'added', 'damaged'}
            for level in range(3):
                never_wrong(chain, service, level)


# Cutting, extending, swapping.

def alterations(data):
    """What else may become of an object."""
    yield 'emptied', b''
    yield 'one byte short', data[:-1]
    yield 'half', data[:len(data) // 2]
    yield 'first byte', data[:1]
    yield 'without its first byte', data[1:]
    yield 'one zero longer', data + b'\0'
    yield 'one byte longer', data + b'x'
    yield 'junk behind it', data + bytes(range(256))
    yield 'twice', data + data
    yield 'zeros', bytes(len(data))
    yield 'a block of zeros within', (data[:len(data) // 3] + bytes(
        len(data) // 3) + data[2 * (len(data) // 3):])


def test_an_altered_length_or_content_is_always_detected(chain):
    for name in chain.names('data'):
        for what, data in alterations(chain.objects[name]):
            if data == chain.objects[name]:
                continue
            service = chain.with_changes({name: data})
            verified, _ = never_wrong(chain, service, chain.level_of(name))
            if not chains.still_decodes(chain, name, data) or len(
                    data) != len(chain.objects[name]):
                assert_names_the_object(chain, verified, name), what


@pytest.mark.parametrize('kind', ['digest table', 'manifest', 'record'])
@pytest.mark.parametrize('keep_sha256', [True, False])
def test_an_altered_description_is_always_detected(chain, kind, keep_sha256):
    for name in chain.names(kind):
        for what, data in alterations(chain.objects[name]):
            if kind == 'record':
                service = chain.with_changes({name: data})
            else:
                service = chain.with_changes({name: data}, keep_sha256)
            verified, restored = never_wrong(chain, service,
                                             chain.level_of(name))
            assert isinstance(verified, errors.CorruptBackup), what
            assert isinstance(restored, errors.CorruptBackup), what


@pytest.mark.parametrize('keep_sha256', [True, False])
@pytest.mark.parametrize('kind', chains.KINDS)
def test_two_swapped_objects_are_detected(chain, kind, keep_sha256):
    names = chain.names(kind)
    for one in names:
        for other in names:
            first, second = chain.objects[one], chain.objects[other]
            if one >= other or first == second:
                continue
            service = chain.with_changes({one: second, other: first},
                                         keep_sha256 or kind == 'record')
            for name in (one, other):
                verified, _ = never_wrong(chain, service,
                                          chain.level_of(name))
                assert isinstance(verified, errors.CorruptBackup)


def test_a_stale_data_object_is_detected(chain):
    """What an older backup had at that place, in the newer one's name."""
    rng = random.Random(3)
    for name in chain.names('data'):
        offset, length, codec = chains.objects_of(
            chain, chain.level_of(name))[name]
        if codec != 'none':
            continue
        stale = bytearray(chain.objects[name])
        block = rng.randrange(len(stale) // BLOCK) * BLOCK
        stale[block:block + BLOCK] = rng.randbytes(BLOCK)
        service = chain.with_changes({name: bytes(stale)})
        verified, restored = never_wrong(chain, service,
                                         chain.level_of(name))
        assert_names_the_object(chain, verified, name)
        assert verified.offset == offset + block


def lacking(data):
    """A manifest without one of its objects, for each of them."""
    document = json.loads(data)
    for index in range(len(document.get('objects', ()))):
        entries = [entry for number, entry
                   in enumerate(document['objects']) if number != index]
        yield json.dumps(document | {'objects': entries},
                         sort_keys=True, indent=2).encode()
    *lines, _ = data.splitlines(keepends=True)
    for index in range(1, 1 + len(document.get('extents', ()))):
        others = lines[:index] + lines[index + 1:]
        if len(others) > 1:
            others[1] = others[1].removeprefix(b',')
        text = b''.join(others)
        digest = hashlib.sha256(text).hexdigest()
        yield text + f'],"sha256": "{digest}"}}\n'.encode()


@pytest.mark.parametrize('keep_sha256', [True, False])
def test_a_stale_manifest_is_detected(chain, keep_sha256):
    """One that lacks an object of the true one."""
    for level in range(3):
        [name] = chain.names('manifest', level)
        for stale in lacking(chain.objects[name]):
            service = chain.with_changes({name: stale}, keep_sha256)
            verified, _ = never_wrong(chain, service, level)
            assert isinstance(verified, errors.CorruptBackup)


def with_digests_of(table, other):
    """A digest table with the head of one and the digests of another."""
    if b'"sha256s"' not in table:
        head, _, _ = table.partition(b'\n')
        return head + b'\n' + other.partition(b'\n')[2]
    stale = json.loads(table) | {'sha256s': json.loads(other)['sha256s']}
    return json.dumps(stale, sort_keys=True, indent=2).encode()


@pytest.mark.parametrize('keep_sha256', [True, False])
def test_a_stale_digest_table_is_detected(chain, keep_sha256):
    """The digests of the parent under the name of the child."""
    for level in (1, 2):
        [name] = chain.names('digest table', level)
        [parent] = chain.names('digest table', level - 1)
        service = chain.with_changes(
            {name: with_digests_of(chain.objects[name],
                                   chain.objects[parent])}, keep_sha256)
        verified, restored = never_wrong(chain, service, level)
        assert isinstance(verified, errors.CorruptBackup)
        assert isinstance(restored, errors.CorruptBackup)


# Removing.

def test_a_missing_data_object_is_detected(chain):
    for name in chain.names('data'):
        service = chain.with_changes({name: None})
        for level in range(chain.level_of(name), 3):
            verified, _ = never_wrong(chain, service, level)
            if level == chain.level_of(name):
                assert_names_the_object(chain, verified, name)
                assert 'missing' in str(verified)


@pytest.mark.parametrize('kind', ['manifest', 'digest table'])
def test_a_missing_description_is_detected(chain, kind):
    for name in chain.names(kind):
        own = chain.level_of(name)
        service = chain.with_changes({name: None})
        for level in range(own, 3):
            verified, restored = never_wrong(chain, service, level)
            if level == own or kind == 'manifest':
                assert type(verified) is errors.IncompleteChain
                assert type(restored) is errors.IncompleteChain
                assert verified.backup_id == chain.ids[own]


def test_a_missing_record_is_detected(chain):
    for name in chain.names('record'):
        own = chain.level_of(name)
        service = chain.with_changes({name: None})
        for level in range(3):
            verified, restored = never_wrong(chain, service, level)
            if level < own:
                assert restored == chain.states[level]
            elif level == own:
                assert type(verified) is errors.BackupNotFound
            else:
                assert type(verified) is errors.IncompleteChain


def test_an_incremental_on_a_damaged_parent_is_refused(chain, tmp_path):
    volume = tmp_path / 'volume'
    volume.write_bytes(chain.states[2])
    for kind in ('manifest', 'digest table'):
        [name] = chain.names(kind, 2)
        data = bytearray(chain.objects[name])
        data[len(data) // 2] ^= 1
        for damaged in (bytes(data), None):
            service = chain.with_changes({name: damaged})
            with pytest.raises(errors.FullBackupRequired):
                service.backup(str(volume), parent=chain.ids[2],
                               volume_id=chain.backups[2].volume_id)
            assert len(service.backups()) == 3  # nothing is left of it


# Salvage.

def salvage(chain, service, level, is_new):
    """The bytes and the summary of a salvage."""
    backup = service.find(chain.ids[level])
    target = b'' if is_new else b'\xa5' * (chains.VOLUME_BYTES + 100)
    summaries = []
    real = service.driver.restore

    def restore(*arguments, **keywords):
        summaries.append(real(*arguments, **keywords))
        return summaries[0]

    service.driver.restore = restore
    data = support.restored(service, backup, is_new, target, salvage=True)
    return data, summaries[0]


def assert_salvaged(chain, service, level, is_new):
    """All but the bad ranges is right, those are zeros; how many bytes."""
    data, summary = salvage(chain, service, level, is_new)
    expected = bytearray(chain.states[level])
    end = 0
    for bad in summary.bad_ranges:
        assert end <= bad.offset and bad.length > 0
        end = bad.offset + bad.length
        expected[bad.offset:end] = bytes(bad.length)
    assert end <= len(expected)
    assert data == expected
    return sum(bad.length for bad in summary.bad_ranges)


@pytest.mark.parametrize('is_new', [True, False])
def test_a_salvage_brings_back_all_but_the_damaged_object(chain, is_new):
    for name, damaged in list(flips(chain, 'data', 20)) + [
            (name, None) for name in chain.names('data')] + [
            (name, chain.objects[name][:-1])
            for name in chain.names('data')]:
        own = chain.level_of(name)
        offset, length, _ = chains.objects_of(chain, own)[name]
        for level in range(own, 3):
            service = chain.with_changes({name: damaged})
            fails = isinstance(never_wrong(chain, service, level)[1],
                               Exception)
            lost = assert_salvaged(chain, service, level, is_new)
            # What follows the last good byte may be all that is damaged.
            assert lost <= (length if fails else 0)


def test_a_salvage_loses_one_block_for_one_bit(conf):
    chain = chains.make('none')
    for name, damaged in flips(chain, 'data', 100):
        own = chain.level_of(name)
        if chains.objects_of(chain, own)[name][2] != 'none':
            continue
        service = chain.with_changes({name: damaged})
        assert assert_salvaged(chain, service, own, False) in (0, BLOCK)


@pytest.mark.parametrize('is_new', [True, False])
def test_a_salvage_does_without_an_ancestor(chain, is_new):
    for lost in (0, 1):
        [name] = chain.names('manifest', lost)
        service = chain.with_changes({name: None})
        assert 0 < assert_salvaged(chain, service, 2, is_new) < (
            chains.VOLUME_BYTES)


@pytest.mark.parametrize('is_new', [True, False])
def test_a_salvage_does_without_the_digest_table(chain, is_new):
    for level in range(3):
        [name] = chain.names('digest table', level)
        for damaged in (None, chain.objects[name][:-100]):
            service = chain.with_changes({name: damaged})
            assert assert_salvaged(chain, service, level, is_new) == 0


def test_a_salvage_without_digests_brings_nothing_back_unchecked(conf):
    """With neither digest table nor md5, nothing tells what is sound."""
    chain = chains.make('zlib', write_md5=False, version='1.0.0')
    [name] = chain.names('digest table', 2)
    service = chain.with_changes({name: None})
    data, summary = salvage(chain, service, 2, False)
    assert not any(data) and summary.bad_ranges


def test_a_salvage_goes_on_where_the_store_cannot_read(chain, monkeypatch):
    """A bad sector under one object is damage, too."""
    for bad in chain.names('data', 0):
        service = chain.with_changes({})
        real = service.driver.get_object_reader

        def fail(container, name, extra_metadata=None, real=real, bad=bad):
            if name == bad:
                raise errors.DriverError(container=container,
                                         object_name=name,
                                         reason='Input/output error')
            return real(container, name, extra_metadata)

        monkeypatch.setattr(service.driver, 'get_object_reader', fail)
        backup = service.find(chain.ids[0])
        verified = chains.attempt(service.verify, backup)
        assert type(verified) is errors.DriverError
        assert assert_salvaged(chain, service, 0, False) <= (
            chains.objects_of(chain, 0)[bad][1])


# In a directory.

@pytest.mark.parametrize('codec', chains.CODECS)
def test_damaged_files_of_a_posix_repository(codec, tmp_path, conf):
    support.override(compression_algorithm=codec, executor='serial')
    repository = tmp_path / 'repository'
    service = support.service(support.posix_driver(repository))
    rng = random.Random(codec)
    volume = tmp_path / 'volume'
    states, backups = [], []
    data = bytearray(rng.randbytes(500) * 40)
    for level in range(3):
        data[level * 6000:level * 6000 + 2000] = bytes(1000) + b'x' * 1000
        volume.write_bytes(data)
        states.append(bytes(data))
        backups.append(service.backup(str(volume), incremental=level > 0))
    files = sorted(path for path in repository.rglob('*') if path.is_file())
    assert len(files) > 12
    detected = 0
    for path in 3 * files:
        original = path.read_bytes()
        damaged = bytearray(original)
        bit = rng.randrange(8 * len(damaged))
        damaged[bit // 8] ^= 1 << bit % 8
        for content in (bytes(damaged), original[:-1], None):
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
            chain = chains.Chain({}, states, backups)
            for level in range(3):
                verified, _ = never_wrong(chain, service, level)
                detected += isinstance(verified, errors.ChunkedBackupError)
        path.write_bytes(original)
    assert detected > 2 * 3 * len(files)
    for level in range(3):
        assert never_wrong(chain, service, level)[1] == states[level]
