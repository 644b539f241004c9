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
from chunked_backup import formats
from chunked_backup.jobs.delete import remove_objects
from chunked_backup.store.object_store import ObjectStore
from tests.unit import harness


@pytest.fixture
def store():
    store = ObjectStore(harness.memory_driver(), 'backups')
    store.create()
    for name in ('p-00001', 'p-00002', 'p_sha256file', 'p_metadata',
                 'p2-00001', 'p_notes', 'p'):
        store.put_bytes(name, b'data')
    return store


def test_everything_of_the_backup_goes_and_nothing_else(store):
    assert remove_objects(store, formats.names, 'p') == 4
    assert sorted(store.names('')) == ['p', 'p2-00001', 'p_notes']


def test_the_manifest_goes_first(store, monkeypatch):
    deleted = []
    monkeypatch.setattr(store.driver, 'delete_object',
                        lambda container, name: deleted.append(name))
    remove_objects(store, formats.names, 'p')
    assert deleted[0] == 'p_metadata' and len(deleted) == 4


def test_nothing_there_is_as_good(store):
    assert remove_objects(store, formats.names, 'q') == 0
    missing = ObjectStore(store.driver, 'no such container')
    assert remove_objects(missing, formats.names, 'p') == 0


def test_a_listing_that_fails_is_an_error(store, monkeypatch):
    def entries(container, prefix):
        raise errors.AccessDenied(container=container, object_name=None,
                                  reason='no')

    monkeypatch.setattr(store.driver, 'get_container_entries', entries)
    with pytest.raises(errors.AccessDenied):
        remove_objects(store, formats.names, 'p')


def test_progress_is_told(store):
    ticks = []
    remove_objects(store, formats.names, 'p', lambda: ticks.append(1))
    assert ticks


def test_a_manifest_that_a_listing_hides_is_deleted_all_the_same(
        memory_driver, monkeypatch):
    driver = harness.attach(memory_driver)
    backup = harness.back_up(driver, 'backup', b'data' * 2000)
    listed = driver.get_container_entries
    monkeypatch.setattr(
        driver, 'get_container_entries', lambda container, prefix: [
            name for name in listed(container, prefix)
            if not name.endswith('_metadata')])
    driver.delete_backup(backup)
    assert driver.stores['backups'] == {}
