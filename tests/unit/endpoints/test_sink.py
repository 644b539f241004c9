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
import io
import os

import pytest

from chunked_backup import errors
from chunked_backup.endpoints import sink
from chunked_backup.flow import write_back
from chunked_backup.flow.buffers import BufferPool
from tests.unit import harness

MIB = 1 << 20


@pytest.fixture
def target(tmp_path):
    with open(tmp_path / 'target', 'w+b', buffering=0) as file:
        yield file


def content(file):
    return os.pread(file.fileno(), MIB * 8, 0)


def test_a_file_is_written_by_position_and_keeps_its_own(target):
    target.write(b'0123456789')
    target.seek(3)
    opened = sink.open_sink(target, is_new=False)
    opened.write(6, memoryview(b'ab'))
    opened.flush()
    assert content(target) == b'012345ab89'
    assert target.tell() == 3


def test_short_writes_are_joined():
    file = harness.ShortFile(bytes(100), most=7)
    opened = sink.open_sink(file, is_new=False)
    opened.write(3, memoryview(bytes(range(90))))
    opened.flush()
    assert file.getvalue() == bytes(3) + bytes(range(90)) + bytes(7)


def test_a_file_that_does_not_say_how_much_it_wrote_wrote_all():
    class Silent(io.BytesIO):
        def write(self, data):
            super().write(data)

    file = Silent()
    sink.open_sink(file, is_new=False).write(0, memoryview(b'data'))
    assert file.getvalue() == b'data'


def test_a_regular_file_grows_to_the_volume(target):
    sink.open_sink(target, is_new=True).prepare(3 * MIB)
    assert os.fstat(target.fileno()).st_size == 3 * MIB


def test_a_longer_file_is_not_cut(target):
    target.write(b'0123456789')
    sink.open_sink(target, is_new=False).prepare(5)
    assert content(target) == b'0123456789'


def test_a_device_that_is_too_small_is_refused_and_untouched(target):
    target.write(b'0123456789')
    opened = sink.open_sink(target, is_new=False)
    opened._is_regular = False
    with pytest.raises(errors.InvalidVolume, match='10 bytes.*backup 11'):
        opened.prepare(11)
    opened.prepare(10)
    assert content(target) == b'0123456789'


def test_a_file_that_cannot_grow_is_an_error(target, monkeypatch):
    def ftruncate(descriptor, size):
        raise OSError(errno.EFBIG, 'no')

    monkeypatch.setattr(sink.os, 'ftruncate', ftruncate)
    with pytest.raises(errors.VolumeIOError, match='growing'):
        sink.open_sink(target, is_new=True).prepare(100)


def test_zeroing_a_regular_file_gives_its_blocks_back(target):
    target.write(b'd' * 4 * MIB)
    os.fsync(target.fileno())
    before = os.fstat(target.fileno()).st_blocks
    sink.open_sink(target, is_new=False).zero(MIB, 3 * MIB)
    assert content(target) == (b'd' * MIB + bytes(2 * MIB) + b'd' * MIB)
    assert os.fstat(target.fileno()).st_blocks <= before // 2 + 16


def test_zeros_are_written_where_holes_cannot_be_punched(target,
                                                         monkeypatch):
    def punch(descriptor, offset, length):
        raise OSError(errno.EOPNOTSUPP, 'no')

    monkeypatch.setattr(sink, '_punch_hole', punch)
    target.write(b'd' * (3 * MIB))
    sink.open_sink(target, is_new=False).zero(5, 2 * MIB + 7)
    assert content(target) == (b'd' * 5 + bytes(2 * MIB + 2)
                               + b'd' * (MIB - 7))


def test_zeros_are_written_to_what_is_neither_file_nor_block_device(target):
    target.write(b'd' * 100)
    opened = sink.open_sink(target, is_new=False)
    opened._is_regular = False
    opened.zero(10, 20)
    assert content(target) == b'd' * 10 + bytes(10) + b'd' * 80


@pytest.mark.parametrize('start, end, ioctls', [(512, 1024, 1), (1, 9, 0),
                                                (0, 100, 0)])
def test_a_block_device_is_asked_to_zero_whole_sectors(
        target, monkeypatch, start, end, ioctls):
    calls = []
    monkeypatch.setattr(sink.fcntl, 'ioctl', lambda *args: calls.append(args))
    target.write(b'd' * 2048)
    opened = sink.open_sink(target, is_new=False)
    opened._is_regular, opened._is_block = False, True
    opened.zero(start, end)
    assert len(calls) == ioctls
    if not ioctls:
        assert content(target)[start:end] == bytes(end - start)


def test_zeroing_that_fails_is_an_error(target, monkeypatch):
    def punch(descriptor, offset, length):
        raise OSError(errno.EIO, 'no')

    monkeypatch.setattr(sink, '_punch_hole', punch)
    with pytest.raises(errors.VolumeIOError, match='zeroing') as info:
        sink.open_sink(target, is_new=False).zero(5, 10)
    assert info.value.offset == 5


