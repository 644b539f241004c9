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

"""What a debugger, a traceback, --debug and ps show: no secret."""

import base64
import gc
import http.server
import itertools
import threading
import traceback
import types

import pytest
from cliff import commandmanager

from chunked_backup import errors
from chunked_backup import opts
from chunked_backup.cmd import app
from chunked_backup.drivers import nfs
from chunked_backup.drivers import s3
from chunked_backup.drivers import swift
from chunked_backup.hosts.standalone.service import VolumeService
from tests import support
from tests.functional.command import Command

CANARY = 'canary0815shown0815canary0815xyz'
TOKEN = 'canary-of-a-token'
#: The same as headers have it.
SHAPES = (CANARY, TOKEN, base64.b64encode(CANARY.encode()).decode())
#: Whose objects are looked at.
LIBRARIES = ('chunked_backup', 'boto3', 'botocore', 'swiftclient',
             'keystoneauth1', 'oslo_config')
STATUSES = (200, 401)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers every request with one status and no sense."""

    protocol_version = 'HTTP/1.1'
    status = 500

    def do_GET(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        body = b'<Error><Code>x</Code><Message>refused</Message></Error>'
        self.send_response(self.status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope='module')
def server():
    made = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Refusing)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def s3_options(url):
    return {'endpoint_url': url, 'access_key': CANARY, 'secret_key': CANARY,
            'bucket': 'backups', 'sse_customer_key': CANARY,
            'sse_customer_algorithm': 'AES256', 'addressing_style': 'path',
            'timeout_s': 2, 'retry_max_attempts': 1}


def swift_options(url, version):
    return {'auth': 'single_user', 'auth_version': version, 'user': 'user',
            'key': CANARY, 'auth_url': f'{url}/auth/v{version}',
            'tenant': 'x', 'project': 'x', 'timeout_s': 2,
            'retry_attempts': 0}


def drivers(url):
    """Each driver with secrets, in each way of signing in."""
    support.override('chunked_backup', retry_wait_s=0.0)
    support.override('chunked_backup_s3', **s3_options(url))
    yield s3.S3BackupDriver(None)
    for version in '13':
        support.override('chunked_backup_swift', **swift_options(url, version))
        yield swift.SwiftBackupDriver(None)
    support.override('chunked_backup_swift', auth='per_user', url=url + '/v1/')
    yield swift.SwiftBackupDriver(types.SimpleNamespace(
        auth_token=TOKEN, project_id='project'))


def uses(driver):
    """All that a driver does; each gives the error that came of it."""
    def write():
        with driver.get_object_writer('backups', 'name') as writer:
            writer.write(b'data')

    def read():
        with driver.get_object_reader('backups', 'name') as reader:
            reader.read(10)

    for use in (driver.check_for_setup_error, write, read,
                lambda: driver.put_container('backups'),
                lambda: list(driver.get_container_entries('backups', '')),
                lambda: driver.delete_object('backups', 'name'),
                lambda: driver.delete_objects('backups', ['a', 'b']),
                lambda: driver.get_object_ages('backups', ''),
                lambda: list(driver.get_unfinished('backups'))):
        try:
            use()
        except errors.ChunkedBackupError as exc:
            yield exc


def shown(error):
    """What anybody may print of an error and of all behind it."""
    yield ''.join(traceback.format_exception(error))
    while error is not None:
        yield from (str(error), repr(error), repr(error.args),
                    repr(getattr(error, '__notes__', '')))
        error = error.__cause__ or error.__context__


def leaks(text):
    return [shape for shape in SHAPES if shape in text]


def test_no_error_shows_a_secret(server, conf, ledger, monkeypatch):
    counted = ledger('secrets shown')
    at = f'127.0.0.1:{server.server_port}'
    for url, status in [*((f'http://{at}', status) for status in STATUSES),
                        ('http://127.0.0.1:1', 0), (f'https://{at}', 0)]:
        monkeypatch.setattr(Refusing, 'status', status)
        for driver in drivers(url):
            for text in itertools.chain.from_iterable(
                    map(shown, uses(driver))):
                counted.point()
                if leaks(text):
                    counted.silent.append(f'{driver} {url} {status}: {text}')


def test_no_error_shows_the_password_of_a_proxy(server, conf, ledger):
    counted = ledger('secrets shown')
    for port in (1, server.server_port):
        proxy = f'http://user:{CANARY}@127.0.0.1:{port}'
        for scheme in ('http', 'https'):
            support.override('chunked_backup_s3', **{
                **s3_options(f'{scheme}://store.invalid'),
                'http_proxy': proxy, 'https_proxy': proxy})
            for text in itertools.chain.from_iterable(
                    map(shown, uses(s3.S3BackupDriver(None)))):
                counted.point()
                if leaks(text):
                    counted.silent.append(text)


def test_no_object_shows_a_secret(server, conf, ledger, monkeypatch):
    """Ours, and those that ours have the libraries make."""
    counted = ledger('secrets shown')
    monkeypatch.setattr(Refusing, 'status', 404)
    for driver in drivers(f'http://127.0.0.1:{server.server_port}'):
        list(uses(driver))
        for each in reachable(VolumeService(driver)):
            counted.point()
            for text in (repr(each), str(each)):
                if leaks(text):
                    counted.silent.append(f'{type(each)}: {text[:300]}')


def reachable(top):
    """What an object holds, by whatever way."""
    seen = {}
    pending = [top]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        pending += [each for each in gc.get_referents(one)
                    if not isinstance(each, (
                        str, bytes, int, type, types.ModuleType,
                        types.FunctionType, types.CodeType))]
        if type(one).__module__.partition('.')[0] in LIBRARIES:
            yield one


#: [section], option, of all that are marked as secret.
CONFIGURATIONS = {
    's3': ['[chunked_backup_s3]', *(
        f'{name} = {value}' for name, value in s3_options('{url}').items())],
    'swift': ['[chunked_backup_swift]', *(
        f'{name} = {value}'
        for name, value in swift_options('{url}', '1').items())],
    'a line without an equals sign': ['[chunked_backup_swift]',
                                      f'key {CANARY}']}


@pytest.mark.parametrize('name', CONFIGURATIONS)
def test_debug_shows_no_secret(server, ledger, tmp_path, name):
    counted = ledger('secrets shown')
    command = Command(tmp_path)
    path = tmp_path / 'home' / 'chunked_backup.conf'
    url = f'http://127.0.0.1:{server.server_port}'
    path.write_text('\n'.join([
        '[chunked_backup]', f'driver = {name[:5]}', 'retry_wait_s = 0',
        *CONFIGURATIONS[name]]).format(url=url))
    done = command.run('--debug', '-vvv', 'volume', 'list', exit_code=None)
    assert done.returncode and 'Traceback' in done.stderr
    for line in (done.stdout + done.stderr).splitlines():
        counted.point()
        if leaks(line):
            counted.silent.append(line)


def test_no_secret_is_an_argument(conf):
    """So that ps shows none."""
    secrets = {option.dest for _, options in opts.list_opts()
               + s3.list_opts() + swift.list_opts() + nfs.list_opts()
               for option in options if option.secret}
    assert {'secret_key', 'sse_customer_key', 'key'} <= secrets
    manager = commandmanager.CommandManager('chunked_backup.cli')
    for _, entry_point in manager:
        parser = entry_point.load()(app.ChunkedBackupApp(), None).get_parser(
            'program')
        assert not secrets & {action.dest for action in parser._actions}
