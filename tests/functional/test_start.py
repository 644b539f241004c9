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

"""What the command imports before it does anything."""

import subprocess
import sys

import pytest

# Each costs a start 20 to 300 ms, and only its users should pay that.
CLIENTS = {'boto3', 'botocore', 'swiftclient', 'keystoneauth1', 'os_brick',
           'eventlet', 'cinder', 'zstandard', 'requests', 'hypothesis'}
PROGRAM = '''
import sys
from chunked_backup.cmd import app
try:
    app.main(sys.argv[1:])
except SystemExit:
    pass
print('modules', *sys.modules)
'''


def imported(command, *words):
    done = subprocess.run([sys.executable, '-c', PROGRAM, *words],
                          env=command.environment, check=True, text=True,
                          capture_output=True)
    return {name.partition('.')[0]
            for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize('words', [
    ['--help'], ['volume', 'list'], ['volume', 'backup', '--help']])
def test_a_start_imports_no_client_that_it_does_not_use(command, words):
    modules = imported(command, *words)
    assert 'chunked_backup' in modules
    assert not modules & CLIENTS


def test_the_help_needs_neither_the_core_nor_a_driver(command):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, '--help'], env=command.environment,
        check=True, text=True, capture_output=True)
    modules = done.stdout.splitlines()[-1].split()
    assert 'chunked_backup.driver' not in modules
    assert 'chunked_backup.jobs' not in modules


def test_a_start_does_not_look_through_all_that_is_installed(command):
    """Hundreds of distributions may be, where Cinder is."""
    program = '\n'.join((
        'import sys',
        'from cliff import command',
        'from chunked_backup.cmd import app',
        'assert command.packages_distributions',
        'command.packages_distributions = None',
        'sys.exit(app.main(sys.argv[1:]))'))
    subprocess.run([sys.executable, '-c', program, 'volume', 'list'],
                   env=command.environment, check=True)


def test_a_client_that_is_used_is_imported(command, tmp_path):
    """That the names above are the right ones."""
    configuration = tmp_path / 's3.conf'
    configuration.write_text(
        '[chunked_backup_s3]\nendpoint_url = http://127.0.0.1:9\n'
        'access_key = a\nsecret_key = b\n[chunked_backup]\n'
        'retry_attempts = 1\n')
    assert {'boto3', 'botocore'} <= imported(
        command, '--config-file', str(configuration), '--driver', 's3',
        'volume', 'list')
