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

import errno
import io
import os
import json
import threading
import random

import pytest

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.drivers.nfs import NfsBackupDriver
from chunked_backup.drivers.posix import PosixBackupDriver
from chunked_backup.flow import monitor
from chunked_backup.hosts.standalone.host import StandaloneHost
from chunked_backup.jobs import backup as backup_job
from chunked_backup.jobs import restore as restore_job
from chunked_backup.jobs.settings import Settings
from chunked_backup.model import Status
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK
VOLUME = random.Random(5).randbytes(3 * CHUNK)


@pytest.fixture
def driver():
    return harness.memory_driver()


def refused(driver, parent_id='full', volume_id='volume'):
    """Why an incremental backup is refused; it must leave nothing."""
    before = dict(driver.stores['backups'])
    backup = harness.new_backup(driver, 'incremental', parent_id, volume_id)
    with pytest.raises(errors.FullBackupRequired) as caught:
        driver.backup(backup, io.BytesIO(VOLUME))
    assert 'do a full backup' in str(caught.value)
    assert caught.value.volume_id == volume_id
    assert driver.stores['backups'] == before
    return str(caught.value)


def test_the_host_is_found_by_its_option():
    assert isinstance(support.memory_driver().host, StandaloneHost)


def test_another_block_size_needs_a_full_backup(driver):
    harness.back_up(driver, 'full', VOLUME)
    driver.sha_block_size_bytes = 2 * BLOCK
    assert '512' in refused(driver) and '1024' in refused(driver)


def test_a_missing_digest_table_needs_a_full_backup(driver):
    full = harness.back_up(driver, 'full', VOLUME)
    del driver.stores['backups'][full.service_metadata + '_sha256file']
    assert 'digest table is missing' in refused(driver)


@pytest.mark.parametrize('suffix', ['_metadata', '_sha256file'])
@pytest.mark.parametrize('content', [b'', b'{', b'no JSON', b'{}'])
def test_a_broken_parent_needs_a_full_backup(driver, suffix, content):
    full = harness.back_up(driver, 'full', VOLUME)
    driver.stores['backups'][full.service_metadata + suffix] = content
    assert 'broken' in refused(driver)


def test_a_missing_manifest_needs_a_full_backup(driver):
    full = harness.back_up(driver, 'full', VOLUME)
    del driver.stores['backups'][full.service_metadata + '_metadata']
    assert 'manifest is missing' in refused(driver)


def test_a_parent_that_is_not_known_needs_a_full_backup(driver):
    harness.back_up(driver, 'full', VOLUME)
    assert 'not known' in refused(driver, 'no such backup')


def test_a_parent_that_was_never_written_needs_a_full_backup(driver):
    harness.back_up(driver, 'full', VOLUME)
    harness.new_backup(driver, 'unwritten')
    assert 'never written' in refused(driver, 'unwritten')


def test_a_parent_of_another_volume_needs_a_full_backup(driver):
    harness.back_up(driver, 'full', VOLUME)
    assert 'of volume volume' in refused(driver, volume_id='other')


def test_a_store_that_fails_is_no_reason_for_a_full_backup(driver,
                                                           monkeypatch):
    harness.back_up(driver, 'full', VOLUME)

    def refuse(container, name, extra_metadata=None):
        raise errors.AccessDenied(container=container, object_name=name,
                                  reason='no')

    monkeypatch.setattr(driver, 'get_object_reader', refuse)
    backup = harness.new_backup(driver, 'incremental', 'full')
    with pytest.raises(errors.AccessDenied):
        driver.backup(backup, io.BytesIO(VOLUME))


def versions(driver):
    """The formats of the manifests that are stored, oldest first."""
    return [harness.manifest_of(driver, backup).version
            for backup in driver.host.backups.values()]


def test_new_chains_have_the_newest_format(driver):
    harness.back_up(driver, 'full', VOLUME)
    assert versions(driver) == [formats.VERSIONS[-1]] == ['2.0.0']
    assert Settings(CHUNK, BLOCK).format_version == '2.0.0'


@pytest.mark.parametrize('began, configured', [('1.0.0', '2.0.0'),
                                               ('2.0.0', '1.0.0')])
