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
from tests.trees import zoo


@pytest.mark.parametrize('workers', [0, 4])
def test_the_copy_of_the_zoo_is_the_zoo(tmp_path, workers):
    zoo.build(tmp_path / 'zoo')

    assert copying.copy(tmp_path / 'zoo', tmp_path / 'copy',
                        workers=workers) == []

    assert compare.differences(tmp_path / 'zoo', tmp_path / 'copy') == []


@pytest.mark.parametrize('workers', [0, 4])
def test_a_second_copy_over_the_first_changes_nothing(tmp_path, workers):
    zoo.build(tmp_path / 'zoo')
    for options in ({}, {'overwrite': True}):
        assert copying.copy(tmp_path / 'zoo', tmp_path / 'copy',
                            restore=options, workers=workers) == []

    assert compare.differences(tmp_path / 'zoo', tmp_path / 'copy') == []
