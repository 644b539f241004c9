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

"""A small cloud for the tests: Cinder's backup service and its volumes.

``Cloud`` is what outlives a service: the database, cinder.conf and the
volumes. ``Cloud.service`` starts a service on it as a process of its own;
another one with another ``backup_driver`` is an operator who changes over.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import uuid
from importlib import metadata

STOCK = 'cinder.backup.drivers.{0}.{1}BackupDriver'
OURS = 'chunked_backup.drivers.{0}.{1}BackupDriver'
STOCK_POSIX = STOCK.format('posix', 'Posix')
OUR_POSIX = OURS.format('posix', 'Posix')

CHUNK = 262144
BLOCK = 32768
#: Not a whole number of blocks, but of sectors.
VOLUME_BYTES = 2130432


def _modes():
    """Cinder 28 knows the first one only."""
    # Where there is no Cinder, these tests are looked at, but not run.
    with contextlib.suppress(metadata.PackageNotFoundError):
        if int(metadata.version('cinder').split('.')[0]) < 29:
            return ('eventlet',)
    return ('eventlet', 'threads')


MODES = _modes()
DEADLINE_S = 60
_POLL_S = 0.01
_ROOT = pathlib.Path(__file__).parents[2]

#: Where Cinder's programs are.
BIN = pathlib.Path(sys.executable).parent


class CommandFailed(Exception):
    """A command of the service raised; ``kind`` is the error's class."""

    def __init__(self, kind, message):
        super().__init__(f'{kind}: {message}')
        self.kind = kind
        self.message = message


@dataclasses.dataclass
class Volume:
    """A volume of the cloud and the file or block device behind it."""

    id: str
    path: pathlib.Path

    def write(self, data):
        """Overwrite it from the beginning; a file ends with the data."""
        with open(self.path, 'wb') as file:
            file.write(data)

    def read(self, size_bytes=-1):
        with open(self.path, 'rb') as file:
            return file.read(size_bytes)


