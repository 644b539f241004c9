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

"""Each store as its example in etc/ configures it, used by the command."""

import os
import shutil
import subprocess
import uuid

import pytest

from chunked_backup.testing import contract
from tests.stores import examples
from tests.stores import stores

# What mounts a share for the NFS driver, found before the real one: the same
# mount point, a real mount, another type.
_MOUNT = '''#!/bin/sh
for mount_point; do :; done
exec {mount} -t tmpfs -o size=64m tmpfs "$mount_point"
'''


def _container():
    return f'example-{uuid.uuid4().hex[:12]}'


def _swift(directory, request):
    request.getfixturevalue('keystone_swift')
    keystone = request.getfixturevalue('keystone')
    return examples.ExampleCommand(directory, 'swift.conf', {
        'https://keystone.example.com/v3': keystone.url,
        'USER': keystone.USER, 'PASSWORD': keystone.PASSWORD,
        'PROJECT': keystone.PROJECT, 'RegionOne': 'one',
        'volumebackups': _container()}, 'chunked_backup_swift')


def _s3(directory, server, url, added=''):
    return examples.ExampleCommand(directory, 's3.conf', {
        'https://s3.example.com': url, 'ACCESS_KEY': server.access_key,
        'SECRET_KEY': server.secret_key, 'volumebackups': _container()},
        'chunked_backup_s3', added)


def _s3_on_ceph(directory, request):
    ceph = request.getfixturevalue('ceph')
    certificate = request.getfixturevalue('certificate')
    return _s3(directory, ceph, ceph.tls_url, f'ca_cert_file = {certificate}')


def _s3_on_swift(directory, request):
    proxy = request.getfixturevalue('swift_proxy')
    return _s3(directory, proxy, proxy.url)


def _nfs(directory, request):
    mounts = directory / 'mounts'
    mount = directory / 'bin' / 'mount'
    mount.parent.mkdir()
    mount.write_text(_MOUNT.format(mount=shutil.which('mount')))
    mount.chmod(0o755)
    command = examples.ExampleCommand(directory, 'nfs.conf', {
        'server.example.com:/export/backups': 'server:/export'},
        'chunked_backup_posix',
        f'[chunked_backup_nfs]\nmount_point_base = {mounts}')
    command.environment['PATH'] = os.pathsep.join((
        str(mount.parent), command.environment['PATH']))
    request.addfinalizer(lambda: [
        subprocess.run(['umount', path], check=True)
        for path in mounts.iterdir()])
    return command


def _posix(directory, request):
    return examples.ExampleCommand(directory, 'posix.conf', {
        '/srv/backups': directory / 'backups'}, 'chunked_backup_posix')


@pytest.fixture(params=[_swift, _s3_on_ceph, _s3_on_swift, _nfs, _posix],
                ids=lambda make: make.__name__.strip('_'))
def command(request, tmp_path):
    """The command with an example, its store still without a container."""
    return request.param(tmp_path, request)


def test_the_whole_story_of_a_volume(command, tmp_path):
    contents = _back_up(command, tmp_path / 'volume')
    listed = command.json('volume', 'list')
    assert [each['type'] for each in listed] == [
        'full', *['incremental'] * 3]
    _check(command, contents, tmp_path)

    # The catalogue is lost, and made anew from the backups alone.
    assert command.lose_records() == 4
    assert command.json('volume', 'list') == []
    rebuilt = command.json('repository', 'rebuild')
    assert [each['result'] for each in rebuilt] == ['added'] * 4
    assert [each['id'] for each in command.json('volume', 'list')] == [
        each['id'] for each in listed]

    # The newest goes, the others are as they were; all go, nothing stays.
    command.run('volume', 'delete', 'latest')
    contents.popitem()
    _check(command, contents, tmp_path)
    deleted = command.json('volume', 'delete', '--cascade', listed[0]['id'])
    assert {each['id'] for each in deleted} == set(contents)
    assert command.json('volume', 'list') == []
    assert command.stored() == []


def _back_up(command, volume):
    """A full backup and three incrementals; the contents by the ids."""
    contents = {}
    for content in stores.contents_of_a_story(examples.BLOCK):
        volume.write_bytes(content)
        contents[command.backup(
            volume, *['--incremental'] * bool(contents))] = content
    return contents


def _check(command, contents, directory):
    """Every point can be verified and restored."""
    verified = command.json('volume', 'verify', '--all')
    assert [(each['id'], each['result']) for each in verified] == [
        (backup_id, 'sound') for backup_id in contents]
    for backup_id, content in contents.items():
        target = directory / 'restored'
        command.run('volume', 'restore', backup_id, target, '--force')
        assert target.read_bytes() == content


def test_driver_check_finds_every_promise_kept(command):
    verdicts = command.json('driver', 'check')
    assert [verdict['promise'] for verdict in verdicts] == [
        promise.name.replace('_', ' ') for promise in contract.PROMISES]
    assert {verdict['outcome'] for verdict in verdicts} == {'kept'}
    assert command.stored() == []
