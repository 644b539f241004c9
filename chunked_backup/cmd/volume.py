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

"""``chunked-backup volume ...``"""

import argparse
import os
from typing import Any

from cliff import columns
from cliff import lister
from cliff import show

from chunked_backup import errors
from chunked_backup.cmd import base
from chunked_backup.cmd import records

EXIT_SALVAGED = 3

_BACKUP_HELP = ('the id of a backup, the beginning of one if no other has '
                'it, or "latest"')


class BackupVolume(base.Command, show.ShowOne):
    """Back up a disk image or a block device.

    Without --incremental or --parent the backup is a full one. One whose
    writer was killed is resumed with --resume: objects that it has stored are
    compared with the volume, and kept where they are the same.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'path', metavar='PATH', nargs='?',
            help='the file or block device; with --resume by default the '
                 'one that the backup began with')
        parser.add_argument(
            '--volume-id', metavar='ID',
            help='which volume this is (default: always the same for the '
                 'same path)')
        parser.add_argument('--name', help='a name for the backup')
        parser.add_argument('--description', help='more words for it')
        parent = parser.add_mutually_exclusive_group()
        parent.add_argument(
            '--incremental', action='store_true',
            help='store what differs from the newest backup of the volume')
        parent.add_argument(
            '--parent', metavar='BACKUP',
            help='store what differs from this backup; ' + _BACKUP_HELP)
        parent.add_argument(
            '--resume', metavar='BACKUP',
            help='go on with a backup whose writer was killed; the id of '
                 'one, or the beginning of one if no other has it')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args, 'Backing up')
        if parsed_args.resume is not None:
            self._require(not (parsed_args.volume_id or parsed_args.name
                               or parsed_args.description),
                          'a backup that is resumed has its volume, name and '
                          'description already')
            backup = service.resume(service.find(parsed_args.resume),
                                    parsed_args.path)
        else:
            self._require(parsed_args.path is not None,
                          'the file or block device to back up is missing')
            backup = service.backup(
                parsed_args.path, parsed_args.volume_id, parsed_args.name,
                parsed_args.description, parsed_args.incremental,
                parsed_args.parent)
        return base.columns_of({
            'status': str(backup.status),
            'volume_id': backup.volume_id,
            'parent_id': backup.parent_id,
            'size': base.Size(backup.volume_bytes),
            'changed': base.Size(backup.changed_bytes),
            'stored': base.Size(backup.stored_bytes),
            'objects': backup.object_count,
            'id': backup.id,
        })

    @staticmethod
    def _require(given: bool, reason: str) -> None:
        if not given:
            raise errors.InvalidInput(reason=reason)


class RestoreVolume(base.Command, show.ShowOne):
    """Bring a backup back to a file or a block device.

    Every block is checked before it is written. A new file appears under its
    name when all of it is there.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=_BACKUP_HELP)
        parser.add_argument('path', metavar='PATH',
                            help='the file or block device to write')
        parser.add_argument('--force', action='store_true',
                            help='overwrite what is at PATH')
        parser.add_argument(
            '--salvage', action='store_true',
            help='bring back what is sound of a damaged backup, fill the '
                 'rest with zeros and list it; the exit code is then '
                 f'{EXIT_SALVAGED}')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args, 'Restoring')
        backup = service.find(parsed_args.backup)
        summary = service.restore(backup, parsed_args.path,
                                  parsed_args.force, parsed_args.salvage)
        if summary.bad_ranges:
            self.exit_code = EXIT_SALVAGED
        return base.columns_of({
            'path': parsed_args.path,
            'size': base.Size(summary.volume_bytes),
            'objects': summary.object_count,
            'fetched': base.Size(summary.fetched_bytes),
            'bad_ranges': BadRanges(summary.bad_ranges),
            'id': backup.id,
        })


