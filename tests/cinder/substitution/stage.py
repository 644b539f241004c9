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

"""A stage for the tests that fail only because of how they are made.

Each entry takes away one obstacle that says nothing about what our drivers
do: a private method of Cinder's that a test replaces or asks, or a stand-in
for a client library that has only what Cinder's driver calls. Nothing here
changes what a backup, a restore or a deletion does. A test that passes on
this stage alone is counted apart.
"""

import hashlib
import io
import json
import sys
import types
from unittest import mock

import boto3
import swiftclient
from cinder.backup.drivers import nfs as cinder_nfs
from cinder.backup.drivers import posix as cinder_posix
from cinder.backup.drivers import s3 as cinder_s3
from cinder.backup.drivers import swift as cinder_swift
from cinder.tests.unit.backup import fake_s3_client
from swiftclient import client

from chunked_backup.drivers import nfs
from chunked_backup.drivers import posix
from chunked_backup.drivers import s3
from chunked_backup.drivers import swift
from chunked_backup.drivers.s3.client import Client
from chunked_backup.drivers.s3.upload import Uploads

#: These tests make drivers of their own.
OF_NO_USE_TO = 'cinder.tests.unit.backup.test_chunkeddriver'

_MODULES = [module for name, module in list(sys.modules.items())
            if name.startswith('chunked_backup.')]


def install():
    """For the rest of this process."""
    for module, name, staged in (
            (cinder_posix, 'PosixBackupDriver', Posix),
            (cinder_nfs, 'NFSBackupDriver', Nfs),
            (cinder_s3, 'S3BackupDriver', S3),
            (cinder_swift, 'SwiftBackupDriver', Swift)):
        mock.patch.object(module, name, staged).start()
    # Tests replace the md5 that everybody has by one that counts nothing.
    own = types.SimpleNamespace(md5=hashlib.md5, sha256=hashlib.sha256)
    for module in _MODULES:
        if hasattr(module, 'hashlib'):
            mock.patch.object(module, 'hashlib', own).start()
    mock.patch.object(swiftclient, 'Connection', Connection).start()


class DigestTables:
    """Tests compare the digests of two backups."""

    def _read_sha256file(self, backup):
        with self.get_object_reader(
                backup.container,
                f'{backup.service_metadata}_sha256file') as reader:
            return json.loads(reader.read())


class Posix(DigestTables, posix.PosixBackupDriver):
    pass


class Nfs(DigestTables, nfs.NfsBackupDriver):
    """Tests replace the mount by a directory."""

    def _init_backup_repo_path(self):
        return super()._mount_point()

    def _mount_point(self):
        return self._init_backup_repo_path()

    def _ensure_ready(self):
        pass


class S3(DigestTables, s3.S3BackupDriver):
    """Tests set a key without an algorithm, which Cinder's driver ignores;
    moto keeps a key for itself; the stand-in knows ``boto3.client`` only."""

    def __init__(self, context):
        super().__init__(context)
        self._client = _S3Client(self._options, 1)
        self._uploads = _S3Uploads(self._client, self._options)


class _S3Client(Client):
    def key_arguments(self):
        return (super().key_arguments()
                if self._options.sse_customer_algorithm else {})

    def _make(self):
        if boto3.client == fake_s3_client.FakeS3Boto3.Client:
            return boto3.client('s3')
        return super()._make()


class _S3Uploads(Uploads):
    def _check_encrypted(self, answer):
        pass


class Swift(DigestTables, swift.SwiftBackupDriver):
    """Tests have a user without a token."""

    def __init__(self, context):
        context.auth_token = context.auth_token or 'token'
        super().__init__(context)


class Connection:
    """The stand-in for a connection, and what ours asks of it besides."""

    def __init__(self, **kwargs):
        self._inner = client.Connection()
        self.url = self.token = self.service_token = None

    def get_capabilities(self):
        return {}

    def get_object(self, container, name, **_):
        _, data = self._inner.get_object(container, name)
        return {'content-length': len(data)}, io.BytesIO(data)

    def put_object(self, container, name, file, etag, **_):
        self._inner.put_object(container, name, file)
        return etag

    def head_object(self, container, name):
        raise client.ClientException('a backup is new', http_status=404)

    def close(self):
        pass

    def __getattr__(self, name):
        return getattr(self._inner, name)
