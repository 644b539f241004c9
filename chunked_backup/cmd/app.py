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

"""``chunked-backup``: the program."""

import argparse
import importlib.metadata
import itertools
import signal
import sys
from collections.abc import Sequence
from typing import Any

from cliff import app
from cliff import commandmanager

from chunked_backup.cmd import base


class ChunkedBackupApp(app.App):
    """Global options, and the commands found by entry point."""

    DEFAULT_VERBOSE_LEVEL = 0  # warnings and errors; -v adds to it

    def __init__(self) -> None:
        super().__init__(
            description='Chunked, incremental, verified backups of block '
                        'volumes, disk images and file trees.',
            version=importlib.metadata.version('chunked_backup'),
            command_manager=commandmanager.CommandManager(
                'chunked_backup.cli'),
            deferred_help=True)

    def build_option_parser(self, description: str | None,
                            version: str | None,
                            argparse_kwargs: dict[str, Any] | None = None
                            ) -> argparse.ArgumentParser:
        parser = super().build_option_parser(description, version,
                                             argparse_kwargs)
        base.add_common_options(parser)
        return parser

    def run(self, argv: Sequence[str]) -> int:
        """Run one command.

        :param argv: its words, without the name of the program.
        :returns: the exit code.
        """
        return super().run(list(argv) or ['help'])

    def run_subcommand(self, argv: list[str]) -> int:
        """Run one command; cliff makes "help ..." of words with --help.

        Then only the name of the command counts, not its options.
        """
        if argv[:1] == ['help']:
            argv = list(itertools.takewhile(
                lambda word: not word.startswith('-'), argv))
        return super().run_subcommand(argv)

    def interact(self) -> None:
        """Refuse options without a command; cliff would begin a shell."""
        self.parser.error('a command is missing; see --help')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :returns: the exit code: 0 done, 1 failed, 2 bad usage or configuration,
        3 salvaged with losses, 4 no such backup, 5 damaged backup, 6 the
        store or a device failed, 7 a target is half restored, 130 cancelled.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # no nohup
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        return ChunkedBackupApp().run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # before a command could take it
        return base.EXIT_INTERRUPTED


def _interrupt(signal_number: int, frame: Any) -> None:
    """Have other signals clean up as Ctrl-C does."""
    raise KeyboardInterrupt
