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

"""What the fuzzing has found worth keeping, once more."""

import pytest

from tests.fuzz import targets


@pytest.mark.parametrize('name', targets.TARGETS)
def test_every_kept_input_is_taken_or_refused(name):
    """By an error of ours; some of each kind are there, or they have grown
    old: what they are made of has changed."""
    taken = [targets.TARGETS[name](path.read_bytes())
             for path in sorted((targets.CORPUS / name).iterdir())]
    assert True in taken and False in taken


def test_no_corpus_is_left_of_a_target_that_is_gone():
    assert {path.name for path in targets.CORPUS.iterdir()} == set(
        targets.TARGETS)
