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

"""What every server needs: an installation, a free port, a process."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time

HOST = '127.0.0.1'
START_TIMEOUT_S = 120

#: Installations are kept here from one run to the next; git ignores it.
INSTALLATIONS = pathlib.Path(__file__).parents[3] / '.servers'


class ServerFailed(Exception):
    """A server cannot be installed or does not start."""


@contextlib.contextmanager
def installation(name, recipe):
    """The directory of an installation, and whether it has to be made.

    One process at a time makes it; a recipe that has changed makes another.
    """
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    directory = INSTALLATIONS / f'{name}-{digest}'
    directory.mkdir(parents=True, exist_ok=True)
    (INSTALLATIONS / '.gitignore').write_text('*\n')
    complete = directory / 'complete'
    with open(directory / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not complete.exists()
        yield directory, missing
        complete.touch()


def virtualenv(name, requirements):
    """The directory of a virtual environment with some packages."""
    with installation(name, (sys.version, requirements)) as (home, missing):
        environment = home / 'venv'
        if missing:
            # Our own pip serves: a Debian without python3-venv has none to
            # put into a new environment.
            run([sys.executable, '-m', 'venv', '--clear', '--without-pip',
                 environment])
            run([sys.executable, '-m', 'pip', '--python',
                 environment / 'bin' / 'python', 'install', '--quiet',
                 '--disable-pip-version-check', '--no-warn-script-location',
                 *requirements])
    return environment


def packages(name, requirements):
    """A directory with some packages, to be put before others."""
    with installation(name, (sys.version, requirements)) as (home, missing):
        if missing:
            run([sys.executable, '-m', 'pip', 'install', '--quiet',
                 '--disable-pip-version-check', '--upgrade', '--target',
                 home / 'packages', *requirements])
    return home / 'packages'


def unpacked(name, packages, needless):
    """The directory below which some packages of Debian and what they need
    are unpacked; nothing is installed, so nothing is started.

    :param needless: a pattern of what they depend on and do without.
    """
    with installation(name, (packages, needless)) as (home, missing):
        root = home / 'root'
        if missing:
            archives = home / 'archives'
            archives.mkdir(exist_ok=True)
            # apt-get waits for nobody, and another suite may be at it.
            with open(INSTALLATIONS / 'apt-lock', 'w') as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                _download(packages, needless, archives)
            for archive in sorted(archives.iterdir()):
                run(['dpkg', '-x', archive, root])
                archive.unlink()
    return root


def _download(packages, needless, directory):
    run(['apt-get', 'update', '-qq'])
    planned = run(['apt-get', 'install', '--simulate',
                   '--no-install-recommends', *packages])
    names = [line.split()[1] for line in planned.splitlines()
             if line.startswith('Inst ')]
    run(['apt-get', 'download', '-qq', *(
        each for each in names if not re.match(needless, each))],
        cwd=directory)


def library(root):
    """Where libraries are below a directory of unpacked packages."""
    return root / 'usr' / 'lib' / sysconfig.get_config_var('MULTIARCH')


def run(command, **keywords):
    """What a command prints."""
    command = [str(word) for word in command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False, **keywords)
    if done.returncode:
        raise ServerFailed(f'{" ".join(command)} has failed:\n'
                           f'{done.stdout[-3000:]}{done.stderr[-3000:]}')
    return done.stdout


def free_ports(count):
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket())
                   for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def free_port():
    return free_ports(1)[0]


def listens(port):
    """Whether somebody takes connections at a port."""
    with socket.create_connection((HOST, port), START_TIMEOUT_S):
        return True


def until(healthy, processes=()):
    """Wait until ``healthy()`` is true; an ``OSError`` means not yet."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    problem = None
    while time.monotonic() < deadline_s:
        for process in processes:
            process.require_alive()
        try:
            if healthy():
                return
        except OSError as exc:
            problem = exc
        time.sleep(0.05)
    raise ServerFailed(f'a server is not healthy after {START_TIMEOUT_S} s: '
                       f'{problem}\n'
                       + '\n'.join(process.last_words()
                                   for process in processes))


class Process:
    """A process with a group and a log file of its own."""

    def __init__(self, name, command, directory, **keywords):
        self.name = name
        self._log = pathlib.Path(directory) / f'{name}.log'
        with open(self._log, 'ab') as log:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, **keywords)

    def require_alive(self):
        if self._process.poll() is not None:
            raise ServerFailed(f'{self.name} has ended with '
                               f'{self._process.returncode}:\n'
                               f'{self.last_words()}')

    def last_words(self):
        with open(self._log, errors='replace') as log:
            return f'{self._log}: ...{log.read()[-3000:]}'

    def kill(self):
        """End the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Server:
    """A server of one or more processes.

    :param directory: for its data, its configuration and its logs.
    """

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.processes = []

    def spawn(self, name, command, **keywords):
        process = Process(name, command, self.directory, **keywords)
        self.processes.append(process)
        return process

    def write(self, name, text):
        """Write a file of configuration."""
        path = self.directory / name
        path.write_text(text)
        return path

    def until(self, healthy):
        until(healthy, self.processes)

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Return when the server answers."""
        raise NotImplementedError()


def certificate(directory, name):
    """A file with a key and a certificate of its own for this machine."""
    path = pathlib.Path(directory) / f'{name}.pem'
    key = pathlib.Path(directory) / f'{name}.key'
    run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days',
         '2', '-subj', f'/CN={name}', '-addext',
         f'subjectAltName=IP:{HOST}', '-keyout', key, '-out', path])
    path.write_text(path.read_text() + key.read_text())
    return path
