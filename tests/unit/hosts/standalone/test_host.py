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

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone import host as host_module
from chunked_backup.hosts.standalone.host import StandaloneHost
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.model import BackupSummary
from chunked_backup.model import Status


@pytest.fixture
def host(memory_driver):
    host = StandaloneHost(memory_driver)
    host.catalogue.create()
    return host


def test_a_change_is_saved_before_it_returns(host):
    backup = Backup('a', 'v')
    host.update(backup, container='c', prefix='p', object_count=5)
    assert host.catalogue.load('a') == backup
    assert (backup.container, backup.service_metadata,
            backup.object_count) == ('c', 'p', 5)
    assert host.find('a') == host.record(backup)


def test_an_unknown_backup_is_not_found(host):
    with pytest.raises(errors.BackupNotFound):
        host.find('a')


def test_the_status_is_what_is_stored(host):
    backup = Backup('a', 'v')
    assert host.status(backup) == 'deleted'
    host.update(backup)
    assert host.status(backup) == 'creating'
    host.update(Backup('a', 'v', status='deleting'))
    assert host.status(backup) == 'deleting'


@pytest.mark.parametrize('stored, status', [
    ('available', 'restoring'), ('deleting', 'deleting'),
    ('error', 'error')])
def test_a_restore_is_known_to_this_process_alone(host, stored, status):
    host.update(Backup('a', 'v', status=stored))
    assert host.status(Backup('a', 'v', status='restoring')) == status


def test_a_finished_backup_is_available(host):
    backup = Backup('a', 'v')
    host.finished(backup, BackupSummary(1, 20, 3, 4, 'm', 't', '2.0.0'))
    saved = host.catalogue.load('a')
    assert saved == backup and saved.status == 'available'
    assert (saved.volume_bytes, saved.changed_bytes, saved.stored_bytes,
            saved.manifest_sha256, saved.digest_table_sha256,
            saved.format_version) == (
        20, 3, 4, 'm', 't', '2.0.0')


def test_progress_goes_to_whoever_wants_it(memory_driver):
    told = []
    backup = Backup('1', 'volume')
    StandaloneHost(memory_driver, lambda *report: told.append(report)
                   ).progress(backup, 1, 2)
    StandaloneHost(memory_driver).progress(backup, 1, 2)
    assert told == [(backup, 1, 2)]


def test_a_long_backup_shows_that_it_is_alive(memory_driver, monkeypatch):
    monkeypatch.setattr(host_module, 'SIGN_OF_LIFE_S', 0)
    standalone = StandaloneHost(memory_driver)
    standalone.catalogue.create()
    writing = Backup('1', 'volume')
    for status in (Status.RESTORING, Status.AVAILABLE):
        standalone.progress(Backup('2', 'volume', status=status), 1, 2)
    assert standalone.catalogue.signs_of_life() == []
    standalone.progress(writing, 1, 2)
    assert standalone.catalogue.signs_of_life() == ['1']
    standalone.finished(writing, BackupSummary(1, 1, 1, 1, '', '', ''))
    assert standalone.catalogue.signs_of_life() == []
    assert standalone.catalogue.ids() == ['1']


def test_a_sign_of_life_that_cannot_be_stored_ends_nothing(memory_driver):
    StandaloneHost(memory_driver).show_life(Backup('1', 'volume'))


def test_a_backup_that_was_taken_over_is_another_writers(memory_driver):
    standalone = StandaloneHost(memory_driver)
    standalone.catalogue.create()
    mine = Backup('1', 'volume', writer='me')
    standalone.catalogue.save(mine)
    assert standalone.status(mine) == Status.CREATING
    standalone.catalogue.save(Backup('1', 'volume', writer='another'))
    with pytest.raises(errors.ObjectExists):
        standalone.status(mine)
