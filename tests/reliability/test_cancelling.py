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

"""A signal ends a command in five seconds, whatever the store does."""

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time

import pytest
from oslo_config import cfg

from chunked_backup import loader
from chunked_backup.cmd import app
from chunked_backup.cmd import base
from tests import support
from tests.reliability import faults
from tests.trees import mutations

DEADLINE_S = 5.0
#: How long a store that drips takes for each answer.
DRIP_S = 1.0


class Stalled(faults.Faults):
    """From some call on a store that answers slowly, or never.

    :param say: a descriptor, told when it has begun.
    """

    def __init__(self, kind, number, say):
        super().__init__(kind, number)
        self._say = say
        # What a server is waited for by.
        self._sockets = socket.socketpair()

    def call(self, function, *arguments, partly=None):
        number, self.calls = self.calls, self.calls + 1
        if number >= self.number:
            os.write(self._say, b'stalled\n')
            self._sockets[0].settimeout(
                DRIP_S if self.kind == 'drip' else None)
            try:
                self._sockets[0].recv(1)
            except TimeoutError:
                pass
        return function(*arguments)


class Command:
    """``chunked-backup`` over a repository, in processes of its own.

    :param top: a directory that is made.
    :param sources: where what is backed up is, if elsewhere.
    """

    def __init__(self, top, sources=None):
        self.top = top
        self.sources = sources or top
        top.mkdir(parents=True)
        self.configure('[chunked_backup]', 'retry_wait_s = 0',
                       '[chunked_backup_posix]', 'path = {top}/repository',
                       f'chunk_size_bytes = {support.CHUNK}',
                       f'sha_block_size_bytes = {support.BLOCK}')

    def configure(self, *lines, **values):
        (self.top / 'conf').write_text('\n'.join(lines).format(
            top=self.top, **values))

    def start(self, words, kind='', number=10 ** 9):
        """Begin it over a store that stalls at some call.

        :returns: the process, and what tells when it has stalled.
        """
        words = [word.format(top=self.top, sources=self.sources)
                 for word in words.split()]
        told, say = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(told)
                os._exit(self._run(words, Stalled(kind, number, say)))
            finally:
                os._exit(99)
        os.close(say)
        return child, told

    def _run(self, words, made):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        load = loader.load

        def load_faulty(namespace, name):
            if (namespace, name) != (loader.DRIVERS, 'posix'):
                return load(namespace, name)

            def driver(context):
                driver = faults.FaultyPosix(context)
                driver.faults = made
                return driver
            return driver

        loader.load = load_faulty
        cfg.CONF.reset()
        sys.stdout = sys.stderr = (self.top / 'said').open('w', buffering=1)
        code = app.main(['--config-file', str(self.top / 'conf'), *words])
        (self.top / 'calls').write_text(str(made.calls))
        return code

    def run(self, words):
        """Do it; how often the store was called."""
        child, told = self.start(words)
        os.close(told)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, (
            self.top / 'said').read_text()
        return int((self.top / 'calls').read_text())


WORDS = {
    'volume backup': 'volume backup {sources}/volume --incremental',
    'volume restore': 'volume restore latest {top}/target',
    'volume delete': 'volume delete latest',
    'tree backup': 'tree backup {sources}/tree --name tree --incremental',
    'tree restore': 'tree restore tree {top}/target',
    'repository check': 'repository check --read-data',
    'repository gc': 'repository gc --grace 0s',
}


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    """A command over a repository with a backup of each kind."""
    command = Command(tmp_path_factory.mktemp('cancelling') / 'prepared')
    mutations.build(command.top / 'tree')
    (command.top / 'volume').write_bytes(b'volume' * support.CHUNK)
    command.run('volume backup {sources}/volume')
    command.run('tree backup {sources}/tree --name tree')
    mutations.splice('blocks', 5000, 10, b'new')(command.top / 'tree')
    (command.top / 'volume').write_bytes(b'changed' * support.CHUNK)
    return command


def copy_of(prepared, top):
    """The same with a repository of its own."""
    command = Command(top, prepared.sources)
    shutil.copytree(prepared.top / 'repository', top / 'repository')
    return command


def numbers(prepared, name, top, count):
    """Of so many of the calls of a command, spread over all."""
    calls = copy_of(prepared, top / name).run(WORDS[name])
    return {calls * (2 * part + 1) // (2 * count) for part in range(count)}


def ended_in_time(running, counted):
    """See that each has, once it was given a signal.

    :param running: command, process and when the signal was given.
    """
    while running:
        time.sleep(0.01)
        for each in running[:]:
            command, child, began_s = each
            done, status = os.waitpid(child, os.WNOHANG)
            if not done and time.monotonic() - began_s < DEADLINE_S:
                continue
            running.remove(each)
            counted.point()
            if not done:
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            if code != base.EXIT_INTERRUPTED:
                said = (command.top / 'said').read_text()
                counted.silent.append(f'{command.top.name}: {code} {said}')


def test_a_signal_ends_every_command(prepared, tmp_path, ledger, scale):
    """All at once, since most of the time they wait."""
    running = []
    for name in WORDS:
        tidies_up = name.endswith('backup')
        count = scale(2 if tidies_up else 1, 20)
        for number in numbers(prepared, name, tmp_path, count):
            for kind in ('hang', 'drip')[:scale(1 + tidies_up, 2)]:
                command = copy_of(prepared,
                                  tmp_path / f'{name} {number} {kind}')
                child, told = command.start(WORDS[name], kind, number)
                assert os.read(told, 1), f'{name} has made no call {number}'
                os.kill(child, (signal.SIGINT, signal.SIGTERM)[
                    len(running) % 2])
                running.append((command, child, time.monotonic()))
    ended_in_time(running, ledger('cancelling'))


class Server:
    """Takes a request and never answers, or a byte a second."""

    def __init__(self, drips):
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self.asked = threading.Event()
        self._drips = drips
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._answer, args=(connection,),
                             daemon=True).start()

    def _answer(self, connection):
        connection.recv(1 << 16)
        self.asked.set()
        for byte in b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 100:
            time.sleep(DRIP_S if self._drips else 1000)
            with contextlib.suppress(OSError):
                connection.send(bytes([byte]))


CLIENTS = {
    's3': ['[chunked_backup_s3]', 'endpoint_url = http://127.0.0.1:{port}',
           'access_key = user', 'secret_key = key', 'bucket = backups'],
    'swift': ['[chunked_backup_swift]', 'auth = single_user',
              'auth_version = 1', 'user = user', 'key = key',
              'auth_url = http://127.0.0.1:{port}/auth/v1.0']}


def test_a_signal_ends_a_request(prepared, tmp_path, ledger):
    """Whatever the library of the client makes of it."""
    running = []
    for client, lines in CLIENTS.items():
        for words in ('volume list', 'volume backup {sources}/volume'):
            for drips in (False, True):
                server = Server(drips)
                command = Command(tmp_path / f'{client} {words[:9]} {drips}',
                                  prepared.sources)
                command.configure(*lines, port=server.port)
                child, _ = command.start(f'--driver {client} {words}')
                assert server.asked.wait(60)
                os.kill(child, signal.SIGINT)
                running.append((command, child, time.monotonic()))
    ended_in_time(running, ledger('cancelling'))
