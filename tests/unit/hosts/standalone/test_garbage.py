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


"""What is garbage, and what never is."""

import os
import subprocess
import sys

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone import garbage
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.garbage import Outcome
from chunked_backup.model import Status
from tests import support

DAY_S = garbage.GRACE_S
VOLUME = bytes(range(256)) * 64


@pytest.fixture
def service(posix_driver):
    return support.service(posix_driver)


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(VOLUME)
    return path


def files(service):
    return {os.path.join(directory, name)
            for directory, _, names in os.walk(service.driver.backup_path)
            for name in names}


def age(service, seconds=2 * DAY_S):
    """Have everything be as old as if it had been written then."""
    for path in files(service):
        found = os.stat(path).st_mtime - seconds
        os.utime(path, (found, found))


def killed(service, volume, keep_manifest=False, writer_name='elsewhere'):
    """A backup whose writer was killed before the record was saved; without
    ``keep_manifest`` before the manifest was."""
    backup = service.backup(str(volume))
    backup.status = Status.CREATING
    backup.writer = writer_name
    service.driver.host.catalogue.save(backup)
    if not keep_manifest:
        service.driver.delete_object(backup.container,
                                     backup.service_metadata + '_metadata')
    return backup


def dead_writer():
    """A process of this machine that is no more."""
    return subprocess.run(
        [sys.executable, '-c', 'from chunked_backup.hosts.standalone import '
         'writer; print(writer.current())'], text=True, check=True,
        capture_output=True).stdout.strip()


def outcomes(findings):
    return [(finding.what, finding.outcome) for finding in findings]


def collect(service, **keywords):
    return outcomes(garbage.collect(service.driver, **keywords))


def test_a_repository_without_garbage_loses_nothing(service, volume):
    service.backup(str(volume))
    service.backup(str(volume), incremental=True)
    age(service)
    before = files(service)
    assert collect(service) == []
    assert collect(service, grace_s=0) == []
    assert files(service) == before


@pytest.mark.parametrize('status', [Status.CREATING, Status.DELETING])
def test_an_old_backup_that_was_never_finished_is_removed(service, volume,
                                                          status):
    kept = service.backup(str(volume))
    before = files(service)
    backup = killed(service, volume)
    backup.status = status
    service.driver.host.catalogue.save(backup)
    age(service)
    assert collect(service, dry_run=True) == [(backup.id, Outcome.REMOVED)]
    assert len(files(service)) > len(before)
    assert collect(service) == [(backup.id, Outcome.REMOVED)]
    assert files(service) == before
    assert service.verify(kept).volume_bytes == len(VOLUME)
    assert collect(service) == []


def test_a_young_backup_stays(service, volume):
    backup = killed(service, volume)
    before = files(service)
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert files(service) == before


@pytest.mark.parametrize('young', ['record', '-00001', '_sha256file'])
def test_one_young_part_keeps_the_whole(service, volume, young):
    backup = killed(service, volume)
    age(service)
    [path] = [path for path in files(service) if young in path]
    os.utime(path)
    before = files(service)
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert files(service) == before


def test_a_sign_of_life_keeps_a_backup(service, volume):
    backup = killed(service, volume)
    age(service)
    service.driver.host.show_life(backup)
    before = files(service)
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert files(service) == before


def test_a_writer_known_to_be_alive_keeps_a_backup(service, volume):
    backup = killed(service, volume, writer_name=writer.current())
    age(service)
    before = files(service)
    assert collect(service, grace_s=0) == [(backup.id, Outcome.KEPT)]
    assert files(service) == before


def test_a_writer_known_to_be_dead_still_has_its_grace(service, volume):
    backup = killed(service, volume, writer_name=dead_writer())
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    age(service)
    assert collect(service) == [(backup.id, Outcome.REMOVED)]
    assert files(service) == set()


def test_a_complete_backup_with_an_unfinished_record_stays(service, volume):
    backup = killed(service, volume, keep_manifest=True)
    age(service)
    before = files(service)
    assert collect(service, grace_s=0) == [(backup.id, Outcome.KEPT)]
    assert files(service) == before


