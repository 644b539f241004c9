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

"""A volume's own metadata goes with the backup and comes back."""

import pytest

from tests.cinder import images


def restored_to_new(service, backup_id, **fields):
    """The id of a volume as the API makes one for a restore."""
    target = service.volume(
        images.dirt(), display_name='restore_backup_of_a_volume', **fields)
    service.bring_back(backup_id, target, is_new=True)
    return target.id


@pytest.mark.parametrize('version', (1, 2))
def test_metadata_comes_back_in_each_version(ours, cloud, version):
    volume = ours.volume(
        images.first(), display_name='the name', display_description='text',
        metadata={'purpose': 'tests', 'ümlaut': '✓'})
    with ours.configured(backup_metadata_version=version):
        backup_id = ours.back_up(volume)

    target_id = restored_to_new(ours, backup_id)

    row = cloud.volume(target_id)
    assert row['display_name'] == 'the name'
    assert row['display_description'] == 'text'
    assert cloud.metadata(target_id) == {
        'purpose': 'tests', 'ümlaut': '✓', 'src_backup_id': backup_id}


def test_metadata_of_another_version_is_an_error_after_the_restore(threads,
                                                                   cloud):
    with threads.configured(backup_metadata_version=3):
        backup_id = threads.back_up(threads.volume(images.first()))
    target = threads.volume(images.dirt(), 'block')

    done = threads.try_to_bring_back(backup_id, target)

    assert done['error'] == 'BackupOperationError'
    assert cloud.volume(target.id)['status'] == 'error_restoring'
    assert target.read(len(images.first())) == images.first()


def test_the_metadata_of_the_image_makes_the_volume_bootable(ours, cloud):
    volume = ours.volume(images.first())
    ours.add_glance_metadata(volume_id=volume.id, key='min_disk', value='1')
    backup_id = ours.back_up(volume)

    target_id = restored_to_new(ours, backup_id)

    assert cloud.glance_metadata(target_id) == {'min_disk': '1'}
    assert cloud.volume(target_id)['bootable'] == 1


def test_the_restored_volume_of_an_encrypted_one_has_a_key_of_its_own(
        ours, cloud):
    key_id = ours.create_key()
    volume = ours.volume(images.first(), encryption_key_id=key_id)
    backup_id = ours.back_up(volume)

    target_id = restored_to_new(ours, backup_id)

    keys = {key_id, cloud.backup(backup_id)['encryption_key_id'],
            cloud.volume(target_id)['encryption_key_id']}
    assert None not in keys
    assert len(keys) == 3


def test_what_ours_keeps_is_what_stock_puts_back(ours, stock, cloud):
    volume = ours.volume(images.first(), display_name='the name',
                         metadata={'purpose': 'tests'})
    backup_id = ours.back_up(volume)

    target_id = restored_to_new(stock, backup_id)

    assert cloud.volume(target_id)['display_name'] == 'the name'
    assert cloud.metadata(target_id)['purpose'] == 'tests'


def test_what_stock_keeps_is_what_ours_puts_back(ours, stock, cloud):
    volume = stock.volume(images.first(), display_name='the name',
                          metadata={'purpose': 'tests'})
    backup_id = stock.back_up(volume)

    target_id = restored_to_new(ours, backup_id)

    assert cloud.volume(target_id)['display_name'] == 'the name'
    assert cloud.metadata(target_id)['purpose'] == 'tests'
