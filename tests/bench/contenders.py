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

"""Who is measured: Cinder's own driver, ours, and two well-known programs.

Each is told to back one volume up, fully or once more, and to bring back what
it has backed up last, and gives the cost of that. ``forget`` removes all that
it has stored.
"""

import json
import os
import pathlib
import shutil
import sys
import uuid

from tests.bench import costs

_PROGRAM = os.path.join(os.path.dirname(sys.executable), 'chunked-backup')
_STOCK_POSIX = 'cinder.backup.drivers.posix.PosixBackupDriver'
_CONFIGURATION = '''
[chunked_backup]
compression_algorithm = {compression}
{options}

[chunked_backup_posix]
path = {repository}
'''


class Contender:
    """:param directory: an empty one of its own.
    :param compression: as Cinder spells it; the programs have their default.
    """

    name = ''
    #: Whether the whole process is measured, not only a call in it.
    is_program = False

    def __init__(self, directory, compression='zlib'):
        self.directory = pathlib.Path(directory)
        self.repository = self.directory / 'repository'
        self.compression = compression
        self.forget()

    def full(self, volume):
        raise NotImplementedError

    def incremental(self, volume):
        raise NotImplementedError

    def restore(self, target):
        raise NotImplementedError

    def forget(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)

    def leave_cache(self):
        """Have nothing of the repository in the page cache: who restores
        has not just made the backup."""
        os.sync()
        for path in self.repository.rglob('*'):
            if path.is_file():
                with open(path, 'rb') as file:
                    os.posix_fadvise(file.fileno(), 0, 0,
                                     os.POSIX_FADV_DONTNEED)

    def _stored(self):
        """The number of files in the repository, and of bytes in them."""
        sizes = [path.stat().st_size for path in self.repository.rglob('*')
                 if path.is_file()]
        return len(sizes), sum(sizes)

    def _growth(self, run):
        """The cost of ``run``, with what it has added to the repository, if
        that is a directory here."""
        count, size = self._stored()
        cost = run()
        if not self.repository.exists():
            return cost
        new_count, new_size = self._stored()
        return cost._replace(objects=new_count - count,
                             moved_bytes=new_size - size)


class Stock(Contender):
    """Cinder's own driver.

    :param driver: a class path.
    :param options: of the driver, by name, unless it is that for POSIX.
    """

    name = 'cinder'

    def __init__(self, directory, compression='zlib', driver=_STOCK_POSIX,
                 options=None):
        self._driver = driver
        self._records = []
        super().__init__(directory, compression)
        self._options = {
            'state_path': str(self.directory),
            **(options or {'backup_posix_path': str(self.repository)})}

    def full(self, volume):
        return self._backup(volume, None)

    def incremental(self, volume):
        return self._backup(volume, self._records[-1]['id'])

    def restore(self, target):
        self._records[-1]['status'] = 'restoring'
        _, cost = self._work('restore', target)
        return cost

    def forget(self):
        super().forget()
        self._records = []

    def _backup(self, volume, parent_id):
        self._volume_bytes = volume.stat().st_size
        self._records.append({
            'id': str(uuid.uuid4()), 'volume_id': str(uuid.UUID(int=1)),
            'parent_id': parent_id, 'status': 'creating', 'size': 1,
            'container': None, 'service_metadata': None, 'object_count': 0,
            'display_name': None, 'display_description': None,
            'created_at': '2026-01-01 00:00:00+00:00',
            'availability_zone': 'nova', 'encryption_key_id': None})
        return self._growth(lambda: self._store(volume))

    def _store(self, volume):
        self._records[-1], cost = self._work('backup', volume)
        return cost

    def _work(self, verb, volume):
        return costs.of_worker('tests.bench.stock', {
            'verb': verb, 'volume': str(volume),
            'volume_bytes': self._volume_bytes, 'records': self._records,
            'backup_id': self._records[-1]['id'], 'driver': self._driver,
            'options': {**self._options, 'backup_compression_algorithm':
                        self.compression}})