@pytest.mark.parametrize('status', [Status.AVAILABLE, Status.ERROR])
def test_a_damaged_backup_is_no_garbage(service, volume, status):
    backup = service.backup(str(volume))
    backup.status = status
    service.driver.host.catalogue.save(backup)
    service.driver.delete_object(backup.container,
                                 backup.service_metadata + '_metadata')
    age(service)
    before = files(service)
    assert collect(service, grace_s=0) == []
    assert files(service) == before


def test_objects_without_a_record_are_removed_unless_they_are_a_backup(
        service, volume):
    complete = service.backup(str(volume))
    broken = killed(service, volume)
    for backup in (complete, broken):
        service.driver.host.catalogue.remove(backup.id)
    assert collect(service) == [(broken.service_metadata, Outcome.KEPT)]
    age(service)
    assert collect(service) == [(broken.service_metadata, Outcome.REMOVED)]
    assert all(complete.id in path for path in files(service))
    assert len(files(service)) > 2


def test_a_record_that_cannot_be_read_protects_its_objects(service, volume):
    backup = killed(service, volume)
    with service.driver.get_object_writer(
            'catalogue', 'chunked_backup_record_' + backup.id) as broken:
        broken.write(b'no record')
    age(service)
    before = files(service)
    assert collect(service, grace_s=0) == [(backup.service_metadata,
                                            Outcome.KEPT)]
    assert files(service) == before


def test_what_is_no_backup_is_no_garbage(service, volume):
    backup = service.backup(str(volume))
    for name in ('photo-00001', 'notes_metadata', 'volume_backup_1-00001',
                 'volume_x_20260102_backup_y-00001', '_sha256file'):
        with service.driver.get_object_writer(backup.container,
                                              name) as theirs:
            theirs.write(b'not of a backup')
    age(service)
    before = files(service)
    assert collect(service, grace_s=0) == []
    assert files(service) == before


def test_temporary_files_go_when_they_are_old(service, volume):
    backup = service.backup(str(volume))
    with pytest.raises(SystemExit):
        writing = service.driver.get_object_writer(backup.container, 'x')
        writing.__enter__().write(b'half')
        raise SystemExit  # as if killed: the block is never left
    [temporary] = [path for path in files(service) if path.endswith('.tmp')]
    name = os.path.basename(temporary)
    assert collect(service) == [(name, Outcome.KEPT)]
    age(service)
    assert collect(service) == [(name, Outcome.REMOVED)]
    assert not os.path.exists(temporary)
    assert service.verify(backup)


def test_a_sign_of_life_of_nobody_goes_when_it_is_old(service, volume):
    # A backup that was killed when it had just said that it is complete.
    complete = service.backup(str(volume))
    for backup_id in (complete.id, 'gone'):
        service.driver.host.catalogue.show_life(backup_id)
    assert {outcome for _, outcome in collect(service)} <= {Outcome.KEPT}
    age(service)
    assert sorted(collect(service)) == sorted([
        (complete.id, Outcome.REMOVED), ('gone', Outcome.REMOVED)])
    assert service.driver.host.catalogue.signs_of_life() == []
    assert service.verify(complete)


def test_a_sign_of_life_of_a_backup_that_is_written_stays(service, volume):
    backup = killed(service, volume, writer_name=writer.current())
    service.driver.host.show_life(backup)
    age(service)
    assert {outcome for _, outcome in collect(service)} == {Outcome.KEPT}
    assert service.driver.host.catalogue.signs_of_life() == [backup.id]


def test_a_resume_that_begins_meanwhile_is_noticed(service, volume,
                                                   monkeypatch):
    backup = killed(service, volume)
    age(service)
    before = files(service)
    catalogue = service.driver.host.catalogue
    save = catalogue.save

    def resumed_just_before(record):
        catalogue.show_life(record.id)
        save(record)

    monkeypatch.setattr(catalogue, 'save', resumed_just_before)
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert before < files(service)
    with pytest.raises(errors.BackupNotResumable, match='deleting'):
        service.resume(catalogue.load(backup.id), str(volume))


def test_a_resume_that_ends_before_anything_is_said_is_seen(service, volume,
                                                            monkeypatch):
    backup = killed(service, volume)
    age(service)
    catalogue = service.driver.host.catalogue

    def resumed(name):
        monkeypatch.undo()
        service.resume(catalogue.load(backup.id), str(volume))
        return False

    monkeypatch.setattr(writer, 'is_alive', resumed)
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert catalogue.load(backup.id).status == Status.AVAILABLE
    assert service.verify(catalogue.load(backup.id))


