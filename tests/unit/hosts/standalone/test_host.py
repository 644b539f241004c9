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
from chunked_backup.hosts.standalone.host import StandaloneHost
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.model import BackupSummary


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
    host.finished(backup, BackupSummary(1, 20, 3, 4, 'm', 't'))
    saved = host.catalogue.load('a')
    assert saved == backup and saved.status == 'available'
    assert (saved.volume_bytes, saved.changed_bytes, saved.stored_bytes,
            saved.manifest_sha256, saved.digest_table_sha256) == (
        20, 3, 4, 'm', 't')


def test_progress_goes_to_whoever_wants_it(memory_driver):
    told = []
    StandaloneHost(memory_driver, lambda *report: told.append(report)
                   ).progress('a backup', 1, 2)
    StandaloneHost(memory_driver).progress('a backup', 1, 2)
    assert told == [('a backup', 1, 2)]
