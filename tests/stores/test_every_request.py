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

"""A fault at any request of any operation on a real store."""

import itertools
import os
import random

import pytest

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.hosts.standalone import check
from chunked_backup.hosts.standalone import garbage
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.model import Status
from tests import support
from tests.reliability import stories
from tests.reliability.test_store_faults import endure
from tests.stores import stores

#: A fault, and whether another try gets over it.
FAULTS = {'lose_answer': ({}, True),
          'answer': ({'status': 403, 'body': b''}, False)}
#: Each so many requests one fails, in turn by one fault and by the other. All
#: requests, each by both, take twenty minutes.
STEP = int(os.environ.get('CHUNKED_BACKUP_REQUEST_STEP', 18))
STORES = ['s3-on-ceph', 'swift-on-swift']
#: What is done to trees: in CI what writes or restores, each on one of the
#: stores.
TREE_CASES = list(itertools.product(STORES, stories.TreeStory.operations))
if STEP > 1:
    TREE_CASES = list(zip(itertools.cycle(STORES), (
        'backup', 'incremental', 'restore', 'delete', 'prune', 'gc',
        'rebuild')))


@pytest.fixture(params=STORES)
def store(request):
    from tests.stores import conftest
    return conftest._combination(request)


@pytest.fixture
def no_writer_is_alive(monkeypatch):
    """This process only plays those that are dead."""
    monkeypatch.setattr(writer, 'is_alive', lambda name: False)


@pytest.fixture
def story(faulty, tmp_path, no_writer_is_alive):
    """A service with one backup, its proxy, and the volume."""
    support.override('chunked_backup', retry_wait_s=0.0, executor='serial')
    volume = tmp_path / 'volume'
    volume.write_bytes(random.Random(1).randbytes(2 * support.CHUNK))
    service = VolumeService(faulty[0])
    return service, faulty[1], volume, service.backup(str(volume))


def break_off(service, volume):
    """What a killed writer leaves: objects, and a record."""
    backup = service.backup(str(volume))
    backup.status = Status.CREATING
    service.driver.host.catalogue.save(backup)
    service.driver.delete_object(backup.container, formats.names.manifest(
        backup.service_metadata))
    return backup


# Operations; all can be tried again.

def backup(service, volume, target, kept):
    service.backup(str(volume))


def incremental(service, volume, target, kept):
    service.backup(str(volume), parent=kept.id)


def resume(service, volume, target, kept):
    for each in service.backups():
        if each.status == Status.CREATING:
            service.resume(each)


def restore(service, volume, target, kept):
    target.unlink(missing_ok=True)
    service.restore(service.find(kept.id), str(target))
    assert target.read_bytes() == volume.read_bytes()


def verify(service, volume, target, kept):
    service.verify(service.find(kept.id))


def look_at_all(service, volume, target, kept):
    for finding in check.check(service.driver, share=1.0):
        if finding.outcome != check.Outcome.SOUND:
            raise errors.CorruptBackup(backup_id=finding.what,
                                       reason=finding.problem)


def delete(service, volume, target, kept):
    for each in service.backups():
        if each.id != kept.id:
            service.delete(each)


def collect(service, volume, target, kept):
    garbage.collect(service.driver, grace_s=0)


#: With what has to be there before.
OPERATIONS = {
    backup: None, incremental: None, resume: break_off, restore: None,
    verify: None, look_at_all: None, collect: break_off,
    delete: lambda service, volume: service.backup(str(volume))}


def points():
    """Which request fails, and how."""
    for turn in itertools.count():
        for number, fault in enumerate(FAULTS):
            if STEP == 1 or turn % len(FAULTS) == number:
                yield STEP * turn, fault


@pytest.mark.parametrize('operation', OPERATIONS)
def test_a_fault_at_any_request(story, tmp_path, operation, ledger):
    service, proxy, volume, kept = story
    counted = ledger('store fault, Swift and S3')
    for number, fault in points():
        values, is_transient = FAULTS[fault]
        if OPERATIONS[operation]:
            OPERATIONS[operation](service, volume)
        rule = proxy.inject(fault, skip=number, times=1, **values)
        try:
            operation(service, volume, tmp_path / 'target', kept)
        except errors.ChunkedBackupError:
            assert rule.fired and not is_transient
        proxy.clear()
        if not rule.fired:
            break
        counted.point()
        operation(service, volume, tmp_path / 'target', kept)
        collect(service, volume, None, kept)
        for each in service.backups():
            assert each.status == Status.AVAILABLE
            service.verify(each)
        delete(service, volume, None, kept)
        names = list(service.driver.get_container_entries(
            service.driver.backup_default_container, ''))
        assert all(kept.id in name for name in names), names
        proxy.clear()
    assert number > 3


# Trees.

@pytest.mark.parametrize(('store', 'name'), TREE_CASES, indirect=['store'])
def test_a_fault_at_any_request_for_a_tree(faulty, tmp_path, name, ledger,
                                           no_writer_is_alive):
    support.override('chunked_backup', retry_wait_s=0.0, executor='serial')
    driver, proxy, _ = faulty
    repository = stores.Repository(driver)
    story = stories.TreeStory(repository, tmp_path)
    counted = ledger('store fault, Swift and S3, trees')
    story.operation(name).prepare()
    saved = repository.save()
    for number, fault in points():
        values, is_transient = FAULTS[fault]
        operation = story.operation(name)
        proxy.clear()
        rule = proxy.inject(fault, skip=number, times=1, **values)

        def run():
            try:
                operation.run(story.service())
            finally:
                proxy.clear()

        if not endure(operation, run, rule, counted,
                      f'{name}, {fault} of {number}', is_transient):
            break
        repository.put_back(saved)
    assert number > 3


# Listings.

@pytest.mark.parametrize('store', ['s3-on-ceph', 's3-on-swift',
                                   'swift-on-swift', 'swift-on-ceph'],
                         indirect=True)
def test_a_listing_that_lags_costs_no_backup(faulty, story, tmp_path):
    """It shows a backup that is whole now without its manifest; a collection
    of garbage leaves it, and a deletion deletes all of it."""
    service, proxy, volume, kept = story
    driver, _, store = faulty
    broken = break_off(service, volume)
    proxy.clear()
    lagging = proxy.inject('stale', match=f'^GET [^?]*{store.container}/?[?]')
    assert len(service.backups()) == 2
    list(driver.get_container_entries(store.container, ''))
    service.resume(service.find(broken.id))
    incremental(service, volume, None, broken)
    assert len(service.backups()) == 2  # of three
    collect(service, volume, None, kept)
    assert lagging.fired > 4
    rules = list(proxy.rules)
    proxy.clear()
    assert len(service.backups()) == 3
    for each in service.backups():
        restore(service, volume, tmp_path / 'target', each)
    delete_last, _, _ = reversed(service.backups())
    service.delete(delete_last)
    proxy.rules.extend(rules)
    service.delete(service.find(broken.id))
    collect(service, volume, None, kept)
    proxy.clear()
    collect(service, volume, None, kept)
    assert [each.id for each in service.backups()] == [kept.id]
    names = list(driver.get_container_entries(store.container, ''))
    assert all(kept.id in name for name in names), names
    restore(service, volume, tmp_path / 'target', kept)
