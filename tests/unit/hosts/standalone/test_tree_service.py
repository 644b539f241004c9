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

"""What the service of trees does with records that others meddle with."""

import functools

import pytest

from chunked_backup import errors
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.model import Status
from chunked_backup.trees.scan import TreeScanner


@pytest.fixture
def service(memory_driver):
    return TreeService(memory_driver)


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / 'tree'
    tree.mkdir()
    (tree / 'file').write_bytes(b'some bytes')
    return tree


def back_up(service, tree, open_tree=None):
    return service.backup(
        str(tree), open_tree or functools.partial(TreeScanner, tree), 'name',
        load_engine('rsync', None), LevelPolicy(True))


def test_a_cycle_of_parents_is_deleted_as_a_whole(service, tree):
    first, second = back_up(service, tree), back_up(service, tree)
    first.parent_id = second.id
    service.catalogue.save(first)
    assert len(service.delete(first, cascade=True)) == 2
    assert service.backups() == []


def test_a_parent_that_is_being_deleted_gets_no_child(service, tree,
                                                      monkeypatch):
    first = back_up(service, tree)
    save = service.catalogue.save

    def deleted_just_before(backup):
        first.status = Status.DELETING
        save(first)
        save(backup)

    monkeypatch.setattr(service.catalogue, 'save', deleted_just_before)
    with pytest.raises(errors.BackupNotFound):
        back_up(service, tree)
    assert [each.id for each in service.backups()] == [first.id]


def test_a_parent_is_not_deleted_under_a_backup_that_has_begun(service, tree):
    first = back_up(service, tree)

    def open_tree(report):
        with pytest.raises(errors.BackupInUse):
            service.delete(first)
        return TreeScanner(tree, report)

    second = back_up(service, tree, open_tree)
    assert service.verify(second).damaged == 0
    assert service.find(first.id).status == Status.AVAILABLE


def test_a_prune_that_was_killed_goes_on(service, tree):
    """It has begun to delete one; what that is built on goes, too."""
    first, second = back_up(service, tree), back_up(service, tree)
    newest = service.backup(
        str(tree), functools.partial(TreeScanner, tree), 'name',
        load_engine('rsync', None), LevelPolicy(False))
    second.status = Status.DELETING
    service.catalogue.save(second)
    decisions = service.prune({'last': 1}, delete=True)
    assert [bool(each.reasons) for each in decisions] == [
        False, False, True]
    assert first.id == decisions[0].backup.id
    assert [each.id for each in service.backups()] == [newest.id]


def test_a_prune_leaves_what_others_are_built_on(service, tree):
    """Of a deletion that was killed before it looked for children."""
    first, second = back_up(service, tree), back_up(service, tree)
    first.status = Status.DELETING
    service.catalogue.save(first)
    service.prune({'last': 1}, delete=True)
    assert {each.id for each in service.backups()} == {first.id, second.id}


def test_a_deletion_that_failed_is_finished_by_a_prune(service, tree,
                                                       monkeypatch):
    first, second = back_up(service, tree), back_up(service, tree)
    with monkeypatch.context() as patch:
        patch.setattr(type(service.driver), 'delete_object', _fail)
        with pytest.raises(errors.OutOfSpace):
            service.delete(second)
    assert service.find(second.id).status == Status.DELETING
    assert 'made to' in service.find(second.id).fail_reason
    service.prune({'last': 1}, delete=True)
    assert [each.id for each in service.backups()] == [first.id]


def _fail(driver, container, object_name):
    raise errors.OutOfSpace(container=container, object_name=object_name,
                            reason='made to fail')
