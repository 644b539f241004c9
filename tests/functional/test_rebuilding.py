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

"""repository rebuild."""

import hashlib
import json
import pathlib
import shutil

import pytest

DAMAGED = 5
GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'cinder-29.0.0'


def _forget_records(command):
    shutil.rmtree(command.repository / 'catalogue')


def _results(told):
    return {each['id']: each['result'] for each in told}


def test_a_lost_catalogue(command, volume, tmp_path):
    contents = {command.backup(volume, '--name', 'first'):
                volume.read_bytes()}
    with open(volume, 'r+b') as file:
        file.write(b'changed')
    contents[command.backup(volume, '--incremental')] = volume.read_bytes()
    before = command.json('volume', 'list')
    _forget_records(command)
    lost = command.json('volume', 'list')

    told = command.json('repository', 'rebuild')

    after = command.json('volume', 'list')
    assert lost == []
    assert _results(told) == dict.fromkeys(contents, 'added')
    for name in ('id', 'name', 'created_at', 'volume_id', 'type', 'size',
                 'status'):
        assert [each[name] for each in after] == [
            each[name] for each in before]
    for backup_id, content in contents.items():
        target = tmp_path / backup_id
        command.run('volume', 'restore', backup_id, target)
        assert target.read_bytes() == content


def test_an_incremental_may_follow_a_rebuilt_record(command, volume):
    full = command.backup(volume)
    _forget_records(command)
    command.run('repository', 'rebuild')

    made = command.json('volume', 'backup', volume, '--incremental')

    assert made['parent_id'] == full
    assert made['changed'] == 0


def test_records_that_fit_are_kept(command, volume):
    backup_id = command.backup(volume)
    before = command.json('volume', 'show', backup_id)

    told = command.json('repository', 'rebuild')

    assert _results(told) == {backup_id: 'kept'}
    assert command.json('volume', 'show', backup_id) == before


def test_what_is_broken_is_told(command, volume):
    lost = command.backup(volume)
    full = command.backup(volume)
    child = command.backup(volume, '--incremental')
    for manifest in command.repository.rglob('*_metadata'):
        if lost in manifest.name:
            manifest.unlink()
        elif full in manifest.name:
            manifest.write_bytes(b'{')

    told = command.json('repository', 'rebuild', exit_code=DAMAGED)

    assert set(_results(told)) >= {lost, full, child}
    assert _results(told)[lost] == 'lost'
    assert _results(told)[child] == 'damaged'
    assert all(each['problem'] for each in told)
    assert {each['id']: each['status']
            for each in command.json('volume', 'list')} == {
        lost: 'error', full: 'error', child: 'error'}


def test_an_empty_repository(command):
    assert command.json('repository', 'rebuild') == []


@pytest.mark.parametrize('codec', ['none', 'zlib', 'bz2', 'zstd'])
def test_a_repository_that_cinder_wrote(command, configured, tmp_path,
                                        codec):
    """The repository of a stock cinder-backup service, as it left it."""
    shutil.copytree(GOLDEN / codec / 'repository', tmp_path / 'repository')
    configured('[chunked_backup_posix]', f'path = {tmp_path}/repository')
    written = json.loads((GOLDEN / codec / 'backups.json').read_text())

    told = command.json('repository', 'rebuild')

    assert _results(told) == {
        backup['id']: 'added' for backup in written['backups']}
    assert [(each['id'], each['name'], each['size'])
            for each in command.json('volume', 'list')] == [
        (backup['id'], backup['display_name'], backup['volume_bytes'])
        for backup in written['backups']]
    for backup in written['backups']:
        target = tmp_path / backup['id']
        command.run('volume', 'restore', backup['id'], target)
        assert hashlib.sha256(target.read_bytes()).hexdigest() == (
            backup['volume_sha256'])
    assert len(written['backups']) == 5
