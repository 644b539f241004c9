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

"""Our drivers in the places of Cinder's, for its unit tests.

A test names a class of Cinder's by its module, so the class there is replaced
before the tests are imported. Nothing of ours is changed but this:

* An option that a test sets by Cinder's name is set under ours as well. A
  configuration file needs no such help: there, ours read Cinder's names.
* The directory that the tests for POSIX name, and only an unprivileged user
  may not make, is one that nobody can make.
* Nothing waits before it tries again, and nothing reaches a network. Cinder's
  tests see to both themselves, in ways that fit its drivers.
"""

import socket
from unittest import mock

import tenacity
from cinder.tests import unit  # noqa: F401  it has all of Cinder's objects

from cinder.backup import chunkeddriver  # noqa: I100
from cinder.backup import manager  # noqa: F401  this process is Cinder
from cinder.backup.drivers import nfs as cinder_nfs
from cinder.backup.drivers import posix as cinder_posix
from cinder.backup.drivers import s3 as cinder_s3
from cinder.backup.drivers import swift as cinder_swift
from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import opts
from chunked_backup.drivers import nfs
from chunked_backup.drivers import posix
from chunked_backup.drivers import s3
from chunked_backup.drivers import swift

_PLACES = (
    (chunkeddriver, 'ChunkedBackupDriver', driver.ChunkedBackupDriver),
    (cinder_posix, 'PosixBackupDriver', posix.PosixBackupDriver),
    (cinder_nfs, 'NFSBackupDriver', nfs.NfsBackupDriver),
    (cinder_s3, 'S3BackupDriver', s3.S3BackupDriver),
    (cinder_swift, 'SwiftBackupDriver', swift.SwiftBackupDriver),
)


def install():
    """For the rest of this process."""
    for module, name, ours in _PLACES:
        mock.patch.object(module, name, ours).start()
    _follow_options(cfg.CONF)
    mock.patch.object(tenacity, 'wait_random_exponential',
                      lambda **_: tenacity.wait_none()).start()
    _put_nowhere()
    mock.patch.object(socket.socket, 'connect', _refuse).start()


def _follow_options(conf):
    """Give ours what Cinder's options are set to."""
    names = {}
    for module in (opts, posix, nfs, s3, swift):
        for group, options in module.list_opts():
            conf.register_group(group)
            conf.register_opts(options, group=group)
            for option in options:
                for cinder in option.deprecated_opts:
                    names[cinder.name] = (option.name, group.name)
    set_override = conf.set_override

    def follow(name, override, group=None):
        set_override(name, override, group)
        if group is None and name in names:
            ours, our_group = names[name]
            set_override(ours, override, our_group)

    conf.set_override = follow


def _put_nowhere():
    from cinder.tests.unit.backup.drivers import test_backup_posix
    for name in ('FAKE_BACKUP_POSIX_PATH', 'FAKE_OBJECT_PATH'):
        mock.patch.object(test_backup_posix, name, '/dev/null' + getattr(
            test_backup_posix, name)).start()


def _refuse(self, address):
    raise ConnectionRefusedError(f'a unit test connects to {address}')