def test_a_chain_goes_on_in_its_format(driver, began, configured):
    support.override(format_version=began)
    harness.back_up(driver, 'full', VOLUME)
    support.override(format_version=configured)
    harness.back_up(driver, 'one', VOLUME[::-1], 'full')
    point = harness.back_up(driver, 'two', VOLUME + b'end', 'one')
    harness.back_up(driver, 'another full', VOLUME)
    assert versions(driver) == [began, began, began, configured]
    assert driver.host.summaries['two'].format_version == began
    assert harness.restore(driver, point) == VOLUME + b'end'


def test_the_format_of_a_host_goes_before_that_of_the_parent(driver):
    """As within Cinder, whatever the parent is."""
    harness.back_up(driver, 'full', VOLUME)
    driver.host.format_version = '1.0.0'
    backup = harness.back_up(driver, 'one', VOLUME[::-1], 'full')
    assert versions(driver) == ['2.0.0', '1.0.0']
    assert harness.restore(driver, backup) == VOLUME[::-1]


def test_the_volumes_metadata_comes_back_with_a_restore(driver):
    driver.host.metadata['volume'] = '{"version": 2}'
    backup = harness.back_up(driver, 'full', VOLUME)
    harness.restore(driver, backup)
    assert driver.host.metadata['other volume'] == '{"version": 2}'


def test_the_metadata_is_that_of_the_backup_asked_for(driver):
    driver.host.metadata['volume'] = 'old'
    harness.back_up(driver, 'full', VOLUME)
    driver.host.metadata['volume'] = 'new'
    backup = harness.back_up(driver, 'incremental', VOLUME, 'full')
    harness.restore(driver, backup)
    assert driver.host.metadata['other volume'] == 'new'


def test_metadata_may_be_left_out(driver):
    driver.host.metadata['volume'] = '{"version": 2}'
    backup = harness.new_backup(driver, 'full')
    driver.backup(backup, io.BytesIO(VOLUME), backup_metadata=False)
    assert harness.manifest_of(driver, backup).volume_meta is None
    harness.restore(driver, backup)
    assert 'other volume' not in driver.host.metadata


def test_extra_metadata_comes_back_with_every_data_object(driver,
                                                          monkeypatch):
    extra = {'key': ['of', 'the', 'driver', 0.1]}
    monkeypatch.setattr(driver, 'get_extra_metadata',
                        lambda backup, volume: {**extra, **volume})
    seen = []
    for method in ('get_object_reader', 'get_object_writer'):
        original = getattr(driver, method)
        monkeypatch.setattr(
            driver, method,
            lambda container, name, extra_metadata=None, original=original: (
                seen.append((name[-5:].isdigit(), extra_metadata)),
                original(container, name, extra_metadata))[1])
    backup = harness.back_up(driver, 'full', VOLUME)
    harness.restore(driver, backup)
    expected = {**extra, 'id': 'volume'}
    assert (True, expected) in seen
    assert all((value == expected) == is_data for is_data, value in seen)


def test_the_default_container_is_created_and_used(driver):
    backup = harness.back_up(driver, 'full', VOLUME)
    assert backup.container == 'backups' and list(driver.stores) == [
        'backups']


def test_the_container_asked_for_is_used(driver):
    backup = harness.new_backup(driver, 'full')
    backup.container = 'asked for'
    driver.backup(backup, io.BytesIO(VOLUME))
    assert backup.container == 'asked for' and 'backups' not in driver.stores
    assert harness.restore(driver, backup) == VOLUME


def test_the_driver_may_choose_the_container(driver, monkeypatch):
    monkeypatch.setattr(driver, 'update_container_name',
                        lambda backup, container: f'of {backup.volume_id}')
    assert harness.back_up(driver, 'full',
                           VOLUME).container == 'of volume'


def test_a_container_is_not_created_when_the_option_says_so(driver):
    support.override(create_containers=False)
    with pytest.raises(errors.ContainerNotFound):
        harness.back_up(driver, 'full', VOLUME)
    assert driver.stores == {}


