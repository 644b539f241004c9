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

"""A fault at every call of every operation."""

import pytest

from chunked_backup import errors
from tests import support
from tests.reliability import faults
from tests.reliability import stories


#: On POSIX, CI lets each so many calls fail, the long run all.
STEPS = {'volume 1.0.0': 3, 'volume': 3, 'tree': 7}


@pytest.mark.parametrize('repository', ['memory', 'posix'])
@pytest.mark.parametrize('kind', faults.KINDS)
@pytest.mark.parametrize(('what', 'name'), stories.cases())
def test_a_fault_at_every_call(repository, what, name, kind, tmp_path, conf,
                               monkeypatch, ledger, scale):
    support.override(executor='serial', retry_wait_s=0.0)
    faults.no_writer_is_alive(monkeypatch)
    story = stories.tell(what, repository, tmp_path)
    counted = ledger('store fault' + story.suffix)
    story.operation(name).prepare()
    saved = story.repository.save()
    step = STEPS[what] if repository == 'posix' else 1
    for number in stories.turns(what, scale, step):
        operation = story.operation(name)
        made = faults.Faults(kind, number)
        if not endure(
                operation, lambda: operation.run(story.service(made)), made,
                counted, f'{name}, {kind} at call {number}',
                kind in (*faults.TRANSIENT, 'slow')):
            break
        story.repository.put_back(saved)
    assert number > 5


def endure(operation, run, fault, counted, where, is_transient):
    """Have an operation meet a fault, and see what becomes of it.

    :param run: runs it where there is the fault.
    :param is_transient: whether another try within it gets over the fault.
    :returns: whether it has met it.
    """
    story = operation.story
    failed = False
    try:
        run()
    except errors.ChunkedBackupError:
        failed = True
    if not fault.fired:
        assert not failed
        return False
    counted.point()
    if failed and is_transient:
        counted.silent.append(f'{where}: was not tried again')
    if failed:
        check_failed(story, operation, counted, where)
        operation.run(story.service())
    counted.left += [f'{where}: {left}' for left in story.collect()]
    counted.silent += [f'{where}: {problem}'
                       for problem in operation.problems()]
    return True


def check_failed(story, operation, counted, where):
    """An operation has failed, and said so: the others are as they were."""
    counted.silent += [
        f'{where}, failed: {problem}' for problem
        in story.problems(operation.kept(), changed=True)]
    if operation.name == 'restore':
        counted.silent += [f'{where}, failed: {problem}'
                           for problem in story.half_done()]
