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

"""The options that every driver shares, and how all of them are listed.

An option that Cinder has under another name in ``[DEFAULT]`` reads that, too,
so a cinder.conf that exists keeps working; ours wins where both are set.
"""

import re
import sys

from oslo_config import cfg

from chunked_backup.blocks import codecs

#: How oslo.config says where a value comes from.
_LOCATION = re.compile(r"LocationInfo\(location=<.*?>, detail='(.*?)'\)")

GROUP = cfg.OptGroup(
    'chunked_backup', title='Chunked backups, whatever the store')


def cinder_option(name: str) -> list[cfg.DeprecatedOpt]:
    """The same option as Cinder spells it."""
    return [cfg.DeprecatedOpt(name, group='DEFAULT')]


OPTS = [
    cfg.StrOpt(
        'driver', default='posix',
        help='The driver that the chunked-backup command uses: the name of '
             'an entry point in chunked_backup.drivers. Cinder chooses a '
             'driver by class path in its own option backup_driver.'),
    cfg.StrOpt(
        'host',
        help='Who keeps the records of backups: the name of an entry point '
             'in chunked_backup.hosts. Without it, cinder within Cinder\'s '
             'backup service, otherwise standalone.'),
    cfg.BoolOpt(
        'record_cinder_driver', default=True,
        help='Whether, within Cinder, the record of a new backup names '
             'Cinder\'s own driver for the same store. That one then '
             'restores and deletes the backup, and goes on from it, once '
             'backup_driver is set back to it.'),
    cfg.StrOpt(
        'compression_algorithm', default='zlib', ignore_case=True,
        choices=codecs.SPELLINGS,
        deprecated_opts=cinder_option('backup_compression_algorithm'),
        help='How objects are compressed. One that does not become smaller '
             'is stored as it is. none, off and no mean the same, as do zlib '
             'and gzip, and bz2 and bzip2.'),
    cfg.StrOpt(
        'format_version', default='2.0.0', choices=('1.0.0', '2.0.0'),
        help='The format of new chains; an incremental has that of its '
             'parent. 2.0.0 packs many changed ranges into one object, and a '
             'restore fetches no more of it than it needs. 1.0.0 is '
             'Cinder\'s: choose it where Cinder\'s own drivers are to read '
             'the repository. Within Cinder it is always written. Both are '
             'read everywhere.'),
    cfg.BoolOpt(
        'create_containers', default=True,
        deprecated_opts=cinder_option('backup_create_containers'),
        help='Whether a container that does not exist is created.'),
    cfg.StrOpt(
        'availability_zone', default='nova',
        deprecated_opts=cinder_option('storage_availability_zone'),
        help='The zone that object names carry, in stores that have it in '
             'their names.'),
    cfg.IntOpt(
        'merge_gap_bytes', default=131072, min=0,
        help='Changed ranges of a volume with at most so many bytes between '
             'them become one object, in format 1.0.0. 0 gives one object for '
             'each range, as Cinder has it.'),
    cfg.BoolOpt(
        'write_md5', default=True,
        help='Whether, in format 1.0.0, the md5 of what each object holds is '
             'recorded, as Cinder does, too. It takes about a third of the '
             'processor time of a full backup. The sha256 of every block is '
             'always recorded and checked; the md5 is read by a '
             'verification, and by a salvage whose table of sha256 is lost, '
             'which then cannot bring anything back without it.'),
    cfg.IntOpt(
        'parallelism', min=1, max=256,
        help='How many objects are transferred at the same time. Without it, '
             'as many as suit the store: 8, and for a directory two for each '
             'processor, up to 8.'),
    cfg.IntOpt(
        'memory_limit_bytes', default=268435456, min=1,
        help='About how much memory the objects in work of one backup or '
             'restore may take. Where as many as parallelism says would take '
             'more, fewer are transferred at the same time.'),
    cfg.IntOpt(
        'backup_bytes_per_s', default=0, min=0,
        help='How much a backup writes to the store in a second at most; 0 '
             'for as much as it can.'),
    cfg.IntOpt(
        'restore_bytes_per_s', default=0, min=0,
        help='How much a restore or a verification reads from the store in a '
             'second at most; 0 for as much as it can.'),
    cfg.IntOpt(
        'retry_attempts', default=4, min=1,
        help='How often a request is made while the store fails for now. '
             'Drivers whose stores have an option of their own for this go '
             'by that.'),
    cfg.FloatOpt(
        'retry_wait_s', default=1.0, min=0,
        help='At most how long to wait before a request is made a second '
             'time, in seconds; twice as long before the third, and so on, '
             'up to a minute. The wait is random below that.'),
    cfg.FloatOpt(
        'stall_timeout_s', default=600, min=1,
        help='A backup or restore in which nothing has moved for so long '
             'ends with an error: the store or the device hangs.'),
    cfg.StrOpt(
        'metrics_file',
        help='Where figures for Prometheus go when an operation ends: a file '
             'that ends in .prom, in the directory that the textfile '
             'collector of node_exporter reads. Counters go on from what is '
             'there; all processes of a machine may share one file. Without '
             'it, none are kept.'),
    cfg.StrOpt(
        'executor', default='threads', choices=('threads', 'serial'),
        help='Where the work runs: on native threads, or one thing after '
             'the other in the calling thread, for debugging.'),
]


def within_cinder() -> bool:
    """Whether this process is Cinder's backup service: it keeps the records,
    and its options are registered."""
    return 'cinder.backup.manager' in sys.modules


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options above known to a configuration."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For oslo-config-generator; each driver lists its own."""
    return [(GROUP, OPTS)]


def problem(error: Exception) -> str:
    """What is wrong with the configuration, in which file, and, where that
    cannot be read, in which line; not the line itself, which may have a
    secret."""
    text = str(error)
    if isinstance(error, cfg.ConfigFileParseError):
        line = getattr(error.__context__, 'line', '')
        text = text.replace(f': {line!r}', '')
    return _LOCATION.sub(r'\1', text)