class Ours(Contender):
    """Our driver, called as a volume service calls it.

    :param options: lines for the section of all drivers.
    """

    name = 'chunked_backup'

    def __init__(self, directory, compression='zlib', options='',
                 configuration=None):
        self.options = options
        self._template = configuration or _CONFIGURATION
        super().__init__(directory, compression)

    def full(self, volume):
        return self._work('backup', volume, False)

    def incremental(self, volume):
        return self._work('backup', volume, True)

    def restore(self, target):
        _, cost = costs.of_worker('tests.bench.ours', self._request(
            'restore', target, False))
        return cost

    def forget(self):
        super().forget()
        self._configuration.write_text(self._template.format(
            compression=self.compression, options=self.options,
            repository=self.repository))

    @property
    def _configuration(self):
        return self.directory / 'bench.conf'

    def _work(self, verb, volume, incremental):
        _, cost = costs.of_worker('tests.bench.ours', self._request(
            verb, volume, incremental))
        return cost

    def _request(self, verb, volume, incremental):
        return {'verb': verb, 'volume': str(volume),
                'incremental': incremental,
                'configuration': str(self._configuration)}


class Program(Ours):
    """Our command, from its start to its end."""

    name = 'chunked-backup'
    is_program = True

    def _work(self, verb, volume, incremental):
        words = ['volume', verb, volume, '-f', 'json']
        if incremental:
            words.append('--incremental')
        output, cost = self.run(*words)
        done = json.loads(output)
        return cost._replace(objects=done['objects'],
                             moved_bytes=done['stored'])

    def restore(self, target):
        output, cost = self.run('volume', 'restore', 'latest', target, '-f',
                                'json')
        done = json.loads(output)
        return cost._replace(objects=done['objects'],
                             moved_bytes=done['fetched'])

    def run(self, *words):
        """What the command prints, and what it costs."""
        return costs.of_process(
            [_PROGRAM, '--config-file', self._configuration, *words],
            {**os.environ, 'HOME': str(self.directory)})


class Restic(Contender):
    """restic with its defaults, told to read the data of a known file."""

    name = 'restic'
    is_program = True

    def full(self, volume):
        self._run('init')
        return self._growth(lambda: self._run('backup', volume.name,
                                              directory=volume.parent))

    def incremental(self, volume):
        return self._growth(lambda: self._run('backup', '--force',
                                              volume.name,
                                              directory=volume.parent))

    def restore(self, target):
        into = self.directory / 'restored'
        cost = self._run('restore', 'latest', '--target', into)
        [file] = [path for path in into.rglob('*') if path.is_file()]
        file.rename(target)
        return cost

    def _run(self, *words, directory=None):
        _, cost = costs.of_process(
            ['restic', *words], {
                **os.environ, 'RESTIC_PASSWORD': 'bench',
                'RESTIC_REPOSITORY': str(self.repository),
                'RESTIC_CACHE_DIR': str(self.directory / 'cache')},
            directory)
        return cost


class Borg(Contender):
    """borg with its default codec and no encryption, which is its fastest;
    told to read the data of a known file."""

    name = 'borg'
    is_program = True

    def full(self, volume):
        self._run('init', '--encryption', 'none', self.repository)
        return self._create(volume)

    def incremental(self, volume):
        return self._create(volume, '--files-cache', 'disabled')

    def restore(self, target):
        into = self.directory / 'restored'
        into.mkdir(exist_ok=True)
        cost = self._run('extract', f'{self.repository}::{self._latest}',
                         directory=into)
        [file] = into.iterdir()
        file.rename(target)
        return cost

    def _create(self, volume, *options):
        self._latest = str(uuid.uuid4())
        return self._growth(lambda: self._run(
            'create', *options, f'{self.repository}::{self._latest}',
            volume.name, directory=volume.parent))

    def _run(self, *words, directory=None):
        _, cost = costs.of_process(
            ['borg', *words],
            {**os.environ, 'BORG_BASE_DIR': str(self.directory / 'base')},
            directory)
        return cost
