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

"""Runs tests of Cinder and says what became of each."""

import traceback
import unittest

_UNIT = 'cinder.tests.unit.backup.'
MODULES = tuple(_UNIT + name for name in (
    'test_chunkeddriver', 'drivers.test_backup_posix',
    'drivers.test_backup_nfs', 'drivers.test_backup_s3',
    'drivers.test_backup_swift'))

PASS = 'pass'
SKIP = 'skip'


def run(names):
    """Run tests.

    :param names: of modules or of single tests, as unittest has them.
    :returns: a dict of the full name of each test and ``pass``, ``skip``, or
        the first line of its error.
    """
    outcomes = _Outcomes()
    unittest.defaultTestLoader.loadTestsFromNames(names).run(outcomes)
    return outcomes.by_test


def short(name):
    """A test's name without what all have in common."""
    return name.removeprefix(_UNIT)


class _Outcomes(unittest.TestResult):
    """Called by testtools, with ``details``, and by unittest, without."""

    def __init__(self):
        super().__init__()
        self.by_test = {}

    def addSuccess(self, test, details=None):
        self.by_test[test.id()] = PASS

    def addSkip(self, test, reason=None, details=None):
        self.by_test[test.id()] = SKIP

    def addError(self, test, err=None, details=None):
        text = (details['traceback'].as_text() if details
                else ''.join(traceback.format_exception(*err)))
        self.by_test[test.id()] = _message(text)

    addFailure = addError


def _message(text):
    """The first line of what the last error of a traceback says."""
    lines = text.splitlines()
    last_frame = max((number for number, line in enumerate(lines)
                      if line.startswith('  File ')), default=0)
    return next(line for line in lines[last_frame:]
                if line and not line.startswith(' '))
