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

"""A volume's whole story on every store: backed up, changed, restored."""

import random

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone.rebuild import rebuild
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.model import Status
from tests import support
from tests.stores import stores


class Story:
    """One volume on one store; its content at each backup is remembered."""

    def __init__(self, make_driver, directory):
        self.make_driver = make_driver
        self.directory = directory
        self.volume = directory / 'volume'
        self.contents = {}

    @property
    def service(self):
        """As another process would have it."""
        return VolumeService(self.make_driver())

    def back_up(self, content, **keywords):
        self.volume.write_bytes(content)
        backup = self.service.backup(str(self.volume), 'the volume',
                                     **keywords)
        self.contents[backup.id] = content
        return backup

    def tell(self):
        """A full backup and three incrementals."""
        full, *changed = stores.contents_of_a_story(support.BLOCK)
        self.back_up(full)
        for content in changed:
            self.back_up(content, incremental=True)

    def check(self):
        """Every point can be verified and restored."""
        service = self.service
        found = {}
        for backup in service.backups():
            assert backup.status == Status.AVAILABLE
            service.verify(backup)
            target = self.directory / f'restored-{backup.id}'
            service.restore(backup, str(target), force=True)
            found[backup.id] = target.read_bytes()
        assert found == self.contents


@pytest.fixture
def story(store, tmp_path):
    return Story(store.driver, tmp_path)


@pytest.mark.parametrize('store', stores.ALL_COMBINATIONS, indirect=True)
def test_the_whole_story_of_a_volume(story, store):
    story.tell()
    story.check()

    # The catalogue is lost, and made anew from the backups alone.
    driver = store.driver()
    records = list(driver.get_container_entries(store.container,
                                                'chunked_backup_record_'))
    assert len(records) == 4
    driver.delete_objects(store.container, records)
    assert story.service.backups() == []
    findings = rebuild(story.service.driver)
    assert [finding.outcome for finding in findings] == ['added'] * 4
    assert [backup.id for backup in story.service.backups()] == list(
        story.contents)

    # The newest goes, the others are as they were; all go, nothing stays.
    newest = story.service.find('latest')
    story.service.delete(newest)
    del story.contents[newest.id]
    story.check()
    oldest = story.service.backups()[0]
    assert len(story.service.delete(oldest, cascade=True)) == 3
    assert list(driver.get_container_entries(store.container, '')) == []


def test_a_bit_flipped_on_the_way_down_is_noticed(faulty, tmp_path):
    driver, proxy, _ = faulty
    service = VolumeService(driver)
    volume = tmp_path / 'volume'
    volume.write_bytes(random.Random(1).randbytes(3 * support.CHUNK))
    backup = service.backup(str(volume))
    rule = proxy.inject('flip', match='^GET .*-00002', after=1000)
    with pytest.raises(errors.CorruptBackup) as caught:
        service.restore(backup, str(tmp_path / 'target'))
    assert caught.value.object_name.endswith('-00002')
    assert rule.fired >= 1


def test_a_story_of_static_large_objects(small_swift, tmp_path):
    def make():
        return stores.swift_driver(
            small_swift, container='large-story',
            chunk_size_bytes=3 * stores.SMALL_LIMIT)

    story = Story(make, tmp_path)
    content = random.Random(1).randbytes(7 * stores.SMALL_LIMIT + 5)
    story.back_up(content)
    assert len(list(make().get_container_entries(
        'large-story_segments', ''))) == 8
    story.back_up(content[:-9] + b'different', incremental=True)
    story.check()
    story.service.delete(story.service.backups()[0], cascade=True)
    for container in ('large-story', 'large-story_segments'):
        assert list(make().get_container_entries(container, '')) == []
