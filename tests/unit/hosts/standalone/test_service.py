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

import contextlib
import gc
import os
import random

import pytest

from chunked_backup import errors
from chunked_backup.flow import monitor
from chunked_backup.hosts.standalone.rebuild import Finding
from chunked_backup.hosts.standalone.rebuild import Outcome
from chunked_backup.hosts.standalone.rebuild import rebuild
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.hosts.standalone.service import volume_id_of
from chunked_backup.model import Status
from tests import support

VOLUME = random.Random(6).randbytes(3 * support.CHUNK)


@pytest.fixture
def service(memory_driver):
    return support.service(memory_driver)


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(VOLUME)
    return path


@pytest.fixture
def chain(service, volume):
    """A full backup and two incrementals, one on the other."""
    full = service.backup(str(volume))
    one = service.backup(str(volume), incremental=True)
    two = service.backup(str(volume), incremental=True)
    return full, one, two


def ids(backups):
    return [backup.id for backup in backups]


def test_a_backup_is_recorded(service, volume):
    backup = service.backup(str(volume), name='a name', description='text')
    assert backup.status == 'available'
    assert (backup.display_name, backup.display_description) == ('a name',
                                                                 'text')
    assert backup.volume_bytes == len(VOLUME)
    assert backup.source == str(volume)
    assert backup.service.endswith('memory.MemoryBackupDriver')
    assert service.backups() == [backup]


def test_the_same_path_is_the_same_volume(service, volume, tmp_path):
    (tmp_path / 'link').symlink_to(volume)
    assert volume_id_of(str(volume)) == volume_id_of(str(tmp_path / 'link'))
    assert volume_id_of(str(volume)) != volume_id_of(str(tmp_path))
    backup = service.backup(str(volume))
    assert backup.volume_id == volume_id_of(str(volume))
    assert service.backup(str(volume), volume_id='v').volume_id == 'v'


@pytest.mark.parametrize('volume_id', [
    'a/b', '../x', 'a\0b', 'a\nb', 'a\udcff', 'x' * 200, '\u20ac' * 100],
    ids=ascii)
def test_a_volume_id_that_cannot_be_part_of_a_name_leaves_no_record(
        service, volume, volume_id):
    with pytest.raises(errors.InvalidInput, match='volume id'):
        service.backup(str(volume), volume_id=volume_id)
    assert service.backups() == []


def test_an_incremental_is_on_the_newest_available(service, chain):
    full, one, two = chain
    assert (full.parent_id, one.parent_id, two.parent_id) == (
        None, full.id, one.id)
    assert service.chain(two) == ids([two, one, full])
    assert ids(service.backups()) == ids(chain)


def test_an_incremental_may_name_its_parent(service, volume, chain):
    backup = service.backup(str(volume), parent=chain[0].id[:12])
    assert backup.parent_id == chain[0].id


def test_a_prune_applies_its_rules_to_each_volume(service, volume):
    a1, a2, b1, b2 = [service.backup(str(volume), volume_id=volume_id)
                      for volume_id in 'aabb']
    told = service.prune({'last': 1})
    assert [bool(each.reasons) for each in told] == [False, True] * 2
    assert ids(service.backups()) == ids([a1, a2, b1, b2])

    done = service.prune({'last': 1}, 'b', delete=True)
    assert [each.backup.id for each in done] == ids([b1, b2])
    assert ids(service.backups()) == ids([a1, a2, b2])


def test_a_prune_deletes_a_chain_from_its_end_whatever_the_clocks_said(
        service, chain, volume):
    full, one, two = chain
    for number, each in enumerate((one, two, full)):
        each.created_at = f'2020-01-01 00:00:0{number}+00:00'
        service.driver.host.catalogue.save(each)
    newest = service.backup(str(volume))
    service.prune({'last': 1}, delete=True)
    assert ids(service.backups()) == [newest.id]


