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

"""The drivers for object stores keep every promise on every server."""

import pytest

from chunked_backup.testing import contract
from chunked_backup.testing.contract import names
from tests.stores import stores


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """The pages of these servers are small."""
    monkeypatch.setattr(names, 'MANY', 100)


@pytest.mark.parametrize('store', stores.ALL_COMBINATIONS, indirect=True)
@pytest.mark.parametrize('promise', contract.PROMISES, ids=str)
def test_driver_keeps_its_promise(store, promise):
    assert contract.check(store.driver(), promise) == contract.Outcome.KEPT
