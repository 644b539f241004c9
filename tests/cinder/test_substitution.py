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

"""The unit tests of Cinder's own drivers run against ours."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.cinder.substitution import expected

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    """A dict of each test of Cinder's, its outcome and its error.

    From a process of its own: much is replaced there.
    """
    done = subprocess.run(
        [sys.executable, '-m', 'tests.cinder.substitution', '--json'],
        cwd=_ROOT, check=True, stdout=subprocess.PIPE,
        env=os.environ | {'TMPDIR': str(tmp_path_factory.mktemp('tmp'))})
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def outcomes(report):
    return {test: outcome for test, (outcome, _) in report.items()}


def test_what_does_not_pass_is_what_was_expected(outcomes):
    assert {test: outcome for test, outcome in outcomes.items()
            if outcome != 'pass'} == {
        test: each.outcome for test, each in expected.read().items()}


def test_a_test_that_asks_for_a_private_name_fails_for_that(report):
    private = {test: each.reason for test, each in expected.read().items()
               if each.kind == 'private'}
    assert {test: name for test, name in private.items()
            if name not in report[test][1]} == {}


def test_every_reason_is_of_a_known_kind():
    kinds = {each.kind for each in expected.read().values()
             if each.outcome != 'skip'}
    assert kinds == set(expected.KINDS)


def test_the_document_has_the_counts(outcomes):
    text = (_ROOT / 'doc/source/cinder-unit-tests.rst').read_text()
    assert '\n'.join(expected.table(outcomes)) in text
