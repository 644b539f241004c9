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


"""Devices and file systems that fail or do half of what they are asked."""

import errno
import fcntl
import os

import pytest

from chunked_backup import errors
from tests import support
from tests.reliability import faults
from tests.reliability import stories
from tests.unit import harness

CODES = ('ENOSPC', 'EIO', 'EDQUOT', 'EROFS')


class Calls:
    """Has one call of some functions of ``os`` fail, or be short.

    Of ``close`` only what was written counts; it is closed when it fails.

    :param number: which call, from 0; with ``SHORT`` all are short.
    :param lasting: all further calls fail, too.
    """

    SHORT = 'short'

    def __init__(self, monkeypatch, names, code, number, lasting=False):
        self.calls = 0
        self.fired = 0
        self._code = code
        self._number = number
        self._lasting = lasting
        for name in names:
            monkeypatch.setattr(os, name, self.made(name, getattr(os, name)))

    def made(self, name, call):
        """What stands for a function."""
        def made(*arguments, **keywords):
            if name == 'close' and not _is_written(*arguments):
                return call(*arguments)
            mine, self.calls = self.calls, self.calls + 1
            if self._code == self.SHORT:
                self.fired += 1
                return _short(name, call, *arguments, **keywords)
            if mine == self._number or self._lasting and self.fired:
                self.fired += 1
                if name == 'close':
                    call(*arguments)
                number = getattr(errno, self._code)
                raise OSError(number, os.strerror(number))
            return call(*arguments, **keywords)
        return made


def _is_written(descriptor):
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE


def _short(name, call, *arguments, **keywords):
    if name == 'preadv':
        descriptor, [buffer], offset = arguments
        return call(descriptor, [buffer[:max(1, len(buffer) // 3)]], offset)
    if name == 'read':
        descriptor, size = arguments
        return call(descriptor, min(size, max(1, size // 3)))
    if name in ('write', 'pwrite'):
        descriptor, data, *rest = arguments
        return call(descriptor, data[:max(1, len(data) // 3)], *rest)
    return call(*arguments, **keywords)


@pytest.fixture(params=['volume 1.0.0', 'volume'])
def what(request):
    return request.param


@pytest.fixture
def story(what, tmp_path, conf):
    support.override(executor='serial', retry_wait_s=0.0,
                     compression_algorithm='none')
    return stories.tell(what, 'posix', tmp_path)


@pytest.mark.parametrize(('what', 'name'), stories.cases(
    'backup', 'incremental'))
@pytest.mark.parametrize('code', CODES)
def test_a_store_that_fails_at_every_write_and_sync(what, name, code,
                                                    tmp_path, conf, ledger,
                                                    monkeypatch, scale):
    support.override(executor='serial', retry_wait_s=0.0,
                     compression_algorithm='none')
    faults.no_writer_is_alive(monkeypatch)
    story = stories.tell(what, 'posix', tmp_path)
    counted = ledger('ENOSPC, EIO, EDQUOT, EROFS' + story.suffix)
    saved = story.repository.save()
    for number in stories.turns(what, scale):
        operation = story.operation(name)
        where = f'{name}, {code} at call {number}'
        with monkeypatch.context() as patch:
            calls = Calls(patch, ('write', 'fsync', 'rename', 'link'), code,
                          number)
            try:
                operation.run(story.service())
            except errors.ChunkedBackupError as exc:
                assert exc.exit_code == 6
                counted.silent += [
                    f'{where}: {problem}' for problem
                    in story.problems(changed=True)]
            else:
                if calls.fired:
                    counted.silent.append(f'{where}: it was not reported')
        if not calls.fired:
            break
        counted.point()
        counted.left += [f'{where}: {left}' for left in story.collect()]
        story.repository.put_back(saved)
    assert number > 10


@pytest.mark.parametrize('code', CODES)
def test_a_target_that_fails_at_every_write_and_sync(
        what, story, tmp_path, code, ledger, monkeypatch, scale):
    counted = ledger('ENOSPC, EIO, EDQUOT, EROFS')
    target = tmp_path / 'target'
    for number in stories.turns(what, scale):
        target.write_bytes(b'\xa5' * 20000)
        service = story.service()
        backup = service.find(story.child)
        with monkeypatch.context() as patch:
            calls = Calls(patch, ('pwrite', 'fsync', 'ftruncate'), code,
                          number)
            error = None
            try:
                service.restore(backup, str(target), force=True)
            except (errors.ChunkedBackupError, OSError) as exc:
                error = exc
        if not calls.fired:
            break
        counted.point()
        if not isinstance(error, errors.ChunkedBackupError):
            counted.silent.append(f'{code} at call {number}: {error!r}')
    assert number > 3
    assert target.read_bytes() == story.contents[story.child]


@pytest.mark.parametrize('code', CODES)
def test_a_volume_that_fails_at_every_read(what, story, code, ledger,
                                           monkeypatch, scale):
    counted = ledger('ENOSPC, EIO, EDQUOT, EROFS')
    for name in ('backup', 'incremental'):
        for number in stories.turns(what, scale):
            with monkeypatch.context() as patch:
                calls = Calls(patch, ('preadv',), code, number)
                try:
                    story.operation(name).run(story.service())
                except errors.VolumeIOError:
                    pass
                else:
                    if calls.fired:
                        counted.silent.append(f'{name}: {number}')
            if not calls.fired:
                break
            counted.point()
            counted.left += story.leftovers()


def test_short_reads_and_writes_everywhere(story, tmp_path, ledger,
                                           monkeypatch):
    counted = ledger('short reads and writes')
    calls = Calls(monkeypatch, ('preadv', 'read', 'write', 'pwrite'),
                  Calls.SHORT, None)
    service = story.service()
    contents = dict(story.contents)
    for incremental in (False, True):
        backup = service.backup(str(story.volume), incremental=incremental)
        contents[backup.id] = story.volume.read_bytes()
    for backup_id, expected in contents.items():
        target = tmp_path / backup_id
        target.write_bytes(b'\xa5' * 30000)
        service.restore(service.find(backup_id), str(target), force=True)
        if target.read_bytes() != expected:
            counted.silent.append(backup_id)
    counted.point(calls.fired)


def test_a_volume_that_gives_a_few_bytes_at_a_time(story, ledger):
    counted = ledger('short reads and writes')
    service = story.service()
    for most in (1, 7, 511):
        backup = service.find(story.child)
        backup.status = 'restoring'
        target = harness.ShortFile(bytes(20000), most)
        service.driver.restore(backup, 'target', target, True)
        counted.point()
        expected = story.contents[story.child]
        if target.getvalue()[:len(expected)] != expected:
            counted.silent.append(most)
