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

"""What the services of a large cloud share: RabbitMQ and MariaDB.

Both are Debian's, unpacked and not installed, and run as whoever runs the
tests. They listen on this machine alone and ask nobody for a password that
is worth anything.
"""

import contextlib
import os

import pymysql

from tests.stores.servers import base

# What the packages depend on and the daemons do without.
_NEEDLESS = ('adduser|logrotate|libpopt|lsb-base|openssl|python3|socat|'
             'libwrap')

_ERLANG = '''#!/bin/sh
# Debian's own looks for everything below /usr.
ROOTDIR={erlang} BINDIR={programs} EMU=beam PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" "$@"
'''

_RABBIT = '''
listeners.tcp.1 = {host}:{port}
log.file = false
log.console = true
log.console.level = warning
disk_free_limit.absolute = 10MB
'''


class RabbitMQ(base.Server):
    """A broker, with the user that it has by default."""

    def __init__(self, directory):
        super().__init__(directory)
        self._port, self._nodes, self._names = base.free_ports(3)
        self.url = f'rabbit://guest:guest@{base.HOST}:{self._port}/'

    def start(self):
        root = base.unpacked('rabbitmq', ('rabbitmq-server',), _NEEDLESS)
        library = root / 'usr' / 'lib'
        programs, = (library / 'erlang').glob('erts-*/bin')
        broker, = (library / 'rabbitmq' / 'lib').glob('rabbitmq_server-*')
        erlang = self.write('erl', _ERLANG.format(
            erlang=library / 'erlang', programs=programs))
        erlang.chmod(0o755)
        environment = {
            **os.environ, 'HOME': self.directory,  # of the cookie
            'PATH': f'{self.directory}:{os.environ["PATH"]}',
            'ERL_EPMD_ADDRESS': base.HOST,
            'ERL_EPMD_PORT': str(self._names),
            'RABBITMQ_NODENAME': 'rabbit@localhost',
            'RABBITMQ_DIST_PORT': str(self._nodes),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
                '-kernel inet_dist_use_interface {127,0,0,1}',
            'RABBITMQ_CONFIG_FILE': self.write(
                'rabbitmq.conf',
                _RABBIT.format(host=base.HOST, port=self._port)),
            'RABBITMQ_CONF_ENV_FILE': '/dev/null',
            'RABBITMQ_ENABLED_PLUGINS_FILE': self.directory / 'plugins',
            'RABBITMQ_MNESIA_BASE': self.directory / 'data',
            'RABBITMQ_LOG_BASE': self.directory}
        # The broker would start one that outlives it.
        self.spawn('epmd', [programs / 'epmd'], env=environment)
        self.spawn('rabbitmq', ['sh', broker / 'sbin' / 'rabbitmq-server'],
                   env=environment)
        self.until(lambda: base.listens(self._port))


class MariaDB(base.Server):
    """A database server, and in it a database."""

    name = 'cinder'

    def __init__(self, directory):
        super().__init__(directory)
        self._port = base.free_port()
        self.url = (f'mysql+pymysql://root@{base.HOST}:{self._port}/'
                    f'{self.name}?charset=utf8mb4')

    def start(self):
        root = base.unpacked('mariadb', ('mariadb-server-core',), _NEEDLESS)
        share = root / 'usr' / 'share' / 'mysql'
        (self.directory / 'data').mkdir()
        self.spawn('mariadb', [
            root / 'usr' / 'sbin' / 'mariadbd', '--no-defaults',
            f'--basedir={root / "usr"}', f'--lc-messages-dir={share}',
            f'--character-sets-dir={share / "charsets"}',
            f'--datadir={self.directory / "data"}', '--user=root',
            f'--socket={self.directory / "socket"}',
            f'--pid-file={self.directory / "pid"}',
            f'--bind-address={base.HOST}', f'--port={self._port}',
            # Not every machine lets a process have those.
            '--innodb-use-native-aio=0',
            # No tables of users have been made.
            '--skip-grant-tables'],
            env={**os.environ, 'LD_LIBRARY_PATH': str(base.library(root))})
        self.until(lambda: base.listens(self._port))
        self.execute(f'CREATE DATABASE {self.name} CHARACTER SET utf8mb4',
                     database=None)

    def execute(self, statement, values=(), database=name):
        """The rows that a statement gives, as dictionaries.

        :param statement: with a question mark for each of the values.
        """
        with contextlib.closing(pymysql.connect(
                host=base.HOST, port=self._port, user='root',
                database=database, autocommit=True,
                cursorclass=pymysql.cursors.DictCursor)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement.replace('?', '%s'), values)
                return list(cursor.fetchall())
