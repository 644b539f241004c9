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


"""A backup whose writer was killed, and which goes on."""

import contextlib
import random

import pytest

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.hosts.standalone import writer
from chunked_backup.model import Status
from tests import support

BLOCK, CHUNK = support.BLOCK, support.CHUNK


class Killed(BaseException):
    """The process ends here: nothing cleans up."""


class WritingDriver(MemoryBackupDriver):
    """Counts the objects that are stored, and dies after so many."""

    takes_memoryviews = False

    def __init__(self, stores):
        super().__init__(None, CHUNK, BLOCK, stores=stores)
        self.written = []
        self.dies_after = None

    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        is_data = not object_name.startswith('chunked_backup_')
        if is_data and self.dies_after == len(self.written):
            raise Killed()
        with super().get_object_writer(container, object_name) as inner:
            yield inner
        if is_data:
            self.written.append(object_name)

    def delete_object(self, container, object_name):
        if self.dies_after != len(self.written):
            super().delete_object(container, object_name)


@pytest.fixture
def stores():
    return {}


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(random.Random(1).randbytes(5 * CHUNK) + bytes(2 * CHUNK)
                     + b'text ' * 2000)
    return path


@pytest.fixture(autouse=True)
def _one_after_the_other(each_format):
    support.override(executor='serial')


def service_of(stores):
    return support.service(WritingDriver(stores))


def killed(stores, volume, after, **keywords):
    """A backup whose writer died when it had stored so many objects."""
    service = service_of(stores)
    service.driver.dies_after = after
    with pytest.raises(Killed):
        service.backup(str(volume), **keywords)
    [backup] = [each for each in service.backups()
                if each.status == Status.CREATING]
    backup.writer = 'elsewhere'
    service.driver.host.catalogue.save(backup)
    return backup


@pytest.fixture
def dead(monkeypatch):
    """All writers of other processes are known to be dead."""
    is_alive = writer.is_alive
    monkeypatch.setattr(writer, 'is_alive', lambda name: (
        False if name == 'elsewhere' else is_alive(name)))


def undisturbed(volume):
    """What a backup of the volume stores: name's end -> bytes."""
    stores = {}
    backup = service_of(stores).backup(str(volume))
    return contents(stores, backup)


def contents(stores, backup):
    prefix = backup.service_metadata
    return {name.removeprefix(prefix): data
            for name, data in stores['backups'].items()
            if name.startswith(prefix) and not name.endswith('_metadata')
            and not name.endswith('_sha256file')}


@pytest.mark.parametrize('codec', ['none', 'zlib', 'bz2', 'zstd'])
@pytest.mark.parametrize('after', [0, 1, 4, 8, 9, 10])
def test_it_goes_on_where_it_was(stores, volume, dead, codec, after):
    support.override(compression_algorithm=codec)
    whole = undisturbed(volume)
    objects = len(whole)
    backup = killed(stores, volume, min(after, objects + 1))
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert done.status == Status.AVAILABLE
    assert done.object_count == objects
    assert len(service.driver.written) == (
        objects + 2 - min(after, objects))
    assert contents(stores, done) == whole
    assert service.verify(done).volume_bytes == volume.stat().st_size
    assert support.restored(service, done) == volume.read_bytes()


