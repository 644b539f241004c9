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

import errno
import fcntl
import os

import pytest

from chunked_backup.flow import direct
from chunked_backup.flow.buffers import BufferPool

PAGE = direct.ALIGNMENT_BYTES
STAGE = 4 * PAGE


@pytest.fixture
def stage():
    with BufferPool(STAGE).borrow() as buffer:
        yield buffer


@pytest.fixture
def file(tmp_path):
    with open(tmp_path / 'file', 'wb', buffering=0) as file:
        yield file


@pytest.fixture
def writes(monkeypatch):
    """What is written: how much, and whether past the cache."""
    real_write = os.write
    seen = []

    def write(descriptor, data):
        is_direct = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL)
                         & os.O_DIRECT)
        seen.append((len(data), is_direct))
        return real_write(descriptor, data)

    monkeypatch.setattr(os, 'write', write)
    return seen


def write(file, stage, *pieces):
    stream = direct.DirectStream(file.fileno(), stage)
    for piece in pieces:
        stream.write(memoryview(piece))
    stream.finish()
    with open(file.name, 'rb') as written:
        assert written.read() == b''.join(pieces)


@pytest.mark.parametrize('sizes', [
    [], [1], [0, 5, 0], [PAGE], [STAGE], [STAGE + 1], [STAGE - 1, 2],
    [3 * STAGE + 7, PAGE, 1], [1] * 5 + [2 * STAGE]])
def test_whatever_is_written_is_in_the_file(file, stage, sizes):
    write(file, stage, *(os.urandom(size) for size in sizes))


def test_whole_pages_go_past_the_cache_and_the_rest_through_it(
        file, stage, writes):
    write(file, stage, os.urandom(STAGE + 10))
    assert writes == [(STAGE, True), (10, False)]


def test_pages_that_lie_as_the_disk_wants_them_are_not_copied(
        file, stage, writes):
    with BufferPool(2 * STAGE).borrow() as data:
        write(file, stage, data)
    assert writes == [(2 * STAGE, True)]


def test_pages_that_lie_elsewhere_are(file, stage, writes):
    with BufferPool(2 * STAGE).borrow() as data:
        write(file, stage, data[8:8 + STAGE])
    assert writes == [(STAGE, True)]


@pytest.mark.parametrize('code', [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_refuses_a_write_gets_it_through_the_cache(
        file, stage, monkeypatch, code):
    real_write = os.write

    def refuse(descriptor, data):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(code, os.strerror(code))
        return real_write(descriptor, data)

    monkeypatch.setattr(os, 'write', refuse)
    write(file, stage, os.urandom(3 * STAGE))


def test_a_file_system_that_refuses_the_flag_gets_all_through_the_cache(
        file, stage, monkeypatch, writes):
    real_fcntl = fcntl.fcntl

    def refuse(descriptor, command, argument=0):
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real_fcntl(descriptor, command, argument)

    monkeypatch.setattr(fcntl, 'fcntl', refuse)
    write(file, stage, os.urandom(2 * STAGE))
    assert writes == [(STAGE, False), (STAGE, False)]


@pytest.mark.parametrize('code', [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_is_an_error(file, stage, monkeypatch, code):
    def fail(descriptor, data):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, 'write', fail)
    with pytest.raises(OSError) as failure:
        write(file, stage, os.urandom(STAGE))
    assert failure.value.errno == code


def test_short_writes_are_continued(file, stage, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, 'write', lambda descriptor, data: real_write(
        descriptor, data[:PAGE]))
    write(file, stage, os.urandom(STAGE), os.urandom(3))


def test_a_pipe_is_not_opened_for_writing_past_the_cache():
    one, other = os.pipe()
    try:
        assert direct.open_direct(other) is None
    finally:
        os.close(one)
        os.close(other)


def test_only_pages_in_pages_may_go_past_the_cache():
    with BufferPool(2 * PAGE).borrow() as data:
        assert direct.may_take(PAGE, data)
        assert not direct.may_take(512, data)
        assert not direct.may_take(0, data[:PAGE + 1])
        assert not direct.may_take(0, data[1:PAGE + 1])
        assert not direct.may_take(0, data[:0])
        assert not direct.may_take(0, data.toreadonly())