def test_a_prune_tells_of_a_deletion_that_was_killed(service, chain, volume):
    """And does what it has told, with what that one is built on."""
    full, one, two = chain
    two.status = Status.DELETING
    service.driver.host.catalogue.save(two)
    newest = service.backup(str(volume))
    told = service.prune({'last': 1})
    assert [bool(each.reasons) for each in told] == [False] * 3 + [True]
    done = service.prune({'last': 1}, delete=True)
    assert [each.reasons for each in done] == [
        each.reasons for each in told]
    assert ids(service.backups()) == [newest.id]


def test_a_prune_leaves_one_that_is_being_written_and_its_parents(
        service, chain, volume):
    full, one, two = chain
    two.status = Status.CREATING
    service.driver.host.catalogue.save(two)
    newest = service.backup(str(volume))
    service.prune({'last': 1}, delete=True)
    assert ids(service.backups()) == ids([full, one, two, newest])


def test_without_a_backup_there_is_no_incremental(service, volume):
    with pytest.raises(errors.FullBackupRequired, match='do a full'):
        service.backup(str(volume), incremental=True)
    assert service.backups() == []


def test_a_parent_that_is_not_available_is_refused(service, volume, chain):
    chain[2].status = 'error'
    service.driver.host.catalogue.save(chain[2])
    with pytest.raises(errors.FullBackupRequired, match='status "error"'):
        service.backup(str(volume), parent=chain[2].id)
    assert service.backup(str(volume),
                          incremental=True).parent_id == chain[1].id


def test_a_parent_of_another_volume_is_refused(service, volume, tmp_path,
                                               chain):
    other = tmp_path / 'other'
    other.write_bytes(VOLUME)
    with pytest.raises(errors.FullBackupRequired, match='of volume'):
        service.backup(str(other), parent=chain[0].id)
    assert ids(service.backups()) == ids(chain)


@pytest.mark.parametrize('kind', ['missing', 'directory', 'empty'])
def test_what_cannot_be_backed_up_leaves_nothing(service, tmp_path, kind):
    path = tmp_path / kind
    if kind == 'directory':
        path.mkdir()
    elif kind == 'empty':
        path.touch()
    with pytest.raises(errors.InvalidVolume):
        service.backup(str(path))
    assert service.backups() == []
    assert not service.driver.stores.get('backups')


def test_a_failed_backup_leaves_no_record(service, volume, monkeypatch):
    original = service.driver.get_object_writer

    def fail(container, name, **keywords):
        if name.endswith('_metadata'):
            raise errors.OutOfSpace(container=container, object_name=name,
                                    reason='full')
        return original(container, name, **keywords)

    monkeypatch.setattr(service.driver, 'get_object_writer', fail)
    with pytest.raises(errors.OutOfSpace):
        service.backup(str(volume))
    assert service.backups() == []
    assert not service.driver.stores['backups']


def test_a_backup_that_cannot_be_cleaned_up_keeps_its_record(
        service, volume, monkeypatch):
    def refuse(container, name, *args, **keywords):
        raise errors.AccessDenied(container=container, object_name=name,
                                  reason='no')

    original = service.driver.get_object_writer
    monkeypatch.setattr(
        service.driver, 'get_object_writer',
        lambda container, name, **keywords: (
            refuse if name.endswith('_metadata') else original)(
            container, name, **keywords))
    monkeypatch.setattr(service.driver, 'delete_object', refuse)
    with pytest.raises(errors.AccessDenied) as caught:
        service.backup(str(volume))
    assert caught.value.__notes__
    backup, = service.backups()
    assert backup.status == 'creating'
    monkeypatch.undo()
    with pytest.raises(errors.BackupInUse, match='--force'):
        service.delete(backup)
    assert service.delete(backup, force=True) == [backup]
    assert not service.driver.stores['backups']


def test_a_restore_brings_the_volume_back(service, chain, tmp_path):
    for backup in chain:
        path = tmp_path / f'restored {backup.id}'
        summary = service.restore(backup, str(path))
        assert path.read_bytes() == VOLUME
        assert summary.volume_bytes == len(VOLUME)
        assert backup.status == 'available'


