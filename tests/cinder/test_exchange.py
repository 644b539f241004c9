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

"""What one driver writes, the other restores, goes on with and deletes.

The tests that are marked ``exchange`` are counted by driver, mode and
direction; see tables.py.
"""

import dataclasses

import pytest

from tests.cinder import cloud as clouds
from tests.cinder import images
from tests.cinder import stores
from tests.cinder import tables
from tests.cinder.cloud import BLOCK
from tests.cinder.cloud import CHUNK
from tests.cinder.cloud import VOLUME_BYTES
from tests.stores.conftest import _no_proxy_of_the_environment  # noqa: F401
from tests.stores.conftest import ceph  # noqa: F401
from tests.stores.conftest import certificate  # noqa: F401
from tests.stores.conftest import directory  # noqa: F401
from tests.stores.conftest import swift_cluster  # noqa: F401
from tests.stores.conftest import swift_proxy  # noqa: F401

CODECS = ('none', 'zlib', 'bz2', 'zstd')

#: Each store by what it is counted as, and the fixture that it is made from.
STORES = {
    'posix': (stores.Posix, 'cloud'), 'nfs': (stores.Nfs, 'cloud'),
    's3': (stores.S3, 'ceph'), 'swift': (stores.Swift, 'swift_proxy')}


@dataclasses.dataclass
class Exchange:
    """Both drivers in one mode on one store: a service for each."""

    store: stores.Store
    stock: clouds.Service
    ours: clouds.Service

    def services(self, names):
        return [getattr(self, name) for name in names]


@pytest.fixture(scope='module', params=[
    (store, mode) for store in STORES for mode in clouds.MODES],
    ids='-'.join)
def exchange(request, cloud):
    name, mode = request.param
    make, server = STORES[name]
    if (name, mode) == ('swift', 'eventlet'):
        make = stores.SwiftOfUsers
    with (make(request.getfixturevalue(server)) as store,
          cloud.service(store.ours, mode, store.options,
                        environment=store.environment) as ours,
          cloud.service(store.stock, mode, store.options,
                        environment=store.environment) as stock):
        for service in (ours, stock):
            store.sign_in(service)
        yield Exchange(store, stock, ours)


def back_up_history(writers, points, codecs=('zlib',)):
    """A chain of a volume that goes through ``points``; the ids.

    :param writers: the services that write the levels, in turn.
    :param codecs: how the levels are compressed, in turn.
    """
    volume = writers[0].volume(b'')
    backups = []
    for index, point in enumerate(points):
        volume.write(point)
        writer = writers[index % len(writers)]
        with writer.configured(backup_compression_algorithm=codecs[
                index % len(codecs)]):
            backups.append(writer.back_up(volume, incremental=index > 0))
    return backups


def restored(service, backup_id, target, size_bytes=VOLUME_BYTES):
    """What a block device full of old data holds after a restore."""
    target.write(images.dirt(size_bytes))
    service.bring_back(backup_id, target)
    return target.read(size_bytes)


@pytest.mark.parametrize('writers, readers', [
    pytest.param(writers, readers, id=direction.replace(' ', '-'),
                 marks=pytest.mark.exchange(direction))
    for direction, writers, readers in (
        (tables.STOCK_TO_OURS, ('stock',), ('ours',)),
        (tables.OURS_TO_STOCK, ('ours',), ('stock',)),
        (tables.OURS_TO_OURS, ('ours',), ('ours',)),
        (tables.STOCK_FIRST, ('stock', 'ours'), ('stock', 'ours')),
        (tables.OURS_FIRST, ('ours', 'stock'), ('ours', 'stock')))])
def test_every_point_is_restored_and_deleted(exchange, writers, readers):
    """With each of the codecs, changes near each other, zeroed blocks, and a
    level in which nothing has changed."""
    readers = exchange.services(readers)
    points = images.history()
    backups = back_up_history(exchange.services(writers), points, CODECS)
    target = readers[0].volume(images.dirt(), 'block')

    for backup_id, point in zip(backups, points, strict=True):
        for reader in readers:
            assert restored(reader, backup_id, target) == point
    for index, backup_id in enumerate(reversed(backups)):
        assert exchange.store.stored(backup_id)
        readers[index % len(readers)].remove(backup_id)
        assert not exchange.store.stored(backup_id)


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('writer, reader', [
    pytest.param('stock', 'ours', marks=pytest.mark.exchange(
        tables.STOCK_TO_OURS), id='ours-reads'),
    pytest.param('ours', 'stock', marks=pytest.mark.exchange(
        tables.OURS_TO_STOCK), id='stock-reads')])
