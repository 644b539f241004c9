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

"""volume backup, restore, list, show, verify, prune and delete."""

import json
import os

import pytest

from tests.functional import images
from tests.functional.command import wait_for

NO_SUCH_BACKUP = 4
DAMAGED = 5
INCOMPLETE = 7
SALVAGED = 3
BAD_USAGE = 2


def change(path, offset, data):
    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(data)


def damage(path):
    """Turn over one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class TestBackup:

    def test_the_id_is_the_last_thing_printed(self, command, volume):
        table = command.run('volume', 'backup', volume).stdout
        record = command.run('volume', 'backup', volume, '-f', 'json').stdout
        value = command.run('volume', 'backup', volume, '-f', 'value', '-c',
                            'id').stdout

        ids = [each['id'] for each in command.json('volume', 'list')]
        assert table.splitlines()[-2].split()[1:4:2] == ['id', ids[0]]
        assert list(json.loads(record).items())[-1] == ('id', ids[1])
        assert value == ids[2] + '\n'

    def test_options_are_recorded(self, command, volume):
        backup_id = command.backup(
            volume, '--volume-id', 'mine', '--name', 'nightly',
            '--description', 'before the upgrade')

        shown = command.json('volume', 'show', backup_id)
        assert (shown['volume_id'], shown['name'], shown['description']) == (
            'mine', 'nightly', 'before the upgrade')

    def test_the_volume_id_is_the_same_for_the_same_path(
            self, command, volume, tmp_path):
        other = tmp_path / 'other'
        other.write_bytes(b'other')

        made = [command.json('volume', 'backup', path)['volume_id']
                for path in (volume, volume, other)]

        assert made[0] == made[1] != made[2]

    def test_an_incremental_follows_the_newest_backup_of_the_volume(
            self, command, volume, tmp_path):
        other = tmp_path / 'other'
        other.write_bytes(b'other')
        command.backup(volume)
        newest = command.backup(volume)
        command.backup(other)

        made = command.json('volume', 'backup', volume, '--incremental')

        assert made['parent_id'] == newest

    def test_an_incremental_follows_the_parent_named(self, command, volume):
        oldest = command.backup(volume)
        command.backup(volume)

        made = command.json('volume', 'backup', volume, '--parent', oldest)

        assert made['parent_id'] == oldest

    def test_an_incremental_without_a_parent_is_refused(
            self, command, volume):
        done = command.run('volume', 'backup', volume, '--incremental',
                           exit_code=BAD_USAGE)

        assert 'do a full backup' in done.stderr
        assert command.json('volume', 'list') == []

    def test_a_parent_with_another_block_size_is_refused(
            self, command, volume, configured):
        command.backup(volume)
        configured('[chunked_backup_posix]', 'sha_block_size_bytes = 4096',
                   'chunk_size_bytes = 8192')

        done = command.run('volume', 'backup', volume, '--incremental',
                           exit_code=BAD_USAGE)

        assert 'do a full backup' in done.stderr
        assert len(command.json('volume', 'list')) == 1

    def test_a_volume_that_grew_and_shrank_comes_back(
            self, command, volume, tmp_path):
        contents = {command.backup(volume): volume.read_bytes()}
        for size in (2_000_000, 500_000):
            os.truncate(volume, size)
            backup_id = command.backup(volume, '--incremental')
            contents[backup_id] = volume.read_bytes()

        for backup_id, content in contents.items():
            path = tmp_path / backup_id
            command.run('volume', 'restore', backup_id, path)
            assert path.read_bytes() == content

    @pytest.mark.parametrize('arguments', [
        ['volume', 'backup'],
        ['volume', 'backup', 'no such file'],
        ['volume', 'backup', '/'],
        ['volume', 'backup', '/dev/null', '--incremental', '--parent', 'x'],
        ['volume', 'backup', '/dev/null', '--unknown'],
        ['volume', 'verify'],
        ['volume', 'verify', '--all', 'x'],
        ['volume', 'restore', 'latest'],
        ['volume', 'unknown'],
        ['--no-progress'],
    ])
    def test_bad_usage(self, command, arguments):
        done = command.run(*arguments, exit_code=BAD_USAGE)

        assert 'chunked-backup' in done.stderr + done.stdout
        assert 'Traceback' not in done.stderr

    def test_a_directory_is_a_tree(self, command, tmp_path):
        done = command.run('volume', 'backup', tmp_path, exit_code=BAD_USAGE)

        assert 'tree backup' in done.stderr

    def test_help_at_the_end_of_any_words(self, command):
        done = command.run('volume', 'restore', 'latest', '--force', '--help')

        assert '--salvage' in done.stdout

    @pytest.mark.parametrize('name', ['none', 'zlib', 'bz2', 'zstd'])
    def test_each_codec_comes_back(self, command, volume, target, configured,
                                   name):
        configured('[chunked_backup]', f'compression_algorithm = {name}')
        change(volume, 0, b'text that compresses ' * 5000)
        command.backup(volume)

        command.run('volume', 'restore', 'latest', target)

        assert target.read_bytes() == volume.read_bytes()


class TestNames:
    """How BACKUP is understood."""

    def test_a_unique_beginning_of_an_id(self, command, volume):
        backup_id = command.backup(volume)

        assert command.json('volume', 'show', backup_id[0])['id'] == backup_id

    def test_a_beginning_that_several_have(self, command, volume):
        # 17 ids, 16 digits: two of them begin alike.
        ids = [command.backup(volume) for _ in range(17)]
        first = [backup_id[0] for backup_id in ids]
        common = max(first, key=first.count)

        done = command.run('volume', 'show', common,
                           exit_code=NO_SUCH_BACKUP)

        for backup_id in ids:
            assert (backup_id in done.stderr) == (backup_id[0] == common)

    def test_latest(self, command, volume):
        command.backup(volume)
        newest = command.backup(volume)

        assert command.json('volume', 'show', 'latest')['id'] == newest

    @pytest.mark.parametrize('name', ['latest', 'x', ''])
    @pytest.mark.parametrize('arguments', [
        ['volume', 'show', '{}'], ['volume', 'verify', '{}'],
        ['volume', 'delete', '{}'], ['volume', 'restore', '{}', 'target'],
    ])
    def test_no_such_backup(self, command, arguments, name):
        done = command.run(*(word.format(name) for word in arguments),
                           exit_code=NO_SUCH_BACKUP)

        assert f'"{name}"' in done.stderr


class TestRestore:

    def test_a_new_target(self, command, volume, target, small_chunks):
        backup_id = command.backup(volume)

        told = command.json('volume', 'restore', backup_id, target)

        assert target.read_bytes() == volume.read_bytes()
        assert told['id'] == backup_id
        assert told['path'] == str(target)
        assert told['size'] == 1_050_000
        assert told['objects'] == 5
        assert told['bad_ranges'] == []

    def test_an_empty_target(self, command, volume, target):
        command.backup(volume)
        target.touch()

        command.run('volume', 'restore', 'latest', target)

        assert target.read_bytes() == volume.read_bytes()

    def test_a_target_with_something_in_it_is_refused(
            self, command, volume, target):
        command.backup(volume)
        target.write_bytes(b'precious')

        done = command.run('volume', 'restore', 'latest', target,
                           exit_code=BAD_USAGE)

        assert '--force' in done.stderr
        assert target.read_bytes() == b'precious'

    @pytest.mark.parametrize('size', [100_000, 1_050_000, 3_000_000])
    def test_force_overwrites_other_bytes(self, command, volume, target,
                                          size):
        change(volume, 300_000, bytes(200_000))
        command.backup(volume)
        target.write_bytes(images.random_bytes(size, seed=2))

        command.run('volume', 'restore', 'latest', target, '--force')

        assert target.read_bytes() == volume.read_bytes()

    def test_a_target_that_is_half_restored_says_so(
            self, command, volume, target, small_chunks):
        """By its exit code, and to whoever takes it for a volume."""
        backup_id = command.backup(volume)
        damaged = command.objects()[1]
        sound = damaged.read_bytes()
        damage(damaged)
        target.write_bytes(images.random_bytes(2_000_000, seed=2))

        done = command.run('volume', 'restore', backup_id, target, '--force',
                           exit_code=INCOMPLETE)

        for word in (backup_id, damaged.name, str(target), 'incomplete'):
            assert word in done.stderr
        done = command.run('volume', 'backup', target, exit_code=BAD_USAGE)
        assert 'has not ended' in done.stderr
        damaged.write_bytes(sound)
        command.run('volume', 'restore', backup_id, target, '--force')
        assert target.read_bytes() == volume.read_bytes()

    def test_a_block_zeroed_after_the_full_backup(
            self, command, volume, target):
        """Cinder up to 28 brings the old bytes back."""
        command.backup(volume)
        change(volume, 327680, bytes(65536))
        command.backup(volume, '--incremental')

        command.run('volume', 'restore', 'latest', target)

        assert target.read_bytes() == volume.read_bytes()

    def test_a_damaged_backup_leaves_no_target(
            self, command, volume, target, small_chunks):
        backup_id = command.backup(volume)
        damaged = command.objects()[1]
        damage(damaged)

        done = command.run('volume', 'restore', backup_id, target,
                           exit_code=DAMAGED)

        assert list(target.parent.iterdir()) == []
        for word in (backup_id, damaged.name, 'volume offset'):
            assert word in done.stderr

    def test_a_missing_object_leaves_no_target(
            self, command, volume, target, small_chunks):
        command.backup(volume)
        command.objects()[1].unlink()

        done = command.run('volume', 'restore', 'latest', target,
                           exit_code=DAMAGED)

        assert list(target.parent.iterdir()) == []
        assert 'missing' in done.stderr

    def test_salvage_brings_the_sound_part_back(
            self, command, volume, target, small_chunks):
        command.backup(volume)
        command.objects()[1].unlink()

        told = command.json('volume', 'restore', 'latest', target,
                            '--salvage', exit_code=SALVAGED)

        expected = bytearray(volume.read_bytes())
        expected[262144:524288] = bytes(262144)
        assert target.read_bytes() == expected
        assert [(bad['offset'], bad['length'])
                for bad in told['bad_ranges']] == [(262144, 262144)]
        assert 'missing' in told['bad_ranges'][0]['reason']

    def test_salvage_of_a_sound_backup_loses_nothing(
            self, command, volume, target):
        command.backup(volume)

        told = command.json('volume', 'restore', 'latest', target,
                            '--salvage')

        assert told['bad_ranges'] == []
        assert target.read_bytes() == volume.read_bytes()

    def test_a_salvage_lists_its_losses_in_the_table(
            self, command, volume, target, small_chunks):
        command.backup(volume)
        command.objects()[1].unlink()

        done = command.run('volume', 'restore', 'latest', target,
                           '--salvage', exit_code=SALVAGED)

        assert '262144+262144' in done.stdout

    def test_a_directory_that_does_not_exist(self, command, volume, target):
        command.backup(volume)

        command.run('volume', 'restore', 'latest', target / 'x' / 'y',
                    exit_code=BAD_USAGE)


class TestBlockDevice:
    """A loop device; this needs to be root."""

    @pytest.fixture
    def device(self, tmp_path):
        path = tmp_path / 'backing'
        path.write_bytes(images.random_bytes(4 << 20, seed=3))
        name = images.system_command('losetup', '-f', '--show',
                                     path).strip()
        yield name
        images.system_command('losetup', '-d', name)

    def test_is_restored_to_and_backed_up(self, command, device, tmp_path,
                                          target):
        volume = tmp_path / 'volume'
        with open(volume, 'wb') as file:
            file.write(images.random_bytes(1 << 20))
            file.truncate(4 << 20)
        command.backup(volume)

        command.run('volume', 'restore', 'latest', device, '--force')
        with open(device, 'rb') as file:
            on_the_device = file.read()
        command.backup(device)
        command.run('volume', 'restore', 'latest', target)

        assert on_the_device == volume.read_bytes()
        assert target.read_bytes() == volume.read_bytes()

    def test_is_not_overwritten_without_force(self, command, device, volume):
        command.backup(volume)

        command.run('volume', 'restore', 'latest', device,
                    exit_code=BAD_USAGE)

        with open(device, 'rb') as file:
            assert file.read() == images.random_bytes(4 << 20, seed=3)

    def test_that_is_too_small_is_left_alone(self, command, device,
                                             tmp_path):
        volume = tmp_path / 'volume'
        volume.write_bytes(images.random_bytes(5 << 20))
        command.backup(volume)

        done = command.run('volume', 'restore', 'latest', device, '--force',
                           exit_code=BAD_USAGE)

        assert '4194304 bytes' in done.stderr
        with open(device, 'rb') as file:
            assert file.read() == images.random_bytes(4 << 20, seed=3)


class TestList:

    def test_an_empty_repository(self, command):
        assert command.json('volume', 'list') == []
        assert command.run('volume', 'list').stdout.strip() == ''

    def test_oldest_first(self, command, volume):
        full = command.backup(volume, '--name', 'first')
        incremental = command.backup(volume, '--incremental')

        listed = command.json('volume', 'list')

        assert [(each['id'], each['type'], each['name'], each['status'],
                 each['source']) for each in listed] == [
            (full, 'full', 'first', 'available', str(volume)),
            (incremental, 'incremental', None, 'available', str(volume))]

    def test_of_one_volume(self, command, volume):
        command.backup(volume, '--volume-id', 'one')
        wanted = command.backup(volume, '--volume-id', 'two')

        listed = command.json('volume', 'list', '--volume-id', 'two')

        assert [each['id'] for each in listed] == [wanted]

    def test_sizes_are_short_for_people(self, command, volume):
        command.backup(volume)

        assert '1.0 MiB' in command.run('volume', 'list').stdout
        assert command.json('volume', 'list')[0]['size'] == 1_050_000

    @pytest.mark.parametrize('form', ['csv', 'value', 'yaml', 'json',
                                      'table'])
    def test_each_form_names_the_backup(self, command, volume, form):
        backup_id = command.backup(volume)

        for arguments in (['volume', 'list'], ['volume', 'verify', '--all'],
                          ['repository', 'rebuild']):
            done = command.run(*arguments, '-f', form)
            assert backup_id in done.stdout


class TestShow:

    def test_all_that_is_known(self, command, volume, small_chunks):
        full = command.backup(volume)
        change(volume, 0, b'x' * 4096)
        incremental = command.backup(volume, '--incremental')

        shown = command.json('volume', 'show', incremental)

        assert shown['chain'] == [incremental, full]
        assert shown['parent_id'] == full
        assert shown['type'] == 'incremental'
        assert shown['changed'] == 4096
        assert shown['objects'] == 1
        assert shown['size'] == 1_050_000
        assert shown['container'].endswith(incremental)
        assert shown['driver'].endswith('PosixBackupDriver')
        assert full in command.run('volume', 'show', incremental).stdout

    def test_the_map_shows_who_has_stored_what(self, command, volume,
                                               small_chunks, tmp_path):
        full = command.backup(volume)
        change(volume, 409_600, images.random_bytes(81_920, seed=3))
        newest = command.backup(volume, '--incremental')
        picture = tmp_path / 'map.svg'

        shown = command.json('volume', 'show', 'latest', '--map',
                             '--map-file', picture)
        assert shown['map'] == [
            {'start': 0, 'end': 409_600, 'backup_id': full},
            {'start': 409_600, 'end': 491_520, 'backup_id': newest},
            {'start': 491_520, 'end': 1_050_000, 'backup_id': full}]
        assert full in picture.read_text() and newest in picture.read_text()
        text = command.run('volume', 'show', 'latest', '--map').stdout
        assert 'AAABBB' in text and 'BBBAAA' in text
        assert 'map' not in command.json('volume', 'show', 'latest')
        command.run('volume', 'show', 'latest', '--map-file', picture,
                    exit_code=2)

    def test_a_map_is_no_picture_of_another_kind(self, command, volume,
                                                 tmp_path):
        command.backup(volume)
        picture = tmp_path / 'map.png'

        done = command.run('volume', 'show', 'latest', '--map-file', picture,
                           exit_code=BAD_USAGE)

        assert 'SVG' in done.stderr
        assert not picture.exists()


class TestVerify:

    def test_sound_backups(self, command, volume):
        ids = [command.backup(volume), command.backup(volume)]

        one = command.json('volume', 'verify', ids[0])
        every = command.json('volume', 'verify', '--all')

        assert [(each['id'], each['result']) for each in one] == [
            (ids[0], 'sound')]
        assert [(each['id'], each['result']) for each in every] == [
            (ids[0], 'sound'), (ids[1], 'sound')]

    def test_a_damaged_backup_among_sound_ones(self, command, volume,
                                               small_chunks):
        damaged = command.backup(volume)
        damage(command.objects()[2])
        sound = command.backup(volume)

        told = command.json('volume', 'verify', '--all', exit_code=DAMAGED)

        assert [(each['id'], each['result']) for each in told] == [
            (damaged, 'damaged'), (sound, 'sound')]
        assert 'volume offset 655360' in told[0]['problem']

    def test_nothing_to_verify_is_no_success(self, command):
        done = command.run('volume', 'verify', '--all',
                           exit_code=NO_SUCH_BACKUP)

        assert 'no available backup' in done.stderr
        assert done.stdout == ''


class TestPrune:

    def test_tells_before_it_deletes(self, command, volume):
        made = [command.backup(volume), command.backup(volume),
                command.backup(volume, '--incremental')]
        keep = 'volume', 'prune', '--keep-last', '1'
        assert [each['decision'] for each in command.json(*keep)] == [
            'would be deleted', 'kept', 'kept']
        assert len(command.json('volume', 'list')) == 3

        done = command.json(*keep, '--yes')
        assert [(each['decision'], each['reasons']) for each in done] == [
            ('deleted', ''), ('kept', f'needed by {made[2][:8]}'),
            ('kept', 'last')]
        assert [each['id'] for each in command.json('volume', 'list')] == (
            made[1:])

    @pytest.mark.parametrize('rules', [
        (), ('--keep-last', '1', '--keep-daily', '-1')])
    def test_without_a_rule_nothing_goes(self, command, rules):
        command.run('volume', 'prune', '--yes', *rules, exit_code=BAD_USAGE)


class TestDelete:

    def test_leaves_nothing(self, command, volume):
        backup_id = command.backup(volume, '--name', 'old')

        told = command.json('volume', 'delete', backup_id)

        assert told == [{'id': backup_id, 'name': 'old'}]
        assert command.files() == []
        assert command.json('volume', 'list') == []

    def test_what_others_depend_on_is_refused(self, command, volume):
        full = command.backup(volume)
        command.backup(volume, '--incremental')
        before = command.files()

        done = command.run('volume', 'delete', full,
                           exit_code=NO_SUCH_BACKUP)

        assert '--cascade' in done.stderr
        assert command.files() == before

    def test_cascade_deletes_the_dependents_too(self, command, volume):
        full = command.backup(volume)
        chain = [full, command.backup(volume, '--incremental'),
                 command.backup(volume, '--incremental')]
        other = command.backup(volume)

        told = command.json('volume', 'delete', full, '--cascade')

        assert [each['id'] for each in told] == chain[::-1]
        assert [each['id'] for each in command.json('volume', 'list')] == [
            other]
        assert command.json('volume', 'verify', other)[0]['result'] == 'sound'

    def test_the_newest_of_a_chain(self, command, volume, target):
        command.backup(volume)
        content = volume.read_bytes()
        change(volume, 0, b'x' * 4096)
        newest = command.backup(volume, '--incremental')

        command.run('volume', 'delete', newest)
        command.run('volume', 'restore', 'latest', target)

        assert target.read_bytes() == content

    def test_force_deletes_what_a_killed_writer_left(self, command,
                                                     tmp_path, configured):
        configured('[chunked_backup]', 'compression_algorithm = bz2')
        path = images.write_slow_to_compress(tmp_path / 'slow', 64 << 20)
        writer = command.start('volume', 'backup', path)
        wait_for(writer, command.half_written)
        writer.kill()
        writer.communicate()
        left = command.json('volume', 'list')

        command.run('volume', 'delete', left[0]['id'],
                    exit_code=NO_SUCH_BACKUP)
        command.run('volume', 'delete', left[0]['id'], '--force')

        assert [each['status'] for each in left] == ['creating']
        assert command.files() == []
