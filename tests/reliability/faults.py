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


"""Drivers whose calls fail on demand, and what the tests ask afterwards."""

import contextlib
import pathlib
import random
import shutil
import threading
import time

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.drivers.posix import PosixBackupDriver
from chunked_backup.hosts.standalone import garbage
from chunked_backup.hosts.standalone import writer
from chunked_backup.model import Status
from tests import support

BLOCK, CHUNK = support.BLOCK, support.CHUNK
NAMES = formats.names
#: error: the call has no effect; timeout: the same, worth another try;
#: partial: half of what is written or read, then an error; lost: the call has
#: its effect and fails, worth another try; slow: it takes its time.
KINDS = ('error', 'timeout', 'partial', 'lost', 'slow')
TRANSIENT = ('timeout', 'lost')


class Faults:
    """Which call fails, and how; ``calls`` counts them.

    :param act: is called at the call in place of a fault, as to end the
        process there.
    """

    def __init__(self, kind='', number=None, act=None):
        self.kind = kind
        self.number = number
        self.act = act
        self.calls = 0
        self.fired = 0
        self._lock = threading.Lock()

    def call(self, function, *arguments, partly=None):
        """Do it, unless this is the call that fails.

        :param partly: does half of it.
        """
        with self._lock:
            number, self.calls = self.calls, self.calls + 1
        if number != self.number:
            return function(*arguments)
        self.fired += 1
        if self.act:
            self.act()
        if self.kind == 'slow':
            time.sleep(0.002)
            return function(*arguments)
        if self.kind == 'partial' and partly:
            partly()
        elif self.kind == 'lost':
            function(*arguments)
        kind = (errors.TransientDriverError if self.kind in TRANSIENT
                else errors.DriverError)
        raise kind(container='made', object_name='to',
                   reason=f'fail at call {number}: {self.kind}')


