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

"""Repositories that stock Cinder 29.0.0 wrote are read to the byte."""

import hashlib
import json
import os
import pathlib
import random
import shutil

import pytest

from chunked_backup.formats.cinder_v1 import digest_table
from chunked_backup.formats.cinder_v1 import manifest
from chunked_backup.hosts.standalone.rebuild import rebuild
from tests import support
from tests.golden import stock_reader

GOLDEN = pathlib.Path(__file__).parent / 'cinder-29.0.0'
CODECS = ['none', 'zlib', 'bz2', 'zstd']
POINTS = ['full', 'scattered', 'zeroed', 'unchanged', 'tail']

every_point = pytest.mark.parametrize('point', range(5), ids=POINTS)


@pytest.fixture(params=CODECS)
def facts(request):
    return read_facts(request.param)


def read_facts(codec):
    return json.loads((GOLDEN / codec / 'backups.json').read_bytes())


@pytest.fixture
def repository(facts, tmp_path):
    """A copy, so that nothing can happen to the original."""
    copy = tmp_path / 'repository'
    shutil.copytree(GOLDEN / facts['compression'] / 'repository', copy)
    return copy


@pytest.fixture
def service(facts, repository):
    service = support.service(support.posix_driver(
        repository, facts['chunk_size_bytes'],
        facts['sha_block_size_bytes']))
    findings = rebuild(service.driver)
    assert {(finding.backup_id, finding.outcome) for finding in findings} == {
        (fact['id'], 'added') for fact in facts['backups']}
    return service


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_the_repositories_are_whole():
    assert sorted(os.listdir(GOLDEN)) == sorted(CODECS)
    for codec in CODECS:
        facts = read_facts(codec)
        assert facts['compression'] == codec
        assert [fact['display_name'] for fact in facts['backups']] == POINTS


def test_a_rebuilt_record_is_what_cinder_had(facts, service):
    for fact in facts['backups']:
        backup = service.find(fact['id'])
        for key in ('id', 'parent_id', 'volume_id', 'container',
                    'service_metadata', 'object_count', 'display_name',
                    'created_at', 'volume_bytes'):
            assert backup[key] == fact[key], key


@every_point
@pytest.mark.parametrize('target', ['new', 'zeroed', 'dirty'])
def test_every_point_restores_to_the_recorded_sha256(facts, service, point,
                                                     target):
    fact = facts['backups'][point]
    before = {'new': b'', 'zeroed': bytes(fact['volume_bytes']),
              'dirty': b'\xa5' * (fact['volume_bytes'] + 100_000)}[target]
    data = support.restored(service, service.find(fact['id']),
                            target == 'new', before)
    assert len(data) == fact['volume_bytes']
    assert sha256(data) == fact['volume_sha256']


@every_point
def test_every_point_restores_to_a_file(facts, service, point, tmp_path):
    fact = facts['backups'][point]
    target = tmp_path / 'target'
    target.write_bytes(b'\xa5' * 3_000_000)
    service.restore(service.find(fact['id']), str(target), force=True)
    assert sha256(target.read_bytes()) == fact['volume_sha256']


@every_point
def test_every_point_verifies(facts, service, point):
    fact = facts['backups'][point]
    summary = service.verify(service.find(fact['id']))
    assert summary.volume_bytes == fact['volume_bytes']
    assert summary.bad_ranges == ()


def test_manifests_are_written_as_cinder_wrote_them(facts, repository):
    for fact in facts['backups']:
        path = repository / fact['container'] / (
            fact['service_metadata'] + '_metadata')
        with open(path, 'rb') as stream:
            parsed = manifest.parse(stream, fact['id'],
                                    fact['service_metadata'])
        assert len(parsed.objects) == fact['object_count']
        assert b''.join(manifest.serialize(parsed)) == path.read_bytes()


def test_digest_tables_are_written_as_cinder_wrote_them(facts, repository):
    for fact in facts['backups']:
        base = repository / fact['container'] / fact['service_metadata']
        with open(f'{base}_metadata', 'rb') as stream:
            record = manifest.parse(stream, fact['id'],
                                    fact['service_metadata']).record
        kept = []
        path = pathlib.Path(f'{base}_sha256file')
        block_size = digest_table.parse(lambda: open(path, 'rb'), fact['id'],
                                        kept.append)
        assert block_size == facts['sha_block_size_bytes']
        assert len(b''.join(kept)) == 32 * 66
        assert b''.join(digest_table.serialize(
            record, block_size, kept)) == path.read_bytes()


def test_an_incremental_on_a_chain_of_cinder(facts, service, repository,
                                             tmp_path):
    last = facts['backups'][-1]
    volume = tmp_path / 'volume'
    data = bytearray(support.restored(service, service.find(last['id'])))
    data[300_000:300_010] = b'0123456789'
    data[600_000:900_000] = bytes(300_000)
    data += random.Random(2).randbytes(100_000)  # it has grown, too
    volume.write_bytes(data)
    support.override(compression_algorithm=facts['compression'])
    backup = service.backup(str(volume), volume_id=last['volume_id'],
                            incremental=True)
    assert backup.parent_id == last['id']
    assert 0 < backup.changed_bytes < 1_000_000
    for is_new, target in ((True, b''), (False, b'\xa5' * 3_000_000)):
        assert support.restored(service, backup, is_new, target) == data
    assert service.verify(backup).volume_bytes == len(data)
    # And Cinder would read it, too.
    assert stock_reader.restore(repository, stock_reader.chain(
        service, backup), bytearray(len(data))) == data


@every_point
def test_an_incremental_on_each_point_holds_what_changed_since(
        facts, service, point, tmp_path):
    fact = facts['backups'][point]
    volume = tmp_path / 'volume'
    data = support.restored(service, service.find(fact['id']))
    volume.write_bytes(data)
    backup = service.backup(str(volume), volume_id=fact['volume_id'],
                            parent=fact['id'])
    assert backup.object_count == backup.changed_bytes == 0
    assert support.restored(service, backup) == data


def test_deleting_the_chain_leaves_nothing_behind(facts, service,
                                                  repository):
    deleted = service.delete(service.find(facts['backups'][0]['id']),
                             cascade=True)
    assert len(deleted) == 5
    assert os.listdir(repository) == ['catalogue']
    assert os.listdir(repository / 'catalogue') == []


def test_deleting_the_newest_leaves_the_others_as_they_were(facts, service):
    *others, newest = facts['backups']
    service.delete(service.find(newest['id']))
    for fact in others:
        assert sha256(support.restored(
            service, service.find(fact['id']))) == fact['volume_sha256']


def test_the_model_of_cinders_reader_reads_what_cinder_wrote(facts,
                                                             repository):
    """It is held against the original before anything is held against it."""
    levels = []
    for fact in facts['backups']:
        levels.append((fact['container'], fact['service_metadata']))
        for is_new, target in ((True, bytes), (False, dirty)):
            data = stock_reader.restore(
                repository, levels, bytearray(target(fact['volume_bytes'])),
                is_new)
            assert sha256(data) == fact['volume_sha256']


def dirty(count):
    return b'\xa5' * count
