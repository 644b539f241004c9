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

"""An operator changes from Cinder's driver to ours, and back again."""

import pytest

from tests.cinder import images
from tests.cinder.cloud import OUR_POSIX
from tests.cinder.cloud import STOCK_POSIX
from tests.cinder.cloud import VOLUME_BYTES

BOTH = pytest.mark.parametrize('before, after', [
    (STOCK_POSIX, OUR_POSIX), (OUR_POSIX, STOCK_POSIX)],
    ids=('to-ours', 'back-to-stock'))


def test_a_backup_of_ours_names_the_driver_of_cinder(threads, cloud):
    backup_id = threads.back_up(threads.volume(images.first()))

    assert cloud.backup(backup_id)['service'] == STOCK_POSIX


def test_a_backup_of_ours_names_ours_where_that_is_wanted(threads, cloud):
    with threads.configured(sections={
            'chunked_backup': {'record_cinder_driver': False}}):
        backup_id = threads.back_up(threads.volume(images.first()))
    assert cloud.backup(backup_id)['service'] == OUR_POSIX

    target = threads.volume(images.dirt(), 'block')
    threads.bring_back(backup_id, target)
    assert target.read(VOLUME_BYTES) == images.first()
    threads.remove(backup_id)


@BOTH
def test_all_that_can_be_done_with_a_backup_can_be_done(new_cloud, mode,
                                                        before, after):
    """After a restart with the other driver, and nothing else changed."""
    cloud = new_cloud()
    points = images.history()[:3]
    with cloud.service(before, mode) as service:
        volume = service.volume(points[0])
        full = service.back_up(volume)
        volume.write(points[1])
        incremental = service.back_up(volume, incremental=True)

    with cloud.service(after, mode) as service:
        assert cloud.backup(full)['service'] == STOCK_POSIX
        target = service.volume(images.dirt(), 'block')
        service.bring_back(incremental, target)
        assert target.read(VOLUME_BYTES) == points[1]

        volume.write(points[2])
        next_one = service.back_up(volume, incremental=True)
        assert cloud.backup(next_one)['parent_id'] == incremental
        service.bring_back(next_one, target)
        assert target.read(VOLUME_BYTES) == points[2]

        record = service.export_record(backup_id=full)
        assert record['backup_service'] == STOCK_POSIX

        service.reset_status(backup_id=next_one, status='error')
        assert service.wait('reset_status', next_one)['error'] is None
        assert cloud.backup(next_one)['status'] == 'error'
        for backup_id in (next_one, incremental, full):
            service.remove(backup_id)
            assert cloud.objects(backup_id) == []


@BOTH
def test_an_exported_record_is_imported_by_another_cloud(new_cloud, before,
                                                         after):
    points = images.history()[:2]
    here, there = new_cloud('here'), new_cloud('there')
    with here.service(before) as service:
        volume = service.volume(points[0])
        backups = [service.back_up(volume, name='first',
                                   description='the first of two')]
        volume.write(points[1])
        backups.append(service.back_up(volume, incremental=True))
        records = [service.export_record(backup_id=backup_id)
                   for backup_id in backups]

    options = {'backup_posix_path': here.repository}
    with there.service(after, options=options) as service:
        for backup_id, record in zip(backups, records, strict=True):
            assert service.import_record(**record) == backup_id
            assert service.wait('import', backup_id)['error'] is None
        row = there.backup(backups[0])
        assert row['status'] == 'available'
        assert row['display_name'] == 'first'
        assert row['display_description'] == 'the first of two'
        target = service.volume(images.dirt(), 'block')
        for backup_id, point in zip(backups, points, strict=True):
            service.bring_back(backup_id, target)
            assert target.read(VOLUME_BYTES) == point


def test_a_backup_whose_service_was_killed_is_in_error_and_can_be_deleted(
        new_cloud):
    cloud = new_cloud()
    with cloud.service(OUR_POSIX) as service:
        volume = service.volume(images.first(), 'file-like', delay_s=0.3)
        backup_id = service.create_backup(volume_id=volume.id)
        service.wait_until('an object is stored',
                           lambda: cloud.objects(backup_id))
        service.kill()
    assert cloud.backup(backup_id)['status'] == 'creating'

    with cloud.service(OUR_POSIX) as service:
        service.wait_until(
            'the backup is in error',
            lambda: cloud.backup(backup_id)['status'] == 'error')
        assert cloud.volume(volume.id)['status'] == 'available'
        service.remove(backup_id)
        assert cloud.objects(backup_id) == []


def test_a_deletion_that_stock_has_begun_is_finished_at_the_start(new_cloud,
                                                                  mode):
    cloud = new_cloud()
    with cloud.service(STOCK_POSIX, mode) as service:
        backup_id = service.back_up(service.volume(images.first()))
    cloud.change('backups', backup_id, status='deleting')

    with cloud.service(OUR_POSIX, mode) as service:
        assert service.wait('delete', backup_id)['error'] is None
        assert cloud.backup(backup_id)['deleted']
        assert cloud.objects(backup_id) == []