def test_container_and_prefix_are_recorded_before_any_data(driver,
                                                           monkeypatch):
    backup = harness.new_backup(driver, 'full')
    recorded = []
    original = driver.get_object_writer
    monkeypatch.setattr(
        driver, 'get_object_writer', lambda *args, **keywords: (
            recorded.append((backup.container, backup.service_metadata)),
            original(*args, **keywords))[1])
    driver.backup(backup, io.BytesIO(VOLUME))
    assert all(container and prefix for container, prefix in recorded)
    assert 'volume_volume/' in backup.service_metadata
    assert backup.service_metadata.endswith('az_nova_backup_full')


def test_deleting_removes_everything_and_twice_is_as_good(driver,
                                                          monkeypatch):
    discarded = []
    monkeypatch.setattr(driver, 'discard_container', discarded.append)
    one = harness.back_up(driver, 'one', VOLUME)
    other = harness.back_up(driver, 'other', VOLUME)
    driver.delete_backup(one)
    driver.delete_backup(one)
    assert not harness.objects_of(driver, one)
    assert harness.restore(driver, other) == VOLUME
    assert discarded == ['backups', 'backups']


def test_a_backup_that_wrote_nothing_is_deleted(driver):
    driver.delete_backup(harness.new_backup(driver, 'unwritten'))


def test_a_backup_that_wrote_nothing_is_not_restored(driver):
    backup = harness.new_backup(driver, 'unwritten')
    for check in (driver.verify_backup,
                  lambda backup: harness.restore(driver, backup)):
        with pytest.raises(errors.IncompleteChain, match='never written'):
            check(backup)


@pytest.mark.parametrize('verb', ['backup', 'restore', 'verify', 'delete'])
def test_every_verb_raises_what_the_volume_service_expects(
        driver, monkeypatch, verb):
    class Translated(Exception):
        pass

    backup = harness.back_up(driver, 'full', VOLUME)
    monkeypatch.setattr(driver.host, 'translate', lambda error: Translated())

    def fail(*args, **keywords):
        raise errors.AccessDenied(container='c', object_name='o', reason='r')

    for method in ('get_object_reader', 'get_object_writer',
                   'get_container_entries'):
        monkeypatch.setattr(driver, method, fail)
    with pytest.raises(Translated) as caught:
        if verb == 'backup':
            harness.back_up(driver, 'another', VOLUME)
        elif verb == 'restore':
            harness.restore(driver, backup)
        elif verb == 'verify':
            driver.verify_backup(backup)
        else:
            driver.delete_backup(backup)
    assert isinstance(caught.value.__cause__, errors.AccessDenied)


