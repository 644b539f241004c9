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

"""The command, configured by the examples of etc/chunked_backup/examples."""

import os
import pathlib
import shutil
import subprocess
import uuid

from oslo_config import cfg

from chunked_backup import loader
from chunked_backup import opts
from tests.functional.command import Command

_DIRECTORY = (pathlib.Path(__file__).parents[2] / 'etc' / 'chunked_backup'
              / 'examples')

#: Small, so that a volume of little more than a MiB is several objects.
BLOCK = 32768
_CHUNK = 8 * BLOCK

#: How much the share of the example for NFS takes.
SHARE_BYTES = 64 << 20

_ADDED = '''
[{group}]
chunk_size_bytes = {chunk}
sha_block_size_bytes = {block}
{lines}
'''

# What mounts a share for the NFS driver, found before the real one: the same
# mount point, a real mount, another type.
_MOUNT = '''#!/bin/sh
for mount_point; do :; done
exec {mount} -t tmpfs -o size={size} tmpfs "$mount_point"
'''


class ExampleCommand(Command):
    """``chunked-backup`` with an example, and with small chunks.

    :param directory: an empty one.
    :param example: the name of the file.
    :param values: what stands in place of the values that it shows.
    :param group: the options of the driver.
    :param added: more lines for a configuration file, in that group.
    """

    def __init__(self, directory, example, values, group, added=''):
        super().__init__(directory)
        self._example = directory / example
        self._example.write_text(_filled(example, values))
        self._added = directory / 'added.conf'
        self._added.write_text(_ADDED.format(
            group=group, chunk=_CHUNK, block=BLOCK, lines=added))

    def words(self, arguments):
        return super().words(['--config-file', self._example,
                              '--config-file', self._added, *arguments])

    def driver(self):
        """The driver that the command uses, in this process."""
        conf = cfg.CONF
        conf([], project='chunked_backup', default_config_files=[
            str(self._example), str(self._added)])
        opts.register(conf)
        return loader.load(loader.DRIVERS, conf.chunked_backup.driver)(None)

    def stored(self):
        """The names of all that is in the store, but for directories."""
        driver = self.driver()
        if hasattr(driver, 'backup_path'):
            return [str(path) for path in pathlib.Path(
                driver.backup_path).rglob('*') if not path.is_dir()]
        return list(driver.get_container_entries(
            driver.catalogue_container, ''))

    def lose_records(self):
        """Have nothing of the catalogue left.

        :returns: how many records there were.
        """
        driver = self.driver()
        names = list(driver.get_container_entries(
            driver.catalogue_container, 'chunked_backup_record_'))
        driver.delete_objects(driver.catalogue_container, names)
        return len(names)


def _filled(example, values):
    """An example with other values; each that is named has to be in it."""
    text = (_DIRECTORY / example).read_text()
    for shown, value in values.items():
        assert text.count(f' = {shown}\n') == 1
        text = text.replace(f' = {shown}\n', f' = {value}\n')
    assert 'example.com' not in text
    return text


def _container():
    return f'example-{uuid.uuid4().hex[:12]}'


def _swift(directory, request):
    request.getfixturevalue('keystone_swift')
    keystone = request.getfixturevalue('keystone')
    return ExampleCommand(directory, 'swift.conf', {
        'https://keystone.example.com/v3': keystone.url,
        'USER': keystone.USER, 'PASSWORD': keystone.PASSWORD,
        'PROJECT': keystone.PROJECT, 'RegionOne': 'one',
        'volumebackups': _container()}, 'chunked_backup_swift')


def _s3(directory, server, url, added=''):
    return ExampleCommand(directory, 's3.conf', {
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
    mount.write_text(_MOUNT.format(mount=shutil.which('mount'),
                                   size=SHARE_BYTES))
    mount.chmod(0o755)
    command = ExampleCommand(directory, 'nfs.conf', {
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
    return ExampleCommand(directory, 'posix.conf', {
        '/srv/backups': directory / 'backups'}, 'chunked_backup_posix')


#: Those who make a command, given a directory and a request of pytest.
MAKERS = {'swift': _swift, 's3_on_ceph': _s3_on_ceph,
          's3_on_swift': _s3_on_swift, 'nfs': _nfs, 'posix': _posix}
