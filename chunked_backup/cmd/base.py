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

"""What all commands share: configuration, the service, errors, sizes."""

import argparse
import logging as stdlib_logging
import sys
from typing import Any

from cliff import columns
from cliff import command
from cliff import show
from oslo_config import cfg
from oslo_log import log as logging

from chunked_backup import errors
from chunked_backup import loader
from chunked_backup import opts
from chunked_backup.cmd import progress as progresses

EXIT_INTERRUPTED = 130
#: A check that has looked at nothing is no success.
NOTHING_THERE = ('there is no available backup to look at; is this the right '
                 'repository, and is it mounted?')

# Paths in a cinder.conf refer to it.
STATE_PATH = cfg.StrOpt('state_path', default='/var/lib/cinder')


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Options that may stand before and behind the command's name."""
    group = parser.add_argument_group('repository')
    group.add_argument(
        '--config-file', action='append', default=[], metavar='PATH',
        help='a configuration file; may be given several times (default: '
             'chunked_backup.conf in ~/.chunked_backup, ~, '
             '/etc/chunked_backup or /etc, if there is one)')
    group.add_argument(
        '--driver', metavar='NAME',
        help='the driver to use, in place of the configured one; see '
             '"driver list"')
    group.add_argument(
        '--metrics-file', metavar='PATH',
        help='where to keep figures for Prometheus, in place of the '
             'configured file; in the directory of the textfile collector, '
             'and with the suffix .prom')
    group.add_argument(
        '--progress', choices=progresses.FORMATS,
        help='"bar" on standard error, "json" for an object a line, or '
             '"none" (default: a bar on a terminal)')
    group.add_argument(
        '--progress-file', metavar='PATH',
        help='where lines of JSON go, such as /dev/fd/3 (default: standard '
             'error)')
    group.add_argument(
        '--no-progress', action='store_const', const=progresses.NONE,
        dest='progress', help='the same as --progress none')


