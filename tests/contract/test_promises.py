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

"""The drivers that come with the project, held against the contract."""

import os

import pytest

from chunked_backup.testing import contract
from tests import support


@pytest.fixture(params=['memory', 'posix'])
def driver(request, tmp_path):
    if request.param == 'memory':
        return support.memory_driver()
    return support.posix_driver(tmp_path / 'repository')


@pytest.mark.parametrize('promise', contract.PROMISES, ids=str)
def test_driver_keeps_its_promise(driver, promise):
    if contract.check(driver, promise) == contract.Outcome.NOT_PROMISED:
        assert type(driver).__name__ == 'MemoryBackupDriver'
        assert str(promise) in ('skipping_is_reading_without_the_bytes',
                                'ages_are_those_of_the_objects')


def broken(verdicts):
    return [(str(verdict.promise), verdict.reason) for verdict in verdicts
            if verdict.outcome == contract.Outcome.BROKEN]


def test_examining_posix_leaves_nothing_behind(tmp_path):
    driver = support.posix_driver(tmp_path / 'repository')
    verdicts = list(contract.examine(driver))
    assert [verdict.promise for verdict in verdicts] == contract.PROMISES
    assert not broken(verdicts)
    assert os.listdir(tmp_path / 'repository') == []


def test_examining_memory_leaves_nothing_behind():
    driver = support.memory_driver()
    assert not broken(contract.examine(driver))
    assert driver.stores == {'backups': {}}


def test_examining_works_in_a_container_that_is_named():
    driver = support.memory_driver()
    driver.put_container('theirs')
    with driver.get_object_writer('theirs', 'their object') as writer:
        writer.write(b'is not touched')
    assert not broken(contract.examine(driver, 'theirs'))
    assert driver.stores['theirs'] == {'their object': b'is not touched'}


def test_every_promise_states_itself_in_sentences():
    for promise in contract.PROMISES:
        assert promise.statement.endswith('.')
    names = [promise.name for promise in contract.PROMISES]
    assert len(set(names)) == len(names) > 25
