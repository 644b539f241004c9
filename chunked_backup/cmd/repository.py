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

"""``chunked-backup repository ...``"""

import argparse
import math
from typing import Any

from cliff import columns
from cliff import lister

from chunked_backup import errors
from chunked_backup.cmd import base

_UNITS_S = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}


class RebuildCatalogue(base.Command, lister.Lister):
    """Make the catalogue anew from the backups alone.

    Works on a repository that Cinder wrote, too. Records that fit a backup
    are kept; a record whose backup is gone or damaged gets the status
    "error".
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.hosts.standalone.rebuild import Outcome
        from chunked_backup.hosts.standalone.rebuild import rebuild

        findings = rebuild(self.service(parsed_args).driver)
        if any(finding.outcome in (Outcome.DAMAGED, Outcome.LOST)
               for finding in findings):
            self.exit_code = errors.CorruptBackup.exit_code
        return ('id', 'result', 'problem'), [
            (finding.backup_id, finding.outcome.value, finding.reason)
            for finding in findings]


class CollectGarbage(base.Command, lister.Lister):
    """Remove what broken runs have left, and nothing else.

    These are backups that were never finished, objects without a manifest,
    temporary files and broken-off uploads, if they are older than the grace
    period by the store's own clock.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--dry-run', action='store_true',
                            help='only show what would be removed')
        parser.add_argument(
            '--grace', type=_duration_s, default='24h', metavar='DURATION',
            help='what is younger stays, as 90s, 30m, 24h or 7d (default: '
                 '24h); below 15m only if nobody is writing')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.hosts.standalone.garbage import collect

        findings = collect(self.service(parsed_args).driver,
                           parsed_args.grace, parsed_args.dry_run)
        return ('container', 'what', 'result', 'objects', 'age', 'reason'), [
            (finding.container, finding.what,
             'would be removed' if (parsed_args.dry_run
                                    and finding.outcome == 'removed')
             else finding.outcome.value, finding.object_count,
             Duration(finding.age_s), finding.reason)
            for finding in findings]


class CheckRepository(base.Command, lister.Lister):
    """Check all that is stored, without reading all data.

    Looks at every record, manifest and digest table, and that every object is
    there. The exit code is 5 if anything is damaged. "volume verify" proves
    that a backup can be restored; this reads each object at most once.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument('--read-data', action='store_true',
                           help='read all objects and check every block')
        which.add_argument(
            '--sample', type=_share, default=0.0, metavar='PERCENT',
            help='read so many of the objects, chosen at random, as 5%%')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.hosts.standalone.check import Outcome
        from chunked_backup.hosts.standalone.check import check

        driver = self.service(parsed_args, 'Checking').driver
        findings = list(check(driver, 1.0 if parsed_args.read_data
                              else parsed_args.sample))
        if not findings:
            raise errors.RecordError(reason=base.NOTHING_THERE)
        if any(finding.outcome == Outcome.DAMAGED for finding in findings):
            self.exit_code = errors.CorruptBackup.exit_code
        return ('what', 'result', 'objects', 'read', 'fetched', 'problem'), [
            (finding.what, finding.outcome.value,
             finding.summary and finding.summary.object_count,
             finding.summary and finding.summary.read_count,
             base.Size(finding.summary and finding.summary.fetched_bytes),
             finding.problem) for finding in findings]


class Duration(columns.FormattableColumn):
    """A number of seconds: short for people, exact for programs."""

    def human_readable(self) -> str:
        if self._value is None or math.isinf(self._value):
            return ''
        for unit, size_s in reversed(_UNITS_S.items()):
            if self._value >= size_s:
                return f'{self._value / size_s:.0f} {unit}'
        return '0 s'

    def machine_readable(self) -> float | None:
        finite = self._value is not None and math.isfinite(self._value)
        return self._value if finite else None


def _duration_s(text: str) -> float:
    """:raises ArgumentTypeError: it is no duration."""
    if text[-1:] in _UNITS_S and text[:-1].isascii() and (
            text[:-1].isdecimal()):
        return float(text[:-1]) * _UNITS_S[text[-1]]
    raise argparse.ArgumentTypeError(
        f'{text!r} is no duration such as 90s, 30m, 24h or 7d')


def _share(text: str) -> float:
    """A percentage as a part of one.

    :raises ArgumentTypeError: it is none.
    """
    try:
        share = float(text.removesuffix('%')) / 100
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no percentage such as 5%')
    return share
