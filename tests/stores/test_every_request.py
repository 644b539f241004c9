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


"""A fault at any request of a backup, a restore and a deletion."""

import os
import random

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone import garbage
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.model import Status
from tests import support

#: A fault, and whether another try gets over it.
FAULTS = {'lose_answer': ({}, True),
          'answer': ({'status': 403, 'body': b''}, False)}
#: Each so many requests one fails: all of them take ten minutes.
STEP = int(os.environ.get('CHUNKED_BACKUP_REQUEST_STEP', 6))


@pytest.fixture(params=['s3-on-ceph', 'swift-on-swift'])
def store(request):
    from tests.stores import conftest
    return conftest._combination(request)


@pytest.fixture
def story(faulty, tmp_path, monkeypatch):
    """A service with one backup, its proxy, and the volume."""
    support.override('chunked_backup', retry_wait_s=0.0, executor='serial')
    # This process only plays those that are dead.
    monkeypatch.setattr(writer, 'is_alive', lambda name: False)
    volume = tmp_path / 'volume'
    volume.write_bytes(random.Random(1).randbytes(2 * support.CHUNK))
    service = VolumeService(faulty[0])
    return service, faulty[1], volume, service.backup(str(volume))


def backup(service, volume, target, kept):
    service.backup(str(volume))


def restore(service, volume, target, kept):
    target.unlink(missing_ok=True)
    service.restore(service.find(kept.id), str(target))
    assert target.read_bytes() == volume.read_bytes()


def delete(service, volume, target, kept):
    for each in service.backups():
        if each.id != kept.id:
            service.delete(each)


@pytest.mark.parametrize('operation', [backup, restore, delete])
@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_at_any_request(story, tmp_path, operation, fault):
    service, proxy, volume, kept = story
    values, is_transient = FAULTS[fault]
    number = 0
    while True:
        if operation is delete:
            service.backup(str(volume))
        rule = proxy.inject(fault, skip=number, times=1, **values)
        try:
            operation(service, volume, tmp_path / 'target', kept)
        except errors.ChunkedBackupError:
            assert rule.fired and not is_transient
        proxy.clear()
        if not rule.fired:
            break
        operation(service, volume, tmp_path / 'target', kept)
        garbage.collect(service.driver, grace_s=0)
        for each in service.backups():
            assert each.status == Status.AVAILABLE
            service.verify(each)
        delete(service, volume, None, kept)
        names = list(service.driver.get_container_entries(
            service.driver.backup_default_container, ''))
        assert all(kept.id in name for name in names), names
        proxy.clear()
        number += STEP
    assert number > 3
