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

"""``chunked-backup tree``: backups of file trees, there and back."""

import argparse
import datetime
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from cliff import show

from chunked_backup.cmd import base
from chunked_backup.cmd import records
from chunked_backup.cmd.records import EXIT_DAMAGED

EXIT_PROBLEMS = 3

BACKUP_HELP = ('a name, for the newest backup of it; the id of a backup, '
               'the beginning of one if no other has it, or "latest"')


class TreeCommand(base.Command):
    """A command that works on trees."""

    def service(self, parsed_args: argparse.Namespace,
                progress: str | None = None) -> Any:
        """The tree service of the configured repository.

        :param progress: what the progress bar says, or None for none.
        """
        # Imported here: --help needs neither the core nor its libraries.
        from chunked_backup.hosts.standalone.tree_service import TreeService

        return TreeService(
            *self.driver_and_progress(parsed_args, progress), self.problem)

    def problem(self, path: bytes, reason: str) -> None:
        """Name what is wrong with one file."""
        self.say(f'{base.path_text(path)}: {reason}')


class BackupTree(TreeCommand, show.ShowOne):
    """Back up a directory, or a single file.

    The exit code is 3 if some files could not be read, or changed while they
    were; each is named on standard error, and all others are in the backup.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('path', metavar='PATH',
                            help='the directory or file')
        parser.add_argument(
            '--name', required=True,
            help='what the chain of backups is called; what is incremental '
                 'is built on earlier ones of the same name')
        parser.add_argument(
            '--engine', default='rsync',
            help='how contents are kept: "rsync" stores the blocks that '
                 'are new, "tar" the files that have changed, as a tar '
                 'archive (default: %(default)s)')
        _add_level_options(parser)
        _add_scan_options(parser)
        parser.add_argument(
            '--block-size', type=int, metavar='BYTES',
            help='what the rsync engine compares (default: 65536); for new '
                 'files, those of earlier backups keep theirs')
        parser.add_argument(
            '--dry-run', action='store_true',
            help='say what would be read; nothing is written')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        service = self.service(parsed_args, 'Backing up')
        from chunked_backup.engines.levels import LevelPolicy
        from chunked_backup.hosts.standalone.tree_service import load_engine

        engine = load_engine(parsed_args.engine, parsed_args.block_size)
        policy = LevelPolicy(parsed_args.incremental, parsed_args.max_level,
                             parsed_args.always_level,
                             parsed_args.restart_always_level)
        open_tree = _opening(parsed_args)
        if parsed_args.dry_run:
            parent, totals = service.preview(open_tree, parsed_args.name,
                                             engine, policy)
            return self._shown(totals.as_numbers(), 'dry run', parent)
        backup = service.backup(parsed_args.path, open_tree,
                                parsed_args.name, engine, policy)
        return self._shown(backup.totals, str(backup.status), None, backup)

    def _shown(self, totals: dict[str, int], status: str, parent: Any,
               backup: Any = None) -> Any:
        if totals['problems']:
            self.exit_code = EXIT_PROBLEMS
        return base.columns_of({
            'status': status,
            'level': backup.level if backup else (
                parent.level + 1 if parent else 0),
            'parent_id': backup.parent_id if backup else (
                parent and parent.id),
            'entries': totals['entries'],
            'files': totals['files'],
            'size': base.Size(totals['bytes']),
            'changed_files': totals['changed_files'],
            'new': base.Size(totals['new_bytes']),
            'stored': base.Size(totals['stored_bytes']),
            'problems': totals['problems'],
            'id': backup.id if backup else None,
        })


class RestoreTree(TreeCommand, show.ShowOne):
    """Bring a tree back, or some paths of it.

    Each file is checked before it appears under its name. The exit code is 3
    if something could not be made as it was, 5 if files are left out because
    what is stored of them is damaged; each is named on standard error.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=BACKUP_HELP)
        parser.add_argument('target', metavar='TARGET',
                            help='the directory that takes the tree; it is '
                                 'made if need be')
        parser.add_argument('paths', metavar='PATH', nargs='*',
                            help='restore these only, with all below them; '
                                 'relative to the top of the tree')
        parser.add_argument(
            '--at', type=_time, metavar='TIME',
            help='the newest backup of that name that is not later, such as '
                 '"2026-01-31 12:00"; local time unless it names a zone')
        parser.add_argument('--overwrite', action='store_true',
                            help='even if the target is not empty; what is '
                                 'not in the backup stays')
        parser.add_argument('--numeric-owner', action='store_true',
                            help='go by the numbers of users and groups, not '
                                 'by their names')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.trees.selection import Selection
        from chunked_backup.trees.target import TreeTarget

        service = self.service(parsed_args, 'Restoring')
        backup = service.find(parsed_args.backup, parsed_args.at)
        selection = Selection(map(os.fsencode, parsed_args.paths))
        totals = service.restore(
            backup, functools.partial(
                TreeTarget, parsed_args.target,
                overwrite=parsed_args.overwrite,
                numeric_owner=parsed_args.numeric_owner), selection.wants)
        for path in selection.missed():
            totals.problems += 1
            self.problem(path, 'not in this backup')
        self.exit_code = _exit_code(totals)
        return base.columns_of({
            'target': parsed_args.target,
            'entries': totals.entries,
            'files': totals.files,
            'size': base.Size(totals.bytes),
            'damaged': totals.damaged,
            'problems': totals.problems,
            'id': backup.id,
        })


