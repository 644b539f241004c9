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
"""The NFS driver; the mount itself is of a file system in memory.

No NFS server runs on every machine that runs these tests, so the one command
that mounts is replaced: the same mount point, a real mount, another type.
"""

import hashlib
import os
import subprocess
import sys
import types

import pytest
from oslo_config import cfg

from chunked_backup import errors
from chunked_backup.drivers import nfs
from chunked_backup.testing import contract
from tests import support

SHARE = 'server:/export'


@pytest.fixture
def mounts(monkeypatch):
    """What was asked to be mounted; each is mounted for real."""
    calls = []

    def mount(command, **keywords):
        calls.append(command)
        if command[0] != 'mount':
            return original(command, **keywords)
        return original(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs',
                         command[-1]], **keywords)

    original = subprocess.run
    monkeypatch.setattr(nfs.subprocess, 'run', mount)
    return calls


@pytest.fixture
def make_driver(tmp_path, conf):
    """Makes a driver whose share is mounted below a scratch directory."""
    base = tmp_path / 'mounts'

    def make(**options):
        conf.register_group(nfs.GROUP)
        conf.register_opts(nfs.OPTS, group=nfs.GROUP)
        support.override('chunked_backup_nfs', **{
            'share': SHARE, 'mount_point_base': str(base), **options})
        support.override('chunked_backup_posix',
                         chunk_size_bytes=support.CHUNK,
                         sha_block_size_bytes=support.BLOCK)
        return nfs.NfsBackupDriver(None)

    yield make
    for name in os.listdir(base) if base.exists() else ():
        subprocess.call(['umount', str(base / name)])
    for name in conf.chunked_backup_nfs:
        conf.clear_override(name, group='chunked_backup_nfs')


@pytest.mark.parametrize('promise', contract.PROMISES, ids=str)
def test_nfs_keeps_the_promise(promise, make_driver, mounts):
    contract.check(make_driver(), promise)


def test_constructing_mounts_nothing(make_driver, mounts):
    make_driver()
    assert mounts == []


def test_the_mount_point_is_that_of_os_brick(make_driver, mounts):
    driver = make_driver(mount_options='vers=4.2,hard')
    driver.check_for_setup_error()
    name = hashlib.md5(SHARE.encode()).hexdigest()
    assert os.path.basename(driver.backup_path) == name
    assert os.path.ismount(driver.backup_path)
    assert mounts == [['mount', '-t', 'nfs', '-o', 'vers=4.2,hard', '--',
                       SHARE, driver.backup_path]]


def test_a_mounted_share_is_not_mounted_again(make_driver, mounts):
    make_driver().check_for_setup_error()
    make_driver().put_container('ab/cd')
    assert len(mounts) == 1


def test_the_story_of_a_volume(make_driver, mounts, tmp_path):
    path = tmp_path / 'volume'
    service = support.service(make_driver())
    path.write_bytes(b'one' * 10000)
    full = service.backup(str(path))
    path.write_bytes(b'one' * 5000 + b'two' * 5000)
    service.backup(str(path), incremental=True)
    path.write_bytes(b'')
    service.restore(service.find('latest'), str(path))
    assert path.read_bytes() == b'one' * 5000 + b'two' * 5000
    service.delete(full, cascade=True)
    assert service.backups() == []


def test_a_share_that_cannot_be_mounted_is_no_empty_repository(
        make_driver, monkeypatch):
    attempts = []

    def fail(command, **keywords):
        attempts.append(command)
        return subprocess.CompletedProcess(command, 32, '', 'no route\n')

    monkeypatch.setattr(nfs.subprocess, 'run', fail)
    driver = make_driver(mount_attempts=2)
    with pytest.raises(errors.RepositoryNotFound, match='no route'):
        driver.check_for_setup_error()
    assert len(attempts) == 2
    with pytest.raises(errors.RepositoryNotFound):
        driver.delete_object('ab/cd', 'name')
    with pytest.raises(errors.RepositoryNotFound):
        driver.get_container_entries('ab/cd', '')
    with pytest.raises(errors.RepositoryNotFound):
        list(driver.get_containers())


def test_a_missing_share_is_an_error_of_the_configuration(make_driver):
    with pytest.raises(errors.ConfigurationError, match='share'):
        make_driver(share=None).check_for_setup_error()


@pytest.mark.parametrize('old, group, new', [
    ('backup_share', 'chunked_backup_nfs', 'share'),
    ('backup_mount_point_base', 'chunked_backup_nfs', 'mount_point_base'),
    ('backup_mount_options', 'chunked_backup_nfs', 'mount_options'),
])
def test_the_names_that_cinder_has_are_read(tmp_path, conf, old, group, new):
    path = tmp_path / 'cinder.conf'
    path.write_text(f'[DEFAULT]\n{old} = a-value\n')
    conf([], project='test', default_config_files=[str(path)])
    conf.register_group(nfs.GROUP)
    conf.register_opts(nfs.OPTS, group=nfs.GROUP)
    assert conf[group][new] == 'a-value'
    assert cfg.CONF is conf


class _Brick:
    """Stands in for os-brick, which needs the helper of a service."""

    def __init__(self, monkeypatch):
        self.mounted = []
        self.failure = None
        remotefs = types.ModuleType('os_brick.remotefs.remotefs')
        remotefs.RemoteFsClient = self._client
        exception = types.ModuleType('os_brick.exception')
        exception.BrickException = type('BrickException', (Exception,), {})
        self.error = exception.BrickException
        package = types.ModuleType('os_brick')
        package.exception = exception
        packages = types.ModuleType('os_brick.remotefs')
        packages.remotefs = remotefs
        for module in (package, packages, exception, remotefs):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(nfs, '_has_brick', lambda: True)
        monkeypatch.setattr(nfs.os, 'geteuid', lambda: 1000)

    def _client(self, kind, helper, nfs_mount_point_base, nfs_mount_options):
        assert kind == 'nfs'
        self.base, self.options = nfs_mount_point_base, nfs_mount_options
        return self

    def mount(self, share):
        self.mounted.append(share)
        if self.failure:
            raise self.error(self.failure)
        name = hashlib.md5(share.encode()).hexdigest()
        subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs',
                        os.path.join(self.base, name)], check=True)


def test_a_service_that_is_not_root_has_os_brick_mount(make_driver,
                                                       monkeypatch):
    driver = make_driver(mount_options='vers=4.2')
    brick = _Brick(monkeypatch)
    driver.check_for_setup_error()
    assert brick.mounted == [SHARE]
    assert brick.options == 'vers=4.2'
    assert os.path.ismount(driver.backup_path)


def test_what_os_brick_says_is_told(make_driver, monkeypatch):
    driver = make_driver(mount_attempts=2)
    brick = _Brick(monkeypatch)
    brick.failure = 'no route'
    with pytest.raises(errors.RepositoryNotFound, match='no route'):
        driver.check_for_setup_error()
    assert brick.mounted == [SHARE] * 2
