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

"""Watching the backup manager at work, without changing what it does."""

import threading
import time
import uuid

import sqlalchemy
import sqlalchemy.engine
from cinder.backup import manager
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

_BEAT_S = 0.01


class Heart(threading.Thread):
    """Beats every 10 ms while an operation runs, if it is let.

    Under eventlet it is a green thread: whoever blocks the hub delays it.
    """

    def __init__(self):
        super().__init__(daemon=True, name='heart')
        self.longest_pause_s = 0.0
        self._last_s = time.monotonic()
        self._ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._beat()

    def run(self):
        while not self._ended.wait(_BEAT_S):
            self._beat()

    def _beat(self):
        now_s = time.monotonic()
        self.longest_pause_s = max(self.longest_pause_s, now_s - self._last_s)
        self._last_s = now_s


class Queries:
    """Counts what is asked of the table of backups."""

    def __init__(self):
        self.count = 0
        sqlalchemy.event.listen(sqlalchemy.engine.Engine,
                                'before_cursor_execute', self._execute)

    def _execute(self, connection, cursor, statement, *_):
        if statement.startswith('SELECT') and 'FROM backups ' in (
                statement.replace('\n', ' ')):
            self.count += 1


class ObservedBackupManager(manager.BackupManager):
    """Keeps an account of each operation that has ended."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.operations = []
        self.queries = Queries()

    def create_backup(self, context, backup):
        # When it succeeds the operation goes on in continue_backup.
        return self._observe('backup', super().create_backup, context, backup,
                             is_all=False)

    def continue_backup(self, context, backup, backup_device):
        return self._observe('backup', super().continue_backup, context,
                             backup, backup_device)

    def restore_backup(self, context, backup, volume_id, volume_is_new):
        return self._observe('restore', super().restore_backup, context,
                             backup, volume_id, volume_is_new)

    def delete_backup(self, context, backup):
        return self._observe('delete', super().delete_backup, context, backup)

    def import_record(self, context, backup, *args, **kwargs):
        return self._observe('import', super().import_record, context, backup,
                             *args, **kwargs)

    def reset_status(self, context, backup, status):
        return self._observe('reset_status', super().reset_status, context,
                             backup, status)

    def _observe(self, name, method, context, backup, *args, is_all=True,
                 **kwargs):
        queries, error = self.queries.count, None
        try:
            with Heart() as heart:
                return method(context, backup, *args, **kwargs)
        except Exception as exc:
            error = exc
            raise
        finally:
            if is_all or error is not None:
                self.operations.append({
                    'id': str(uuid.uuid4()), 'operation': name,
                    'backup_id': backup.id,
                    'error': type(error).__name__ if error else None,
                    'message': str(error) if error else None,
                    'queries': self.queries.count - queries,
                    'longest_pause_s': heart.longest_pause_s})
