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


"""Stores whose listings lag, whose clocks differ, and which are busy."""

import random
import time

import pytest

from chunked_backup import errors
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.hosts.standalone import garbage
from chunked_backup.model import Status
from tests import support
from tests.reliability import stories

HOUR_S = 3600.0


class Lagging(MemoryBackupDriver):
    """Shows a listing as it was some changes ago; pages are pages of one,
    behind an empty one. ``busy`` is how often it fails for now."""

    takes_memoryviews = False

    def __init__(self, stores, rng, lag, busy):
        super().__init__(None, support.CHUNK, support.BLOCK, stores=stores)
        self.rng = rng
        self.lag = lag
        self.busy = busy
        self.past = [{name: set(objects) for name, objects
                      in stores.items()}]
        self.ages = {}

    def _storm(self):
        if self.rng.random() < self.busy:
            raise errors.TransientDriverError(
                container='c', object_name=None, reason='503 Slow Down')

    def get_container_entries(self, container, prefix):
        self._storm()
        list(super().get_container_entries(container, prefix))
        self.past.append({name: set(objects) for name, objects
                          in self.stores.items()})
        seen = self.rng.choice(self.past[-1 - self.lag:])
        yield from ()
        for name in sorted(seen.get(container, ())):
            if name.startswith(prefix):
                yield name

    def get_object_ages(self, container, prefix):
        self._storm()
        return {name: self.ages.get(name, 0.0)
                for name in list(self.stores.get(container, ()))
                if name.startswith(prefix)}

    def get_object_writer(self, container, object_name, extra_metadata=None):
        self._storm()
        return super().get_object_writer(container, object_name)

    def delete_object(self, container, object_name):
        self._storm()
        super().delete_object(container, object_name)


@pytest.mark.parametrize('what', stories.KINDS)
@pytest.mark.parametrize('lag', [0, 1, 5, 1000])
@pytest.mark.parametrize('busy', [0.0, 0.2])
@pytest.mark.parametrize('skew_s', [0.0, HOUR_S, -HOUR_S])
def test_nothing_live_is_deleted(tmp_path, conf, ledger, scale, monkeypatch,
                                 what, lag, busy, skew_s):
    support.override(executor='serial', retry_wait_s=0.0, retry_attempts=20)
    now = time.time
    monkeypatch.setattr(time, 'time', lambda: now() + skew_s)
    counted = None
    counts = {'volume': scale(12, 200), 'tree': scale(3, 50)}
    for seed in range(counts[what]):
        rng = random.Random(f'{seed} {lag} {busy}')
        directory = tmp_path / str(seed)
        directory.mkdir()
        story = stories.tell(what, 'memory', directory)
        counted = counted or ledger('limited listing' + story.suffix)
        counted.point()
        repository = story.repository
        story.leave_garbage()
        driver = Lagging(repository.stores, rng, lag, busy)
        driver.ages = dict.fromkeys(
            list(repository.stores['backups']), 2 * garbage.GRACE_S)
        service = story.service_over(driver)
        contents = dict(story.contents)
        for _ in range(6):
            step = rng.choice(['backup', 'gc', 'gc', 'delete'])
            if step == 'backup':
                backup = story.back_up(service)
                contents[backup.id] = story.source()
            elif step == 'gc':
                garbage.collect(driver)
            else:
                mine = sorted(contents.keys() - story.contents.keys())
                if mine:
                    service.delete(story.catalogue(service).load(mine[0]))
                    del contents[mine[0]]
        where = f'seed {seed}, lag {lag}, busy {busy}'
        counted.silent += [f'{where}: {problem}'
                           for problem in story.problems(contents)]
        # What a lagging listing has hidden from a deletion is found later.
        service = story.service()
        assert not any(backup.status == Status.DELETING
                       for backup in service.backups()
                       if backup.id in contents)
        counted.left += [f'{where}: {left}' for left in story.collect()]
