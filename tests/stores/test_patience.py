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
"""A store that fails for now, and one that hangs, in the middle of a job."""

import concurrent.futures
import random
import threading

import pytest

from chunked_backup import errors
from chunked_backup.flow import executors
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.model import Status
from tests import support

# What is promised of a cancellation, and far less than the server hangs.
_SOON_S = 5
_HANGING_S = 120


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(random.Random(1).randbytes(6 * support.CHUNK))
    return path


@pytest.fixture
def service(faulty):
    support.override('chunked_backup', retry_wait_s=0.01)
    return VolumeService(faulty[0])


def test_a_backup_and_a_restore_get_over_faults(faulty, service, volume,
                                                tmp_path):
    _, proxy, _ = faulty
    uploads = [proxy.inject('answer', match='^PUT .*-00001', times=2),
               proxy.inject('lose_answer', match='^PUT .*-00002', times=1),
               proxy.inject('break_upload', match='^PUT .*-00003', times=1),
               proxy.inject('refuse', match='^PUT .*_metadata', times=1)]
    backup = service.backup(str(volume))
    downloads = [proxy.inject('answer', match='^GET .*_sha256file', times=1),
                 proxy.inject('cut', match='^GET .*-00004', times=1,
                              after=1000),
                 proxy.inject('reset', match='^GET .*-00005', times=1,
                              after=500)]
    service.restore(backup, str(tmp_path / 'target'))
    assert (tmp_path / 'target').read_bytes() == volume.read_bytes()
    assert not [rule for rule in uploads + downloads
                if rule.fired != rule.times]


def test_a_backup_whose_commit_has_arrived_unanswered_is_a_backup(
        faulty, service, volume, tmp_path):
    _, proxy, _ = faulty
    lost = proxy.inject('lose_answer', match='^PUT .*_metadata', times=1)
    backup = service.backup(str(volume))
    assert lost.fired == 1
    service.restore(backup, str(tmp_path / 'target'))
    assert (tmp_path / 'target').read_bytes() == volume.read_bytes()


def test_a_store_that_stays_broken_ends_a_backup(faulty, service, volume):
    driver, proxy, store = faulty
    proxy.inject('answer', match='^PUT .*-00002')
    with pytest.raises(errors.TransientDriverError):
        service.backup(str(volume))
    proxy.clear()
    assert list(driver.get_container_entries(store.container, '')) == []


def test_a_backup_to_a_store_that_hangs_can_be_cancelled(faulty, volume):
    _, proxy, store = faulty
    service = VolumeService(store.driver(url=proxy.url,
                                         timeout_s=_HANGING_S))
    proxy.inject('hang', match='^PUT .*-0000[1-9]')
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.backup, str(volume))
        wait_for(lambda: proxy.seen('^PUT .*-0000[1-9]'))
        other = VolumeService(store.driver())
        backup, = other.backups()
        assert backup.status == Status.CREATING
        other.delete(backup, force=True)
        with pytest.raises(errors.BackupCancelled):
            running.result(timeout=_SOON_S)


def wait_for(happened):
    """Return once something has happened."""
    pause = threading.Event()
    for _ in range(3000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError('it did not happen')


# Limits of patience: a slow upload of one object that takes three times as
# long as nothing may move.

#: Each library that sends; what is in its way is the proxy, not a server.
each_library = pytest.mark.parametrize(
    'store', ['s3-on-ceph', 'swift-on-swift'], indirect=True)

STALL_TIMEOUT_S = 2
SLOW = {'seconds': STALL_TIMEOUT_S * 3 / 192}
SLOW_BYTES = 192 << 16


@pytest.fixture
def slow(faulty, tmp_path):
    """A service with little patience, the proxy, and a volume in one chunk."""
    _, proxy, store = faulty
    support.override(stall_timeout_s=STALL_TIMEOUT_S,
                     compression_algorithm='none')
    driver = store.driver(url=proxy.url, timeout_s=_HANGING_S,
                          chunk_size_bytes=SLOW_BYTES)
    volume = tmp_path / 'large'
    volume.write_bytes(random.Random(1).randbytes(SLOW_BYTES))
    return VolumeService(driver), proxy, volume


@each_library
def test_a_slow_upload_is_no_stall(slow):
    service, proxy, volume = slow
    rule = proxy.inject('slow_upload', match='^PUT .*-00001', **SLOW)
    service.backup(str(volume))
    assert rule.fired == 1


@pytest.fixture
def impatient(slow, monkeypatch):
    """The same with still less patience, for what never moves again."""
    monkeypatch.setattr(executors, 'SHUTDOWN_GRACE_S', 0.1)
    support.override(stall_timeout_s=STALL_TIMEOUT_S / 2)
    return slow


@each_library
def test_an_upload_that_hangs_is_a_stall(impatient):
    service, proxy, volume = impatient
    rule = proxy.inject('stall_upload', match='^PUT .*-00001',
                        after=SLOW_BYTES // 2)
    with pytest.raises(errors.Stalled):
        service.backup(str(volume))
    assert rule.fired == 1


@each_library
def test_an_upload_that_is_never_answered_is_a_stall(impatient):
    service, proxy, volume = impatient
    rule = proxy.inject('hang', match='^PUT .*-00001')
    with pytest.raises(errors.Stalled):
        service.backup(str(volume))
    assert rule.fired == 1
