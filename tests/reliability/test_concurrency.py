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


"""Eight processes that back up, delete and collect garbage at once."""

import contextlib
import os
import random
import time
import traceback

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone import garbage
from chunked_backup.model import Status
from tests import support
from tests.reliability import faults

PROCESSES = 8
GRACE_S = 60.0
SCHEDULES = ['backup/backup', 'backup/delete', 'backup/gc', 'gc/gc',
             'everything']


@pytest.fixture
def story(tmp_path, conf):
    support.override(executor='serial', retry_wait_s=0.0)
    return faults.Story(faults.Repository('posix', tmp_path), tmp_path)


def back_up(story, service, rng):
    with contextlib.suppress(errors.FullBackupRequired):  # parent deleted
        service.backup(str(story.volume), incremental=rng.random() < 0.5)


def delete(story, service, rng):
    mine = [backup for backup in service.backups()
            if backup.id not in story.contents
            and backup.status == Status.AVAILABLE]
    if mine:
        with contextlib.suppress(errors.RecordError):
            service.delete(rng.choice(mine))


def collect(story, service, rng):
    garbage.collect(service.driver, grace_s=GRACE_S)


WORK = {'backup': [back_up], 'delete': [delete], 'gc': [collect],
        'everything': [back_up, delete, collect]}


def run(story, schedule, seed):
    """Have all processes do something, in an order that nobody knows."""
    kinds = schedule.split('/')
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if not child:
            code = 1
            try:
                rng = random.Random(f'{seed} {number}')
                time.sleep(rng.uniform(0, 0.01))
                work = rng.choice(WORK[kinds[number % len(kinds)]])
                work(story, story.repository.service(), rng)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            for child in children]


def make_old(story):
    for path in story.repository.path.rglob('*'):
        if path.is_file():
            then = path.stat().st_mtime - 2 * GRACE_S
            os.utime(path, (then, then))


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_eight_processes_at_once(story, schedule, ledger, scale):
    counted = ledger('concurrency')
    dead = story.leave_garbage()
    make_old(story)
    saved = story.repository.save()
    for seed in range(scale(20, 100)):
        counted.point()
        codes = run(story, schedule, seed)
        where = f'{schedule}, seed {seed}'
        if any(codes):
            counted.silent.append(f'{where}: {codes}')
        counted.silent += [f'{where}: {problem}' for problem
                           in story.problems(changed=True)]
        service = story.repository.service()
        garbage.collect(service.driver, grace_s=GRACE_S)
        if dead in [backup.id for backup in service.backups()]:
            counted.left.append(f'{where}: the garbage of before')
        counted.left += [f'{where}: {left}'
                         for left in story.leftovers(service)]
        story.repository.put_back(saved)
        make_old(story)
