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

"""What is known of the tests that do not pass; see ``expected.ini``."""

import collections
import configparser
import pathlib
from typing import NamedTuple

_FILE = pathlib.Path(__file__).with_name('expected.ini')
KINDS = ('private', 'mock', 'difference')
_NO_KIND = 'none'


class Expected(NamedTuple):
    outcome: str
    kind: str
    reason: str


def read():
    """A dict of each test's name and its ``Expected``."""
    parser = configparser.ConfigParser(delimiters='=', interpolation=None)
    parser.optionxform = str
    parser.read(_FILE)
    return {f'{section}.{test}': _parsed(value)
            for section in parser.sections()
            for test, value in parser.items(section)}


def _parsed(value):
    outcome, why = value.split(', ', 1)
    kind, separator, reason = why.partition(': ')
    if not separator:
        return Expected(outcome, _NO_KIND, why)
    return Expected(outcome, kind, reason)


def table(outcomes):
    """Counts by file, as rows of a simple table in reStructuredText.

    :param outcomes: a dict of each test's name and its outcome.
    """
    expected = read()
    counts = collections.defaultdict(collections.Counter)
    for test, outcome in outcomes.items():
        name = test.removeprefix('drivers.').partition('.')[0]
        kind = expected[test].kind if outcome == 'fail' else outcome
        for row in (name, 'all'):
            counts[row][kind] += 1
            counts[row]['tests'] += 1
    columns = ('tests', 'pass', 'stage', *KINDS, 'skip')
    rows = sorted(counts.items(), key=lambda item: item[0] == 'all')
    return [f'{name:19} ' + ' '.join(
        f'{row[column]:{max(5, len(column))}}' for column in columns)
        for name, row in rows]
