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

"""What the commands on backups of both kinds, volumes and trees, share."""

import abc
import argparse
from typing import Any

from cliff import lister

from chunked_backup import errors
from chunked_backup.cmd import base

EXIT_DAMAGED = errors.CorruptBackup.exit_code
# What a backup may be kept by; see ``retention``, which --help does not need.
_RULES = ('last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly')


class Verify(base.Command, lister.Lister):
    """Read backups back and check them.

    Subclasses say how: ``verify`` gives the row of one backup.
    """

    #: How a backup may be named, for --help.
    backup_help: str
    columns: tuple[str, ...]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument('backup', metavar='BACKUP', nargs='?',
                           help=self.backup_help)
        which.add_argument('--all', action='store_true',
                           help='every available backup')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args, 'Verifying')
        if parsed_args.all:
            backups = [backup for backup in service.backups()
                       if backup.status == 'available']
            if not backups:
                raise errors.RecordError(reason=base.NOTHING_THERE)
        else:
            backups = [service.find(parsed_args.backup)]
        return self.columns, [self._verify(service, backup)
                              for backup in backups]

    def _verify(self, service: Any, backup: Any) -> tuple[Any, ...]:
        try:
            return self.verify(service, backup)
        except errors.CorruptBackup as exc:
            self.exit_code = EXIT_DAMAGED
            return self.row(backup, 'damaged', None, None, str(exc))

    @abc.abstractmethod
    def verify(self, service: Any, backup: Any) -> tuple[Any, ...]:
        """The row of a backup.

        :raises CorruptBackup: it cannot be read at all.
        """

    def row(self, backup: Any, result: str, count: int | None,
            read_bytes: int | None, problem: str) -> tuple[Any, ...]:
        """:param count: of what was read, objects or files."""
        return backup.id, result, count, base.Size(read_bytes), problem


class Delete(base.Command, lister.Lister):
    """Delete a backup."""

    #: How a backup may be named, for --help.
    backup_help: str
    columns: tuple[str, ...]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=self.backup_help)
        parser.add_argument('--cascade', action='store_true',
                            help='and all backups that are built on it')
        parser.add_argument(
            '--force', action='store_true',
            help='even if it is being written, or its writer was killed')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args)
        deleted = service.delete(service.find(parsed_args.backup),
                                 parsed_args.cascade, parsed_args.force)
        return self.columns, [self.row(backup) for backup in deleted]

    @abc.abstractmethod
    def row(self, backup: Any) -> tuple[Any, ...]:
        """What is shown of a backup that was deleted."""


class Prune(base.Command, lister.Lister):
    """Delete the backups that no rule keeps.

    Subclasses say what the rules are applied to.
    """

    #: The option that restricts it, and its help.
    group_option: tuple[str, str]
    columns: tuple[str, ...]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for rule in _RULES:
            parser.add_argument(
                f'--keep-{rule}', type=int, metavar='N',
                help='the newest N' if rule == 'last' else
                     f'the newest of each of N {rule} periods')
        option, help_text = self.group_option
        parser.add_argument(
            option, dest='group', help=help_text,
            metavar=option.rpartition('-')[2].upper())
        parser.add_argument('--yes', action='store_true',
                            help='delete them')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        keep = {rule: value for rule in _RULES
                if (value := getattr(parsed_args, f'keep_{rule}'))}
        if not keep or min(keep.values()) < 0:
            raise errors.InvalidInput(
                reason='give at least one rule, such as --keep-last 7, and '
                       'none below zero; without any, all backups would go')
        service = self.service(parsed_args)
        verb = 'deleted' if parsed_args.yes else 'would be deleted'
        rows = [(*self.row(each.backup), 'kept' if each.reasons else verb,
                 ', '.join(each.reasons))
                for each in service.prune(keep, parsed_args.group,
                                          parsed_args.yes)]
        return (*self.columns, 'decision', 'reasons'), rows

    @abc.abstractmethod
    def row(self, backup: Any) -> tuple[Any, ...]:
        """What is shown of a backup beside the decision."""
