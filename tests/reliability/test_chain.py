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


"""Chains of any changes, restored at each point, against a plain model."""

import hypothesis
import pytest

from tests.property import test_whole_chain as model


@pytest.mark.parametrize('part', range(4))
def test_every_point_restores_to_what_it_was(part, ledger, scale,
                                             monkeypatch):
    counted = ledger('chain property')
    check = model.check_restores

    def counting(*arguments):
        check(*arguments)
        counted.point(4)  # new, zeroed and twice dirty

    monkeypatch.setattr(model, 'check_restores', counting)
    chain = model.test_every_point_of_a_chain_restores_to_what_it_was
    found = hypothesis.given(
        model.st.integers(1, model.LARGEST),
        model.st.lists(model.GENERATIONS, min_size=1, max_size=8))(
            chain.hypothesis.inner_test)
    hypothesis.seed(part)(hypothesis.settings(
        max_examples=scale(75, 2000), database=None,
        phases=[hypothesis.Phase.generate])(found))()
