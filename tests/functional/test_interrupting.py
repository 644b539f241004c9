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

"""Signals in the middle of the work, and stores that fail there."""

import resource
import signal

import pytest

from tests.functional import images
from tests.functional.command import wait_for

INTERRUPTED = 130
STORE_FAILED = 6
NOT_USABLE = 4
BAD_USAGE = 2


@pytest.fixture
def slow(tmp_path, configured):
    """A volume whose backup takes some seconds."""
    configured('[chunked_backup]', 'compression_algorithm = bz2')
    return images.write_slow_to_compress(tmp_path / 'slow', 32 << 20)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGHUP])
def test_a_signal_during_a_backup_leaves_nothing(command, slow, number):
    process = command.start('volume', 'backup', slow)
    wait_for(process, command.half_written)

    process.send_signal(number)
    output, complaints = process.communicate()

    assert process.returncode == INTERRUPTED, complaints
    assert output == ''
    assert 'interrupted' in complaints
    assert 'Traceback' not in complaints
    assert command.files() == []
    assert command.json('volume', 'list') == []


def test_a_signal_during_an_incremental_leaves_its_parent(
        command, slow, volume):
    full = command.backup(volume, '--volume-id', 'one')
    before = command.files()
    process = command.start('volume', 'backup', slow, '--parent', full,
                            '--volume-id', 'one')
    wait_for(process, command.half_written)

    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate()

    assert process.returncode == INTERRUPTED, complaints
    assert command.files() == before
    assert command.json('volume', 'verify', full)[0]['result'] == 'sound'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_restore_leaves_no_target(command, slow, target,
                                                    number):
    backup_id = command.backup(slow)
    process = command.start('volume', 'restore', backup_id, target)
    wait_for(process, lambda: list(target.parent.iterdir()))

    process.send_signal(number)
    _, complaints = process.communicate()

    assert process.returncode == INTERRUPTED, complaints
    assert list(target.parent.iterdir()) == []
    assert command.json('volume', 'show',
                        backup_id)['status'] == 'available'


def test_a_killed_backup_is_resumed(command, slow, configured, target):
    configured('[chunked_backup_posix]', 'chunk_size_bytes = 1048576')
    process = command.start('volume', 'backup', slow)
    wait_for(process, lambda: len(command.objects()) >= 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stored = {path: path.stat().st_ino for path in command.objects()}
    [row] = command.json('volume', 'list')

    done = command.json('volume', 'backup', '--resume', row['id'][:8])

    assert done['id'] == row['id']
    assert done['status'] == 'available'
    assert done['objects'] == 32
    assert {path: path.stat().st_ino for path in stored} == stored
    command.run('volume', 'restore', row['id'], target)
    assert target.read_bytes() == slow.read_bytes()


def test_a_backup_that_is_being_written_is_not_resumed(command, slow):
    process = command.start('volume', 'backup', slow)
    wait_for(process, command.half_written)
    [row] = command.json('volume', 'list')

    done = command.run('volume', 'backup', '--resume', row['id'],
                       exit_code=NOT_USABLE)

    assert 'its writer may be alive' in done.stderr
    _, complaints = process.communicate()
    assert process.returncode == 0, complaints


@pytest.mark.parametrize('arguments', [
    [], ['--resume', 'x', '--name', 'new'], ['--resume', 'x', '--volume-id',
                                             'other']])
def test_what_makes_no_sense_with_resuming_is_bad_usage(command, arguments):
    command.run('volume', 'backup', *arguments, exit_code=BAD_USAGE)


def test_a_backup_that_a_store_fails_leaves_nothing(command, tmp_path,
                                                    configured):
    configured('[chunked_backup_posix]', 'chunk_size_bytes = 1048576')
    path = tmp_path / 'volume'
    path.write_bytes(images.random_bytes(8 << 20))

    def limit_files_to_half_a_chunk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (524288, 524288))

    done = command.run('volume', 'backup', path, exit_code=STORE_FAILED,
                       preexec_fn=limit_files_to_half_a_chunk)

    assert 'File too large' in done.stderr
    assert command.files() == []


@pytest.mark.parametrize('path', ['/dev/null/repository', '/proc/repository'])
def test_a_repository_that_cannot_be_made(command, volume, configured, path):
    configured('[chunked_backup_posix]', f'path = {path}')

    done = command.run('volume', 'backup', volume, exit_code=STORE_FAILED)

    assert path in done.stderr


def test_a_list_that_nobody_reads_to_its_end(command, volume):
    command.backup(volume)
    process = command.start('volume', 'list')
    process.stdout.close()

    process.wait()

    assert 'Traceback' not in process.stderr.read()
    process.stderr.close()
