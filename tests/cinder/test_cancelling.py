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

"""Users who change their mind in the middle."""

from tests.cinder import images


def test_a_backup_that_is_deleted_meanwhile_leaves_nothing(ours, cloud):
    volume = ours.volume(images.first(), 'file-like', delay_s=0.5)
    backup_id = ours.create_backup(volume_id=volume.id)
    ours.wait_until('an object is stored',
                    lambda: cloud.objects(backup_id))

    ours.delete(backup_id=backup_id, force=True)

    assert ours.wait('delete', backup_id)['error'] is None
    assert ours.wait('backup', backup_id)['error'] is None
    assert cloud.backup(backup_id)['deleted']
    assert cloud.objects(backup_id) == []
    assert cloud.volume(volume.id)['status'] == 'available'


def test_an_incremental_that_is_deleted_meanwhile_leaves_its_parent(ours,
                                                                    cloud):
    before, after = images.history()[:2]
    volume = ours.volume(before, 'file-like')
    full = ours.back_up(volume)
    kept = cloud.objects(full)
    volume.write(after)
    ours.update_volume(volume_id=volume.id, device={
        'kind': 'file-like', 'path': str(volume.path), 'delay_s': 0.5})
    backup_id = ours.create_backup(volume_id=volume.id, incremental=True)
    ours.wait_until('the backup has begun',
                    lambda: cloud.backup(backup_id)['service_metadata'])

    ours.delete(backup_id=backup_id, force=True)

    assert ours.wait('delete', backup_id)['error'] is None
    assert ours.wait('backup', backup_id)['error'] is None
    assert cloud.backup(backup_id)['deleted']
    assert cloud.objects(backup_id) == []
    assert cloud.objects(full) == kept


def test_a_restore_whose_status_is_reset_ends_as_cancelled(ours, cloud):
    backup_id = ours.back_up(ours.volume(images.first()))
    target = ours.volume(images.dirt(), 'file-like', delay_s=0.5)
    ours.restore(backup_id=backup_id, volume_id=target.id)
    ours.wait_until('the target is being written',
                    lambda: target.read() != images.dirt())

    ours.reset_status(backup_id=backup_id, status='error')

    done = ours.wait('restore', backup_id)
    assert done['error'] is None
    assert cloud.volume(target.id)['status'] == 'error'
    assert cloud.backup(backup_id)['status'] == 'available'
    assert target.read() != images.first()


def test_a_cancelled_restore_can_be_done_again(ours):
    backup_id = ours.back_up(ours.volume(images.first()))
    target = ours.volume(images.dirt(), 'file-like', delay_s=0.5)
    ours.restore(backup_id=backup_id, volume_id=target.id)
    ours.wait_until('the target is being written',
                    lambda: target.read() != images.dirt())
    ours.reset_status(backup_id=backup_id, status='error')
    ours.wait('restore', backup_id)
    ours.update_volume(volume_id=target.id, status='available', device={
        'kind': 'file-like', 'path': str(target.path)})

    ours.bring_back(backup_id, target)

    assert target.read() == images.first()
