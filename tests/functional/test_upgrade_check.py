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

"""Is all ready for this release? As an operator asks it."""

import json
import os
import subprocess

import pytest

from tests.functional import command as commands

PROGRAM = os.path.join(os.path.dirname(commands.PROGRAM),
                       'chunked-backup-status')
SUCCESS, WARNING, FAILURE = range(3)


@pytest.fixture
def check(command):
    """Run the check; details by name, of those that found something."""
    def run(code, *words):
        done = subprocess.run(
            [PROGRAM, *words, 'upgrade', 'check', '--json'], text=True,
            env=command.environment, capture_output=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        found = {each['check']: each['details']
                 for each in json.loads(done.stdout)['checks']
                 if each['result']}
        assert bool(found) == (code != SUCCESS)
        return found

    return run


def test_a_repository_in_use_is_ready(check, command, configured, volume):
    configured('[chunked_backup]', 'parallelism = 2',
               '[chunked_backup_posix]', f'path = {command.data}/r')
    command.backup(volume)

    check(SUCCESS)


def test_nothing_yet_is_ready(check):
    check(SUCCESS)


def test_a_table_for_people(command):
    done = subprocess.run([PROGRAM, 'upgrade', 'check'], text=True,
                          env=command.environment, capture_output=True,
                          check=True)

    for name in ('Options', 'Driver', 'Repository', 'Records'):
        assert f'Check: {name}' in done.stdout


@pytest.mark.parametrize('lines, word', [
    (['[chunked_backup]', 'paralelism = 2'], 'paralelism'),
    (['[chunked_backup_posix]', 'backup_posix_path = /x'],
     'backup_posix_path'),
    (['[chunked_backup_swfit]', 'url = x'], 'chunked_backup_swfit')])
def test_what_nobody_reads_is_named(check, configured, lines, word):
    configured(*lines)

    assert word in check(WARNING)['Options']


def test_the_options_of_others_are_no_business_of_ours(check, configured):
    configured('[DEFAULT]', 'backup_posix_path = $state_path/backup',
               'my_ip = 10.0.0.1', '[oslo_messaging]', 'x = y')

    check(SUCCESS)


def test_a_value_that_is_none_is_named(check, configured):
    configured('[chunked_backup]', 'parallelism = many')

    found = check(FAILURE)['Options']
    assert 'parallelism' in found and 'LocationInfo' not in found


def test_a_driver_that_is_not_installed_is_named(check, configured):
    configured('[chunked_backup]', 'driver = tape')

    assert 'tape' in check(FAILURE)['Driver']


def test_a_repository_that_cannot_be_used_is_named(check, configured,
                                                   tmp_path):
    (tmp_path / 'file').write_text('no directory')
    configured('[chunked_backup_posix]', f'path = {tmp_path}/file')

    assert str(tmp_path / 'file') in check(FAILURE)['Repository']


def test_records_that_cannot_be_read_or_are_unfinished_are_named(
        check, command, volume):
    broken, unfinished = command.backup(volume), command.backup(volume)
    for path in command.files():
        if path.name.endswith(broken) and 'record' in path.name:
            path.write_text('{')
        elif path.name.endswith(unfinished) and 'record' in path.name:
            path.write_text(path.read_text().replace('"available"',
                                                     '"creating"'))

    found = check(WARNING)['Records']
    assert broken in found and unfinished in found
    assert 'rebuild' in found and 'gc' in found


def test_a_file_that_is_not_there_is_no_traceback(command):
    done = subprocess.run(
        [PROGRAM, '--config-file', '/nowhere', 'upgrade', 'check'],
        text=True, env=command.environment, capture_output=True, check=False)

    assert done.returncode == 255
    assert '/nowhere' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_line_that_cannot_be_read_is_not_shown(command, configured):
    """It may have a secret."""
    configured('[chunked_backup_swift]', 'key canary')
    done = subprocess.run([PROGRAM, 'upgrade', 'check'], text=True,
                          env=command.environment, capture_output=True)
    assert done.returncode == 255
    assert 'chunked_backup.conf:2' in done.stderr
    assert 'canary' not in done.stdout + done.stderr