def test_a_defect_is_not_translated(driver, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError()

    monkeypatch.setattr(driver.host, 'record', fail)
    with pytest.raises(ZeroDivisionError):
        driver.delete_backup(harness.new_backup(driver, 'full'))


def test_a_chunk_size_that_is_no_multiple_is_refused(driver):
    driver.chunk_size_bytes = CHUNK + 1
    with pytest.raises(errors.ConfigurationError, match='multiple'):
        harness.back_up(driver, 'full', VOLUME)
    assert driver.stores == {}


def test_a_record_needs_nothing_else_to_move(driver):
    backup = harness.back_up(driver, 'full', VOLUME)
    exported = driver.export_record(backup)
    json.dumps(exported)
    driver.import_record(backup, exported)
    assert harness.restore(driver, backup) == VOLUME


@pytest.mark.parametrize('status, error', [
    (Status.DELETING, errors.BackupCancelled),
    (Status.DELETED, errors.BackupCancelled),
    (Status.CREATING, errors.ContainerNotFound)])
def test_a_backup_whose_container_goes_with_its_deletion_is_cancelled(
        monkeypatch, status, error):
    driver = harness.memory_driver()
    put = driver.get_object_writer

    def vanished(container, name, extra_metadata=None):
        driver.stores.pop(container)
        driver.host.says = status
        return put(container, name, extra_metadata)

    monkeypatch.setattr(driver, 'get_object_writer', vanished)
    with pytest.raises(error):
        harness.back_up(driver, 'backup', b'x' * support.CHUNK)


def test_a_store_that_hangs_does_not_hold_a_backup_that_is_cancelled(
        monkeypatch):
    support.override(executor='threads')
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    driver = harness.memory_driver()
    put = driver.get_object_writer
    released = threading.Event()

    def cancelled(container, name, extra_metadata=None):
        driver.host.says = Status.DELETING
        return put(container, name, extra_metadata)

    monkeypatch.setattr(driver, 'get_object_writer', cancelled)
    monkeypatch.setattr(driver, 'discard_container',
                        lambda container: released.wait(20))
    with pytest.raises(errors.BackupCancelled) as caught:
        harness.back_up(driver, 'backup', b'x' * support.CHUNK)
    released.set()
    assert 'does not answer' in caught.value.__notes__[0]


def test_an_error_that_the_host_wants_to_hear_nothing_of_is_no_error(
        monkeypatch):
    driver = harness.memory_driver()
    monkeypatch.setattr(driver.host, 'translate', lambda error: None)
    driver.host.says = Status.DELETING
    monkeypatch.setattr(monitor, 'POLL_INTERVAL_S', 0)
    assert harness.back_up(driver, 'backup', b'x').status == Status.CREATING


@pytest.mark.parametrize('option, verb', [
    ('backup_bytes_per_s', 'backup'), ('restore_bytes_per_s', 'restore'),
    ('restore_bytes_per_s', 'verify')])
def test_a_rate_holds_for_what_goes_to_or_comes_from_the_store(
        driver, monkeypatch, option, verb):
    support.override(compression_algorithm='none', **{option: 1000})
    waited = []
    monkeypatch.setattr(monitor.Monitor, 'pause',
                        lambda self, wait_s: waited.append(wait_s))
    backup = harness.back_up(driver, 'backup', VOLUME)
    if verb == 'restore':
        harness.restore(driver, backup)
    elif verb == 'verify':
        driver.verify_backup(backup)
    # Nobody has really waited, so the last is told to wait for all.
    assert max(waited) > len(VOLUME) / 1000 - 1


@pytest.mark.parametrize('kind, expected', [
    (harness.memory_driver, 8), (NfsBackupDriver, 8),
    (PosixBackupDriver, min(8, 2 * len(os.sched_getaffinity(0))))])
def test_the_store_says_how_many_objects_unless_the_operator_does(
        conf, kind, expected):
    driver = kind()
    assert driver.parallelism == expected
    support.override(parallelism=3)
    assert driver.parallelism == 3


@pytest.mark.parametrize('verb', ['backup', 'restore'])
def test_no_more_objects_are_in_work_than_the_memory_has_room_for(
        driver, monkeypatch, verb):
    backup = harness.back_up(driver, 'backup', VOLUME)
    support.override(parallelism=200, memory_limit_bytes=64 << 20)
    opened = []
    for module in (backup_job, restore_job):
        monkeypatch.setattr(
            module, 'open_workers',
            lambda mode, threads, original=module.open_workers:
            opened.append(threads) or original(mode, threads))
    if verb == 'backup':
        harness.back_up(driver, 'other', VOLUME)
    else:
        harness.restore(driver, backup)
    assert opened == [6]


def descriptors_of(path):
    """The descriptors of this process that are a file."""
    return [number for number in os.listdir('/proc/self/fd')
            if os.path.exists(f'/proc/self/fd/{number}') and os.path.samefile(
                f'/proc/self/fd/{number}', path)]


@pytest.mark.parametrize('mode', ['threads', 'serial'])
def test_a_volume_is_let_go_of_though_an_error_is_kept(driver, tmp_path, mode,
                                                       monkeypatch):
    """A device that is still open cannot be detached."""
    support.override(executor=mode)
    path = tmp_path / 'volume'
    path.write_bytes(VOLUME)
    backup = harness.back_up(driver, 'full', VOLUME)

    def fail(*arguments):
        raise OSError(errno.EIO, 'made to fail')

    monkeypatch.setattr(os, 'preadv', fail)
    monkeypatch.setattr(os, 'pwrite', fail)
    kept = []
    with open(path, 'r+b', buffering=0) as file:
        before = descriptors_of(path)
        for verb in (lambda: driver.backup(
                harness.new_backup(driver, 'other'), file),
                lambda: driver.restore(backup, 'volume', file, False)):
            backup.status = Status.RESTORING
            with pytest.raises(errors.VolumeIOError) as caught:
                verb()
            kept.append(caught.value)
            assert descriptors_of(path) == before
