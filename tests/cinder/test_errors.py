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

"""How a failure shows in Cinder: statuses, reasons and messages."""

import pytest

from tests.cinder import images
from tests.cinder.cloud import OUR_POSIX
from tests.cinder.cloud import CommandFailed


def damage(path):
    """Change one byte in the middle of an object."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def data_objects(cloud, backup_id):
    return [path for path in cloud.objects(backup_id)
            if path.name[-5:].isdigit()]


def metadata_objects(cloud, backup_id, suffix):
    return [path for path in cloud.objects(backup_id)
            if path.name.endswith(suffix)]


@pytest.mark.parametrize('codec', ('none', 'zlib'))
def test_a_damaged_object_fails_the_restore_and_names_the_object(
        ours, cloud, codec):
    with ours.configured(backup_compression_algorithm=codec):
        backup_id = ours.back_up(ours.volume(images.first()))
    damaged = data_objects(cloud, backup_id)[0]
    damage(damaged)
    target = ours.volume(images.dirt(), 'block')

    done = ours.try_to_bring_back(backup_id, target)

    assert done['error'] == 'InvalidBackup'
    assert backup_id in done['message']
    assert damaged.name in done['message']
    assert cloud.volume(target.id)['status'] == 'error_restoring'
    assert cloud.backup(backup_id)['status'] == 'available'
    assert cloud.messages(backup_id)


@pytest.mark.parametrize('suffix', ('_metadata', '_sha256file'))
def test_a_restore_without_manifest_or_digests_leaves_the_target_alone(
        threads, cloud, suffix):
    backup_id = threads.back_up(threads.volume(images.first()))
    missing, = metadata_objects(cloud, backup_id, suffix)
    missing.unlink()
    target = threads.volume(images.dirt(), 'block')

    done = threads.try_to_bring_back(backup_id, target)

    assert done['error'] == 'InvalidBackup'
    assert target.read() == images.dirt()
    assert cloud.volume(target.id)['status'] == 'error_restoring'
    assert cloud.backup(backup_id)['status'] == 'available'


def test_a_device_that_fails_fails_the_backup_which_leaves_nothing(ours,
                                                                   cloud):
    volume = ours.volume(images.first(), 'file-like', fails_at=1_000_000)

    backup_id, done = ours.try_to_back_up(volume)

    assert done['error'] == 'BackupOperationError'
    row = cloud.backup(backup_id)
    assert row['status'] == 'error'
    assert 'reading the volume' in row['fail_reason']
    assert 'Input/output error' in row['fail_reason']
    assert cloud.volume(volume.id)['status'] == 'available'
    assert cloud.objects(backup_id) == []
    assert cloud.messages(backup_id)


def test_a_device_that_fails_fails_the_restore(ours, cloud):
    backup_id = ours.back_up(ours.volume(images.first()))
    target = ours.volume(images.dirt(), 'file-like', fails_at=1_000_000)

    done = ours.try_to_bring_back(backup_id, target)

    assert done['error'] == 'BackupOperationError'
    assert 'writing the volume' in done['message']
    assert cloud.volume(target.id)['status'] == 'error_restoring'
    assert cloud.backup(backup_id)['status'] == 'available'


def test_an_incremental_on_a_parent_without_digests_asks_for_a_full_one(
        threads, cloud):
    volume = threads.volume(images.first())
    parent_id = threads.back_up(volume)
    missing, = metadata_objects(cloud, parent_id, '_sha256file')
    missing.unlink()

    backup_id, done = threads.try_to_back_up(volume, incremental=True)

    assert done['error'] == 'InvalidBackup'
    row = cloud.backup(backup_id)
    assert row['status'] == 'error'
    assert parent_id in row['fail_reason']
    assert cloud.objects(backup_id) == []


def test_an_incremental_with_other_blocks_asks_for_a_full_backup(threads,
                                                                 cloud):
    volume = threads.volume(images.first())
    threads.back_up(volume)
    with threads.configured(backup_sha_block_size_bytes=65536):
        backup_id, done = threads.try_to_back_up(volume, incremental=True)

    assert done['error'] == 'InvalidBackup'
    assert 'do a full backup' in cloud.backup(backup_id)['fail_reason']


def test_a_backup_that_has_failed_is_deleted_as_any_other(threads, cloud):
    volume = threads.volume(images.first(), 'file-like', fails_at=1_000_000)
    backup_id, _ = threads.try_to_back_up(volume)

    threads.remove(backup_id)


def test_a_container_outside_of_the_repository_is_refused(threads, cloud):
    backup_id, done = threads.try_to_back_up(
        threads.volume(images.first()), container='../outside')

    assert done['error'] == 'InvalidBackup'
    assert 'refused' in cloud.backup(backup_id)['fail_reason']
    assert not (cloud.repository.parent / 'outside').exists()


def test_a_deletion_that_fails_keeps_the_record(new_cloud):
    """Otherwise nobody would ever know of the objects that are left."""
    cloud = new_cloud()
    with cloud.service(OUR_POSIX) as service:
        backup_id = service.back_up(service.volume(images.first()))
        away = cloud.repository.rename(cloud.directory / 'away')
        cloud.repository.touch()
        service.delete(backup_id=backup_id)
        done = service.wait('delete', backup_id)

        assert done['error'] == 'BackupDriverException'
        row = cloud.backup(backup_id)
        assert row['status'] == 'error'
        assert row['fail_reason']
        assert not row['deleted']

        cloud.repository.unlink()
        away.rename(cloud.repository)
        service.remove(backup_id)
        assert cloud.objects(backup_id) == []


def test_a_service_with_a_broken_configuration_is_down(new_cloud, mode):
    cloud = new_cloud()
    in_the_way = cloud.directory / 'a file'
    in_the_way.touch()
    options = {'backup_posix_path': in_the_way}
    with cloud.service(OUR_POSIX, mode, options, is_up=False) as service:
        volume = service.volume(images.first())
        backup_id, done = service.try_to_back_up(volume)

        assert not service.is_working()
        with pytest.raises(CommandFailed, match='a file') as raised:
            service.check_driver()
        assert raised.value.kind == 'BackupDriverException'
        assert done['error'] == 'InvalidBackup'
        assert 'service is down' in cloud.backup(backup_id)['fail_reason']
        assert cloud.volume(volume.id)['status'] == 'available'
    assert 'a file' in cloud.log.read_text()


def test_a_chunk_that_is_not_whole_blocks_is_an_error(threads, cloud):
    with threads.configured(backup_file_size=100000):
        backup_id, done = threads.try_to_back_up(
            threads.volume(images.first()))

    assert done['error'] == 'BackupDriverException'
    assert 'multiple' in cloud.backup(backup_id)['fail_reason']