class Cloud:
    """:param directory: an empty one.
    :param database: an empty one of Cinder's; see databases.py.
    """

    def __init__(self, directory, database):
        self.directory = pathlib.Path(directory)
        self.database = database
        self.repository = self.directory / 'state' / 'backup'
        self._resources = contextlib.ExitStack()
        (self.directory / 'state').mkdir()
        (self.directory / 'volumes').mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._resources.close()

    def write_conf(self, path, backup_driver, options, sections):
        """Write a cinder.conf.

        :param options: more of ``[DEFAULT]``; None takes one away.
        :param sections: further sections, by name.
        """
        state = self.directory / 'state'
        helper = {'helper_command': BIN / 'privsep-helper'}
        everything = {
            'DEFAULT': {
                'host': 'backups', 'my_ip': '127.0.0.1',
                'backup_driver': backup_driver,
                'backup_manager':
                    'tests.cinder.observer.ObservedBackupManager',
                'state_path': state, 'log_file': self.log,
                'transport_url': 'fake://', 'rpc_response_timeout': 30,
                # Services come and go here, and write nothing when idle.
                'report_interval': 3600, 'service_down_time': 86400,
                'use_default_quota_class': False, 'quota_backups': -1,
                'quota_backup_gigabytes': -1,
                'backup_file_size': CHUNK,
                'backup_sha_block_size_bytes': BLOCK, **options},
            'database': {'connection': self.database.url,
                         'sqlite_synchronous': False},
            'coordination': {'backend_url': f'file://{state}/coordination'},
            'oslo_concurrency': {'lock_path': state / 'locks'},
            'oslo_messaging_notifications': {'driver': 'test'},
            'key_manager': {'backend': 'tests.cinder.keys.KeyManager'},
            # root needs no sudo to become root.
            'privsep_osbrick': helper, 'cinder_sys_admin': helper,
            **sections}
        path.write_text(''.join(
            f'[{name}]\n' + ''.join(
                f'{option} = {value}\n' for option, value in values.items()
                if value is not None)
            for name, values in everything.items()))
        return path

    @property
    def log(self):
        return self.directory / 'backup.log'

    def service(self, backup_driver, mode=MODES[-1], options=None,
                sections=None, environment=None, arguments=(),
                is_up=True):
        """A running service; leave the context to end it.

        :param options: more of ``[DEFAULT]``; None takes one away.
        :param sections: further sections, by name.
        :param environment: more of it.
        :param arguments: see service.py.
        :param is_up: whether to wait until it accepts backups.
        """
        return Service(self, backup_driver, mode, options or {},
                       sections or {}, environment or {}, arguments, is_up)

    # Devices.

    def file(self, data):
        """The path of a new file."""
        path = self.directory / 'volumes' / uuid.uuid4().hex
        path.write_bytes(data)
        return path

    def block_device(self, data):
        """The path of a new block device."""
        path = self.file(data)
        device = subprocess.run(
            ['losetup', '--find', '--show', path], check=True, text=True,
            capture_output=True).stdout.strip()
        self._resources.callback(
            subprocess.run, ['losetup', '--detach', device], check=True)
        return pathlib.Path(device)

    # What is stored.

    def rows(self, table, **wanted):
        """Rows of the database as dictionaries, deleted ones included."""
        where = ' AND '.join(f'{name} = ?' for name in wanted) or '1'
        return self.database.execute(f'SELECT * FROM {table} WHERE {where}',
                                     list(wanted.values()))

    def change(self, table, row_id, **values):
        """Change a row, as an administrator might who knows no better."""
        self.database.execute(
            f'UPDATE {table} SET '
            + ', '.join(f'{name} = ?' for name in values) + ' WHERE id = ?',
            [*values.values(), row_id])

    def backup(self, backup_id):
        """The record of a backup, as it is in the database."""
        row, = self.rows('backups', id=backup_id)
        return row

    def volume(self, volume_id):
        """The record of a volume, as it is in the database."""
        row, = self.rows('volumes', id=volume_id)
        return row

    def messages(self, backup_id):
        """What the user is told of a backup: the codes of the details."""
        return [row['detail_id'] for row in self.rows(
            'messages', resource_uuid=backup_id, deleted=0)]

    def metadata(self, volume_id):
        return {row['key']: row['value']
                for row in self.rows('volume_metadata', volume_id=volume_id,
                                     deleted=0)}

    def glance_metadata(self, volume_id):
        return {row['key']: row['value']
                for row in self.rows('volume_glance_metadata',
                                     volume_id=volume_id, deleted=0)}

    def objects(self, backup_id):
        """The files that a backup has in the POSIX repository, sorted."""
        return sorted(path for path in self.repository.rglob('*')
                      if path.is_file() and backup_id in path.name)


