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


"""kill -9 at every step and at random times."""

import os
import random
import signal
import time
import traceback

import pytest

from chunked_backup.hosts.standalone import garbage
from chunked_backup.model import Status
from tests import support
from tests.reliability import faults
from tests.reliability import stories

SYSTEM_CALLS = ('open', 'write', 'fsync', 'close', 'rename', 'link',
                'unlink', 'mkdir', 'rmdir')
#: Operations that change something.
WRITING = ('backup', 'incremental', 'resume', 'restore', 'delete', 'prune',
           'gc', 'rebuild')
#: CI kills at one of so many steps, the long run at each.
STEPS = {'volume 1.0.0': 2, 'volume': 2, 'tree': 6}


def in_child(function, after_s=None):
    """Run it in a process of its own.

    :param after_s: kill it then.
    :returns: whether it has come to its end.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def dying_at(number, story, function):
    """A function that is killed at a system call that changes files."""
    def run():
        calls = 0

        def counting(call):
            def counted(*arguments, **keywords):
                nonlocal calls
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                calls += 1
                return call(*arguments, **keywords)
            return counted

        service = story.service()
        for name in SYSTEM_CALLS:
            setattr(os, name, counting(getattr(os, name)))
        function(service)
    return run


def mend(story, counted, where):
    """What the backups that were killed have to restore to now."""
    contents, problems = story.mend()
    counted.silent += [f'{where}: {problem}' for problem in problems]
    return contents


def check(story, operation, counted, where):
    """What the death of an operation has left, and that it can be mended."""
    counted.silent += [
        f'{where}: {problem}' for problem
        in story.problems(operation.kept(), changed=True)]
    if operation.name == 'restore':
        counted.silent += [f'{where}: {problem}'
                           for problem in story.half_done()]
    service = story.service()
    listed = garbage.collect(service.driver, grace_s=0, dry_run=True)
    if operation.name != 'rebuild' and (
            story.leftovers(service) and not listed):
        counted.left.append(f'{where}: gc does not list what is left')
    contents = operation.kept()
    makes_one = operation.name in ('backup', 'incremental', 'resume')
    if makes_one:
        contents |= mend(story, counted, where)
    elif operation.name != 'restore':
        operation.run(service)
        contents = operation.expected()
    counted.left += [f'{where}: {left}' for left in story.collect()]
    if makes_one:
        # Killed behind its end, or before its beginning.
        contents |= {backup.id: story.source()
                     for backup in story.service().backups()
                     if backup.id not in contents}
    counted.silent += [f'{where}, mended: {problem}'
                       for problem in story.problems(contents)]


@pytest.mark.parametrize(('what', 'name'), stories.cases(*WRITING))
def test_killed_at_every_step(what, name, tmp_path, conf, ledger, scale):
    support.override(executor='serial', retry_wait_s=0.0)
    story = stories.tell(what, 'posix', tmp_path)
    counted = ledger('kill -9, each step' + story.suffix)
    story.operation(name).prepare()
    saved = story.repository.save()
    for number in stories.turns(what, scale, STEPS[what]):
        operation = story.operation(name)
        if in_child(dying_at(number, story, operation.run)):
            break
        counted.point()
        check(story, operation, counted, f'{name}, step {number}')
        story.repository.put_back(saved)
    assert number >= 20


@pytest.mark.parametrize('what', ['volume 1.0.0', 'volume'])
def test_killed_at_random_times_and_resumed(what, tmp_path, conf, ledger,
                                            scale):
    counted = ledger('kill -9, random times')
    support.override(compression_algorithm='none')
    story = stories.tell(what, 'posix', tmp_path)
    repository = story.repository
    rng = random.Random(what)
    story.volume.write_bytes(rng.randbytes(60 * faults.CHUNK))
    saved = repository.save()
    began_s = time.monotonic()
    assert in_child(lambda: story.service().backup(str(story.volume)))
    whole_s = time.monotonic() - began_s
    repository.put_back(saved)
    points = scale(100, 1000)
    while counted.points < points:
        contents = dict(story.contents)
        ended = in_child(
            lambda: story.service().backup(str(story.volume)),
            rng.uniform(0, whole_s))
        counted.point()
        # Go on, and be killed again, some times.
        while not ended and counted.points < points and rng.random() < 0.7:
            unfinished = [backup for backup in story.service().backups()
                          if backup.status == Status.CREATING]
            if not unfinished:
                break
            ended = in_child(
                lambda: story.service().resume(unfinished[0]),
                rng.uniform(0, whole_s))
            counted.point()
        where = f'point {counted.points}'
        counted.silent += [f'{where}: {problem}' for problem
                           in story.problems(contents, changed=True)]
        contents |= mend(story, counted, where)
        contents |= {backup.id: story.volume.read_bytes()
                     for backup in story.service().backups()
                     if backup.id not in contents}
        counted.left += [f'{where}: {left}' for left in story.collect()]
        counted.silent += [f'{where}, resumed: {problem}'
                           for problem in story.problems(contents)]
        repository.put_back(saved)
