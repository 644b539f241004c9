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

"""The stores of the tests: where Cinder's drivers and ours meet.

Each has the class paths of both drivers and what a cinder.conf says of the
store. Posix and Nfs keep things beside the cloud, the others in real servers.
"""

import os
import shutil
import subprocess

import boto3
import swiftclient

from tests.cinder.cloud import BLOCK
from tests.cinder.cloud import CHUNK
from tests.cinder.cloud import OURS
from tests.cinder.cloud import STOCK

_CONTAINER = 'volumebackups'

_MOUNT = '''#!/bin/sh
# No NFS server runs on every machine that runs the tests: what is mounted is
# a file system of this one. All else is what the services do for NFS.
echo "$*" >> {log}
for target; do :; done
exec {mount} --bind {export} "$target"
'''


class Store:
    """A store, and how the services reach it."""

    options = {}
    environment = {}

    def sign_in(self, service):
        """Have the users of a service bring what the store asks for."""

    def stored(self, backup_id):
        """The names of the objects that a backup has."""
        return [name for name in self._names() if backup_id in name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Posix(Store):
    """A directory."""

    stock = STOCK.format('posix', 'Posix')
    ours = OURS.format('posix', 'Posix')

    def __init__(self, cloud):
        self.directory = cloud.repository

    def _names(self):
        return [path.name for path in self.directory.rglob('*')
                if path.is_file()]


class Nfs(Posix):
    """A share; both drivers use the ``mount`` that stands first in PATH."""

    stock = STOCK.format('nfs', 'NFS')
    ours = OURS.format('nfs', 'Nfs')
    share = 'server:/export'

    def __init__(self, cloud):
        home = cloud.directory / f'nfs-{os.urandom(4).hex()}'
        self.directory = home / 'export'
        self.directory.mkdir(parents=True)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m,mode=775',
                        'tmpfs', self.directory], check=True)
        self.mounts = home / 'mounts'
        self._log = home / 'mount.log'
        program = home / 'bin' / 'mount'
        program.parent.mkdir()
        program.write_text(_MOUNT.format(
            log=self._log, mount=shutil.which('mount'),
            export=self.directory))
        program.chmod(0o755)
        self.options = {'backup_share': self.share,
                        'backup_mount_point_base': self.mounts,
                        'backup_mount_options': 'vers=4.2'}
        self.environment = {
            'PATH': f'{program.parent}:{os.environ["PATH"]}'}

    def mounted(self):
        """The arguments of each call of ``mount``."""
        return self._log.read_text().splitlines()

    def __exit__(self, *_):
        for path in (*self.mounts.glob('*'), self.directory):
            subprocess.run(['umount', path], check=True)


class S3(Store):
    """Ceph by its S3 interface."""

    stock = STOCK.format('s3', 'S3')
    ours = OURS.format('s3', 'S3')

    def __init__(self, server):
        self._server = server
        self.options = {
            'backup_s3_endpoint_url': server.url,
            'backup_s3_store_access_key': server.access_key,
            'backup_s3_store_secret_key': server.secret_key,
            'backup_s3_object_size': CHUNK, 'backup_s3_block_size': BLOCK}

    def _names(self):
        client = boto3.client(
            's3', endpoint_url=self._server.url,
            aws_access_key_id=self._server.access_key,
            aws_secret_access_key=self._server.secret_key)
        return [each['Key'] for each in client.list_objects_v2(
            Bucket=_CONTAINER).get('Contents', [])]


class Swift(Store):
    """Swift, with one user for all backups."""

    stock = STOCK.format('swift', 'Swift')
    ours = OURS.format('swift', 'Swift')

    def __init__(self, server):
        self._connection = swiftclient.Connection(
            server.auth_url, server.user, server.key, auth_version='1')
        self.options = {
            'backup_swift_auth': 'single_user',
            'backup_swift_auth_version': '1',
            'backup_swift_auth_url': server.auth_url,
            'backup_swift_user': server.user,
            'backup_swift_key': server.key,
            'backup_swift_object_size': CHUNK,
            'backup_swift_block_size': BLOCK}

    def _names(self):
        return [each['name'] for each
                in self._connection.get_container(_CONTAINER)[1]]


class SwiftOfUsers(Swift):
    """Swift, with the token and the catalogue of each request."""

    def __init__(self, server):
        super().__init__(server)
        self.options = {
            'backup_swift_auth': 'per_user',
            'backup_swift_object_size': CHUNK,
            'backup_swift_block_size': BLOCK}

    def sign_in(self, service):
        url, token = self._connection.get_auth()
        service.sign_in(token=token, catalogue=[{
            'type': 'object-store', 'name': 'swift',
            'endpoints': [{'region': 'one', 'publicURL': url}]}])
