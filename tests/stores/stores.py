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

"""What the tests of the stores share: drivers, and objects by hand."""

import dataclasses
import random
from typing import Any

from chunked_backup.drivers.s3 import S3BackupDriver
from chunked_backup.drivers.swift import SwiftBackupDriver
from tests import support
from tests.reliability import stories

#: Each interface and each server that has it.
COMBINATIONS = ('s3-on-ceph', 's3-on-swift', 'swift-on-swift',
                'swift-on-ceph')

#: The same, and the Swift of Debian 12.
ALL_COMBINATIONS = (*COMBINATIONS, 's3-on-old_swift', 'swift-on-old_swift')

#: More than one of these makes a static large object, where it is set.
SMALL_LIMIT = 65536


@dataclasses.dataclass
class Store:
    """One of our drivers and a server."""

    interface: str
    server: Any
    container: str

    def driver(self, url=None, **options):
        """A driver for it; a new one each time.

        :param url: of a proxy in front of the server.
        """
        make = s3_driver if self.interface == 's3' else swift_driver
        return make(self.server, url, **{
            'container': self.container,
            'ca_cert_file': self.server.ca_cert_file, **options})


class Repository:
    """A real store in the place of ``reliability.faults.Repository``."""

    def __init__(self, driver):
        self._driver = driver
        self._container = driver.backup_default_container

    def driver(self, made=None):
        return self._driver

    def files(self):
        return {(self._container, name) for name
                in self._driver.get_container_entries(self._container, '')}

    def save(self):
        return {name: get(self._driver, container, name)
                for container, name in self.files()}

    def put_back(self, saved):
        """Of what is there, records alone are written again."""
        names = {name for _, name in self.files()}
        self._driver.delete_objects(self._container,
                                    sorted(names - saved.keys()))
        for name, data in saved.items():
            if name not in names or name.startswith(stories.TREE_RECORD):
                put(self._driver, self._container, name, data)


def s3_driver(server, url=None, container='volumebackups', **options):
    support.override('chunked_backup_s3', **{
        'endpoint_url': url or server.url, 'bucket': container,
        'access_key': server.access_key, 'secret_key': server.secret_key,
        'addressing_style': 'path', 'chunk_size_bytes': support.CHUNK,
        'sha_block_size_bytes': support.BLOCK, **options})
    return S3BackupDriver(None)


def swift_driver(server, url=None, **options):
    support.override('chunked_backup_swift', **{
        'auth': 'single_user', 'auth_version': '1',
        'auth_url': server.auth_url.replace(server.url, url or server.url),
        'user': server.user, 'key': server.key, 'retry_backoff': 0,
        'chunk_size_bytes': support.CHUNK,
        'sha_block_size_bytes': support.BLOCK, **options})
    return SwiftBackupDriver(None)


def contents_of_a_story(block):
    """What a volume holds at a full backup and at three incrementals: one
    with changed and zeroed blocks, one that has grown, one that has not.

    :param block: the bytes that one digest covers.
    """
    source = random.Random(1)
    data = bytearray(source.randbytes(40 * block))
    yield bytes(data)
    data[100:105] = b'other'
    data[20 * block:30 * block] = bytes(10 * block)
    yield bytes(data)
    data += source.randbytes(5 * block + 17)
    yield bytes(data)
    data[25 * block:26 * block] = b'x' * block
    yield bytes(data)


def put(driver, container, name, *pieces):
    """Write an object."""
    with driver.get_object_writer(container, name) as writer:
        for piece in pieces:
            writer.write(piece)


def get(driver, container, name):
    """Read an object in pieces."""
    with driver.get_object_reader(container, name) as reader:
        return b''.join(iter(lambda: reader.read(1 << 16), b''))


def commit(driver, container, name, *pieces):
    """Write an object that replaces nothing."""
    with driver.get_exclusive_writer(container, name) as writer:
        for piece in pieces:
            writer.write(piece)