def test_a_restore_needs_force_to_overwrite(service, chain, tmp_path):
    path = tmp_path / 'restored'
    path.write_bytes(b'\xff' * (len(VOLUME) + 5))
    with pytest.raises(errors.TargetNotEmpty):
        service.restore(chain[2], str(path))
    service.restore(chain[2], str(path), force=True)
    assert path.read_bytes() == VOLUME


def test_a_failed_restore_leaves_no_file_and_the_backup_available(
        service, chain, tmp_path):
    objects = service.driver.stores['backups']
    for name in objects:
        if name.startswith('volume_') and name[-5:].isdigit():
            objects[name] = b'damaged'
    path = tmp_path / 'restored'
    with pytest.raises(errors.CorruptObject):
        service.restore(chain[2], str(path))
    assert chain[2].status == 'available' and not path.exists()
    summary = service.restore(chain[2], str(path), salvage=True)
    assert summary.bad_ranges and path.read_bytes() == bytes(len(VOLUME))


def test_verifying_reads_everything(service, chain):
    assert service.verify(chain[2]).volume_bytes == len(VOLUME)
    objects = service.driver.stores['backups']
    name = min(name for name in objects
               if name.startswith('volume_') and name[-5:].isdigit())
    objects[name] = b'damaged'
    with pytest.raises(errors.CorruptObject):
        service.verify(chain[2])


@pytest.mark.parametrize('status', ['creating', 'error', 'deleting'])
def test_only_an_available_backup_is_read(service, chain, tmp_path, status):
    chain[0].status = status
    with pytest.raises(errors.BackupNotRestorable, match=status):
        service.restore(chain[0], str(tmp_path / 'restored'))
    with pytest.raises(errors.BackupNotRestorable, match=status):
        service.verify(chain[0])
    assert not (tmp_path / 'restored').exists()


def save(service, *backup_ids):
    service.driver.host.catalogue.create()
    for number, backup_id in enumerate(backup_ids):
        service.driver.host.catalogue.save(Backup(
            backup_id, 'v', status='available', created_at=str(number)))


def test_a_backup_is_found_by_the_beginning_of_its_id(service):
    save(service, 'abc', 'abd', 'b')
    assert service.find('abc').id == 'abc'
    assert service.find('b').id == 'b'
    with pytest.raises(errors.AmbiguousBackup, match='abc, abd'):
        service.find('ab')
    for name in ('c', 'bc', ''):
        with pytest.raises(errors.BackupNotFound):
            service.find(name)


def test_a_whole_id_is_not_ambiguous(service):
    save(service, 'ab', 'abc')
    assert service.find('ab').id == 'ab'


def test_the_latest_is_the_newest_available(service):
    with pytest.raises(errors.BackupNotFound, match='latest'):
        service.find('latest')
    save(service, 'z', 'y', 'x')
    assert service.find('latest').id == 'x'
    backup = service.find('x')
    backup.status = 'error'
    service.driver.host.catalogue.save(backup)
    assert service.find('latest').id == 'y'


def test_what_others_depend_on_is_deleted_only_with_them(service, chain):
    full, one, two = chain
    for backup, count in ((full, 2), (one, 1)):
        with pytest.raises(errors.BackupInUse,
                           match=f'{count} other backups.*--cascade'):
            service.delete(backup)
    assert ids(service.backups()) == ids(chain)
    service.verify(two)
    assert service.delete(two) == [two]
    service.verify(one)


def test_dependents_are_deleted_before_what_they_depend_on(service, volume,
                                                           chain):
    branch = service.backup(str(volume), parent=chain[0].id)
    deleted = ids(service.delete(chain[0], cascade=True))
    assert sorted(deleted) == sorted(ids([*chain, branch]))
    order = {backup_id: number for number, backup_id in enumerate(deleted)}
    for backup in (chain[1], chain[2], branch):
        assert order[backup.id] < order[backup.parent_id]
    assert service.backups() == []
    assert not service.driver.stores['backups']


