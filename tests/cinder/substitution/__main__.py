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

"""``python -m tests.cinder.substitution [--json] [TEST ...]``

Runs the tests twice: all of them with nothing changed but the classes, and
those that fail once more on a stage that takes away what is only in the way
of the test. Prints what became of each test, with the first line of its
error: ``pass``, ``stage`` (it passes there), ``fail`` or ``skip``. The error
is that of the first run for those that pass on the stage.
"""

import argparse
import json
import os
import sys

# Cinder looks at it when it is first imported.
os.environ['OS_CINDER_DISABLE_EVENTLET_PATCHING'] = 'true'

from tests.cinder.substitution import places  # noqa: E402
from tests.cinder.substitution import run  # noqa: E402
from tests.cinder.substitution import stage  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        prog='python -m tests.cinder.substitution', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', action='store_true',
                        help='print that as one object')
    parser.add_argument('tests', nargs='*', metavar='TEST',
                        help='a module or a test, as unittest names it; '
                             'otherwise all')
    arguments = parser.parse_args()
    report = run_twice(arguments.tests or run.MODULES)
    if arguments.json:
        json.dump(report, sys.stdout, indent=1)
        return
    for test, (outcome, error) in report.items():
        print(f'{outcome:5}  {test}  {error}'.rstrip())


def run_twice(names):
    """A dict of each test's name, its outcome and the line of its error."""
    places.install()
    plain = run.run(names)
    stage.install()
    staged = run.run([test for test, outcome in plain.items()
                      if outcome not in (run.PASS, run.SKIP)
                      and not test.startswith(stage.OF_NO_USE_TO)])
    return {run.short(test): _outcome(error, staged.get(test, error))
            for test, error in plain.items()}


def _outcome(plain, staged):
    if plain in (run.PASS, run.SKIP):
        return plain, ''
    if staged == run.PASS:
        return 'stage', plain
    return 'fail', staged


if __name__ == '__main__':
    main()