class _Writer:
    def __init__(self, inner, faults):
        self._inner = inner
        self._faults = faults

    def write(self, data):
        self._faults.call(
            self._inner.write, data,
            partly=lambda: self._inner.write(data[:len(data) // 2]))


class _Reader:
    def __init__(self, inner, faults):
        self._inner = inner
        self._faults = faults

    def read(self, size):
        return self._faults.call(self._inner.read, size)


class _Faulty:
    """Mixed into a driver: each of its calls may fail."""

    takes_memoryviews = False
    faults = Faults()

    def put_container(self, container):
        self.faults.call(super().put_container, container)

    def get_container_entries(self, container, prefix):
        return self.faults.call(super().get_container_entries, container,
                                prefix)

    def get_object_ages(self, container, prefix):
        return self.faults.call(super().get_object_ages, container, prefix)

    def get_object_writer(self, container, object_name, extra_metadata=None):
        return self._writing(super().get_object_writer, container,
                             object_name)

    def get_exclusive_writer(self, container, object_name,
                             extra_metadata=None):
        return self._writing(super().get_exclusive_writer, container,
                             object_name)

    @contextlib.contextmanager
    def _writing(self, opened, container, object_name):
        with contextlib.ExitStack() as stack:
            inner = stack.enter_context(opened(container, object_name))
            self.faults.call(lambda: None)
            yield _Writer(inner, self.faults)
            # Leaving it normally is the call; a fault leaves it by an error,
            # or after it has been stored.
            committed = stack.pop_all()
            try:
                self.faults.call(committed.close)
            except BaseException as exc:
                committed.__exit__(type(exc), exc, exc.__traceback__)
                raise

    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        self.faults.call(lambda: None)
        with super().get_object_reader(container, object_name) as inner:
            yield _Reader(inner, self.faults)

    def delete_object(self, container, object_name):
        self.faults.call(super().delete_object, container, object_name)

    def discard_container(self, container):
        self.faults.call(super().discard_container, container)

    def get_unfinished(self, container):
        return self.faults.call(super().get_unfinished, container)

    def discard_unfinished(self, container, unfinished):
        self.faults.call(super().discard_unfinished, container, unfinished)


class FaultyMemory(_Faulty, MemoryBackupDriver):
    pass


class FaultyPosix(_Faulty, PosixBackupDriver):
    pass


class Repository:
    """A repository of one kind, to be put back to how it was."""

    def __init__(self, kind, directory):
        self.kind = kind
        self.path = pathlib.Path(directory, 'repository')
        self.stores = {}
        support.override('chunked_backup_posix', chunk_size_bytes=CHUNK,
                         sha_block_size_bytes=BLOCK, path=str(self.path))

    def service(self, faults=None):
        if self.kind == 'memory':
            driver = FaultyMemory(None, CHUNK, BLOCK, stores=self.stores)
        else:
            driver = FaultyPosix(None)
        driver.faults = faults or Faults()
        return support.service(driver)

    def save(self):
        if self.kind == 'memory':
            return {name: dict(objects)
                    for name, objects in self.stores.items()}
        saved = self.path.with_name('saved')
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(self.path, saved)
        return saved

    def put_back(self, saved):
        if self.kind == 'memory':
            self.stores.clear()
            self.stores.update({name: dict(objects)
                                for name, objects in saved.items()})
        else:
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.copytree(saved, self.path)

    def files(self):
        """Everything that is stored: (container, name)."""
        if self.kind == 'memory':
            return {(container, name)
                    for container, objects in self.stores.items()
                    for name in objects}
        return {(str(path.parent.relative_to(self.path)), path.name)
                for path in self.path.rglob('*') if not path.is_dir()}


class Story:
    """A volume with a full backup and an incremental, in a repository.

    ``contents`` is what each available backup has to restore to.
    """

    def __init__(self, repository, directory):
        self.repository = repository
        self.volume = pathlib.Path(directory, 'volume')
        rng = random.Random(1)
        self.data = bytearray(rng.randbytes(2 * CHUNK) + bytes(CHUNK)
                              + b'text ' * 400)
        self.volume.write_bytes(self.data)
        service = repository.service()
        self.full = service.backup(str(self.volume)).id
        self.contents = {self.full: bytes(self.data)}
        self.data[100:105] = b'other'
        self.data[CHUNK:CHUNK + BLOCK] = bytes(BLOCK)
        self.volume.write_bytes(self.data)
        self.child = service.backup(str(self.volume), incremental=True).id
        self.contents[self.child] = bytes(self.data)
        self.data[2 * CHUNK:2 * CHUNK + 7] = b'changed'
        self.volume.write_bytes(self.data)

    def leave_garbage(self):
        """What a killed writer leaves: objects, and a record."""
        service = self.repository.service()
        backup = service.backup(str(self.volume))
        backup.status, backup.writer = Status.CREATING, None
        service.driver.host.catalogue.save(backup)
        service.driver.delete_object(
            backup.container, NAMES.manifest(backup.service_metadata))
        return backup.id

    def problems(self, contents=None, changed=False):
        """What is wrong with the repository: nothing, as it should be.

        :param contents: what the backups have to restore to.
        :param changed: whether other backups may be there, which then have
            to be sound.
        """
        contents = self.contents if contents is None else contents
        service = self.repository.service()
        found = {backup.id: backup for backup in service.backups()
                 if backup.status == Status.AVAILABLE}
        for backup_id, expected in contents.items():
            if backup_id not in found:
                yield f'{backup_id} is gone'
                continue
            try:
                target = support.restored(service, found[backup_id], False,
                                          b'\xa5' * (len(expected) + 9))
            except errors.ChunkedBackupError as exc:
                yield f'{backup_id}: {exc}'
                continue
            if target != expected:
                yield f'{backup_id} has wrong bytes'
        for backup_id in found.keys() - contents.keys():
            if not changed:
                yield f'{backup_id} is more than there should be'
                continue
            try:
                service.verify(found[backup_id])
            except errors.ChunkedBackupError as exc:
                yield f'{backup_id} passes for available: {exc}'

    def collect(self):
        """Collect all garbage, nobody being at work; what is left of it."""
        service = self.repository.service()
        garbage.collect(service.driver, grace_s=0)
        return self.leftovers(service)

    def leftovers(self, service=None):
        """Files that are no part of a backup that is available or has the
        status error."""
        service = service or self.repository.service()
        records = service.backups()
        return [
            (container, name)
            for container, name in self.repository.files()
            if not any(
                name == 'chunked_backup_record_' + backup.id
                or container == backup.container and NAMES.belongs_to(
                    backup.service_metadata, name)
                for backup in records
                if backup.status in (Status.AVAILABLE, Status.ERROR))]


def no_writer_is_alive(monkeypatch):
    """Have this process not protect what it pretends to have died over."""
    monkeypatch.setattr(writer, 'is_alive', lambda name: False)
