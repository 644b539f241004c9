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


"""What was tried of each class of the table in doc/source/reliability.rst.

A test counts, in a ledger, the points that it has tried. A failure that was
silent, and something left behind, are counted, too, and fail the test. The
table is printed at the end.
"""

import os

import pytest

#: CHUNKED_BACKUP_RELIABILITY=long tries as much as the table asks for.
IS_LONG = os.environ.get('CHUNKED_BACKUP_RELIABILITY') == 'long'

#: How long a test may take then; the ten minutes of tox.ini are for CI.
_LONG_TIMEOUT_S = 4 * 3600

_totals = {}


def pytest_collection_modifyitems(items):
    if IS_LONG:
        for item in items:
            item.add_marker(pytest.mark.timeout(_LONG_TIMEOUT_S))


class Ledger:
    """What one test has tried of one class."""

    def __init__(self, name):
        self.name = name
        self.points = 0
        self.silent = []
        self.left = []

    def point(self, count=1):
        self.points += count


@pytest.fixture
def ledger(request):
    """Gives the ledger of a class, by its name in the table."""
    opened = []

    def open_ledger(name):
        opened.append(Ledger(name))
        return opened[-1]

    yield open_ledger
    for each in opened:
        request.node.user_properties.append(('reliability', [
            each.name, each.points, len(each.silent), len(each.left)]))
    for each in opened:
        assert not each.silent, each.silent[:10]
        assert not each.left, each.left[:10]
        assert each.points, 'nothing was tried'


@pytest.fixture
def scale():
    """Gives how much to try: in CI, or in the long run."""
    return lambda ci, long: long if IS_LONG else ci


def pytest_runtest_logreport(report):
    if report.when == 'teardown':
        for key, value in report.user_properties:
            if key == 'reliability':
                name, *counts = value
                row = _totals.setdefault(name, [0, 0, 0])
                for column, count in enumerate(counts):
                    row[column] += count


def pytest_terminal_summary(terminalreporter):
    if not _totals:
        return
    width = max(map(len, _totals))
    terminalreporter.section('reliability')
    terminalreporter.write_line(
        f'{"class":{width}} {"points":>9} {"silent":>7} {"leftovers":>9}')
    for name, (points, silent, left) in sorted(_totals.items()):
        terminalreporter.write_line(
            f'{name:{width}} {points:>9,} {silent:>7} {left:>9}')
