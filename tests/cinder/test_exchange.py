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

"""What one driver writes, the other restores and goes on with."""

import pytest

from tests.cinder import images
from tests.cinder.cloud import BLOCK
from tests.cinder.cloud import CHUNK
from tests.cinder.cloud import OUR_POSIX
from tests.cinder.cloud import STOCK_POSIX
from tests.cinder.cloud import VOLUME_BYTES

CODECS = ('none', 'zlib', 'bz2', 'zstd')


def back_up_history(writers, points):
    """A chain of a volume that goes through ``points``; the ids.

    :param writers: the services that write the levels, in turn.
    """
    volume = writers[0].volume(b'')
    backups = []
    for index, point in enumerate(points):
        volume.write(point)
        backups.append(writers[index % len(writers)].back_up(
            volume, incremental=index > 0))
    return backups


def restored(service, backup_id, target):
    """What a block device full of old data holds after a restore."""
    target.write(images.dirt())
    service.bring_back(backup_id, target)
    return target.read(VOLUME_BYTES)


@pytest.mark.parametrize('codec, mode', [
    *((codec, 'threads') for codec in CODECS), ('zlib', 'eventlet')])
@pytest.mark.parametrize('writer, reader', [
    (STOCK_POSIX, OUR_POSIX), (OUR_POSIX, STOCK_POSIX),
    (OUR_POSIX, OUR_POSIX)], ids=('ours-reads', 'stock-reads', 'ours'))
def test_every_point_is_restored(services, writer, reader, codec, mode):
    writer, reader = services(writer, mode), services(reader, mode)
    points = images.history()
    with writer.configured(backup_compression_algorithm=codec):
        backups = back_up_history([writer], points)
    target = reader.volume(images.dirt(), 'block')

    for backup_id, point in zip(backups, points, strict=True):
        assert restored(reader, backup_id, target) == point


@pytest.mark.parametrize('first', ('stock', 'ours'))
def test_a_chain_that_alternates_is_restored_by_both(stock, ours, first):
    points = images.history()
    backups = back_up_history(
        [stock, ours] if first == 'stock' else [ours, stock], points)
    target = ours.volume(images.dirt(), 'block')

    for backup_id, point in zip(backups, points, strict=True):
        assert restored(stock, backup_id, target) == point
        assert restored(ours, backup_id, target) == point


@pytest.mark.parametrize('codec', CODECS)
def test_levels_with_different_codecs_are_one_chain(threads, stock_threads,
                                                    codec):
    """Objects say how they are compressed, each for itself."""
    points = images.history()[:2]
    volume = threads.volume(points[0])
    threads.back_up(volume)
    volume.write(points[1])
    with threads.configured(backup_compression_algorithm=codec):
        backup_id = threads.back_up(volume, incremental=True)
    target = threads.volume(images.dirt(), 'block')

    assert restored(stock_threads, backup_id, target) == points[1]
    assert restored(threads, backup_id, target) == points[1]


def test_changes_near_each_other_are_one_object_that_stock_restores(
        threads, stock_threads, cloud):
    before = images.first()
    after = images.changed(before, 2, 4)
    first, second = back_up_history([threads], [before, after])

    assert cloud.backup(second)['object_count'] == 1
    target = threads.volume(images.dirt(), 'block')
    assert restored(stock_threads, second, target) == after


def test_a_volume_of_zeros_is_restored_by_both(threads, stock_threads):
    backup_id, = back_up_history([threads], [bytes(VOLUME_BYTES)])
    target = threads.volume(images.dirt(), 'block')

    assert restored(stock_threads, backup_id, target) == bytes(VOLUME_BYTES)
    assert restored(threads, backup_id, target) == bytes(VOLUME_BYTES)


@pytest.mark.parametrize('full_by', ('stock', 'ours'))
def test_a_volume_that_has_grown_is_backed_up_incrementally(
        threads, stock_threads, full_by):
    """Stock refuses ("Volume size increased"), but restores the result."""
    small = images.first()
    large = images.changed(small, 5) + images.first(7, 3 * CHUNK)
    volume = threads.volume(small)
    {'ours': threads, 'stock': stock_threads}[full_by].back_up(volume)
    volume.write(large)
    threads.update_volume(volume_id=volume.id, size=2)
    backup_id = threads.back_up(volume, incremental=True)
    target = threads.volume(images.dirt(len(large)), 'block', size=2)

    for reader in (threads, stock_threads):
        target.write(images.dirt(len(large)))
        reader.bring_back(backup_id, target)
        assert target.read(len(large)) == large


def test_a_device_longer_by_a_block_is_backed_up_incrementally(
        threads, stock_threads):
    """Stock fails with an IndexError, but restores the result."""
    before = images.first()[:8 * CHUNK]
    after = before + images.first(9)[:BLOCK]
    _, backup_id = back_up_history([threads], [before, after])
    target = threads.volume(images.dirt(), 'block')

    assert restored(threads, backup_id, target)[:len(after)] == after
    assert restored(stock_threads, backup_id, target)[:len(after)] == after


def test_a_volume_that_has_shrunk_is_backed_up_incrementally(threads,
                                                             stock_threads):
    """Stock leaves the tail of the parent behind the end."""
    large = images.first()
    small = images.changed(large, 3)[:5 * CHUNK]
    _, backup_id = back_up_history([threads], [large, small])
    target = threads.volume(images.dirt(), 'block')

    brought_back = restored(threads, backup_id, target)
    assert brought_back[:len(small)] == small
    assert brought_back[len(small):] == images.dirt()[len(small):]
    assert restored(stock_threads, backup_id, target)[:len(small)] == small
