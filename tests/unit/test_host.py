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

from chunked_backup import errors
from chunked_backup.model import BackupSummary
from tests.unit import harness


@pytest.fixture
def host():
    driver = harness.memory_driver()
    for backup_id, parent_id in (('full', None), ('one', 'full'),
                                 ('two', 'one'), ('orphan', 'missing'),
                                 ('own', 'own'), ('a', 'b'), ('b', 'a'),
                                 ('c', 'b')):
        harness.new_backup(driver, backup_id, parent_id)
    return driver.host


def chain(host, backup_id, **keywords):
    return [record.id
            for record in host.chain(host.find(backup_id), **keywords)]


def test_a_chain_ends_with_the_full_backup(host):
    assert chain(host, 'full') == ['full']
    assert chain(host, 'two') == ['two', 'one', 'full']


def test_a_missing_parent_breaks_the_chain(host):
    with pytest.raises(errors.IncompleteChain, match='missing') as caught:
        chain(host, 'orphan')
    assert caught.value.backup_id == 'orphan'


def test_a_chain_may_be_taken_as_far_as_it_is_known(host):
    assert chain(host, 'orphan', complete=False) == ['orphan']
    assert chain(host, 'two', complete=False) == ['two', 'one', 'full']


@pytest.mark.parametrize('complete', [True, False])
@pytest.mark.parametrize('backup_id', ['own', 'a', 'b', 'c'])
def test_a_backup_that_is_its_own_ancestor_breaks_the_chain(
        host, backup_id, complete):
    with pytest.raises(errors.IncompleteChain, match='own ancestor'):
        chain(host, backup_id, complete=complete)


def test_what_a_host_does_unless_it_says_otherwise():
    class Plain(harness.host.Host):
        record = find = update = status = None

    plain = Plain('a driver')
    record = harness.record(volume_id='v')
    error = errors.Cancelled()
    assert plain.driver == 'a driver'
    assert plain.volume(record) == {'id': 'v'}
    assert plain.get_metadata('v') is None
    assert plain.translate(error) is error
    plain.put_metadata('v', '{}')
    plain.progress('backup', 1, 2)
    plain.finished('backup', BackupSummary(1, 2, 3, 4, '', '', ''))
