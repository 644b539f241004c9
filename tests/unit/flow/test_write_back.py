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
import os
import threading

import pytest

from chunked_backup.flow import write_back
from chunked_backup.flow.descriptor import Descriptor


@pytest.fixture
def descriptor(tmp_path):
    with open(tmp_path / 'file', 'wb') as file:
        yield Descriptor(file.fileno())


@pytest.fixture
def asked(monkeypatch):
    """What the system was asked; it answers when ``answer`` is set."""
    class Asked(list):
        answer = threading.Event()
        begun = threading.Semaphore(0)
        error = None

    asked = Asked()

    def advise(*arguments):
        asked.append(arguments)
        asked.begun.release()
        assert asked.answer.wait(60)
        if asked.error is not None:
            raise asked.error

    monkeypatch.setattr(os, 'posix_fadvise', advise)
    monkeypatch.setattr(write_back, '_WRITE_BACK_BYTES', 100)
    return asked


@pytest.mark.parametrize('error', [
    None, OSError(errno.EINVAL, os.strerror(errno.EINVAL))])
def test_the_device_is_set_to_work_as_often_as_much_is_written(
        descriptor, asked, error):
    asked.answer.set()
    asked.error = error
    writing = write_back.WriteBack(descriptor)
    for count in (99, 1, 50, 49, 2):
        writing.wrote(count)
        writing.close()
    with descriptor as number:
        assert asked == [(number, 0, 0, os.POSIX_FADV_DONTNEED)] * 2


def test_nobody_waits_for_the_device_until_it_is_closed(descriptor, asked,
                                                        monkeypatch):
    writing = write_back.WriteBack(descriptor)
    writing.wrote(100)
    assert asked.begun.acquire(timeout=60)
    writing.wrote(1000)
    assert len(asked) == 1
    monkeypatch.setattr(write_back, 'SHUTDOWN_GRACE_S', 0.01)
    writing.close()
    descriptor.close()
    os.fstat(asked[0][0])  # it is still in use
    asked.answer.set()
    monkeypatch.setattr(write_back, 'SHUTDOWN_GRACE_S', 60)
    writing.close()
    with pytest.raises(OSError):
        os.fstat(asked[0][0])


def test_what_was_written_meanwhile_counts(descriptor, asked):
    writing = write_back.WriteBack(descriptor)
    writing.wrote(100)
    assert asked.begun.acquire(timeout=60)
    writing.wrote(99)
    asked.answer.set()
    writing.close()
    writing.wrote(1)
    writing.close()
    assert len(asked) == 2


def test_closing_what_was_never_asked_is_no_matter(descriptor):
    write_back.WriteBack(descriptor).close()


def test_it_is_asked_once_at_a_time_whoever_writes(descriptor, asked):
    writing = write_back.WriteBack(descriptor)
    threads = [threading.Thread(target=writing.wrote, args=(100,))
               for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked.begun.acquire(timeout=60)
    assert len(asked) == 1
    asked.answer.set()
    writing.close()
