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


"""What a check of a whole repository finds."""

import functools

import pytest

from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.hosts.standalone.check import Outcome
from chunked_backup.hosts.standalone.check import check
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.model import Status
from chunked_backup.trees.scan import TreeScanner
from tests import support
from tests.corruption import chains


@pytest.fixture
def chain(each_format):
    return chains.make('zlib', version=each_format)


def found(service, share=0.0):
    return {(finding.what, finding.outcome, finding.problem)
            for finding in check(service.driver, share)}


def damaged(service, share=0.0):
    return {what: problem for what, outcome, problem in found(service, share)
            if outcome == Outcome.DAMAGED}


@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_a_sound_repository(chain, share):
    findings = list(check(chain.with_changes({}).driver, share))
    assert [(each.what, each.outcome, each.problem)
            for each in findings] == [
        (backup_id, Outcome.SOUND, '') for backup_id in sorted(chain.ids)]
    if share == 1:
        assert all(each.summary.read_count == each.summary.object_count
                   for each in findings)
        assert sum(each.summary.fetched_bytes for each in findings) == sum(
            len(chain.objects[name]) for name in chain.names('data'))


def test_an_empty_repository(memory_driver):
    service = support.service(memory_driver)
    assert found(service) == set()


@pytest.mark.parametrize('kind', chains.KINDS)
def test_anything_missing_is_found_without_reading_data(chain, kind):
    for name in chain.names(kind):
        level = chain.level_of(name)
        problems = damaged(chain.with_changes({name: None}))
        if kind == 'record':
            # Its objects are there, and its descendants lack an ancestor.
            assert len(problems) == 3 - level
        else:
            assert chain.ids[level] in problems
        if kind == 'data':
            assert problems.keys() == {chain.ids[level]}
            assert name in problems[chain.ids[level]]


@pytest.mark.parametrize('kind', chains.KINDS)
def test_a_flipped_bit_is_found_where_it_is(chain, kind):
    for name in chain.names(kind):
        level = chain.level_of(name)
        data = bytearray(chain.objects[name])
        # Of a record, not every letter matters to its backup.
        data[0 if kind == 'record' else len(data) // 2] ^= 4
        if kind == 'data' and chains.still_decodes(chain, name, data):
            continue
        problems = damaged(chain.with_changes({name: bytes(data)}), 1.0)
        assert chain.ids[level] in problems
        if kind == 'data':
            assert problems.keys() == {chain.ids[level]}
            assert name in problems[chain.ids[level]]


def test_all_damage_is_listed(chain):
    [one, other, *_] = chain.names('data', 0)
    service = chain.with_changes({one: b'', other: None})
    problems = [problem for _, outcome, problem in found(service, 1.0)
                if outcome == Outcome.DAMAGED]
    assert any(one in problem for problem in problems)
    assert any(other in problem for problem in problems)


def test_what_is_unfinished_or_left_is_no_damage(chain):
    service = chain.with_changes({})
    [newest] = [backup for backup in service.backups()
                if backup.id == chain.ids[2]]
    newest.status = Status.CREATING
    service.driver.host.catalogue.save(newest)
    left = 'volume_v/20260102030405/az_nova_backup_w'
    with service.driver.get_object_writer('backups',
                                          left + '-00001') as writer:
        writer.write(b'left')
    outcomes = {what: outcome for what, outcome, _ in found(service)}
    assert outcomes == {
        chain.ids[0]: Outcome.SOUND, chain.ids[1]: Outcome.SOUND,
        chain.ids[2]: Outcome.UNFINISHED, left: Outcome.LEFTOVER}


def test_an_error_in_a_record_is_damage(chain):
    service = chain.with_changes({})
    backup = service.find(chain.ids[2])
    backup.status, backup.fail_reason = Status.ERROR, 'the store was gone'
    service.driver.host.catalogue.save(backup)
    assert 'the store was gone' in damaged(service)[backup.id]


def test_a_backup_without_a_record_is_found(chain):
    [record] = chain.names('record', 2)
    service = chain.with_changes({record: None})
    [(prefix, problem)] = damaged(service).items()
    assert chain.ids[2] in prefix
    assert 'rebuild' in problem


def lagging(driver, hidden):
    """A driver whose listing does not show some names yet."""
    listed = driver.get_container_entries

    def get_container_entries(container, prefix):
        return [name for name in listed(container, prefix)
                if not hidden(name)]

    driver.get_container_entries = get_container_entries
    return driver


@pytest.mark.parametrize('kind', chains.KINDS)
def test_what_a_listing_does_not_show_yet_is_not_missing(chain, kind):
    driver = lagging(chain.with_changes({}).driver,
                     lambda name: chains.kind_of(name) == kind)
    for share in (0.0, 1.0):
        assert {(each.what, each.outcome) for each in check(driver, share)
                } == {(each, Outcome.SOUND) for each in chain.ids}


@pytest.mark.parametrize('part', ['_data_', '_index_', '_manifest', 'record'])
def test_nor_is_it_of_a_tree(memory_driver, tmp_path, part):
    (tmp_path / 'file').write_bytes(b'some bytes')
    service = TreeService(memory_driver)
    backup = service.backup(
        str(tmp_path), functools.partial(TreeScanner, tmp_path), 'name',
        load_engine('rsync', None), LevelPolicy())
    hidden = (backup.prefix + part if part != 'record'
              else 'chunked_backup_tree_')
    driver = lagging(memory_driver, lambda name: name.startswith(hidden))
    for share in (0.0, 1.0):
        assert [(each.what, each.outcome) for each in check(driver, share)
                ] == [(backup.id, Outcome.SOUND)]