def test_nothing_is_deleted_when_a_dependent_is_being_written(service,
                                                              chain):
    chain[2].status = 'creating'
    service.driver.host.catalogue.save(chain[2])
    with pytest.raises(errors.BackupInUse, match='being written'):
        service.delete(chain[0], cascade=True)
    assert ids(service.backups()) == ids(chain)
    assert len(service.delete(chain[0], cascade=True, force=True)) == 3


def test_a_delete_that_fails_is_recorded_and_may_be_repeated(
        service, volume, monkeypatch):
    backup = service.backup(str(volume))

    def refuse(container, name):
        raise errors.AccessDenied(container=container, object_name=name,
                                  reason='the reason')

    with monkeypatch.context() as patch:
        patch.setattr(service.driver, 'delete_object', refuse)
        with pytest.raises(errors.AccessDenied):
            service.delete(backup)
    failed, = service.backups()
    assert failed.status == 'deleting'
    assert 'the reason' in failed.fail_reason
    service.delete(failed)
    assert service.backups() == []


def test_a_deletion_stops_the_writer(service, volume, monkeypatch):
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    original = service.driver.get_object_writer

    def deleting(container, name, **keywords):
        if name.endswith('-00002'):
            for backup in service.backups():
                if backup.status == 'creating':
                    service.delete(backup, force=True)
        return original(container, name, **keywords)

    monkeypatch.setattr(service.driver, 'get_object_writer', deleting)
    with pytest.raises(errors.BackupCancelled):
        service.backup(str(volume))
    assert service.backups() == []
    assert not service.driver.stores['backups']


def test_progress_is_reported(memory_driver, volume):
    told = []
    service = support.service(memory_driver)
    service.driver.host.report = lambda *report: told.append(report)
    backup = service.backup(str(volume))
    assert told[-1] == (backup, len(VOLUME), len(VOLUME))


def test_the_volume_is_closed_again(service, volume):
    service.backup(str(volume))
    gc.collect()
    opened = []
    for number in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):
            opened.append(os.readlink(f'/proc/self/fd/{number}'))
    assert opened and str(volume) not in opened


def test_a_parent_that_is_being_deleted_gets_no_child(service, volume,
                                                      monkeypatch):
    parent = service.backup(str(volume))
    catalogue = service.driver.host.catalogue
    save = catalogue.save

    def deleted_just_before(backup):
        if backup.id != parent.id and parent.status != Status.DELETING:
            parent.status = Status.DELETING
            save(parent)
        save(backup)

    monkeypatch.setattr(catalogue, 'save', deleted_just_before)
    with pytest.raises(errors.FullBackupRequired, match='deleting'):
        service.backup(str(volume), incremental=True)
    assert catalogue.ids() == [parent.id]


def test_a_parent_whose_child_has_just_begun_is_not_deleted(
        service, volume, monkeypatch):
    parent = service.backup(str(volume))
    catalogue = service.driver.host.catalogue
    save = catalogue.save

    def begun_just_before(backup):
        if backup.status == Status.DELETING:
            save(Backup('child', parent.volume_id, parent_id=parent.id))
        save(backup)

    monkeypatch.setattr(catalogue, 'save', begun_just_before)
    with pytest.raises(errors.BackupInUse, match='just begun'):
        service.delete(service.find(parent.id))
    assert catalogue.load(parent.id).status == Status.DELETING
    assert rebuild(service.driver) == [Finding(parent.id, Outcome.ADDED)]
    assert service.verify(service.find(parent.id))


def test_two_deletions_at_once_leave_no_record(service, volume, monkeypatch):
    """The other ends before this one looks for children, and finds one that
    began after the other had looked."""
    parent = service.backup(str(volume))
    catalogue = service.driver.host.catalogue
    save = catalogue.save

    def other_has_ended(backup):
        monkeypatch.setattr(catalogue, 'save', save)
        save(backup)
        service.delete(service.find(parent.id))
        save(Backup('child', parent.volume_id, parent_id=parent.id))

    monkeypatch.setattr(catalogue, 'save', other_has_ended)
    with pytest.raises(errors.BackupInUse):
        service.delete(service.find(parent.id))
    assert catalogue.ids() == ['child']
