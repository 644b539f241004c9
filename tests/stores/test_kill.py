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

"""kill -9 to the command that backs up to a real server, of a volume again
while it goes on, until it is done; and to the one that deletes trees.

It is killed as some request goes by a proxy: what the server has of that, and
of those beside it, is as it happens.
"""

import functools
import itertools
import json
import os
import random
import signal
import sys
import time
from urllib import parse

import pytest
from oslo_config import cfg

from chunked_backup.cmd import app
from chunked_backup.drivers.s3 import upload
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.model import Status
from tests import support
from tests.ledger import IS_LONG
from tests.reliability import stories
from tests.reliability.test_kill import check
from tests.stores import stores
from tests.stores.servers import base

#: How many objects are on their way at a time.
_WINDOW = 2
_LONGEST_WAIT_S = 0.01
#: Of the resumes, how many are killed.
_SHARE = 0.6
_NEVER = 10 ** 9
_CLASS = 'kill -9, Swift and S3'
_DATA_OBJECT = '^PUT .*-[0-9]{5}([?]|$)'
#: Store, format, and how long its objects are: those of Swift are in segments.
#: In the long run there is S3 on Swift, too, and objects that go up in parts.
_SMALL, _SEGMENTS, _PARTS = support.CHUNK, 2 * stores.SMALL_LIMIT, 6 << 20
_COMBINATIONS = [('s3-on-ceph', '2.0.0', _SMALL),
                 ('swift-on-small_swift', '1.0.0', _SEGMENTS)]
if IS_LONG:
    _COMBINATIONS = [
        (store, version, chunk) for version in ('1.0.0', '2.0.0')
        for store, chunk in (
            ('s3-on-ceph', _SMALL), ('s3-on-swift', _SMALL),
            ('s3-on-ceph', _PARTS), ('s3-on-swift', _PARTS),
            ('swift-on-swift', _SMALL), ('swift-on-small_swift', _SEGMENTS))]
#: Which commands on trees are killed over which store: in the long run all
#: over both.
_TREE_COMMANDS = [('s3-on-ceph', 'backup'), ('swift-on-swift', 'incremental'),
                  ('s3-on-ceph', 'prune'), ('swift-on-swift', 'delete')]
if IS_LONG:
    _TREE_COMMANDS = list(itertools.product(
        ('s3-on-ceph', 's3-on-swift', 'swift-on-swift'),
        ('backup', 'incremental', 'prune', 'delete')))


class Program:
    """``chunked-backup`` over a store, in processes of its own."""

    def __init__(self, store, proxy, directory, version, **options):
        self._proxy = proxy
        driver = store.driver(url=proxy.url, **options)
        self._said = directory / 'said'
        self._config = directory / 'conf'
        lines = [f'[chunked_backup_{store.interface}]', *(
            f'{name} = {value}' for name, value in driver._options.items()
            if value is not None)]
        self._config.write_text('\n'.join([
            '[chunked_backup]', f'driver = {store.interface}',
            f'parallelism = {_WINDOW}', f'format_version = {version}',
            *lines]))

    def start(self, *words):
        child = os.fork()
        if not child:
            code = 99
            try:
                cfg.CONF.clear()
                cfg.CONF.reset()
                sys.stdout = self._said.open('w')
                code = app.main(['--config-file', str(self._config),
                                 *map(str, words)])
                sys.stdout.flush()
            finally:
                os._exit(code)
        return child

    def json(self, *words):
        """Run it; what it says."""
        _, status = os.waitpid(self.start(*words, '-f', 'json'), 0)
        assert os.waitstatus_to_exitcode(status) == 0
        return json.loads(self._said.read_text())

    def kill(self, rng, number, *words):
        """Run it and kill it as it makes that request; whether it has come to
        its end before."""
        self._proxy.clear()
        rule = self._proxy.inject('delay', skip=number, times=1)
        child = self.start(*words)
        ended = 0
        while not rule.fired and not ended:
            time.sleep(0.001)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(rng.uniform(0, _LONGEST_WAIT_S))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        # What was on its way arrives, or never does.
        base.until(lambda: not self._proxy.pending)
        if os.WIFSIGNALED(status):
            return False
        assert os.WEXITSTATUS(status) == 0
        return True


