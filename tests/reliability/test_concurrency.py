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
from tests.reliability import stories

PROCESSES = 8
GRACE_S = 60.0
SCHEDULES = {
    'volume': ['backup/backup', 'backup/delete', 'backup/gc', 'gc/gc',
               'everything'],
    'tree': ['backup/backup', 'backup/delete', 'backup/prune', 'backup/gc',
             'everything']}
#: Of a tree: what is made here, so that it can be pruned.
OTHER = {'name': 'another tree'}


def back_up(story, service, rng):
    # The parent may be deleted meanwhile, and its manifest with it.
    with contextlib.suppress(errors.FullBackupRequired, errors.RecordError,
                             errors.IncompleteChain):
        story.back_up(service, rng.random() < 0.5, **(
            OTHER if story.suffix else {}))


def delete(story, service, rng):
    mine = [backup for backup in service.backups()
            if backup.id not in story.contents
            and backup.status == Status.AVAILABLE]
    if mine:
        with contextlib.suppress(errors.RecordError):
            service.delete(rng.choice(mine))


def finish_deletions(service):
    """Those that a child has stopped which has given up as well."""
    for backup in service.backups():
        if backup.status == Status.DELETING:
            with contextlib.suppress(errors.BackupInUse):
                service.delete(backup)


def prune(story, service, rng):
    with contextlib.suppress(errors.RecordError):
        service.prune({'last': 1}, delete=True, **OTHER)


def collect(story, service, rng):
    garbage.collect(service.driver, grace_s=GRACE_S)


WORK = {'backup': [back_up], 'delete': [delete], 'gc': [collect],
        'prune': [prune], 'everything': [back_up, delete, collect]}


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
                work(story, story.service(), rng)
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


@pytest.mark.parametrize('part', range(2))
@pytest.mark.parametrize(('what', 'schedule'), [
    (what, schedule) for what, schedules in SCHEDULES.items()
    for schedule in schedules])
def test_eight_processes_at_once(what, schedule, part, tmp_path, conf, ledger,
                                 scale):
    support.override(executor='serial', retry_wait_s=0.0)
    story = stories.tell(what, 'posix', tmp_path)
    counted = ledger('concurrency' + story.suffix)
    dead = story.leave_garbage()
    make_old(story)
    saved = story.repository.save()
    share = {'volume': scale(50, 250), 'tree': scale(10, 100)}[what]
    for seed in range(part * share, (part + 1) * share):
        counted.point()
        codes = run(story, schedule, seed)
        where = f'{schedule}, seed {seed}'
        if any(codes):
            counted.silent.append(f'{where}: {codes}')
        counted.silent += [f'{where}: {problem}' for problem
                           in story.problems(changed=True)]
        service = story.service()
        finish_deletions(service)
        garbage.collect(service.driver, grace_s=GRACE_S)
        if dead in [backup.id for backup in service.backups()]:
            counted.left.append(f'{where}: the garbage of before')
        counted.left += [f'{where}: {left}'
                         for left in story.leftovers(service)]
        story.repository.put_back(saved)
        make_old(story)