class ListBackups(base.Command, lister.Lister):
    """List all backups, oldest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--volume-id', metavar='ID',
                            help='only those of one volume')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        backups = [backup for backup in self.service(parsed_args).backups()
                   if parsed_args.volume_id in (None, backup.volume_id)]
        return (
            ('id', 'created_at', 'status', 'type', 'name', 'volume_id',
             'size', 'stored', 'source'),
            [(backup.id, base.seconds(backup.created_at), backup.status,
              _type(backup),
              backup.display_name, backup.volume_id,
              base.Size(backup.volume_bytes), base.Size(backup.stored_bytes),
              backup.source) for backup in backups])


class ShowBackup(base.Command, show.ShowOne):
    """Show all that is known of a backup."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=_BACKUP_HELP)
        parser.add_argument(
            '--map', action='store_true',
            help='and draw which part of the volume comes from which backup '
                 'of the chain; reads manifests and digests, no data')
        parser.add_argument(
            '--map-file', metavar='SVG',
            help='draw it into this file, which must not exist, as a picture')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args)
        backup = service.find(parsed_args.backup)
        chain = service.chain(backup)
        drawn = self._map(service, backup, chain, parsed_args)
        return base.columns_of({
            'id': backup.id,
            'name': backup.display_name,
            'description': backup.display_description,
            'status': backup.status,
            'fail_reason': backup.fail_reason,
            'created_at': backup.created_at,
            'volume_id': backup.volume_id,
            'source': backup.source,
            'type': _type(backup),
            'parent_id': backup.parent_id,
            'chain': base.Lines(chain),
            'size': base.Size(backup.volume_bytes),
            'changed': base.Size(backup.changed_bytes),
            'stored': base.Size(backup.stored_bytes),
            'objects': backup.object_count,
            'container': backup.container,
            'prefix': backup.service_metadata,
            'driver': backup.service,
            'format': backup.format_version,
            **drawn,
        })

    @staticmethod
    def _map(service: Any, backup: Any, chain: list[str],
             parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The row with the map, if it is wanted."""
        if not (parsed_args.map or parsed_args.map_file):
            return {}
        from chunked_backup.cmd import volume_map

        if parsed_args.map_file and (
                os.path.splitext(parsed_args.map_file)[1] not in ('', '.svg')):
            raise errors.InvalidInput(
                reason=f'{parsed_args.map_file} would be an SVG picture; give '
                       'it a name that ends in .svg')
        ranges = service.map(backup)
        if parsed_args.map_file:
            try:
                with open(parsed_args.map_file, 'x', encoding='utf-8') as svg:
                    svg.write(volume_map.draw_svg(ranges, chain))
            except OSError as exc:
                raise errors.InvalidInput(
                    reason=f'the map cannot be written to '
                           f'{parsed_args.map_file}: {exc.strerror}') from exc
        return {'map': VolumeMap((ranges, chain))} if parsed_args.map else {}


class VerifyBackups(records.Verify):
    """Read backups back and check every block of them."""

    backup_help = _BACKUP_HELP
    columns = ('id', 'result', 'objects', 'fetched', 'problem')

    def verify(self, service: Any, backup: Any) -> tuple[Any, ...]:
        summary = service.verify(backup)
        return self.row(backup, 'sound', summary.object_count,
                        summary.fetched_bytes, '')


class DeleteBackup(records.Delete):
    """Delete a backup."""

    backup_help = _BACKUP_HELP
    columns = ('id', 'name')

    def row(self, backup: Any) -> tuple[Any, ...]:
        return backup.id, backup.display_name


class PruneVolumes(records.Prune):
    """Delete the backups that no rule keeps.

    Without --yes it only tells what would be deleted. What a kept backup is
    built on is kept with it. The rules apply to each volume by itself.
    """

    group_option = '--volume-id', 'only backups of this volume'
    columns = ('id', 'created_at', 'type', 'name', 'volume_id')

    def row(self, backup: Any) -> tuple[Any, ...]:
        return (backup.id, base.seconds(backup.created_at), _type(backup),
                backup.display_name, backup.volume_id)


class VolumeMap(columns.FormattableColumn):
    """Where the parts of a volume come from: drawn for people, a list for
    programs."""

    def human_readable(self) -> str:
        from chunked_backup.cmd import volume_map

        return volume_map.draw_text(*self._value)

    def machine_readable(self) -> Any:
        return [each._asdict() for each in self._value[0]]


class BadRanges(columns.FormattableColumn):
    """What a salvage could not bring back."""

    def human_readable(self) -> str:
        if not self._value:
            return 'none'
        return '\n'.join(f'{bad.offset}+{bad.length}: {bad.reason}'
                         for bad in self._value)

    def machine_readable(self) -> Any:
        return [bad._asdict() for bad in self._value]


def _type(backup: Any) -> str:
    return 'incremental' if backup.is_incremental else 'full'
