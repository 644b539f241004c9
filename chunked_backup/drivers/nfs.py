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
"""Backups in a directory of an NFS share, which is mounted when needed.

Everything but the mount is the POSIX driver. The mount point is
``<mount_point_base>/<md5 of the share>``, the same that os-brick makes, so
that Cinder's own driver and this one share a mount. root mounts by itself;
within a service that is not root, as cinder-backup, os-brick does.
"""

import hashlib
import importlib.util
import os
import stat
import subprocess
from typing import Any

from oslo_config import cfg

from chunked_backup import errors
from chunked_backup import opts
from chunked_backup.driver import ChunkedBackupDriver
from chunked_backup.drivers.posix import PosixBackupDriver
from chunked_backup.drivers.posix.classify import classified
from chunked_backup.drivers.posix.options import default_path
from chunked_backup.flow import native

GROUP = cfg.OptGroup('chunked_backup_nfs',
                     title='Chunked backups on an NFS share')

OPTS = [
    cfg.StrOpt(
        'share', deprecated_opts=opts.cinder_option('backup_share'),
        help='The share, as host:path.'),
    cfg.StrOpt(
        'mount_point_base',
        deprecated_opts=opts.cinder_option('backup_mount_point_base'),
        help='The directory below which the share is mounted. Without it, '
             '$state_path/backup_mount within Cinder, otherwise '
             'chunked-backup-mount in the data directory of the user.'),
    cfg.StrOpt(
        'mount_options',
        deprecated_opts=opts.cinder_option('backup_mount_options'),
        help='Options of the mount, as mount -o takes them.'),
    cfg.IntOpt(
        'mount_attempts', default=3, min=1,
        deprecated_opts=opts.cinder_option('backup_mount_attempts'),
        help='How often mounting is tried.'),
]

_MOUNT_TIMEOUT_S = 120


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]


class NfsBackupDriver(PosixBackupDriver):
    """Keeps backups on a share; constructing one mounts nothing."""

    cinder_driver = 'cinder.backup.drivers.nfs.NFSBackupDriver'
    suitable_parallelism = ChunkedBackupDriver.suitable_parallelism

    def __init__(self, context: Any = None) -> None:
        conf = cfg.CONF
        conf.register_group(GROUP)
        conf.register_opts(OPTS, group=GROUP)
        self._mount = conf.chunked_backup_nfs
        self._is_ready = False
        super().__init__(context, self._mount_point())

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return PosixBackupDriver.get_driver_options() + OPTS

    def check_store(self) -> None:
        if not self._mount.share:
            raise errors.ConfigurationError(
                reason='share of [chunked_backup_nfs] is not set')
        super().check_store()

    def _mount_point(self) -> str:
        base = self._mount.mount_point_base or default_path(
            cfg.CONF, 'backup_mount', 'chunked-backup-mount')
        # Cinder's way to a directory from a share's name, no secret.
        name = hashlib.md5((self._mount.share or '').encode(),
                           usedforsecurity=False).hexdigest()
        return os.path.join(base, name)

    def _ensure_ready(self) -> None:
        """Mount the share, and see that this process may write there.

        A share that is not mounted must never look like an empty repository.
        """
        if self._is_ready and os.path.ismount(self.backup_path):
            return
        with classified(self.backup_path):
            os.makedirs(self.backup_path, exist_ok=True)
        mount = _mount if os.geteuid() == 0 or not _has_brick() else (
            _mount_by_brick)
        for _ in range(self._mount.mount_attempts):
            if os.path.ismount(self.backup_path):
                break
            problem = mount(self._mount.share, self.backup_path,
                            self._mount.mount_options)
        if not os.path.ismount(self.backup_path):
            raise errors.RepositoryNotFound(
                repository=f'{self._mount.share} ({problem})')
        self._own()
        self._is_ready = True

    def _own(self) -> None:
        """Have the top directory writable by the group of this process.

        Cinder's driver changes everything below as well, for every
        operation; what backups write has the right mode from the start.
        """
        with classified(self.backup_path):
            status = os.stat(self.backup_path)
            if status.st_uid == os.geteuid() or not os.geteuid():
                return
            if status.st_gid != os.getegid():
                os.chown(self.backup_path, -1, os.getegid())
            if not status.st_mode & stat.S_IWGRP:
                os.chmod(self.backup_path,
                         stat.S_IMODE(status.st_mode) | stat.S_IWGRP)


def _has_brick() -> bool:
    return importlib.util.find_spec('os_brick') is not None


@native.on_hub
def _mount(share: str, path: str, options: str | None) -> str:
    """Mount a share; what went wrong, if anything did."""
    command = ['mount', '-t', 'nfs']
    if options:
        command += ['-o', options]
    try:
        done = subprocess.run(
            [*command, '--', share, path], capture_output=True, text=True,
            check=False, timeout=_MOUNT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    return done.stderr.strip()


@native.on_hub
def _mount_by_brick(share: str, path: str, options: str | None) -> str:
    """The same by the privileged helper of the service."""
    from os_brick import exception
    from os_brick.remotefs import remotefs
    client = remotefs.RemoteFsClient(
        'nfs', 'sudo', nfs_mount_point_base=os.path.dirname(path),
        nfs_mount_options=options)
    try:
        client.mount(share)
    except (exception.BrickException, OSError) as exc:
        return str(exc)
    return ''
