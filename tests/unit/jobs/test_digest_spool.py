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

import concurrent.futures
import errno
import os

import pytest

from chunked_backup import errors
from chunked_backup.jobs import digest_spool
from chunked_backup.jobs.digest_spool import DigestSpool

LIMITS = pytest.mark.parametrize('limit', [0, 100, 1 << 20],
                                 ids=['file', 'spilled', 'memory'])


def digest(number):
    return number.to_bytes(32, 'big')


def run(first, count):
    return b''.join(digest(number) for number in range(first, first + count))


@LIMITS
def test_what_is_appended_is_read(limit):
    with DigestSpool(limit) as spool:
        for first in range(0, 20, 5):
            spool.append(run(first, 5))
        assert len(spool) == 20
        assert spool.read(0, 20) == run(0, 20)
        assert spool.read(7, 6) == run(7, 6)


@LIMITS
def test_fewer_come_at_the_end(limit):
    with DigestSpool(limit) as spool:
        spool.append(run(0, 5))
        assert spool.read(3, 100) == run(3, 2)
        assert spool.read(5, 1) == b''
        assert spool.read(9, 1) == b''


@LIMITS
def test_digests_may_come_in_any_order_and_again(limit):
    with DigestSpool(limit) as spool:
        spool.write(8, run(8, 4))
        spool.write(0, run(100, 8))
        spool.write(0, run(0, 8))
        assert spool.read(0, 12) == run(0, 12)


@LIMITS
def test_batches_give_everything_in_order(limit, monkeypatch):
    monkeypatch.setattr(digest_spool, '_BATCH_DIGESTS', 3)
    with DigestSpool(limit) as spool:
        spool.append(run(0, 10))
        batches = list(spool.batches())
    assert b''.join(batches) == run(0, 10)
    assert [len(batch) // 32 for batch in batches] == [3, 3, 3, 1]


@LIMITS
def test_any_number_of_threads_may_write_and_read(limit):
    with DigestSpool(limit) as spool:
        def work(number):
            spool.write(number * 3, run(number * 3, 3))
            return spool.read(number * 3, 3) == run(number * 3, 3)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, reversed(range(300))))
        assert spool.read(0, 900) == run(0, 900)


@LIMITS
def test_an_empty_one_has_nothing(limit):
    with DigestSpool(limit) as spool:
        assert len(spool) == 0
        assert spool.read(0, 5) == b'' and list(spool.batches()) == []


@LIMITS
def test_closing_forgets_everything(limit):
    spool = DigestSpool(limit)
    spool.append(run(0, 10))
    spool.close()
    assert len(spool) == 0 and spool.read(0, 1) == b''
    spool.append(run(5, 1))
    assert spool.read(0, 1) == run(5, 1)
    spool.close()


def test_the_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(digest_spool.tempfile, 'tempdir', str(tmp_path))
    with DigestSpool(0) as spool:
        spool.append(run(0, 5))
        assert os.listdir(tmp_path) == []
        assert spool.read(0, 5) == run(0, 5)


@pytest.mark.parametrize('at', ['creating', 'spilling', 'writing'])
def test_no_room_for_the_file_is_a_typed_error(monkeypatch, at):
    def fail(*args, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with DigestSpool(40) as spool:
        spool.append(run(0, 1))
        if at == 'writing':
            spool.append(run(1, 3))
        if at == 'creating':
            monkeypatch.setattr(digest_spool.tempfile, 'mkstemp', fail)
        else:
            monkeypatch.setattr(digest_spool.os, 'pwrite', fail)
        with pytest.raises(errors.ChunkedBackupError,
                           match='TMPDIR.*No space'):
            spool.append(run(4, 3))
