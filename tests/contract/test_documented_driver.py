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

"""A driver as Cinder's documentation describes one works with all verbs.

It has the abstract methods and a prefix, nothing else: its writer collects
and commits when it is closed, its reader reads whole objects.
"""

import random

import pytest

from chunked_backup import driver
from chunked_backup import errors
from chunked_backup.testing import contract
from tests import support


class Store:
    def __init__(self):
        self.containers = {}


class Writer:
    def __init__(self, objects, object_name):
        self.objects = objects
        self.object_name = object_name
        self.data = None

    def __enter__(self):
        self.data = bytearray()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.close()

    def close(self):
        self.objects[self.object_name] = bytes(self.data)

    def write(self, data):
        if type(data) is not bytes:
            raise TypeError(f'bytes were expected, not {type(data)}')
        self.data += data


class Reader:
    def __init__(self, data):
        self.data = data

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def close(self):
        self.data = None

    def read(self):
        return self.data


class DocumentedDriver(driver.ChunkedBackupDriver):
    def __init__(self, context, store):
        super().__init__(context, support.CHUNK, support.BLOCK, 'documented',
                         False)
        self.store = store
        self.extra_seen = []

    def put_container(self, container):
        self.store.containers.setdefault(container, {})

    def get_container_entries(self, container, prefix):
        return [name for name in list(self.objects(container))
                if name.startswith(prefix)]

    def get_object_writer(self, container, object_name, extra_metadata=None):
        if not object_name:
            raise errors.InvalidName(kind='object', name=object_name,
                                     reason='it is empty')
        return Writer(self.objects(container), object_name)

    def get_object_reader(self, container, object_name, extra_metadata=None):
        self.extra_seen.append(extra_metadata)
        if object_name not in self.objects(container):
            raise errors.ObjectNotFound(container=container,
                                        object_name=object_name)
        return Reader(self.objects(container)[object_name])

    def delete_object(self, container, object_name):
        self.objects(container).pop(object_name, None)

    def _generate_object_name_prefix(self, backup):
        return 'backup_' + backup.id

    def update_container_name(self, backup, container):
        return None

    def get_extra_metadata(self, backup, volume):
        return {'volume': volume['id']}

    def objects(self, container):
        if container not in self.store.containers:
            raise errors.ContainerNotFound(container=container,
                                           reason='it was never made')
        return self.store.containers[container]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def service(store):
    return support.service(DocumentedDriver(None, store))


@pytest.mark.parametrize('promise', contract.PROMISES, ids=str)
def test_it_keeps_the_promises_that_it_gives(store, promise):
    outcome = contract.check(DocumentedDriver(None, store), promise)
    assert (outcome == contract.Outcome.KEPT) == (promise.name not in (
        'writers_take_memoryviews', 'writers_keep_no_buffer',
        'objects_are_read_in_pieces', 'an_empty_object_ends_at_once',
        'skipping_is_reading_without_the_bytes',
        'ages_are_those_of_the_objects'))


@pytest.mark.parametrize('codec', ['none', 'zlib', 'bz2', 'zstd'])
def test_it_backs_up_restores_verifies_and_deletes(store, service, tmp_path,
                                                   codec):
    support.override(compression_algorithm=codec)
    volume = tmp_path / 'volume'
    states, backups = [], []
    data = bytearray(random.Random(1).randbytes(40 * support.BLOCK + 100))
    data[5 * support.BLOCK:9 * support.BLOCK] = bytes(4 * support.BLOCK)
    for turn in range(3):
        data[turn * 7000:turn * 7000 + 600] = b'changed ' * 75
        data[10_000 + turn:12_000 + turn] = bytes(2000)
        volume.write_bytes(data)
        states.append(bytes(data))
        backups.append(service.backup(str(volume), incremental=turn > 0))
    assert backups[2].parent_id == backups[1].id
    for backup, state in zip(backups, states):
        assert service.verify(backup).volume_bytes == len(state)
        for is_new, target in ((True, b''), (False, b'\xaa' * 30_000)):
            assert support.restored(service, backup, is_new,
                                    target) == state
    service.delete(backups[0], cascade=True)
    assert store.containers == {'documented': {}}


def test_its_extra_metadata_comes_back_with_every_data_object(
        service, tmp_path):
    volume = tmp_path / 'volume'
    volume.write_bytes(b'data' * 5000)
    backup = service.backup(str(volume))
    del service.driver.extra_seen[:]
    support.restored(service, backup)
    assert service.driver.extra_seen.count(
        {'volume': backup.volume_id}) == backup.object_count


def test_its_backup_that_fails_leaves_nothing(store, service, tmp_path,
                                              monkeypatch):
    volume = tmp_path / 'volume'
    volume.write_bytes(b'data' * 5000)
    real = DocumentedDriver.get_object_writer

    def fail_on_the_manifest(self, container, name, extra_metadata=None):
        if name.endswith('_metadata'):
            raise errors.OutOfSpace(container=container, object_name=name,
                                    reason='full')
        return real(self, container, name, extra_metadata)

    monkeypatch.setattr(DocumentedDriver, 'get_object_writer',
                        fail_on_the_manifest)
    with pytest.raises(errors.OutOfSpace):
        service.backup(str(volume))
    assert store.containers == {'documented': {}}