def test_an_incremental_goes_on(stores, volume, dead):
    full = service_of(stores).backup(str(volume))
    old = volume.read_bytes()
    with volume.open('r+b') as file:
        for chunk in range(5):
            file.seek(chunk * CHUNK)
            file.write(b'changed.' * (CHUNK // 8))
    backup = killed(stores, volume, 3, incremental=True)
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert len(service.driver.written) == 5 - 3 + 2
    assert support.restored(service, done) == volume.read_bytes()
    assert support.restored(service, service.find(full.id)) == old


def test_what_has_changed_since_is_stored_anew(stores, volume, dead):
    backup = killed(stores, volume, 6)
    data = bytearray(volume.read_bytes())
    data[CHUNK + 5] ^= 1
    volume.write_bytes(data)
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert any(name.endswith('-00002') for name in service.driver.written)
    assert not any(name.endswith('-00001')
                   for name in service.driver.written)
    assert support.restored(service, done) == data
    service.verify(done)


@pytest.mark.parametrize('change', [
    lambda data: data[:-1], lambda data: data + b'x', lambda data: b'',
    lambda data: bytes([data[0] ^ 1]) + data[1:]])
@pytest.mark.parametrize('codec', ['none', 'zlib'])
def test_what_is_damaged_is_stored_anew(stores, volume, dead, change, codec):
    support.override(compression_algorithm=codec)
    backup = killed(stores, volume, 6)
    objects = stores['backups']
    names = sorted(name for name in objects if name.startswith('volume_'))
    for name in names:
        objects[name] = change(objects[name])
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert {name for name in service.driver.written} >= set(names)
    assert support.restored(service, done) == volume.read_bytes()
    service.verify(done)


def test_a_volume_that_has_shrunk_leaves_no_strays(stores, volume, dead):
    backup = killed(stores, volume, 6)
    data = volume.read_bytes()[:2 * CHUNK]
    volume.write_bytes(data)
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert len(contents(stores, done)) == 2
    assert support.restored(service, done) == data


def test_other_settings_never_give_wrong_bytes(stores, volume, dead):
    backup = killed(stores, volume, 6)
    support.override(compression_algorithm='zstd')
    service = support.service(MemoryBackupDriver(
        None, 3 * BLOCK, BLOCK, stores=stores))
    done = service.resume(service.find(backup.id))
    assert support.restored(service, done) == volume.read_bytes()
    service.verify(done)


@pytest.mark.parametrize('codec', ['none', 'zlib'])
def test_another_format_never_gives_wrong_bytes(stores, volume, dead, codec,
                                                each_format):
    """As when the release before had another default."""
    support.override(compression_algorithm=codec)
    backup = killed(stores, volume, 6)
    [other] = {*formats.VERSIONS} - {each_format}
    support.override(format_version=other)
    whole = undisturbed(volume)
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert done.format_version == other
    assert contents(stores, done) == whole
    assert support.restored(service, done) == volume.read_bytes()
    service.verify(done)


def test_one_that_was_committed_is_adopted(stores, volume, dead):
    service = service_of(stores)
    backup = service.backup(str(volume))
    backup.status, backup.writer = Status.CREATING, 'elsewhere'
    service.driver.host.catalogue.save(backup)
    before = dict(stores['backups'])
    service = service_of(stores)
    done = service.resume(service.find(backup.id))
    assert done.status == Status.AVAILABLE
    assert service.driver.written == []
    assert stores['backups'].keys() == before.keys()
    assert support.restored(service, service.find(done.id)) == (
        volume.read_bytes())


@pytest.mark.parametrize('status', [Status.AVAILABLE, Status.ERROR,
                                    Status.DELETING])
def test_only_an_unfinished_one_is_resumed(stores, volume, status):
    service = service_of(stores)
    backup = service.backup(str(volume))
    backup.status = status
    service.driver.host.catalogue.save(backup)
    before = dict(stores['backups'])
    with pytest.raises(errors.BackupNotResumable):
        service.resume(service.find(backup.id))
    assert stores['backups'] == before


def test_a_writer_that_may_be_alive_is_left_alone(stores, volume,
                                                  monkeypatch):
    backup = killed(stores, volume, 3)
    before = dict(stores['backups'])
    for name in ('elsewhere', None, writer.current()):
        service = service_of(stores)
        backup.writer = name
        service.driver.host.catalogue.save(backup)
        for ages in (None, {}):
            monkeypatch.setattr(
                service.driver, 'get_object_ages', lambda _, prefix: (
                    {prefix: 899.0} if ages is not None else None))
            with pytest.raises(errors.BackupNotResumable):
                service.resume(service.find(backup.id))
    assert stores['backups'].keys() == before.keys()


def test_a_writer_that_was_not_heard_of_for_long_is_taken_over(
        stores, volume, monkeypatch):
    backup = killed(stores, volume, 3)
    service = service_of(stores)
    monkeypatch.setattr(
        service.driver, 'get_object_ages', lambda _, prefix: {prefix: 901.0})
    done = service.resume(service.find(backup.id))
    assert support.restored(service, done) == volume.read_bytes()
    assert service.driver.host.catalogue.signs_of_life() == []


def test_a_container_that_is_gone_is_made_again(stores, volume, dead):
    backup = killed(stores, volume, 3)
    service = service_of(stores)
    backup.container = 'gone'
    service.driver.host.catalogue.save(backup)
    done = service.resume(service.find(backup.id))
    assert support.restored(service, done) == volume.read_bytes()


def test_garbage_that_is_being_collected_is_not_resumed(stores, volume, dead,
                                                        monkeypatch):
    backup = killed(stores, volume, 3)
    service = service_of(stores)
    catalogue = service.driver.host.catalogue
    show_life = catalogue.show_life

    def collected_meanwhile(backup_id):
        show_life(backup_id)
        backup.status = Status.DELETING
        catalogue.save(backup)

    monkeypatch.setattr(catalogue, 'show_life', collected_meanwhile)
    with pytest.raises(errors.BackupNotResumable):
        service.resume(service.find(backup.id))
    assert service.driver.written == []


def test_a_resume_that_fails_leaves_nothing(stores, volume, dead):
    backup = killed(stores, volume, 3)
    service = service_of(stores)

    def fail(*_, **__):
        raise errors.OutOfSpace(container='c', object_name='o', reason='full')

    service.driver.get_exclusive_writer = fail
    with pytest.raises(errors.OutOfSpace):
        service.resume(service.find(backup.id))
    assert stores['backups'] == {}
