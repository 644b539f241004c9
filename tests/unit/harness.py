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

"""What the unit tests share: a host in a dictionary, and drivers that count
or fail."""

import collections
import contextlib
import io
import threading

from chunked_backup import errors
from chunked_backup import host
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.jobs import chain
from chunked_backup.jobs import fetch_object
from chunked_backup.jobs import settings
from chunked_backup.jobs import store_extent
from chunked_backup.model import BackupRecord
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from tests import support


class DictionaryHost(host.Host):
    """Keeps the records of a test, and what it was told."""

    def __init__(self, driver):
        super().__init__(driver)
        self.backups = {}
        self.reports = []
        self.summaries = {}
        self.metadata = {}
        #: What ``status`` answers; the record's own status when it is None.
        self.says = None

    def record(self, backup):
        return backup.to_record()

    def find(self, backup_id):
        try:
            return self.backups[backup_id].to_record()
        except KeyError:
            raise errors.BackupNotFound(name=backup_id) from None

    def update(self, backup, **changes):
        if 'prefix' in changes:
            changes['service_metadata'] = changes.pop('prefix')
        for name, value in changes.items():
            setattr(backup, name, value)

    def status(self, backup):
        return self.says or backup.status

    def progress(self, backup, done_bytes, total_bytes):
        self.reports.append((done_bytes, total_bytes))

    def finished(self, backup, summary):
        backup.status = Status.AVAILABLE
        self.summaries[backup.id] = summary

    def get_metadata(self, volume_id):
        return self.metadata.get(volume_id)

    def put_metadata(self, volume_id, text):
        self.metadata[volume_id] = text


def attach(driver):
    """A driver with a host of its own."""
    driver.host = DictionaryHost(driver)
    return driver


def memory_driver(**keywords):
    return attach(support.memory_driver(**keywords))


def new_backup(driver, backup_id, parent_id=None, volume_id='volume'):
    """A record that is known to the driver's host."""
    backup = Backup(id=backup_id, volume_id=volume_id, parent_id=parent_id,
                    created_at='2026-01-02 03:04:05', display_name='a name')
    driver.host.backups[backup_id] = backup
    return backup


def back_up(driver, backup_id, data, parent_id=None, volume_id='volume'):
    """Back up bytes, or an open file."""
    backup = new_backup(driver, backup_id, parent_id, volume_id)
    volume_file = io.BytesIO(data) if isinstance(data, bytes) else data
    driver.backup(backup, volume_file)
    return backup


def restore(driver, backup, target=b'', volume_is_new=True, **keywords):
    """What a restore leaves in a target that held ``target``."""
    volume_file = io.BytesIO(target)
    backup.status = Status.RESTORING
    try:
        summary = driver.restore(backup, 'other volume', volume_file,
                                 volume_is_new, **keywords)
    finally:
        backup.status = Status.AVAILABLE
    data = volume_file.getvalue()
    return data[:summary.volume_bytes].ljust(summary.volume_bytes, b'\0')


def small_pieces(monkeypatch, count=1024):
    """Have objects of some KiB stream as those of many MiB do."""
    monkeypatch.setattr(settings, 'PIECE_BYTES', count)
    monkeypatch.setattr(fetch_object, 'PIECE_BYTES', count)
    monkeypatch.setattr(store_extent, '_SAMPLE_BYTES', 64)


def objects_of(driver, backup):
    """The names and contents of what a backup has stored."""
    return {name: data
            for name, data in driver.stores.get('backups', {}).items()
            if backup.service_metadata
            and name.startswith(backup.service_metadata)}


def manifest_of(driver, backup):
    """The parsed manifest of a backup."""
    return chain.read_manifest(ObjectStore(driver, backup.container),
                               backup.to_record())


def record(**changes):
    """A record with plain values."""
    values = dict(id='backup', volume_id='volume', container='backups',
                  prefix='prefix', name='a name', created_at='2026-01-02')
    return BackupRecord(**{**values, **changes})


class CountingDriver(MemoryBackupDriver):
    """Counts how often each object is opened for reading, and is given."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self.opened = {}
        self._counting = threading.Lock()

    def get_object_reader(self, container, object_name, extra_metadata=None):
        with self._counting:
            self.opened[object_name] = self.opened.get(object_name, 0) + 1
        return super().get_object_reader(container, object_name,
                                         extra_metadata)


class FailingDriver(MemoryBackupDriver):
    """Fails one call: opening, writing, leaving a writer, or reading.

    ``fail_at`` is the number of the call, from 0; None to count only.
    """

    takes_memoryviews = False
    error = errors.TransientDriverError

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self.fail_at = None
        self.calls = 0
        self._counting = threading.Lock()

    def _call(self, what, name):
        with self._counting:
            number = self.calls
            self.calls += 1
        if number == self.fail_at:
            raise self.error(container='backups', object_name=name,
                             reason=f'{what} was made to fail')

    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        self._call('opening to write', object_name)
        with super().get_object_writer(container, object_name,
                                       extra_metadata) as writer:
            yield _Failing(self, writer, object_name)
            self._call('leaving a writer', object_name)

    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        self._call('opening to read', object_name)
        with super().get_object_reader(container, object_name,
                                       extra_metadata) as reader:
            yield _Failing(self, reader, object_name)


class _Failing:
    def __init__(self, driver, inner, name):
        self._driver = driver
        self._inner = inner
        self._name = name

    def write(self, data):
        self._driver._call('write', self._name)
        return self._inner.write(data)

    def read(self, size):
        self._driver._call('read', self._name)
        return self._inner.read(size)


class CountingFile(io.BytesIO):
    """A target or source without a descriptor that counts what is done.

    ``writes`` and ``reads`` are pairs of position and size.
    """

    def __init__(self, data=b''):
        super().__init__(data)
        self.writes = []
        self.reads = []

    @property
    def written(self):
        """How often each byte was written."""
        return collections.Counter(
            offset for start, size in self.writes
            for offset in range(start, start + size))

    def write(self, data):
        self.writes.append((self.tell(), len(data)))
        return super().write(data)

    def read(self, size=-1):
        self.reads.append((self.tell(), size))
        return super().read(size)


class ShortFile:
    """Only seek, read, write and tell, and never more than ``most`` bytes at
    once: what os-brick gives for RBD, with short reads and writes."""

    def __init__(self, data=b'', most=7):
        self._inner = io.BytesIO(data)
        self._most = most

    def seek(self, offset, whence=0):
        self._inner.seek(offset, whence)

    def tell(self):
        return self._inner.tell()

    def read(self, size):
        return self._inner.read(min(size, self._most))

    def write(self, data):
        return self._inner.write(data[:self._most])

    def flush(self):
        self._inner.flush()

    def getvalue(self):
        return self._inner.getvalue()
