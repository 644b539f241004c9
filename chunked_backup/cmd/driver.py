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

"""``chunked-backup driver ...``"""

import argparse
import sys
from typing import Any

from cliff import columns
from cliff import lister

from chunked_backup import errors
from chunked_backup import loader
from chunked_backup.cmd import base


class ListDrivers(base.Command, lister.Lister):
    """List the drivers that are installed."""

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        configured = self.configure(parsed_args)
        return (('name', 'class', 'usable', 'configured'),
                [(entry_point.name, entry_point.value,
                  _usable(entry_point.name), entry_point.name == configured)
                 for entry_point in loader.entry_points(loader.DRIVERS)])


def _usable(name: str) -> str:
    try:
        loader.load(loader.DRIVERS, name)
    except errors.PluginNotLoadable as exc:
        return str(exc)
    return 'yes'


class CheckDriver(base.Command, lister.Lister):
    """Check that a driver and its store keep the promises of every driver.

    Runs against the configured store and leaves nothing behind. The exit code
    is 1 when a promise is broken.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.testing import contract

        driver = self.service(parsed_args).driver
        driver.check_for_setup_error()
        verdicts = list(contract.examine(driver))
        if any(verdict.outcome == contract.Outcome.BROKEN
               for verdict in verdicts):
            self.exit_code = 1
        return ('promise', 'outcome', 'statement', 'problem'), [
            (verdict.promise.name.replace('_', ' '), verdict.outcome,
             verdict.promise.statement, verdict.reason)
            for verdict in verdicts]


class BenchDriver(base.Command, lister.Lister):
    """Measure a store: put, get, list and delete by size and parallelism.

    The bars are the throughput as a part of the best of the same verb. The
    suggestion goes to standard error. Nothing is left behind.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--size', type=int, action='append', metavar='BYTES',
            help='a size of objects; may be given several times')
        parser.add_argument(
            '--threads', type=int, action='append', metavar='N',
            help='how many at the same time; may be given several times')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.testing import bench

        driver = self.service(parsed_args).driver
        driver.check_for_setup_error()
        figures = list(bench.measure(
            driver, parsed_args.size or bench.SIZES_BYTES,
            parsed_args.threads or bench.THREADS))
        best = bench.suggest(figures)
        self.say(f'suggestion: chunk_size_bytes of about '
                 f'{best.object_bytes} or more, parallelism = '
                 f'{best.threads}')
        fastest = {
            verb: max(figure.bytes_per_s for figure in figures
                      if figure.verb == verb)
            for verb in {figure.verb for figure in figures}}
        return ('verb', 'object', 'threads', 'objects', 'seconds',
                'objects_per_s', 'bytes_per_s', 'of_fastest'), [
            (figure.verb, base.Size(figure.object_bytes), figure.threads,
             figure.object_count, round(figure.elapsed_s, 3),
             round(figure.objects_per_s, 1),
             base.Size(int(figure.bytes_per_s)
                       if figure.verb in ('put', 'get') else None),
             Bar(figure.bytes_per_s / fastest[figure.verb]
                 if figure.verb in ('put', 'get') else None))
            for figure in figures]


class Bar(columns.FormattableColumn):
    """A part of one: a bar for people, the number for programs."""

    WIDTH = 20
    _EIGHTHS = ' \u258f\u258e\u258d\u258c\u258b\u258a\u2589\u2588'

    def human_readable(self) -> str:
        if self._value is None:
            return ''
        eighths = round(float(self._value) * 8 * self.WIDTH)
        whole, part = divmod(eighths, 8)
        if not (sys.stdout.encoding or '').lower().startswith('utf'):
            return '#' * max(1, whole)
        bar = self._EIGHTHS[8] * whole + (self._EIGHTHS[part] if part else '')
        return bar or self._EIGHTHS[1]

    def machine_readable(self) -> float | None:
        return None if self._value is None else round(float(self._value), 3)
