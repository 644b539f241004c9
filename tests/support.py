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

"""Helpers that several tests share; no tests in here."""

import io

from oslo_config import cfg

from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.drivers.posix import PosixBackupDriver
from chunked_backup.hosts.standalone.service import VolumeService

#: Small, so that a few KiB of volume reach the code for large ones.
BLOCK = 512
CHUNK = 8 * BLOCK


def override(group='chunked_backup', **values):
    """Set options; the ``conf`` fixture takes them back."""
    for name, value in values.items():
        cfg.CONF.set_override(name, value, group=group)


def memory_driver(chunk=CHUNK, block=BLOCK, **keywords):
    return MemoryBackupDriver(None, chunk, block, **keywords)


def posix_driver(path, chunk=CHUNK, block=BLOCK):
    override('chunked_backup_posix', chunk_size_bytes=chunk,
             sha_block_size_bytes=block, path=str(path))
    return PosixBackupDriver(None)


def service(driver):
    """The stand-alone volume service over a driver."""
    return VolumeService(driver)


def restored(service, backup, volume_is_new=True, target=b'', **keywords):
    """The bytes that a restore leaves in a target that held ``target``."""
    backup.status = 'restoring'
    try:
        volume_file = io.BytesIO(target)
        summary = service.driver.restore(backup, backup.volume_id,
                                         volume_file, volume_is_new,
                                         **keywords)
    finally:
        backup.status = 'available'
    data = volume_file.getvalue()
    return data[:summary.volume_bytes].ljust(summary.volume_bytes, b'\0')
