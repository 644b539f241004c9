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

"""What Cinder hands over as a volume: files, block devices, objects."""

import pytest

from tests.cinder import images
from tests.cinder.cloud import CHUNK
from tests.cinder.cloud import OUR_POSIX
from tests.cinder.cloud import VOLUME_BYTES

KINDS = ('file', 'block', 'file-like')


@pytest.mark.parametrize('kind', KINDS)
def test_a_chain_from_a_device_is_restored_to_it(ours, kind):
    before, after = images.history()[:2]
    volume = ours.volume(before, kind)
    full = ours.back_up(volume)
    volume.write(after)
    incremental = ours.back_up(volume, incremental=True)

    for backup_id, point in ((full, before), (incremental, after)):
        volume.write(images.dirt())
        ours.bring_back(backup_id, volume)
        assert volume.read(VOLUME_BYTES) == point


@pytest.mark.parametrize('kind', KINDS)
def test_a_chain_is_restored_to_a_new_device(ours, kind):
    before, after = images.history()[:2]
    volume = ours.volume(before)
    ours.back_up(volume)
    volume.write(after)
    backup_id = ours.back_up(volume, incremental=True)
    target = ours.volume(bytes(VOLUME_BYTES), kind)

    ours.bring_back(backup_id, target, is_new=True)

    assert target.read(VOLUME_BYTES) == after


def test_a_snapshot_is_backed_up_in_place_of_its_volume(ours, cloud):
    then, now = images.history()[:2]
    volume = ours.volume(now)
    snapshot_id = ours.create_snapshot(volume_id=volume.id, device={
        'kind': 'path', 'path': str(cloud.file(then))})
    backup_id = ours.back_up(volume, snapshot_id=snapshot_id)
    target = ours.volume(images.dirt(), 'block')

    ours.bring_back(backup_id, target)

    assert target.read(VOLUME_BYTES) == then
    snapshot, = cloud.rows('snapshots', id=snapshot_id)
    assert snapshot['status'] == 'available'


def test_the_rest_of_a_larger_volume_is_left_alone(ours):
    data = images.first()
    backup_id = ours.back_up(ours.volume(data))
    old = images.dirt(VOLUME_BYTES + CHUNK)
    target = ours.volume(old, 'block', size=2)

    ours.bring_back(backup_id, target)

    assert target.read(len(old)) == data + old[len(data):]


def test_a_device_that_is_too_small_is_not_written(threads, cloud):
    backup_id = threads.back_up(threads.volume(images.first()))
    target = threads.volume(images.dirt(CHUNK), 'block')

    done = threads.try_to_bring_back(backup_id, target)

    assert done['error'] == 'InvalidVolume'
    assert cloud.volume(target.id)['status'] == 'error_restoring'
    assert target.read(CHUNK) == images.dirt(CHUNK)


def test_backups_of_several_volumes_run_at_the_same_time(ours):
    points = [images.first(seed) for seed in range(10, 14)]
    volumes = [ours.volume(point) for point in points]
    backups = [ours.create_backup(volume_id=volume.id) for volume in volumes]
    for backup_id in backups:
        assert ours.wait('backup', backup_id)['error'] is None
    targets = [ours.volume(images.dirt(), 'block') for _ in points]
    for backup_id, target in zip(backups, targets, strict=True):
        ours.restore(backup_id=backup_id, volume_id=target.id)
    for backup_id in backups:
        assert ours.wait('restore', backup_id)['error'] is None

    assert [target.read(VOLUME_BYTES) for target in targets] == points


def test_nobody_else_waits_while_a_device_is_slow(services):
    """Under eventlet one native thread runs everything but what is given
    away."""
    ours = services(OUR_POSIX, 'eventlet')
    ours.calls_on_the_hub()
    delay_s = 0.2
    volume = ours.volume(images.first(), 'file-like', delay_s=delay_s)
    backup_id, done = ours.try_to_back_up(volume)
    assert done['error'] is None
    assert ours.calls_on_the_hub() == []
    # All chunks one after the other, had the service stood still.
    assert done['longest_pause_s'] < 8 * delay_s

    target = ours.volume(images.dirt(), 'file-like', delay_s=delay_s)
    done = ours.bring_back(backup_id, target)
    assert ours.calls_on_the_hub() == []
    assert done['longest_pause_s'] < 8 * delay_s


def test_the_number_of_queries_does_not_grow_with_that_of_objects(ours):
    with ours.configured(backup_file_size=32768,
                         sections={'chunked_backup': {'parallelism': 1}}):
        backup_id, many = ours.try_to_back_up(
            ours.volume(images.changed(bytes(VOLUME_BYTES), *range(65))))
    assert ours.cloud.backup(backup_id)['object_count'] >= 65
    restored_many = ours.bring_back(backup_id, ours.volume(b''))
    backup_id, few = ours.try_to_back_up(ours.volume(images.first()))
    restored_few = ours.bring_back(backup_id, ours.volume(b''))

    # They do grow by one with each second of work.
    assert many['queries'] <= few['queries'] + 10
    assert restored_many['queries'] <= restored_few['queries'] + 10
