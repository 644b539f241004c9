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

"""tree backup, restore, list, show, diff, verify, delete, prune and stream."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest

from tests.functional import images
from tests.functional.command import wait_for

BAD_USAGE = 2
PROBLEMS = 3
NO_SUCH_BACKUP = 4
DAMAGED = 5
INTERRUPTED = 130


@pytest.fixture(params=['rsync', 'tar'])
def engine(request):
    return request.param


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / 'tree'
    (tree / 'etc').mkdir(parents=True)
    (tree / 'etc' / 'hosts').write_text('localhost')
    (tree / 'etc' / 'link').symlink_to('hosts')
    (tree / 'disk').write_bytes(os.urandom(1 << 20))
    return tree


def back_up(command, tree, *arguments, **keywords):
    return command.json('tree', 'backup', tree, '--name', 'home', *arguments,
                        **keywords)


def contents(top):
    """What files hold and links point to, by path."""
    return {str(path.relative_to(top)):
            os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in top.rglob('*') if path.is_symlink() or path.is_file()}


def data_object(command, backup_id):
    path, = command.repository.rglob(f'tree_*_{backup_id}_data_*')
    return path


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def age(command):
    """Have all of the repository be two days older."""
    for path in command.files():
        then = path.stat().st_mtime - 2 * 86400
        os.utime(path, (then, then))


class TestBackupAndRestore:

    def test_each_point_comes_back(self, command, tree, tmp_path, engine):
        points = []
        for number in range(3):
            (tree / 'etc' / f'new{number}').write_text(str(number))
            with open(tree / 'disk', 'r+b') as file:
                file.seek(300_000 * number)
                file.write(b'changed')
            points.append((back_up(command, tree, '--engine', engine,
                                   '--incremental'), contents(tree)))

        assert [made['level'] for made, _ in points] == [0, 1, 2]
        for made, expected in points:
            target = tmp_path / made['id']
            restored = command.json('tree', 'restore', made['id'], target)
            assert restored['damaged'] == restored['problems'] == 0
            assert contents(target) == expected

    def test_only_blocks_that_are_new_are_stored(self, command, tree):
        back_up(command, tree)
        with open(tree / 'disk', 'r+b') as file:
            data = file.read()
            file.seek(0)
            file.write(b'!' + data)
        made = back_up(command, tree, '--incremental')

        assert made['changed_files'] >= 1
        assert made['new'] <= 2 * 65536

    def test_what_was_renamed_is_not_stored_again(self, command, tree,
                                                  tmp_path):
        back_up(command, tree)
        (tree / 'disk').rename(tree / 'other')
        (tree / 'etc').rename(tree / 'elsewhere')
        made = back_up(command, tree, '--incremental')
        assert made['new'] == 0
        command.run('tree', 'restore', 'home', tmp_path / 'target')
        assert contents(tmp_path / 'target') == contents(tree)

    def test_what_has_not_changed_is_not_stored_again(self, command, tree,
                                                      engine):
        options = ('--engine', engine, '--incremental')
        back_up(command, tree, *options)
        time.sleep(2.1)  # see tree_backup.unchanged_content
        back_up(command, tree, *options)
        time.sleep(0.1)
        made = back_up(command, tree, *options)
        assert made['changed_files'] == 0
        assert made['new'] <= 10240  # the end of an archive

    def test_the_newest_of_a_name_or_the_one_at_a_time(self, command, tree,
                                                       tmp_path):
        back_up(command, tree)
        between = time.strftime('%Y-%m-%d %H:%M:%S%z', time.gmtime(
            time.time() + 1))
        time.sleep(1.5)
        (tree / 'etc' / 'hosts').write_text('changed')
        back_up(command, tree, '--incremental')

        command.run('tree', 'restore', 'home', tmp_path / 'newest')
        command.run('tree', 'restore', 'home', tmp_path / 'older', '--at',
                    between)

        assert (tmp_path / 'newest/etc/hosts').read_text() == 'changed'
        assert (tmp_path / 'older/etc/hosts').read_text() == 'localhost'
        command.run('tree', 'restore', 'home', tmp_path / 'none', '--at',
                    '2001-01-01', exit_code=NO_SUCH_BACKUP)
        done = command.run('tree', 'restore', 'home', tmp_path / 'none',
                           '--at', 'yesterday', exit_code=BAD_USAGE)
        assert "'yesterday' is no time such as" in done.stderr

    def test_some_paths_come_back_alone(self, command, tree, tmp_path):
        back_up(command, tree)
        done = command.run(
            'tree', 'restore', 'home', tmp_path / 'target', 'etc/hosts',
            'no/such', exit_code=PROBLEMS)
        assert contents(tmp_path / 'target') == {'etc/hosts': b'localhost'}
        assert 'no/such: not in this backup' in done.stderr

    def test_a_target_that_is_not_empty_is_left_alone(self, command, tree,
                                                      tmp_path):
        back_up(command, tree)
        target = tmp_path / 'target'
        target.mkdir()
        (target / 'mine').write_text('mine')
        command.run('tree', 'restore', 'home', target, exit_code=BAD_USAGE)
        assert contents(target) == {'mine': b'mine'}

        command.run('tree', 'restore', 'home', target, '--overwrite')
        assert contents(target) == {**contents(tree), 'mine': b'mine'}

    def test_a_dry_run_writes_nothing(self, command, tree):
        answer = back_up(command, tree, '--dry-run')
        assert answer['status'] == 'dry run'
        assert answer['new'] == (1 << 20) + 9
        assert answer['changed_files'] == 2
        assert not command.repository.exists()

    def test_excludes(self, command, tree, tmp_path):
        patterns = tmp_path / 'patterns'
        patterns.write_text('# what is large\n/disk\n')
        back_up(command, tree, '--exclude', 'etc/l*', '--exclude-from',
                patterns)
        command.run('tree', 'restore', 'home', tmp_path / 'target')
        assert contents(tmp_path / 'target') == {'etc/hosts': b'localhost'}

    def test_a_single_file(self, command, tree, tmp_path):
        back_up(command, tree / 'disk')
        command.run('tree', 'restore', 'home', tmp_path / 'copy')
        assert (tmp_path / 'copy').read_bytes() == (
            tree / 'disk').read_bytes()

    def test_a_level_option_wants_incremental(self, command, tree):
        done = command.run('tree', 'backup', tree, '--name', 'home',
                           '--max-level', '2', exit_code=BAD_USAGE)
        assert '--incremental' in done.stderr

    def test_a_block_size_that_is_none_is_refused(self, command, tree):
        done = command.run('tree', 'backup', tree, '--name', 'home',
                           '--block-size', '0', exit_code=BAD_USAGE)
        assert 'block size' in done.stderr

    def test_nothing_to_back_up(self, command, tmp_path):
        command.run('tree', 'backup', tmp_path / 'none', '--name', 'home',
                    exit_code=BAD_USAGE)
        assert command.json('tree', 'list') == []

    def test_the_levels(self, command, tree):
        made = [back_up(command, tree, '--incremental', '--max-level', '1')
                for _ in range(3)]
        assert [each['level'] for each in made] == [0, 1, 0]
        assert [each['parent_id'] for each in made] == [
            None, made[0]['id'], None]


class TestDamage:

    def test_a_file_that_cannot_be_had_is_named_the_others_come_back(
            self, command, tree, tmp_path, engine):
        time.sleep(2.1)  # so that nothing else is stored again
        back_up(command, tree, '--engine', engine)
        (tree / 'disk').write_bytes(os.urandom(1000))
        made = back_up(command, tree, '--engine', engine, '--incremental')
        damage(data_object(command, made['id']))

        done = command.run('tree', 'restore', 'home', tmp_path / 'target',
                           exit_code=DAMAGED)

        assert 'disk: not restored' in done.stderr
        assert 'blake3' in done.stderr
        assert contents(tmp_path / 'target') == {
            name: data for name, data in contents(tree).items()
            if name != 'disk'}

    def test_verify_finds_it(self, command, tree):
        made = back_up(command, tree)
        assert [each['result'] for each in command.json(
            'tree', 'verify', '--all')] == ['sound']
        damage(data_object(command, made['id']))
        done = command.run('tree', 'verify', 'home', '-f', 'json',
                           exit_code=DAMAGED)
        assert json.loads(done.stdout)[0]['result'] == 'damaged'

    @pytest.mark.parametrize('stream', ['index', 'manifest'])
    def test_a_damaged_index_or_manifest_is_told(self, command, tree, stream,
                                                 tmp_path):
        back_up(command, tree)
        damage(next(command.repository.rglob(f'tree_*_{stream}*')))
        done = command.run('tree', 'restore', 'home', tmp_path / 'target',
                           exit_code=DAMAGED)
        assert stream in done.stderr

    @pytest.mark.parametrize('stream', ['data', 'index', 'manifest'])
    def test_a_missing_object_is_told(self, command, tree, stream, tmp_path):
        back_up(command, tree)
        path = next(command.repository.rglob(f'tree_*_{stream}*'))
        path.unlink()
        done = command.run('tree', 'restore', 'home', tmp_path / 'target',
                           exit_code=DAMAGED)
        assert path.name in done.stderr


class TestWhatThereIs:

    def test_list_and_show(self, command, tree):
        made = back_up(command, tree)
        listed = command.json('tree', 'list')
        assert [(each['id'], each['name'], each['files'], each['status'])
                for each in listed] == [
            (made['id'], 'home', 2, 'available')]
        assert command.json('tree', 'list', '--name', 'other') == []
        assert command.json('volume', 'list') == []

        shown = command.json('tree', 'show', 'home')
        assert shown['source'] == str(tree)
        assert shown['bytes'] == (1 << 20) + 9

    def test_a_path_is_shown_with_what_is_in_it(self, command, tree):
        back_up(command, tree)
        shown = command.json('tree', 'show', 'home', 'etc')
        assert shown['kind'] == 'd'
        assert [line.split(maxsplit=6)[-1] for line in shown['entries']] == [
            'hosts', 'link -> hosts']
        disk = command.json('tree', 'show', 'home', '/disk')
        assert (disk['size'], disk['target']) == (1 << 20, '')
        command.run('tree', 'show', 'home', 'none', exit_code=BAD_USAGE)

    def test_diff(self, command, tree):
        first = back_up(command, tree)['id']
        (tree / 'etc' / 'hosts').write_text('changed!!')
        (tree / 'etc' / 'link').unlink()
        (tree / 'new').write_text('new')
        second = back_up(command, tree, '--incremental')['id']
        found = {each['path']: (each['change'], each['what'])
                 for each in command.json('tree', 'diff', first, second)}
        assert found.keys() == {'.', 'etc', 'etc/hosts', 'etc/link', 'new'}
        assert found['etc/hosts'] == ('changed', 'content, mtime_ns')
        assert found['etc/link'][0] == 'removed'
        assert found['new'][0] == 'added'

    def test_the_stream_of_the_tar_engine_is_an_archive(self, command, tree,
                                                        tmp_path):
        back_up(command, tree, '--engine', 'tar')
        target = tmp_path / 'target'
        target.mkdir()
        streaming = subprocess.Popen(
            command.words(('tree', 'stream', 'home')),
            env=command.environment, stdout=subprocess.PIPE)
        subprocess.run(['tar', '-x', '-C', target], check=True,
                       stdin=streaming.stdout)
        assert streaming.wait() == 0
        assert contents(target) == contents(tree)


class TestRebuilding:

    def test_lost_records_are_made_again(self, command, tree, tmp_path):
        back_up(command, tree)
        back_up(command, tree, '--incremental')
        before = command.json('tree', 'list')
        for path in command.repository.rglob('chunked_backup_tree_*'):
            path.unlink()
        assert command.json('tree', 'list') == []

        found = command.json('repository', 'rebuild')
        assert [each['result'] for each in found] == ['added', 'added']
        assert command.json('tree', 'list') == before
        assert [each['result'] for each in command.json(
            'tree', 'verify', '--all')] == ['sound', 'sound']
        assert {each['result'] for each in command.json(
            'repository', 'rebuild')} == {'kept'}

    def test_a_backup_without_its_ancestor_is_told(self, command, tree):
        first = back_up(command, tree)['id']
        second = back_up(command, tree, '--incremental')['id']
        for path in command.repository.rglob(f'tree_*_{first}_*'):
            path.unlink()
        done = command.run('repository', 'rebuild', '-f', 'json',
                           exit_code=DAMAGED)
        assert {each['id']: each['result']
                for each in json.loads(done.stdout)} == {
            first: 'lost', second: 'damaged'}


class TestKilled:

    @pytest.fixture
    def killed(self, command, tree):
        """A backup, and one whose writer was killed."""
        back_up(command, tree)
        for number in range(8):
            (tree / str(number)).write_bytes(os.urandom(8 << 20))
        process = command.start('tree', 'backup', tree, '--name', 'killed')
        wait_for(process, lambda: len(list(
            command.repository.rglob('tree_*_data_*'))) > 1)
        process.kill()
        process.communicate()
        row, = (each for each in command.json('tree', 'list')
                if each['name'] == 'killed')
        assert row['status'] == 'creating'
        return row['id']

    def test_gc_removes_what_it_has_left(self, command, killed):
        assert {row['result'] for row in command.json(
            'repository', 'gc')} <= {'kept'}
        age(command)
        gone = command.json('repository', 'gc')
        assert {row['result'] for row in gone} == {'removed'}
        assert killed in {row['what'] for row in gone}
        row, = command.json('tree', 'list')
        assert row['name'] == 'home'
        assert not list(command.repository.rglob(f'*{killed}*'))
        assert command.json('tree', 'verify', 'home')[0]['result'] == 'sound'

    @pytest.mark.parametrize('stage', ['data', 'index', 'manifest'])
    @pytest.mark.parametrize('wait_s', [0, 0.02])
    def test_at_any_stage_the_older_backup_stays_and_the_rest_can_go(
            self, command, tree, stage, wait_s):
        home = back_up(command, tree)['id']
        (tree / 'more').write_bytes(os.urandom(20 << 20))
        process = command.start('tree', 'backup', tree, '--name', 'killed')
        wait_for(process, lambda: [
            path for path in command.repository.rglob(f'tree_*_{stage}*')
            if home not in path.name])
        time.sleep(wait_s)
        process.kill()
        process.communicate()

        # One that was complete by then is made available, or is garbage.
        command.run('repository', 'rebuild')
        command.run('repository', 'gc', '--grace', '0s')
        left = command.json('tree', 'list')
        assert {each['status'] for each in left} == {'available'}
        assert home in {each['id'] for each in left}
        found = command.json('repository', 'check', '--read-data')
        assert [each['result'] for each in found] == ['sound'] * len(left)

    def test_delete_removes_it_at_once(self, command, killed):
        command.run('tree', 'delete', killed, exit_code=NO_SUCH_BACKUP)
        command.run('tree', 'delete', killed, '--force')
        assert not list(command.repository.rglob(f'*{killed}*'))

    def test_what_is_interrupted_leaves_nothing(self, command, tree):
        (tree / 'large').write_bytes(os.urandom(64 << 20))
        process = command.start('tree', 'backup', tree, '--name', 'home')
        wait_for(process, lambda: list(
            command.repository.rglob('tree_*_data_*')))
        process.terminate()
        process.communicate()
        assert process.returncode == INTERRUPTED
        assert command.files() == []


class TestCheck:

    def test_what_is_sound(self, command, tree):
        back_up(command, tree)
        back_up(command, tree, '--incremental')
        for options in ((), ('--read-data',), ('--sample', '50%')):
            found = command.json('repository', 'check', *options)
            assert {row['result'] for row in found} == {'sound'}
            assert len(found) == 2

    @pytest.mark.parametrize('stream', ['data', 'index', 'manifest'])
    def test_a_missing_object_is_found(self, command, tree, stream):
        back_up(command, tree)
        path = next(command.repository.rglob(f'tree_*_{stream}*'))
        path.unlink()
        done = command.run('repository', 'check', exit_code=DAMAGED)
        assert path.name in done.stdout

    def test_a_flipped_bit_is_found_where_data_is_read(self, command, tree):
        made = back_up(command, tree)
        damage(data_object(command, made['id']))
        command.run('repository', 'check')
        done = command.run('repository', 'check', '--read-data',
                           exit_code=DAMAGED)
        assert made['id'] in done.stdout

    def test_objects_without_a_record_are_found(self, command, tree):
        back_up(command, tree)
        for path in command.repository.rglob('chunked_backup_tree_*'):
            path.unlink()
        done = command.run('repository', 'check', exit_code=DAMAGED)
        assert 'repository rebuild' in done.stdout


class TestDeleting:

    def test_what_others_are_built_on_stays(self, command, tree):
        first = back_up(command, tree)['id']
        second = back_up(command, tree, '--incremental')['id']
        command.run('tree', 'delete', first, exit_code=NO_SUCH_BACKUP)
        deleted = command.json('tree', 'delete', first, '--cascade')
        assert [each['id'] for each in deleted] == [second, first]
        assert command.files() == []

    def test_prune_tells_before_it_deletes(self, command, tree):
        made = [back_up(command, tree)['id'] for _ in range(3)]
        planned = command.json('tree', 'prune', '--keep-last', '1')
        assert [each['decision'] for each in planned] == [
            'would be deleted', 'would be deleted', 'kept']
        assert len(command.json('tree', 'list')) == 3

        command.run('tree', 'prune', '--keep-last', '1', '--yes')
        assert [each['id'] for each in command.json('tree', 'list')] == [
            made[2]]
        command.run('tree', 'prune', '--yes', exit_code=BAD_USAGE)

    def test_prune_keeps_what_is_needed(self, command, tree):
        back_up(command, tree)
        back_up(command, tree, '--incremental')
        command.run('tree', 'prune', '--keep-last', '1', '--yes')
        assert len(command.json('tree', 'list')) == 2
        assert command.json('tree', 'verify', 'home')[0]['result'] == 'sound'


class TestProblems:

    def test_a_file_that_cannot_be_read_is_named(self, command, tree,
                                                 tmp_path):
        os.mkfifo(tree / 'fifo')
        done = command.run('tree', 'backup', tree, '--name', 'home')
        assert 'fifo' not in done.stderr  # it is not read

        grow = subprocess.Popen(
            ['sh', '-c', f'while :; do echo x >> {tree}/disk; done'])
        try:
            for _ in range(20):
                done = command.run('tree', 'backup', tree, '--name', 'home',
                                   '--incremental', exit_code=None)
                if done.returncode == PROBLEMS:
                    break
        finally:
            grow.kill()
            grow.wait()
        assert 'disk: changed while it was read' in done.stderr
        assert done.returncode == PROBLEMS
        command.run('tree', 'restore', 'home', tmp_path / 'target')
        assert command.json('tree', 'verify', 'home')[0]['result'] == 'sound'


@pytest.fixture
def mounts(tmp_path):
    """Mounts the file system in a file; gives where."""
    with contextlib.ExitStack() as stack:
        def mount(image):
            where = tmp_path / f'on-{image.name}'
            where.mkdir()
            # The kernel is in no hurry of its own.
            images.system_command('mount', '-o', 'loop,commit=300', image,
                                  where)
            stack.callback(images.system_command, 'umount', where)
            return where

        yield mount


def test_a_restored_tree_outlives_a_loss_of_power(command, tree, tmp_path,
                                                  mounts):
    back_up(command, tree)
    disk = tmp_path / 'disk'
    disk.write_bytes(b'')
    os.truncate(disk, 64 << 20)
    images.system_command('mkfs.ext4', '-q', disk)
    command.run('tree', 'restore', 'home', mounts(disk) / 'home')

    shutil.copyfile(disk, tmp_path / 'then')  # without what is in memory
    assert contents(mounts(tmp_path / 'then') / 'home') == contents(tree)
