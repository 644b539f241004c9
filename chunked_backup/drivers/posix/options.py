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

"""The options of the driver for directories."""

import os

from oslo_config import cfg

from chunked_backup import opts

GROUP = cfg.OptGroup('chunked_backup_posix',
                     title='Chunked backups in a directory')

OPTS = [
    cfg.StrOpt(
        'path', deprecated_opts=opts.cinder_option('backup_posix_path'),
        help='The repository: the directory that holds all backups. Without '
             'it, $state_path/backup within Cinder, otherwise '
             'chunked-backup in the data directory of the user.'),
    cfg.StrOpt(
        'container', deprecated_opts=opts.cinder_option('backup_container'),
        help='A directory below the repository for all backups that name '
             'none. Without it, each backup has one of its own.'),
    cfg.IntOpt(
        'chunk_size_bytes', default=1999994880, min=1,
        deprecated_opts=opts.cinder_option('backup_file_size'),
        help='No file holds more of a volume than this; a multiple of '
             'sha_block_size_bytes.'),
    cfg.IntOpt(
        'sha_block_size_bytes', default=32768, min=1,
        deprecated_opts=opts.cinder_option('backup_sha_block_size_bytes'),
        help='Changes are found in blocks of this size. All backups of a '
             'chain have to have the same.'),
    cfg.BoolOpt(
        'enable_progress_timer', default=True,
        deprecated_opts=opts.cinder_option('backup_enable_progress_timer'),
        help='Whether the volume service is told how far a backup is.'),
]


def default_path(conf: cfg.ConfigOpts, in_state: str, in_data: str) -> str:
    """A directory of that name: below Cinder's ``state_path``, or below the
    data directory of the user."""
    if opts.within_cinder():
        return os.path.join(conf.state_path, in_state)
    data = os.environ.get('XDG_DATA_HOME') or os.path.expanduser(
        '~/.local/share')
    return os.path.join(data, in_data)
