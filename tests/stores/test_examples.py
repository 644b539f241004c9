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

"""Each store as its example in etc/ configures it, used by the example."""

import json
import subprocess
import sys

import pytest

from chunked_backup.testing import contract
from tests.stores import examples
from tests.stores import stores

#: The command, for servers whose pages are small.
_WITH_FEWER_OBJECTS = '''
import sys
from chunked_backup.cmd import app
from chunked_backup.testing.contract import names
names.MANY = 100
sys.exit(app.main())
'''


def test_the_whole_story_of_a_volume(example, tmp_path):
    contents = _back_up(example, tmp_path / 'volume')
    listed = example.json('volume', 'list')
    assert [each['type'] for each in listed] == [
        'full', *['incremental'] * 3]
    _check(example, contents, tmp_path)

    # The catalogue is lost, and made anew from the backups alone.
    assert example.lose_records() == 4
    rebuilt = example.json('repository', 'rebuild')
    assert [each['result'] for each in rebuilt] == ['added'] * 4
    assert [each['id'] for each in example.json('volume', 'list')] == [
        each['id'] for each in listed]

    # The newest goes, the others are as they were; all go, nothing stays.
    example.run('volume', 'delete', 'latest')
    contents.popitem()
    _verify(example, contents)
    deleted = example.json('volume', 'delete', '--cascade', listed[0]['id'])
    assert {each['id'] for each in deleted} == set(contents)
    assert example.stored() == []


def _back_up(example, volume):
    """A full backup and three incrementals; the contents by the ids."""
    contents = {}
    for content in stores.contents_of_a_story(examples.BLOCK):
        volume.write_bytes(content)
        contents[example.backup(
            volume, *['--incremental'] * bool(contents))] = content
    return contents


def _check(example, contents, directory):
    """Every point can be verified and restored."""
    _verify(example, contents)
    for backup_id, content in contents.items():
        target = directory / 'restored'
        example.run('volume', 'restore', backup_id, target, '--force')
        assert target.read_bytes() == content


def _verify(example, contents):
    verified = example.json('volume', 'verify', '--all')
    assert [(each['id'], each['result']) for each in verified] == [
        (backup_id, 'sound') for backup_id in contents]


@pytest.mark.parametrize('example', ['s3_on_ceph', 'nfs', 'posix'],
                         indirect=True)
def test_driver_check_finds_every_promise_kept(example):
    """As the command sees them; test_promises has all stores."""
    _, *words = example.words(['driver', 'check', '-f', 'json'])
    done = subprocess.run(
        [sys.executable, '-c', _WITH_FEWER_OBJECTS, *map(str, words)],
        env=example.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = json.loads(done.stdout)
    assert [verdict['promise'] for verdict in verdicts] == [
        promise.name.replace('_', ' ') for promise in contract.PROMISES]
    assert {verdict['outcome'] for verdict in verdicts} == {'kept'}
    assert example.stored() == []