def test_holes_are_left_in_a_new_target(target):
    opened = sink.open_sink(target, is_new=True)
    opened.prepare(4 * MIB)
    opened.zero(0, 4 * MIB)
    assert os.fstat(target.fileno()).st_blocks == 0


def test_zeros_are_not_written_to_a_new_file_like_object():
    file = harness.CountingFile(bytes(100))
    sink.open_sink(file, is_new=True).zero(0, 100)
    assert not file.written
    sink.open_sink(file, is_new=False).zero(10, 20)
    assert sorted(file.written) == list(range(10, 20))


@pytest.mark.parametrize('start, end', [(5, 5), (6, 5)])
def test_zeroing_nothing_does_nothing(target, start, end):
    target.write(b'0123456789')
    sink.open_sink(target, is_new=False).zero(start, end)
    assert content(target) == b'0123456789'


def test_a_target_that_fails_is_an_error_with_offset():
    class Failing(harness.ShortFile):
        def write(self, data):
            if self.tell() >= 14:
                raise OSError(errno.ENOSPC, 'no')
            return super().write(data)

    with pytest.raises(errors.VolumeIOError, match='space') as info:
        sink.open_sink(Failing(), is_new=True).write(0, memoryview(
            bytes(100)))
    assert info.value.offset == 14


def test_a_flush_that_fails_is_an_error(target, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EIO, 'no')

    monkeypatch.setattr(sink.os, 'fsync', fsync)
    with pytest.raises(errors.VolumeIOError, match='flushing'):
        sink.open_sink(target, is_new=True).flush()


def test_a_flush_that_a_file_like_object_fails_is_an_error():
    class Failing(io.BytesIO):
        def flush(self):
            raise OSError(errno.EIO, 'no')

    with pytest.raises(errors.VolumeIOError, match='flushing'):
        sink.open_sink(Failing(), is_new=True).flush()


def test_what_cannot_be_synchronised_need_not_be():
    receive, send = os.pipe()
    try:
        sink.FileSink(send, is_new=True).flush()
    finally:
        os.close(receive)
        os.close(send)


def test_the_sink_of_a_verification_keeps_nothing():
    null = sink.NullSink()
    null.prepare(1 << 60)
    null.write(0, memoryview(b'data'))
    null.zero(0, 1 << 60)
    null.flush()
    assert vars(null) == {'_is_new': True}


@pytest.fixture
def writes(monkeypatch):
    """What is written: where, how much, and whether past the cache."""
    real_pwrite = os.pwrite
    seen = []

    def pwrite(descriptor, data, offset):
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        seen.append((offset, len(data), bool(flags & os.O_DIRECT)))
        return real_pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, 'pwrite', pwrite)
    return seen


@pytest.fixture
def many():
    """Two MiB that lie in memory as the disk wants them."""
    with BufferPool(2 * MIB).borrow() as buffer:
        buffer[:] = os.urandom(2 * MIB)
        yield buffer


def test_much_is_written_past_the_cache_and_little_through_it(
        target, many, writes):
    opened = sink.open_sink(target, is_new=True)
    opened.write(4096, many)
    opened.write(4096 + 2 * MIB, many[:MIB // 4 - 1])
    assert content(target)[4096:] == bytes(many) + many[:MIB // 4 - 1]
    assert writes == [(4096, 2 * MIB, True),
                      (4096 + 2 * MIB, MIB // 4 - 1, False)]


@pytest.mark.parametrize('is_readonly', [True, False])
def test_what_lies_elsewhere_in_memory_is_copied_to_where_it_should(
        target, many, writes, is_readonly):
    data = many[1:-4]
    if is_readonly:
        data = memoryview(bytes(data))
    opened = sink.open_sink(target, is_new=True)
    opened.write(0, data)
    assert content(target) == bytes(data)
    assert writes == [(0, MIB, True), (MIB, MIB - 4096, True),
                      (2 * MIB - 4096, 4091, False)]


def test_what_begins_within_a_page_is_written_through_the_cache(
        target, many, writes):
    opened = sink.open_sink(target, is_new=True)
    opened.write(512, many[:MIB])
    assert content(target) == bytes(512) + many[:MIB]
    assert writes == [(512, MIB, False)]


def test_what_may_not_be_written_past_the_cache_is_written_through_it(
        target, many, monkeypatch):
    real_pwrite = os.pwrite

    def refuse(descriptor, data, offset):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real_pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, 'pwrite', refuse)
    opened = sink.open_sink(target, is_new=True)
    opened.write(0, many)
    assert content(target) == bytes(many)


def test_the_device_is_set_to_work_before_the_end(target, monkeypatch):
    written_before = []

    def advise(descriptor, offset, length, advice):
        written_before.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(write_back, '_WRITE_BACK_BYTES', 100)
    monkeypatch.setattr(os, 'posix_fadvise', advise)
    opened = sink.open_sink(target, is_new=True)
    opened.write(0, memoryview(bytes(60)))
    opened.write(60, memoryview(bytes(60)))
    opened.close()
    assert written_before == [120]
