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


"""``repository check`` and ``repository gc``, run as a user runs them."""

import os
import signal

import pytest

from tests.functional import images
from tests.functional.command import wait_for

DAMAGED = 5
BAD_USAGE = 2
NO_SUCH_BACKUP = 4


def age(command):
    """Have all of the repository be two days older."""
    for path in command.files():
        then = path.stat().st_mtime - 2 * 86400
        os.utime(path, (then, then))


@pytest.fixture
def killed(command, tmp_path, configured):
    """A repository with a backup, and one whose writer was killed."""
    configured('[chunked_backup]', 'compression_algorithm = bz2')
    slow = images.write_slow_to_compress(tmp_path / 'slow', 32 << 20)
    process = command.start('volume', 'backup', slow)
    wait_for(process, command.half_written)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    [row] = command.json('volume', 'list')
    assert row['status'] == 'creating'
    return row['id']


def test_gc_removes_what_a_killed_backup_has_left(command, killed):
    left = command.files()

    young = command.json('repository', 'gc')
    assert {row['result'] for row in young} == {'kept'}
    assert command.files() == left

    age(command)
    dry = command.json('repository', 'gc', '--dry-run')
    assert {row['result'] for row in dry} == {'would be removed'}
    assert {killed} < {row['what'] for row in dry}
    assert command.files() == left

    gone = command.json('repository', 'gc')
    assert {row['result'] for row in gone} == {'removed'}
    assert command.files() == []
    assert command.json('volume', 'list') == []
    assert command.json('repository', 'gc', '--grace', '0s') == []


def test_gc_touches_no_backup(command, volume):
    full = command.backup(volume)
    command.backup(volume, '--incremental')
    age(command)
    before = command.files()

    assert command.json('repository', 'gc', '--grace', '1d') == []

    assert command.files() == before
    assert command.json('volume', 'verify', full)[0]['result'] == 'sound'


@pytest.mark.parametrize('grace', ['', 's', '5', '1w', '-1s', '1.5h', '٣s'])
def test_a_grace_that_is_no_duration_is_bad_usage(command, grace):
    done = command.run('repository', 'gc', f'--grace={grace}',
                       exit_code=BAD_USAGE)
    assert 'duration' in done.stderr


def test_a_sound_repository_is_checked(command, volume):
    ids = {command.backup(volume), command.backup(volume, '--incremental')}

    for how in ([], ['--read-data'], ['--sample', '50%']):
        rows = command.json('repository', 'check', *how)
        assert {row['what'] for row in rows} == ids
        assert {row['result'] for row in rows} == {'sound'}
        if how == ['--read-data']:
            assert all(row['read'] == row['objects'] for row in rows)


def test_damage_is_named_and_is_the_exit_code(command, volume):
    backup_id = command.backup(volume)
    path = command.objects()[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)

    [row] = command.json('repository', 'check')
    assert row['result'] == 'sound'
    [row] = command.json('repository', 'check', '--read-data',
                         exit_code=DAMAGED)
    assert (row['what'], row['result']) == (backup_id, 'damaged')
    assert path.name in row['problem']

    path.unlink()
    [row] = command.json('repository', 'check', exit_code=DAMAGED)
    assert path.name in row['problem'] and 'missing' in row['problem']


def test_a_repository_without_backups_is_no_sound_one(command, volume):
    missing = command.run('repository', 'check', exit_code=NO_SUCH_BACKUP)
    command.backup(volume)
    command.run('volume', 'delete', 'latest')
    empty = command.run('repository', 'check', exit_code=NO_SUCH_BACKUP)

    assert 'is it mounted' in missing.stderr
    assert 'is it mounted' in empty.stderr
    assert missing.stdout == empty.stdout == ''


@pytest.mark.parametrize('share', ['', '%', '101%', '-1%', 'nan', 'all'])
def test_a_sample_that_is_no_percentage_is_bad_usage(command, share):
    done = command.run('repository', 'check', f'--sample={share}',
                       exit_code=BAD_USAGE)
    assert 'percentage' in done.stderr
