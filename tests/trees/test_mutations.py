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

import pytest

from tests.trees import compare
from tests.trees import copying
from tests.trees import mutations


@pytest.mark.parametrize('name', mutations.MUTATIONS)
def test_each_step_changes_something_and_a_copy_over_the_last_takes_it(
        tmp_path, name):
    source, before, copy = (tmp_path / one for one in ('a', 'b', 'c'))
    mutations.build(source)
    copying.copy(source, before)
    for step in mutations.MUTATIONS[name]:
        step(source)
        assert (compare.differences(before, source) != []) == (
            step is not mutations.nothing)

        reported = copying.copy(source, copy, restore={'overwrite': True})

        assert reported == []
        extra = [line for line in compare.differences(source, copy)
                 if not line.endswith('not in the original')]
        assert extra == []
        copying.copy(source, before, restore={'overwrite': True})