class Story:
    """A full backup and an incremental of a volume, which has changed since.

    :ivar contents: what each of them restores to.
    :ivar names: of all that is in the store then.
    """

    def __init__(self, store, proxy, directory, version, chunk_bytes):
        self._proxy = proxy
        self._target = directory / 'target'
        self.rng = rng = random.Random(version)
        self.volume = directory / 'volume'
        options = {'chunk_size_bytes': chunk_bytes,
                   'sha_block_size_bytes': chunk_bytes // 8}
        size_bytes = (2 if chunk_bytes == _PARTS else 5) * chunk_bytes + 100
        self.program = Program(store, proxy, directory, version, **options)
        self.driver = store.driver(**options)
        self.contents = {}
        self.volume.write_bytes(rng.randbytes(size_bytes))
        for incremental in (False, True):
            backup = self.service.backup(str(self.volume),
                                         incremental=incremental)
            self.contents[backup.id] = self.volume.read_bytes()
            with self.volume.open('r+b') as file:
                for _ in range(5):
                    file.seek(rng.randrange(size_bytes - 7))
                    file.write(b'changed')
        self.names = self.stored()

    @property
    def service(self):
        return VolumeService(self.driver)

    def stored(self):
        """The names of all that is in the store."""
        return set(self.driver.get_container_entries(
            self.driver.backup_default_container, ''))

    def objects(self, backup):
        """The data objects of a backup by what their names end with."""
        prefix = backup.service_metadata + '-'
        return {name.removeprefix(prefix): stores.get(
            self.driver, backup.container, name)
            for name in self.stored() if name.startswith(prefix)}

    def sent(self):
        """The names of the data objects that were begun to be stored."""
        container = f'/{self.driver.backup_default_container}/'
        return {parse.unquote(request.line).partition('?')[0].partition(
            container)[2] for request in self._proxy.seen(_DATA_OBJECT)}

    def kill(self, number, *words):
        return self.program.kill(self.rng, number, *words)

    def words(self, incremental):
        return ['volume', 'backup', self.volume,
                *['--incremental'] * incremental]

    @functools.cache
    def undisturbed(self, incremental):
        """The objects of a backup that nobody kills, and how many requests it
        takes."""
        self._proxy.clear()
        self.program.json(*self.words(incremental))
        requests = len(self._proxy.requests)
        new = self.new()
        objects = self.objects(new)
        self.service.delete(new)
        return objects, requests

    def problems(self, present):
        """What is wrong with the backups of before, or was stored again.

        :param present: the names of what was there when the command began.
        """
        for name in present & self.sent():
            yield f'{name} was stored again'
        listed = self.program.json('volume', 'list')
        statuses = {each['id']: each['status'] for each in listed}
        for backup_id, expected in self.contents.items():
            if statuses.pop(backup_id, None) != Status.AVAILABLE:
                yield f'{backup_id} is not listed: {listed}'
            yield from self.wrong(backup_id, expected)
        if not set(statuses.values()) <= {Status.CREATING, Status.AVAILABLE}:
            yield f'others are listed: {listed}'

    def wrong(self, backup_id, expected):
        """What is wrong with what a backup restores to."""
        service = self.service
        service.restore(service.find(backup_id), str(self._target),
                        force=True)
        if self._target.read_bytes() != expected:
            yield f'{backup_id}: wrong bytes'

    def new(self):
        """The backup that was not there before, or None."""
        new = [backup for backup in self.service.backups()
               if backup.id not in self.contents]
        assert len(new) <= 1
        return new[0] if new else None


@pytest.fixture
def story(store, version, chunk_bytes, fault_proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(upload, 'PART_BYTES', _PARTS - 1)
    support.override(format_version=version)
    return Story(store, fault_proxy(store.server.url), tmp_path, version,
                 chunk_bytes)


@pytest.mark.parametrize(('store', 'version', 'chunk_bytes'), _COMBINATIONS,
                         indirect=['store'])
def test_killed_again_and_again_and_resumed(story, ledger, scale):
    counted = ledger(_CLASS)
    points = scale(3, 30)
    while counted.points < points:
        resume_until_done(story, counted, points)
    for _ in range(scale(1, 3)):
        killed_and_swept(story, counted)


def resume_until_done(story, counted, points):
    """Back up, be killed, go on and be killed again, until it is done.

    :param points: when there are so many, nobody kills any more.
    """
    incremental = story.rng.random() < 0.4
    whole, requests = story.undisturbed(incremental)
    words = story.words(incremental)
    kills, sent, present = 0, 0, set()
    number = story.rng.randrange(requests)
    while not story.kill(number, *words):
        kills += 1
        counted.point()
        where = f'kill {counted.points}'
        sent += len(story.sent())
        counted.silent += [f'{where}: {problem}'
                           for problem in story.problems(present)]
        new = story.new()
        if new is not None:
            if new.status == Status.AVAILABLE:
                break
            words = ['volume', 'backup', '--resume', new.id]
        present = story.stored()
        # A resume makes more requests: it reads what is there.
        number = _NEVER
        if counted.points < points and story.rng.random() < _SHARE:
            number = story.rng.randrange(requests)
    else:
        sent += len(story.sent())
        counted.silent += story.problems(present)
    assert sent <= len(whole) + kills * _WINDOW
    check_whole(story, counted, whole)


def check_whole(story, counted, whole):
    """The new backup is what it would be had nothing happened, and there is
    nothing else."""
    new = story.new()
    story.program.json('repository', 'gc', '--grace', '0s')
    if story.objects(new) != whole:
        counted.silent.append(f'{new.id} has other objects')
    counted.silent += story.wrong(new.id, story.volume.read_bytes())
    story.service.delete(new)
    counted.left += story.stored() - story.names


def killed_and_swept(story, counted):
    """What nobody goes on with is garbage, and all of it goes."""
    _, requests = story.undisturbed(False)
    if not story.kill(story.rng.randrange(requests // 2),
                      *story.words(False)):
        counted.point()
    story.program.json('repository', 'gc', '--grace', '0s')
    counted.silent += story.problems(set())
    counted.left += story.stored() - story.names
    counted.left += story.driver.get_unfinished(
        story.driver.backup_default_container)


def tree_words(story, name):
    """The command that does an operation on a tree."""
    backup = ['tree', 'backup', story.tree, '--name', 'a tree',
              '--block-size', support.BLOCK]
    return {'backup': backup, 'incremental': [*backup, '--incremental'],
            'prune': ['tree', 'prune', '--keep-last', 1, '--yes'],
            'delete': ['tree', 'delete', story.child]}[name]


@pytest.mark.parametrize(('store', 'name'), _TREE_COMMANDS, indirect=['store'])
def test_a_command_on_a_tree_is_killed(store, name, fault_proxy, tmp_path,
                                       ledger, scale):
    support.override(retry_wait_s=0.0)
    counted = ledger(_CLASS + ', trees')
    proxy = fault_proxy(store.server.url)
    program = Program(store, proxy, tmp_path, '2.0.0')
    repository = stores.Repository(store.driver())
    story = stories.TreeStory(repository, tmp_path)
    words = tree_words(story, name)
    saved = repository.save()
    rng = random.Random(name)
    proxy.clear()
    assert program.kill(rng, _NEVER, *words)
    requests = len(proxy.requests)
    while counted.points < scale(1, 20):
        repository.put_back(saved)
        if not program.kill(rng, rng.randrange(requests), *words):
            counted.point()
            check(story, story.operation(name), counted,
                  f'{name}, kill {counted.points}')
