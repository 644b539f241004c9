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

"""Configuration files, drivers and the embedded default."""

from importlib.metadata import entry_points

import pytest

from tests.functional import images

BAD_USAGE = 2


@pytest.fixture
def cinder_conf(tmp_path):
    """What a cinder.conf has, under Cinder's own names."""
    path = tmp_path / 'cinder.conf'
    path.write_text(f'''\
[DEFAULT]
backup_driver = cinder.backup.drivers.posix.PosixBackupDriver
backup_posix_path = {tmp_path}/of_cinder
backup_file_size = 262144
backup_sha_block_size_bytes = 4096
backup_compression_algorithm = zstd
transport_url = rabbit://someone:secret@controller
enabled_backends = lvm

[lvm]
volume_group = volumes
''')
    return path


def test_nothing_has_to_be_configured(command, volume, target):
    command.backup(volume)
    command.run('volume', 'restore', 'latest', target)

    assert target.read_bytes() == volume.read_bytes()
    assert command.files()


def test_without_a_data_directory_the_home_is_used(command, volume,
                                                   tmp_path):
    del command.environment['XDG_DATA_HOME']

    command.backup(volume)

    assert (tmp_path / 'home/.local/share/chunked-backup/catalogue').is_dir()


@pytest.mark.parametrize('before', [True, False])
def test_a_configuration_file_before_and_behind_the_command(
        command, volume, cinder_conf, tmp_path, before):
    arguments = ['volume', 'backup', volume]
    option = ['--config-file', cinder_conf]

    command.run(*(option + arguments if before else arguments + option))

    assert list((tmp_path / 'of_cinder').iterdir())
    assert command.files() == []


def test_a_cinder_conf_works_as_it_is(command, volume, target, cinder_conf,
                                      tmp_path):
    volume.write_bytes(b'text ' * 200_000)
    option = ['--config-file', cinder_conf]
    made = command.run(*option, 'volume', 'backup', volume)
    change_at = 40_960
    with open(volume, 'r+b') as file:
        file.seek(change_at)
        file.write(b'x' * 10)

    changed = command.json(*option, 'volume', 'backup', volume,
                           '--incremental')
    command.run(*option, 'volume', 'restore', 'latest', target)

    assert made.stderr == ''
    assert changed['changed'] == 4096
    objects = [path for path in (tmp_path / 'of_cinder').rglob('*-0000?')]
    assert len(objects) == 4 + 1
    assert all(path.read_bytes()[:4] == b'\x28\xb5\x2f\xfd'
               for path in objects)
    assert target.read_bytes() == volume.read_bytes()


def test_paths_of_a_cinder_conf_may_refer_to_its_state_path(
        command, volume, tmp_path):
    path = tmp_path / 'cinder.conf'
    path.write_text(f'[DEFAULT]\nstate_path = {tmp_path}/state\n'
                    'backup_posix_path = $state_path/backup\n')

    command.run('--config-file', path, 'volume', 'backup', volume)

    assert list((tmp_path / 'state' / 'backup').iterdir())
    assert command.files() == []


def test_our_own_names_win_over_those_of_cinder(command, volume, cinder_conf,
                                                tmp_path):
    own = tmp_path / 'own.conf'
    own.write_text('[chunked_backup_posix]\n'
                   f'path = {tmp_path}/own_repository\n')

    command.run('--config-file', cinder_conf, '--config-file', own,
                'volume', 'backup', volume)

    assert (tmp_path / 'own_repository').is_dir()
    assert not (tmp_path / 'of_cinder').exists()


@pytest.mark.parametrize('content', [
    '[chunked_backup]\ncompression_algorithm = rar\n',
    '[chunked_backup]\ndriver = unknown\n',
    '[chunked_backup_posix]\nchunk_size_bytes = many\n',
    '[chunked_backup_posix]\nchunk_size_bytes = 1000\n',
    '[DEFAULT]\nlog_dir = /nowhere/at/all\n',
    'no section\n',
])
def test_a_bad_configuration(command, volume, tmp_path, content):
    path = tmp_path / 'bad.conf'
    path.write_text(content)

    done = command.run('volume', 'backup', volume, '--config-file', path,
                       exit_code=BAD_USAGE)

    assert done.stderr.startswith('chunked-backup: ')
    assert 'Traceback' not in done.stderr


def test_a_value_that_is_none_is_named_with_its_file(command, volume,
                                                     tmp_path):
    path = tmp_path / 'bad.conf'
    path.write_text('[chunked_backup]\ncompression_algorithm = rar\n')

    done = command.run('volume', 'backup', volume, '--config-file', path,
                       exit_code=BAD_USAGE)

    assert f'option compression_algorithm from {path} is not' in done.stderr


def test_a_configuration_file_that_is_not_there(command):
    done = command.run('volume', 'list', '--config-file', '/nowhere/at/all',
                       exit_code=BAD_USAGE)

    assert '/nowhere/at/all' in done.stderr


def test_a_log_file_is_written_when_configured(command, volume, configured,
                                               tmp_path):
    log = tmp_path / 'log'
    configured('[DEFAULT]', f'log_file = {log}')

    backup_id = command.backup(volume)

    assert f'Backup {backup_id} of volume' in log.read_text()


@pytest.mark.parametrize('before', [True, False])
def test_an_unknown_driver_lists_what_is_installed(command, before):
    arguments = ['volume', 'list']
    option = ['--driver', 'tape']

    done = command.run(*(option + arguments if before
                         else arguments + option), exit_code=BAD_USAGE)

    installed = entry_points(group='chunked_backup.drivers').names
    assert '"tape"' in done.stderr
    assert f'installed are: {", ".join(sorted(installed))}' in done.stderr
    assert {'memory', 'posix'} <= installed


def test_the_driver_may_be_named(command, volume):
    command.run('volume', 'backup', volume, '--driver', 'memory')

    assert command.files() == []


def test_driver_list(command):
    listed = {each['name']: each for each in command.json('driver', 'list')}
    other = {each['name']: each
             for each in command.json('driver', 'list', '--driver', 'memory')}

    assert set(listed) == entry_points(group='chunked_backup.drivers').names
    assert listed['posix']['class'].endswith(':PosixBackupDriver')
    assert listed['posix']['usable'] == 'yes'
    assert [name for name in listed if listed[name]['configured']] == [
        'posix']
    assert [name for name in other if other[name]['configured']] == ['memory']
    assert 'posix' in command.run('driver', 'list').stdout


def test_another_machine_with_the_same_repository(command, volume, tmp_path,
                                                  target):
    """All that is needed lies in the repository itself."""
    backup_id = command.backup(volume)
    moved = tmp_path / 'moved'
    command.data.rename(moved)
    command.environment['XDG_DATA_HOME'] = str(moved)

    listed = command.json('volume', 'list')
    command.run('volume', 'restore', backup_id, target)

    assert [each['id'] for each in listed] == [backup_id]
    assert target.read_bytes() == images.random_bytes(1_050_000)


def test_without_arguments_help_is_printed(command):
    printed = command.run().stdout

    for name in ('volume backup', 'volume restore', 'volume list',
                 'volume show', 'volume verify', 'volume delete',
                 'repository rebuild', 'driver list'):
        assert name in printed
        assert 'usage' in command.run(*name.split(), '--help').stdout