def test_every_codec_is_read(stock, ours, writer, reader, codec):
    """In full backups, too."""
    services = {'stock': stock, 'ours': ours}
    points = images.history()[:2]
    backups = back_up_history([services[writer]], points, [codec])
    target = ours.volume(images.dirt(), 'block')

    for backup_id, point in zip(backups, points, strict=True):
        assert restored(services[reader], backup_id, target) == point


@pytest.mark.exchange(tables.EXTENTS_AND_SIZES)
def test_changes_near_each_other_are_one_object_that_stock_restores(
        ours, stock, cloud):
    before = images.first()
    after = images.changed(before, 2, 4)
    first, second = back_up_history([ours], [before, after])

    assert cloud.backup(second)['object_count'] == 1
    target = ours.volume(images.dirt(), 'block')
    assert restored(stock, second, target) == after


@pytest.mark.exchange(tables.EXTENTS_AND_SIZES)
def test_a_volume_of_zeros_is_restored_by_both(ours, stock):
    backup_id, = back_up_history([ours], [bytes(VOLUME_BYTES)])
    target = ours.volume(images.dirt(), 'block')

    assert restored(stock, backup_id, target) == bytes(VOLUME_BYTES)
    assert restored(ours, backup_id, target) == bytes(VOLUME_BYTES)


@pytest.mark.exchange(tables.EXTENTS_AND_SIZES)
@pytest.mark.parametrize('full_by', ('stock', 'ours'))
def test_a_volume_that_has_grown_is_backed_up_incrementally(ours, stock,
                                                            full_by):
    """Stock refuses ("Volume size increased"), but restores the result."""
    small = images.first()
    large = images.changed(small, 5) + images.first(7, 3 * CHUNK)
    volume = ours.volume(small)
    {'ours': ours, 'stock': stock}[full_by].back_up(volume)
    volume.write(large)
    ours.update_volume(volume_id=volume.id, size=2)
    backup_id = ours.back_up(volume, incremental=True)
    target = ours.volume(images.dirt(len(large)), 'block', size=2)

    for reader in (ours, stock):
        assert restored(reader, backup_id, target, len(large)) == large


@pytest.mark.exchange(tables.EXTENTS_AND_SIZES)
def test_a_device_longer_by_a_block_is_backed_up_incrementally(ours, stock):
    """Stock fails with an IndexError, but restores the result."""
    before = images.first()[:8 * CHUNK]
    after = before + images.first(9)[:BLOCK]
    _, backup_id = back_up_history([ours], [before, after])
    target = ours.volume(images.dirt(), 'block')

    assert restored(ours, backup_id, target)[:len(after)] == after
    assert restored(stock, backup_id, target)[:len(after)] == after


@pytest.mark.exchange(tables.EXTENTS_AND_SIZES)
def test_a_volume_that_has_shrunk_is_backed_up_incrementally(ours, stock):
    """Stock leaves the tail of the parent behind the end."""
    large = images.first()
    small = images.changed(large, 3)[:5 * CHUNK]
    _, backup_id = back_up_history([ours], [large, small])
    target = ours.volume(images.dirt(), 'block')

    brought_back = restored(ours, backup_id, target)
    assert brought_back[:len(small)] == small
    assert brought_back[len(small):] == images.dirt()[len(small):]
    assert restored(stock, backup_id, target)[:len(small)] == small


@pytest.mark.parametrize('first, second', [
    ('ours', 'stock'), ('stock', 'ours')], ids=('ours', 'stock'))
def test_what_one_driver_has_mounted_serves_the_other(cloud, mode, first,
                                                      second):
    """A share is mounted once, in the same place by both."""
    with stores.Nfs(cloud) as store:
        with cloud.service(getattr(store, first), mode, store.options,
                           environment=store.environment) as service:
            backup_id = service.back_up(service.volume(images.first()))
        command, = store.mounted()
        assert command.startswith('-t nfs -o vers=4.2 ')
        with cloud.service(getattr(store, second), mode, store.options,
                           environment=store.environment) as service:
            target = service.volume(images.dirt(), 'block')
            assert restored(service, backup_id, target) == images.first()
        assert store.mounted() == [command]
