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
"""Backups in an SQLite database: a driver from outside of the project."""

import contextlib
import io
import sqlite3
import threading

from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import errors

GROUP = cfg.OptGroup('chunked_backup_sqlite')
OPTS = [cfg.StrOpt('path', default='backups.sqlite',
                   help='The database file.')]

_SCHEMA = '''
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS containers (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS objects (
    container TEXT NOT NULL REFERENCES containers (name),
    name TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (container, name));
'''


def list_opts():
    return [(GROUP, OPTS)]


def _check_name(name):
    storable = name.encode(errors='ignore').decode()
    if not name or '\0' in name or storable != name:
        raise errors.InvalidName(kind='object', name=name,
                                 reason='SQLite cannot keep it')


class SqliteBackupDriver(driver.ChunkedBackupDriver):

    def __init__(self, context=None):
        cfg.CONF.register_group(GROUP)
        cfg.CONF.register_opts(OPTS, group=GROUP)
        super().__init__(context, chunk_size_bytes=4 << 20,
                         sha_block_size_bytes=32768,
                         backup_default_container='backups',
                         enable_progress_timer=True)
        self._lock = threading.Lock()
        self._database = None

    @contextlib.contextmanager
    def _transaction(self, container, name=None):
        """All of it happens, or nothing does."""
        try:
            with self._lock:
                if self._database is None:
                    self._database = sqlite3.connect(
                        cfg.CONF.chunked_backup_sqlite.path, timeout=30,
                        check_same_thread=False)
                    self._database.executescript(_SCHEMA)
                with self._database:
                    yield self._database
        except sqlite3.OperationalError as exc:
            kind = errors.DriverError
            if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                kind = errors.OutOfSpace
            elif exc.sqlite_errorcode in (sqlite3.SQLITE_BUSY,
                                          sqlite3.SQLITE_LOCKED):
                kind = errors.TransientDriverError
            raise kind(container=container, object_name=name,
                       reason=exc) from exc

    def _require(self, database, container):
        if not database.execute('SELECT 1 FROM containers WHERE name = ?',
                                (container,)).fetchone():
            raise errors.ContainerNotFound(container=container,
                                           reason='create it first')

    def put_container(self, container):
        with self._transaction(container) as database:
            database.execute('INSERT OR IGNORE INTO containers VALUES (?)',
                             (container,))

    def get_container_entries(self, container, prefix):
        with self._transaction(container) as database:
            self._require(database, container)
            return [name for name, in database.execute(
                'SELECT name FROM objects WHERE container = ? '
                'AND substr(name, 1, ?) = ?',
                (container, len(prefix), prefix))]

    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        _check_name(object_name)
        data = io.BytesIO()
        yield data  # an exception in the caller's block ends it all here
        with self._transaction(container, object_name) as database:
            self._require(database, container)
            database.execute('INSERT OR REPLACE INTO objects VALUES (?,?,?)',
                             (container, object_name, data.getvalue()))

    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        _check_name(object_name)
        with self._transaction(container, object_name) as database:
            row = database.execute(
                'SELECT data FROM objects WHERE container = ? AND name = ?',
                (container, object_name)).fetchone()
        if row is None:
            raise errors.ObjectNotFound(container=container,
                                        object_name=object_name)
        yield io.BytesIO(row[0])

    def delete_object(self, container, object_name):
        _check_name(object_name)
        with self._transaction(container, object_name) as database:
            database.execute(
                'DELETE FROM objects WHERE container = ? AND name = ?',
                (container, object_name))

    def update_container_name(self, backup, container):
        return container

    def get_extra_metadata(self, backup, volume):
        return None