class VerifyTree(TreeCommand, records.Verify):
    """Read backups back and check every file of them."""

    backup_help = BACKUP_HELP
    columns = ('id', 'name', 'result', 'files', 'size', 'problem')

    def verify(self, service: Any, backup: Any) -> tuple[Any, ...]:
        totals = service.verify(backup)
        if not totals.damaged:
            return self.row(backup, 'sound', totals.files, totals.bytes, '')
        self.exit_code = EXIT_DAMAGED
        return self.row(backup, 'damaged', totals.files, totals.bytes,
                        f'{totals.damaged} files cannot be restored')

    def row(self, backup: Any, result: str, count: int | None,
            read_bytes: int | None, problem: str) -> tuple[Any, ...]:
        backup_id, *rest = super().row(backup, result, count, read_bytes,
                                       problem)
        return backup_id, backup.name, *rest


class StreamTree(TreeCommand):
    """Write the stream of a backup to standard output, decoded.

    What the tar engine has written is a tar archive of what was new at that
    backup: chunked-backup tree stream BACKUP | tar -tv
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=BACKUP_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        service = self.service(parsed_args)
        for piece in service.stream(service.find(parsed_args.backup)):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _add_level_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--incremental', action='store_true',
        help='store what is new since the newest backup of the name; a full '
             'one where there is none')
    parser.add_argument(
        '--max-level', type=int, metavar='N',
        help='begin anew with a full backup after level N')
    parser.add_argument(
        '--always-level', type=int, metavar='N',
        help='from level N on, store what is new since level N - 1, again '
             'and again')
    parser.add_argument(
        '--restart-always-level', type=float, metavar='DAYS',
        help='begin anew once the full backup is older than so many days')


def _add_scan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--exclude', action='append', default=[], metavar='PATTERN',
        help='leave out what matches; a directory with all below it; may be '
             'given several times')
    parser.add_argument(
        '--exclude-from', action='append', default=[], metavar='FILE',
        help='a file with one such pattern on each line')
    parser.add_argument(
        '--one-file-system', action='store_true',
        help='do not enter what is mounted below PATH')
    parser.add_argument(
        '--dereference', choices=('soft', 'hard', 'all'),
        help='store what symbolic links point to (soft), each name of a '
             'file with several as a file of its own (hard), or both')


def _opening(parsed_args: argparse.Namespace) -> Callable[[Any], Any]:
    """What opens the tree, as the options say."""
    from chunked_backup.trees import patterns
    from chunked_backup.trees.scan import TreeScanner

    excludes = list(map(os.fsencode, parsed_args.exclude))
    for path in parsed_args.exclude_from:
        excludes += patterns.read_patterns(path)

    def open_tree(report: Callable[[bytes, str], None]) -> TreeScanner:
        return TreeScanner(parsed_args.path, report, excludes,
                           parsed_args.one_file_system,
                           parsed_args.dereference)

    return open_tree


def _time(text: str) -> datetime.datetime:
    """:raises ArgumentTypeError: it is none."""
    try:
        return datetime.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as exc:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time such as "2026-01-31 12:00"') from exc


def _exit_code(totals: Any) -> int:
    if totals.damaged:
        return EXIT_DAMAGED
    return EXIT_PROBLEMS if totals.problems else 0