class Service:
    """A process that runs cinder-backup, see service.py.

    An unknown method is a command of commands.py.
    """

    def __init__(self, cloud, backup_driver, mode, options, sections,
                 environment, arguments, is_up):
        self.cloud = cloud
        self._write_conf = functools.partial(
            cloud.write_conf,
            cloud.directory / f'cinder-{uuid.uuid4().hex[:8]}.conf',
            backup_driver)
        self._options = options
        self._sections = sections
        self._is_up = is_up
        self._write_conf(options, sections)
        self._seen = set()
        environment = {
            **os.environ, **environment,
            'OS_CINDER_DISABLE_EVENTLET_PATCHING':
                'true' if mode == 'threads' else ''}
        self._socket, theirs = socket.socketpair()
        self._output = open(cloud.directory / 'output.log', 'ab')
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'tests.cinder.service',
             self._write_conf.args[0], str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()], cwd=_ROOT, env=environment,
            stdout=self._output, stderr=self._output)
        theirs.close()
        self._socket.settimeout(DEADLINE_S)
        self._answers = self._socket.makefile('r')

    def __enter__(self):
        try:
            self._answer()
            if self._is_up:
                self.wait_until('the service is up', self.is_working)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self._answers.close()
        self._socket.close()
        try:
            self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._output.close()

    @property
    def process_id(self):
        return self._process.pid

    def kill(self):
        """End it as a power failure would."""
        self._process.kill()
        self._process.wait()

    def __getattr__(self, command):
        def call(**arguments):
            self._socket.sendall(json.dumps(
                {'command': command, 'arguments': arguments},
                default=str).encode() + b'\n')
            return self._answer()

        return call

    def _answer(self):
        line = self._answers.readline()
        assert line, 'the service has ended:\n' + self.tail()
        answer = json.loads(line)
        if 'error' in answer:
            raise CommandFailed(answer['error'], answer['message'])
        return answer['result']

    def tail(self):
        """The end of what the service has said."""
        return ''.join(
            path.read_text(errors='replace')[-4000:]
            for path in (self.cloud.directory / 'output.log', self.cloud.log)
            if path.exists())

    @contextlib.contextmanager
    def configured(self, sections=None, **options):
        """Have other options, for the operations that begin within."""
        self._write_conf({**self._options, **options},
                         {**self._sections, **(sections or {})})
        self.reload()
        try:
            yield
        finally:
            self._write_conf(self._options, self._sections)
            self.reload()

    # Volumes.

    def volume(self, data, kind='file', **fields):
        """A new volume that holds the data.

        :param kind: ``file``, ``block`` or ``file-like``.
        :param fields: of its record, or of the device: ``delay_s``,
            ``fails_at``.
        """
        path = (self.cloud.block_device(data) if kind == 'block'
                else self.cloud.file(data))
        device = {'kind': 'file-like' if kind == 'file-like' else 'path',
                  'path': str(path)}
        for name in ('delay_s', 'fails_at'):
            if name in fields:
                device[name] = fields.pop(name)
        return Volume(self.create_volume(device=device, **fields), path)

    # Operations, from beginning to end.

    def wait(self, operation, backup_id):
        """How an operation on a backup has ended; each is told once."""
        return self.wait_until(
            f'{operation} of backup {backup_id}',
            lambda: self._ended(operation, backup_id))

    def wait_until(self, what, happened):
        """What ``happened`` returns, once that is true."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            result = happened()
            if result:
                return result
            assert self._process.poll() is None, self.tail()
            assert time.monotonic() < deadline_s, (
                f'not within {DEADLINE_S} s: {what}\n{self.tail()}')
            time.sleep(_POLL_S)

    def _ended(self, operation, backup_id):
        for done in self.operations():
            if (done['operation'] == operation
                    and done['backup_id'] == backup_id
                    and done['id'] not in self._seen):
                self._seen.add(done['id'])
                return done
        return None

    def back_up(self, volume, **arguments):
        """The id of a backup that has succeeded."""
        backup_id, done = self.try_to_back_up(volume, **arguments)
        assert done['error'] is None, done
        assert self.cloud.backup(backup_id)['status'] == 'available'
        return backup_id

    def bring_back(self, backup_id, volume, is_new=False):
        """Restore a backup to a volume, and see that it succeeds."""
        done = self.try_to_bring_back(backup_id, volume, is_new)
        assert done['error'] is None, done
        assert self.cloud.volume(volume.id)['status'] == 'available'
        assert self.cloud.backup(backup_id)['status'] == 'available'
        return done

    def try_to_back_up(self, volume, **arguments):
        """The id of a backup, and how it has ended."""
        backup_id = self.create_backup(volume_id=volume.id, **arguments)
        return backup_id, self.wait('backup', backup_id)

    def try_to_bring_back(self, backup_id, volume, is_new=False):
        """Restore a backup to a volume; how that has ended."""
        (self.restore_to_new if is_new else self.restore)(
            backup_id=backup_id, volume_id=volume.id)
        return self.wait('restore', backup_id)

    def remove(self, backup_id):
        """Delete a backup, and see that it succeeds."""
        self.delete(backup_id=backup_id)
        done = self.wait('delete', backup_id)
        assert done['error'] is None, done
        assert self.cloud.backup(backup_id)['deleted']
