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

"""``chunked-backup tree``: what there is, and what is to go."""

import argparse
import datetime
import os
import stat
from typing import Any

from cliff import lister
from cliff import show

from chunked_backup import errors
from chunked_backup.cmd import base
from chunked_backup.cmd import records
from chunked_backup.cmd.tree import BACKUP_HELP
from chunked_backup.cmd.tree import TreeCommand

_EPOCH = datetime.datetime(1970, 1, 1)
_TYPE_BITS = {'f': stat.S_IFREG, 'd': stat.S_IFDIR, 'l': stat.S_IFLNK,
              'p': stat.S_IFIFO, 'c': stat.S_IFCHR, 'b': stat.S_IFBLK,
              's': stat.S_IFSOCK}


class ListTrees(TreeCommand, lister.Lister):
    """List all backups of trees, oldest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--name', help='only those of one name')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return (
            ('id', 'created_at', 'status', 'name', 'level', 'engine',
             'files', 'size', 'stored', 'problems', 'source'),
            [(backup.id, base.seconds(backup.created_at), backup.status,
              backup.name, backup.level, backup.engine,
              backup.totals.get('files'),
              base.Size(backup.totals.get('bytes')),
              base.Size(backup.totals.get('stored_bytes')),
              backup.totals.get('problems'), backup.source)
             for backup in self.service(parsed_args).backups(
                 parsed_args.name)])


class ShowTree(TreeCommand, show.ShowOne):
    """Show all that is known of a backup, or of a path in it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=BACKUP_HELP)
        parser.add_argument('path', metavar='PATH', nargs='?',
                            help='relative to the top of the tree; "." for '
                                 'the top itself')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args)
        backup = service.find(parsed_args.backup)
        if parsed_args.path is not None:
            return base.columns_of(_path_of(service, backup, parsed_args.path))
        return base.columns_of({
            'id': backup.id, 'name': backup.name, 'status': backup.status,
            'fail_reason': backup.fail_reason,
            'created_at': backup.created_at, 'source': backup.source,
            'host': backup.host, 'engine': backup.engine,
            'level': backup.level, 'parent_id': backup.parent_id,
            **{name: base.Size(value) if 'bytes' in name else value
               for name, value in backup.totals.items()},
            'container': backup.container, 'prefix': backup.prefix})


class DiffTrees(TreeCommand, lister.Lister):
    """List what differs between two backups."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('old', metavar='A', help=BACKUP_HELP)
        parser.add_argument('new', metavar='B', help=BACKUP_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.jobs.tree_diff import differences

        service = self.service(parsed_args)
        old = service.records(service.find(parsed_args.old))
        new = service.records(service.find(parsed_args.new))
        return (('change', 'path', 'what'),
                [(each.change, base.path_text(each.path), ', '.join(each.what))
                 for each in differences(old, new)])


class DeleteTree(TreeCommand, records.Delete):
    """Delete a backup."""

    backup_help = BACKUP_HELP
    columns = ('id', 'name', 'level')

    def row(self, backup: Any) -> tuple[Any, ...]:
        return backup.id, backup.name, backup.level


class PruneTrees(TreeCommand, records.Prune):
    """Delete the backups that no rule keeps.

    Without --yes it only tells what would be deleted. What a kept backup is
    built on is kept with it. The rules apply to each name by itself.
    """

    group_option = '--name', 'only backups of this name'
    columns = ('id', 'created_at', 'name', 'level')

    def row(self, backup: Any) -> tuple[Any, ...]:
        return (backup.id, base.seconds(backup.created_at), backup.name,
                backup.level)


def _path_of(service: Any, backup: Any, path: str) -> dict[str, Any]:
    """What a backup knows of one path, and what is in it."""
    from chunked_backup.trees.selection import normal_path

    wanted = normal_path(os.fsencode(path))
    found = None
    inside = []
    for record in service.records(backup):
        if record.entry.path == wanted:
            found = record
        elif os.path.dirname(record.entry.path) == wanted:
            inside.append(_line(record.entry))
    if found is None:
        raise errors.InvalidInput(
            reason=f'{path} is not in backup {backup.id}')
    return {**_fields(*found), 'entries': base.Lines(inside)}


def _fields(entry: Any, content: Any) -> dict[str, Any]:
    return {
        'path': base.path_text(entry.path), 'kind': entry.kind,
        'mode': stat.filemode(_TYPE_BITS[entry.kind] | entry.mode),
        'user': entry.user or entry.uid, 'group': entry.group or entry.gid,
        'size': base.Size(entry.size), 'modified': _time(entry.mtime_ns),
        'links': entry.links,
        'target': base.path_text(entry.target) if entry.target else '',
        'xattrs': base.Lines([base.path_text(name)
                              for name, _ in entry.xattrs]),
        'blake3': content and content.digest.hex(),
    }


def _line(entry: Any) -> str:
    """As ls -l has it."""
    arrow = (' -> ' + base.path_text(entry.target)) if entry.target else ''
    return (f'{stat.filemode(_TYPE_BITS[entry.kind] | entry.mode)} '
            f'{entry.user or entry.uid} {entry.group or entry.gid} '
            f'{entry.size:>12} {_time(entry.mtime_ns)} '
            f'{base.path_text(os.path.basename(entry.path))}{arrow}')


def _time(time_ns: int) -> str:
    """A time in UTC, to the second."""
    return str(_EPOCH + datetime.timedelta(seconds=time_ns // 10 ** 9))[:19]
