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

from chunked_backup import errors
from chunked_backup.hosts.standalone import catalogue as catalogues
from chunked_backup.hosts.standalone.record import Backup
from tests import support


@pytest.fixture
def catalogue(memory_driver):
    catalogue = catalogues.of_volumes(memory_driver)
    catalogue.create()
    return catalogue


def backup(backup_id, created_at=''):
    return Backup(backup_id, 'volume', created_at=created_at)


def test_a_repository_in_which_nothing_was_written_has_no_backups():
    catalogue = catalogues.of_volumes(support.memory_driver())
    assert catalogue.ids() == [] and catalogue.backups() == []
    with pytest.raises(errors.BackupNotFound, match='"a"'):
        catalogue.load('a')


def test_what_is_saved_is_loaded(catalogue):
    catalogue.save(backup('a', 'now'))
    assert catalogue.load('a') == backup('a', 'now')
    catalogue.save(backup('a', 'later'))
    assert catalogue.load('a').created_at == 'later'
    assert catalogue.ids() == ['a']


def test_backups_come_oldest_first(catalogue):
    for backup_id, created_at in (('a', '2026-03'), ('c', '2026-01'),
                                  ('b', '2026-01')):
        catalogue.save(backup(backup_id, created_at))
    assert [each.id for each in catalogue.backups()] == ['b', 'c', 'a']
    assert catalogue.ids() == ['a', 'b', 'c']


def test_removing_twice_is_as_good_as_once(catalogue):
    catalogue.save(backup('a'))
    catalogue.remove('a')
    catalogue.remove('a')
    assert catalogue.ids() == []


@pytest.mark.parametrize('content', [
    b'', b'no JSON', backup('other').to_json(), b' ' * (3 << 20)],
    ids=['empty', 'no JSON', 'of another', 'too long'])
def test_a_broken_record_is_corrupt_and_left_out_of_the_list(
        memory_driver, catalogue, content):
    catalogue.save(backup('sound'))
    catalogue.save(backup('broken'))
    objects = memory_driver.stores['backups']
    name, = [name for name in objects if name.endswith('broken')]
    objects[name] = content
    with pytest.raises(errors.CorruptBackup, match='rebuild') as caught:
        catalogue.load('broken')
    assert caught.value.backup_id == 'broken'
    assert [each.id for each in catalogue.backups()] == ['sound']
    assert catalogue.ids() == ['broken', 'sound']


def test_a_record_is_readable_json(memory_driver, catalogue):
    catalogue.save(backup('a'))
    text, = memory_driver.stores['backups'].values()
    assert json.loads(text)['volume_id'] == 'volume'


def test_a_listing_that_fails_is_an_error(memory_driver, catalogue,
                                          monkeypatch):
    def entries(container, prefix):
        raise errors.AccessDenied(container=container, object_name=None,
                                  reason='no')

    monkeypatch.setattr(memory_driver, 'get_container_entries', entries)
    with pytest.raises(errors.AccessDenied):
        catalogue.backups()
