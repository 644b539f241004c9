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

import io

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone import garbage
from tests import support
from tests.reliability import faults

OPERATIONS = ['backup', 'incremental', 'restore', 'verify', 'delete', 'gc']


@pytest.fixture(params=['memory', 'posix'])
def story(request, tmp_path, monkeypatch, conf):
    support.override(executor='serial', retry_wait_s=0.0)
    faults.no_writer_is_alive(monkeypatch)
    return faults.Story(faults.Repository(request.param, tmp_path), tmp_path)


class Operation:
    """One operation on a story, which may be tried again."""

    def __init__(self, name, story):
        self.name = name
        self.story = story
        self.result = None

    def run(self, service):
        self.result = getattr(self, '_' + self.name)(service)

    def _backup(self, service):
        return service.backup(str(self.story.volume)).id

    def _incremental(self, service):
        return service.backup(str(self.story.volume), incremental=True).id

    def _restore(self, service):
        backup = service.find(self.story.child)
        file = io.BytesIO(b'\xa5' * 20000)
        backup.status = 'restoring'
        service.driver.restore(backup, 'target', file, False)
        return file.getvalue()

    def _verify(self, service):
        return service.verify(service.find(self.story.child))

    def _delete(self, service):
        # The record of one that is deleted already is gone, too.
        if self.story.child in service.driver.host.catalogue.ids():
            service.delete(service.find(self.story.child))
        return None

    def _gc(self, service):
        return garbage.collect(service.driver, grace_s=0)

    def expected(self):
        """What the backups have to restore to when it has succeeded."""
        contents = dict(self.story.contents)
        if self.name in ('backup', 'incremental'):
            contents[self.result] = self.story.volume.read_bytes()
        elif self.name == 'delete':
            del contents[self.story.child]
        return contents

    def problems(self):
        """What is wrong after it has succeeded."""
        yield from self.story.problems(self.expected())
        if self.name == 'restore':
            data = self.story.contents[self.story.child]
            if self.result != data + b'\xa5' * (20000 - len(data)):
                yield 'the restore has succeeded with wrong bytes'


@pytest.mark.parametrize('kind', faults.KINDS)
@pytest.mark.parametrize('name', OPERATIONS)
def test_a_fault_at_every_call(story, name, kind, ledger):
    counted = ledger('store fault')
    if name == 'gc':
        story.leave_garbage()
    saved = story.repository.save()
    number = 0
    while True:
        operation = Operation(name, story)
        made = faults.Faults(kind, number)
        failed = False
        try:
            operation.run(story.repository.service(made))
        except errors.ChunkedBackupError:
            failed = True
        if not made.fired:
            break
        counted.point()
        where = f'{name}, {kind} at call {number}'
        if kind in (*faults.TRANSIENT, 'slow') and failed:
            counted.silent.append(f'{where}: was not tried again')
        if failed:
            check_failed(story, name, counted, where)
            operation.run(story.repository.service())
        counted.silent += [f'{where}: {problem}'
                           for problem in operation.problems()]
        counted.left += [f'{where}: {left}' for left in story.collect()]
        counted.silent += [f'{where}, after gc: {problem}'
                           for problem in operation.problems()]
        story.repository.put_back(saved)
        number += 1
    assert number > 5


def check_failed(story, name, counted, where):
    """An operation has failed, and said so: the others are as they were."""
    contents = dict(story.contents)
    if name == 'delete':
        contents.pop(story.child)
    counted.silent += [f'{where}, failed: {problem}' for problem
                       in story.problems(contents, changed=True)]
