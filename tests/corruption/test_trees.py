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

"""A store that fails while a tree is backed up."""

import pytest

from chunked_backup import errors
from tests import support
from tests.trees import mutations
from tests.trees.test_engines import Repository
from tests.unit import harness


@pytest.mark.parametrize('engine', ['rsync', 'tar'])
@pytest.mark.parametrize('error', [
    errors.DriverError, errors.AccessDenied, errors.OutOfSpace])
def test_a_store_that_fails_at_any_call(tmp_path, engine, error):
    """The backup fails and leaves nothing; the one before it is as it was."""
    class Failing(harness.FailingDriver):
        pass

    Failing.error = error
    driver = Failing(None, support.CHUNK, support.BLOCK)
    repository = Repository(tmp_path, engine, 'serial', driver)
    source = tmp_path / 'source'
    mutations.build(source)
    backup = repository.back_up(source)
    kept = dict(driver.stores[backup.container])
    driver.calls = 0
    repository.service.delete(repository.back_up(source))
    calls = driver.calls
    assert calls > 10
    for driver.fail_at in range(calls):
        driver.calls = 0
        failed = False
        try:
            made = repository.back_up(source)
        except error:
            failed = True
        driver.fail_at = None
        if not failed:  # it was the deletion that was made to fail
            repository.service.delete(made)
        left = driver.stores[backup.container]
        assert left.keys() == kept.keys(), driver.fail_at
    assert repository.service.verify(backup).damaged == 0