class Command(command.Command):
    """A command that reports errors as one line and an exit code.

    Those that print an answer are a ``Lister`` or a ``ShowOne`` besides.
    """

    #: Set by ``take_action`` when the answer is not simply "done".
    exit_code = 0

    _progress: progresses.ProgressBar | progresses.JsonLines | None = None
    _error: str | None = None
    _answer: Any = None

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_common_options(parser)
        return parser

    def get_epilog(self) -> str:
        """What stands below the help.

        cliff's own tells which distribution a command is of, and reads the
        records of all that are installed for it: 0.1 s of a start of 0.4.
        """
        return self._epilog or ''

    def run(self, parsed_args: argparse.Namespace) -> int:
        exit_code = 1
        try:
            exit_code = self._run(parsed_args)
        except Exception as exc:
            self._error = repr(exc)  # a defect, which cliff shows
            raise
        finally:
            if isinstance(self._progress, progresses.JsonLines):
                self._progress.finish(exit_code, self._answer, self._error)
        return exit_code

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Any, data: Any) -> int:
        """Print the answer; cliff calls this with what it is."""
        self._remove_progress_bar()
        if isinstance(self._progress, progresses.JsonLines):
            is_one = isinstance(self, show.ShowOne)
            answer = [dict(zip(column_names, map(_machine_readable, row)))
                      for row in ([data] if is_one else data)]
            self._answer = answer[0] if is_one else answer
        display: Any = super()  # of cliff's Lister or ShowOne
        exit_code: int = display.produce_output(parsed_args, column_names,
                                                data)
        return exit_code

    def _run(self, parsed_args: argparse.Namespace) -> int:
        try:
            return super().run(parsed_args) or self.exit_code
        except errors.ChunkedBackupError as exc:
            return self._fail(exc, exc.exit_code)
        except cfg.Error as exc:
            error = errors.ConfigurationError(reason=opts.problem(exc))
            return self._fail(error, error.exit_code)
        except KeyboardInterrupt:
            self.say('interrupted; nothing half-done is left behind')
            self._error = 'interrupted'
            return EXIT_INTERRUPTED
        finally:
            self._remove_progress_bar()

    def _remove_progress_bar(self) -> None:
        if self._progress is not None:
            self._progress.close()

    def service(self, parsed_args: argparse.Namespace,
                progress: str | None = None) -> Any:
        """The volume service of the configured repository.

        :param progress: what the progress bar says, or None for none.
        """
        # Imported here: --help needs neither the core nor its libraries.
        from chunked_backup.hosts.standalone.service import VolumeService

        return VolumeService(*self.driver_and_progress(parsed_args, progress))

    def driver_and_progress(self, parsed_args: argparse.Namespace,
                            progress: str | None
                            ) -> tuple[Any, Any]:
        """The configured driver, and who is told of progress."""
        if progress is not None:
            self._progress = self._progress_of(parsed_args, progress)
        name = self.configure(parsed_args)
        driver = loader.load(loader.DRIVERS, name)(None)
        if isinstance(self._progress, progresses.JsonLines):
            self._progress.tally = lambda: driver.tally
        return driver, self._progress

    def configure(self, parsed_args: argparse.Namespace) -> str:
        """Read the configuration.

        :returns: the name of the driver.
        """
        conf = cfg.CONF
        # It calls the names that an option has in a cinder.conf deprecated.
        stdlib_logging.getLogger('oslo_config.cfg').setLevel('ERROR')
        logging.register_options(conf)
        conf.register_opt(STATE_PATH)
        files = self.app.options.config_file + parsed_args.config_file
        try:
            conf([], project='chunked_backup', prog='chunked_backup',
                 default_config_files=files or None)
        except cfg.ConfigFileParseError as exc:
            raise errors.ConfigurationError(
                reason=opts.problem(exc)) from None
        opts.register(conf)
        metrics_file = self._option(parsed_args, 'metrics_file')
        if metrics_file:
            conf.set_override('metrics_file', metrics_file, opts.GROUP.name)
        if any((conf.log_config_append, conf.log_file, conf.log_dir,
                conf.use_journal)):
            _set_log_up(conf)
        name: str = (self._option(parsed_args, 'driver')
                     or conf.chunked_backup.driver)
        return name

    def _option(self, parsed_args: argparse.Namespace, name: str) -> Any:
        """An option that may stand before and behind the command's name."""
        return getattr(parsed_args, name) or getattr(self.app.options, name)

    def _progress_of(self, parsed_args: argparse.Namespace, text: str) -> Any:
        """Who is told of progress."""
        wanted = self._option(parsed_args, 'progress')
        if wanted == progresses.JSON:
            return progresses.open_json_lines(
                self.cmd_name or '',
                self._option(parsed_args, 'progress_file'))
        if wanted == progresses.BAR or (wanted is None
                                        and sys.stderr.isatty()):
            return progresses.ProgressBar(text)
        return None

    def _fail(self, error: Exception, exit_code: int) -> int:
        self._error = '; '.join([str(error),
                                 *getattr(error, '__notes__', [])])
        if self.app.options.debug:
            self.app.LOG.exception(error)
        self.say(str(error))
        for note in getattr(error, '__notes__', []):
            self.say(note)
        return exit_code

    def say(self, text: str) -> None:
        """Tell the user something that is no answer, on standard error."""
        print(f'chunked-backup: {text}', file=sys.stderr)


def _machine_readable(value: Any) -> Any:
    """As -f json has it."""
    if isinstance(value, columns.FormattableColumn):
        return value.machine_readable()
    return value


def _set_log_up(conf: cfg.ConfigOpts) -> None:
    try:
        logging.setup(conf, 'chunked_backup')
    except OSError as exc:
        raise errors.ConfigurationError(
            reason=f'the configured log cannot be written: {exc}') from exc


class Size(columns.FormattableColumn):
    """A number of bytes: short for people, exact for programs."""

    def human_readable(self) -> str:
        if self._value is None:
            return ''
        size = float(self._value)
        for unit in ('B', 'KiB', 'MiB', 'GiB', 'TiB'):
            if size < 1024 or unit == 'TiB':
                break
            size /= 1024
        return f'{size:.0f} B' if unit == 'B' else f'{size:.1f} {unit}'


class Lines(columns.FormattableColumn):
    """A list: a line each for people, a list for programs."""

    def human_readable(self) -> str:
        return '\n'.join(str(item) for item in self._value)


def columns_of(values: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """What a command shows of one thing, by name."""
    return list(values), list(values.values())


def seconds(created_at: str) -> str:
    """A time without its fraction and zone, which is UTC."""
    return created_at[:19]


def path_text(path: bytes) -> str:
    """A path within a tree; bytes that are no UTF-8 are shown as escapes."""
    return path.decode(errors='backslashreplace') or '.'
