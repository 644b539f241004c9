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
import hashlib
import json

import pytest

from chunked_backup import errors
from chunked_backup.jobs import chain as chains
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.store.object_store import ObjectStore
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK


@pytest.fixture
def driver(conf):
    support.override(format_version='1.0.0')
    return harness.memory_driver()


@pytest.fixture
def backup(driver):
    return harness.back_up(driver, 'full', b'data' * 1000)


def store_of(driver):
    return ObjectStore(driver, 'backups')


def change(driver, backup, suffix, **changes):
    """Write other values into the manifest or the digest table."""
    objects = driver.stores['backups']
    name = backup.service_metadata + suffix
    values = json.loads(objects[name])
    values.update(changes)
    objects[name] = json.dumps(values, sort_keys=True, indent=2).encode()


def open_chain(driver, *backups):
    with DigestSpool() as spool:
        return chains.open_chain(
            [backup.to_record() for backup in backups],
            lambda record: store_of(driver), spool)


@pytest.mark.parametrize('changes, text', [
    ({'version': '9.9'}, 'is 9.9'), ({'volume_id': 'other'}, 'volume'),
    ({'parent_id': 'other'}, 'parent'), ({'backup_id': 'other'}, 'other')])
def test_a_manifest_that_does_not_fit_its_record_is_corrupt(
        driver, backup, changes, text):
    change(driver, backup, '_metadata', **changes)
    with pytest.raises(errors.CorruptBackup, match=text):
        chains.read_manifest(store_of(driver), backup.to_record())


def test_a_missing_manifest_breaks_the_chain(driver, backup):
    del driver.stores['backups'][backup.service_metadata + '_metadata']
    with pytest.raises(errors.IncompleteChain, match='manifest'):
        chains.read_manifest(store_of(driver), backup.to_record())


def test_a_missing_container_breaks_the_chain(driver, backup):
    store = ObjectStore(driver, 'no such container')
    with pytest.raises(errors.IncompleteChain, match='manifest'):
        chains.read_manifest(store, backup.to_record())
    manifest = harness.manifest_of(driver, backup)
    with DigestSpool() as spool, pytest.raises(errors.IncompleteChain,
                                               match='digest table'):
        chains.read_digests(store, backup.to_record(), manifest, spool)


@pytest.mark.parametrize('field', ['manifest_sha256', 'digest_table_sha256'])
def test_what_is_not_as_it_was_written_is_corrupt(driver, backup, field):
    suffix = {'manifest_sha256': '_metadata',
              'digest_table_sha256': '_sha256file'}[field]
    name = backup.service_metadata + suffix
    right = hashlib.sha256(driver.stores['backups'][name]).hexdigest()

    def read(sha256):
        record = dataclasses.replace(backup.to_record(), **{field: sha256})
        with DigestSpool() as spool:
            chains.read_digests(
                store_of(driver), record,
                chains.read_manifest(store_of(driver), record), spool)

    read(right)
    with pytest.raises(errors.CorruptObject) as caught:
        read('0' * 64)
    assert caught.value.object_name == name
    driver.stores['backups'][name] += b'\n'
    with pytest.raises(errors.CorruptObject):
        read(right)


def test_digests_fill_a_spool_and_nothing_else_stays(driver, backup):
    with DigestSpool() as spool:
        spool.append(b'old' * 32)
        assert chains.read_digests(
            store_of(driver), backup.to_record(),
            harness.manifest_of(driver, backup), spool) == BLOCK
        assert len(spool) == 8


def test_an_empty_digest_table_is_corrupt(driver, backup):
    change(driver, backup, '_sha256file', sha256s=[])
    manifest = harness.manifest_of(driver, backup)
    with DigestSpool() as spool, pytest.raises(errors.CorruptBackup,
                                               match='empty'):
        chains.read_digests(store_of(driver), backup.to_record(), manifest,
                            spool)


def test_an_object_off_the_blocks_is_corrupt(driver, backup):
    change(driver, backup, '_sha256file', chunk_size=BLOCK + 1)
    driver.stores['backups'][backup.service_metadata + '_metadata'] = (
        driver.stores['backups'][backup.service_metadata + '_metadata']
        .replace(b'"offset": 0', b'"offset": 100'))
    with pytest.raises(errors.CorruptObject, match='boundary') as caught:
        open_chain(driver, backup)
    assert caught.value.offset == 100


@pytest.mark.parametrize('sizes', [
    (1,), (BLOCK,), (CHUNK + 5,), (5 * BLOCK, 3 * BLOCK + 7),
    (3 * BLOCK + 7, 5 * BLOCK), (3 * BLOCK + 7, 3 * BLOCK + 9),
    (3 * BLOCK + 9, 3 * BLOCK + 7), (3 * BLOCK + 9, 3 * BLOCK),
    (3 * BLOCK + 9, 3 * BLOCK, 3 * BLOCK + 9), (100, 50, 75), (CHUNK, 1)])
def test_the_exact_size_of_the_volume_is_found(driver, sizes):
    backups = []
    for number, size in enumerate(sizes):
        backups.insert(0, harness.back_up(
            driver, f'b{number}', b'd' * size,
            backups[0].id if backups else None))
        assert open_chain(driver, *backups).volume_bytes == size


def test_a_salvage_reads_a_chain_whose_digests_are_gone(driver, backup):
    del driver.stores['backups'][backup.service_metadata + '_sha256file']
    told = []
    with DigestSpool() as spool:
        chain = chains.open_damaged_chain(
            [backup.to_record()], lambda record: store_of(driver), spool,
            told.append)
    assert chain.volume_bytes == 4000 and chain.block_size_bytes == 1
    assert len(told) == 1 and 'digest table' in str(told[0])
    assert harness.restore(driver, backup, salvage=True) == b'data' * 1000


def test_a_salvage_needs_the_manifest_that_was_asked_for(driver, backup):
    del driver.stores['backups'][backup.service_metadata + '_metadata']
    with DigestSpool() as spool, pytest.raises(errors.IncompleteChain):
        chains.open_damaged_chain([backup.to_record()],
                                  lambda record: store_of(driver), spool,
                                  [].append)
