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

import dataclasses
import random

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone.rebuild import Outcome, rebuild
from chunked_backup.hosts.standalone.record import Backup
from tests import support

VOLUME = random.Random(7).randbytes(3 * support.CHUNK)


@pytest.fixture
def service(each_format, memory_driver):
    return support.service(memory_driver)


@pytest.fixture
def chain(service, tmp_path):
    """Backups of a volume that changes, and what it was at each."""
    path = tmp_path / 'volume'
    points = []
    for number in range(3):
        volume = bytes([number]) * 1000 + VOLUME[1000:]
        path.write_bytes(volume)
        points.append((service.backup(str(path), name=f'b{number}',
                                      incremental=bool(points)), volume))
    return points


def outcomes(driver):
    return {finding.backup_id: finding.outcome
            for finding in rebuild(driver)}


def lose(service, prefix):
    objects = service.driver.stores['backups']
    for name in list(objects):
        if name.startswith(prefix):
            del objects[name]


def test_an_empty_repository_gives_an_empty_catalogue(service):
    assert rebuild(service.driver) == []
    assert service.backups() == []


def test_a_catalogue_that_is_whole_is_kept(service, chain):
    before = service.backups()
    assert set(outcomes(service.driver).values()) == {Outcome.KEPT}
    assert service.backups() == before


def test_a_lost_catalogue_is_rebuilt_and_everything_restores(
        service, chain, tmp_path):
    lose(service, 'chunked_backup_record_')
    assert service.backups() == []
    assert outcomes(service.driver) == {
        backup.id: Outcome.ADDED for backup, _ in chain}
    for (old, volume), new in zip(chain, service.backups()):
        assert support.restored(service, new) == volume
        assert service.verify(new).volume_bytes == len(volume)
        # What stands in no manifest is lost, nothing else.
        lost = dict(service=None, source=None, writer=None,
                    stored_bytes=None,
                    manifest_sha256=None, digest_table_sha256=None)
        assert new == dataclasses.replace(old, **lost)
    assert set(outcomes(service.driver).values()) == {Outcome.KEPT}


def test_one_lost_or_broken_record_is_made_again(service, chain):
    objects = service.driver.stores['backups']
    objects['chunked_backup_record_' + chain[1][0].id] = b'broken'
    del objects['chunked_backup_record_' + chain[2][0].id]
    assert outcomes(service.driver) == {
        chain[0][0].id: Outcome.KEPT, chain[1][0].id: Outcome.ADDED,
        chain[2][0].id: Outcome.ADDED}
    assert support.restored(service, service.find('latest')) == chain[2][1]


def test_a_record_that_contradicts_its_backup_is_made_again(service, chain):
    backup = dataclasses.replace(chain[2][0], service_metadata='wrong')
    service.driver.host.catalogue.save(backup)
    assert outcomes(service.driver)[backup.id] == Outcome.ADDED
    assert support.restored(service, service.find(backup.id)) == chain[2][1]


def test_a_backup_without_manifest_is_lost_and_its_dependents_damaged(
        service, chain):
    middle = chain[1][0]
    lose(service, middle.service_metadata + '_metadata')
    assert outcomes(service.driver) == {
        chain[0][0].id: Outcome.KEPT, middle.id: Outcome.LOST,
        chain[2][0].id: Outcome.DAMAGED}
    statuses = {backup.id: backup.status for backup in service.backups()}
    assert list(statuses.values()).count('error') == 2
    assert statuses[chain[0][0].id] == 'available'


def test_a_broken_manifest_is_told_and_the_rest_is_rebuilt(service, chain):
    lose(service, 'chunked_backup_record_')
    service.driver.stores['backups'][
        chain[2][0].service_metadata + '_metadata'] = b'{'
    found = rebuild(service.driver)
    assert [finding.outcome for finding in found].count(Outcome.ADDED) == 2
    broken, = [finding for finding in found
               if finding.outcome == Outcome.DAMAGED]
    assert chain[2][0].service_metadata in broken.reason
    assert len(service.backups()) == 2


def test_a_format_of_a_later_release_is_told_and_its_record_kept(
        service, chain, each_format):
    before = service.backups()
    backup = chain[2][0]
    objects = service.driver.stores['backups']
    name = backup.service_metadata + '_metadata'
    objects[name] = objects[name].replace(each_format.encode(), b'9.0.0', 1)
    broken, = [finding for finding in rebuild(service.driver)
               if finding.outcome != Outcome.KEPT]
    assert broken.outcome == Outcome.DAMAGED
    assert 'its format is 9.0.0' in broken.reason
    assert service.backups() == before
    for verb in (service.verify, service.map, lambda found: service.backup(
            found.source, parent=found.id)):
        with pytest.raises(errors.ChunkedBackupError, match='9.0.0'):
            verb(service.find(backup.id))


def test_a_backup_that_is_being_written_is_left_alone(service, chain):
    writing = Backup('writing', 'v', container='backups',
                     service_metadata='p')
    service.driver.host.catalogue.save(writing)
    assert 'writing' not in outcomes(service.driver)
    assert service.find('writing') == writing


def test_a_parent_that_was_never_written_damages_its_dependents(service,
                                                                chain):
    full = chain[0][0]
    lose(service, full.service_metadata)
    service.driver.host.catalogue.save(Backup(full.id, full.volume_id))
    found = outcomes(service.driver)
    assert found == {chain[1][0].id: Outcome.DAMAGED,
                     chain[2][0].id: Outcome.DAMAGED}