@pytest.mark.parametrize('what', ['committed', 'cancelled'])
def test_what_a_resume_has_done_meanwhile_is_not_taken_back(
        service, volume, monkeypatch, what):
    """It began before the collection said "deleting"."""
    backup = killed(service, volume)
    age(service)
    catalogue = service.driver.host.catalogue
    save, age_of_life_s = catalogue.save, catalogue.age_of_life_s

    def resumed_just_before(record):
        catalogue.show_life(record.id)
        save(record)

    def ended_just_after(backup_id):
        age_s = age_of_life_s(backup_id)
        if catalogue.load(backup_id).status == Status.DELETING:
            if what == 'cancelled':
                catalogue.remove(backup_id)
            else:
                backup.status = Status.AVAILABLE
                save(backup)
        return age_s

    monkeypatch.setattr(catalogue, 'save', resumed_just_before)
    monkeypatch.setattr(catalogue, 'age_of_life_s', ended_just_after)
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert [each.status for each in catalogue.backups()] == (
        [Status.AVAILABLE] if what == 'committed' else [])


def test_a_record_that_another_has_removed_does_not_come_back(
        service, volume, monkeypatch):
    backup = killed(service, volume)
    age(service)
    catalogue = service.driver.host.catalogue

    def removed(name):
        catalogue.remove(backup.id)
        return False

    monkeypatch.setattr(writer, 'is_alive', removed)
    monkeypatch.setattr(catalogue, 'save', None)
    assert collect(service) == [(backup.id, Outcome.REMOVED)]


def test_a_store_without_ages_loses_nothing_unless_nobody_writes(
        memory_driver, volume):
    service = support.service(memory_driver)
    backup = killed(service, volume)
    before = dict(memory_driver.stores['backups'])
    assert collect(service) == [(backup.id, Outcome.KEPT)]
    assert memory_driver.stores['backups'] == before
    assert collect(service, grace_s=0) == [(backup.id, Outcome.REMOVED)]
    assert memory_driver.stores['backups'] == {}


def test_a_manifest_that_a_listing_does_not_show_yet_protects(
        service, volume, monkeypatch):
    backup = service.backup(str(volume))
    service.driver.host.catalogue.remove(backup.id)
    age(service)
    before = files(service)
    listed = service.driver.get_container_entries
    monkeypatch.setattr(
        service.driver, 'get_container_entries', lambda container, prefix: [
            name for name in listed(container, prefix)
            if not name.endswith('_metadata')])
    assert collect(service, grace_s=0) == []
    assert files(service) == before


def test_a_directory_that_is_removed_meanwhile_is_no_error(service, volume,
                                                           monkeypatch):
    backup = killed(service, volume)
    age(service)
    listdir = os.listdir

    def removed_just_before(directory):
        names = listdir(directory)
        for name in names:
            if backup.id in name and 'record' not in name:
                os.unlink(name, dir_fd=directory)
        path = os.path.join(service.driver.backup_path, backup.container)
        if os.path.isdir(path) and not listdir(path):
            os.rmdir(path)
        return names

    monkeypatch.setattr(os, 'listdir', removed_just_before)
    assert collect(service) == [(backup.id, Outcome.REMOVED)]
    assert files(service) == set()


@pytest.mark.parametrize('container, prefix', [
    (None, 'volume_a/../b'), ('../x', None), (None, 'x' * 500)])
@pytest.mark.parametrize('is_deleted', [False, True])
def test_a_record_whose_names_nobody_can_have_goes_like_others(
        service, volume, container, prefix, is_deleted):
    """As somebody may have made it, or a backup of a volume of such an id."""
    broken, other = killed(service, volume), killed(service, volume)
    left = {path for path in files(service) if broken.id in path
            and 'catalogue' not in path}
    broken.container = container or broken.container
    broken.service_metadata = prefix or broken.service_metadata
    service.driver.host.catalogue.save(broken)
    if is_deleted:
        service.delete(service.find(broken.id), force=True)
        assert [each.id for each in service.backups()] == [other.id]
    age(service)
    assert (other.id, Outcome.REMOVED) in collect(service)
    assert service.backups() == []
    assert files(service) <= left  # by their own names, they are of no record
    collect(service)
    assert files(service) == set()
