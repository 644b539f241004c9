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


"""Drivers whose calls fail on demand, and repositories of them."""

import contextlib
import pathlib
import shutil
import threading
import time

from chunked_backup import errors
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.drivers.posix import PosixBackupDriver
from chunked_backup.hosts.standalone import writer
from tests import support

BLOCK, CHUNK = support.BLOCK, support.CHUNK
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

    def driver(self, faults=None):
        if self.kind == 'memory':
            driver = FaultyMemory(None, CHUNK, BLOCK, stores=self.stores)
        else:
            driver = FaultyPosix(None)
        driver.faults = faults or Faults()
        return driver

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


def no_writer_is_alive(monkeypatch):
    """Have this process not protect what it pretends to have died over."""
    monkeypatch.setattr(writer, 'is_alive', lambda name: False)
