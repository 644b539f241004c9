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

import pytest

from chunked_backup import errors
from chunked_backup.flow import monitor


def new_monitor(total=100, cancelled=lambda: None, **keywords):
    reports = []
    return monitor.Monitor(
        total, cancelled, lambda *report: reports.append(report),
        **keywords), reports


@pytest.fixture
def now_s(monkeypatch):
    """A clock that the test moves."""
    clock = [1000.0]
    monkeypatch.setattr(monitor.time, 'monotonic', lambda: clock[0])
    return clock


def test_progress_is_reported():
    watched, reports = new_monitor()
    watched.advance(30)
    watched.advance(12)
    watched.poll()
    assert reports == [(42, 100)]
    assert watched.tally.done_bytes == 42


def test_progress_never_exceeds_the_whole():
    watched, reports = new_monitor()
    watched.advance(130)
    watched.poll()
    assert reports == [(100, 100)]


def test_a_tick_asks_only_when_it_is_time(now_s):
    watched, reports = new_monitor()
    watched.tick()
    now_s[0] += monitor.POLL_INTERVAL_S / 2
    watched.tick()
    assert not reports
    now_s[0] += monitor.POLL_INTERVAL_S
    watched.tick()
    watched.tick()
    assert len(reports) == 1


def test_a_host_that_cancels_stops_coordinator_and_workers():
    watched, _ = new_monitor(
        cancelled=lambda: errors.BackupCancelled(backup_id='a backup'))
    watched.check()
    with pytest.raises(errors.BackupCancelled):
        watched.poll()
    with pytest.raises(errors.Cancelled):
        watched.check()


def test_a_job_that_has_ended_stops_its_workers():
    watched, _ = new_monitor()
    watched.stop()
    with pytest.raises(errors.Cancelled):
        watched.check()


def test_a_job_in_which_nothing_moves_ends(now_s):
    watched, _ = new_monitor(stall_timeout_s=10)
    watched.poll()
    now_s[0] += 11
    with pytest.raises(errors.Stalled, match='10'):
        watched.poll()
    assert watched.is_stopped()


@pytest.mark.parametrize('move', ['advance', 'check', 'activity'])
def test_whatever_moves_keeps_a_job_going(now_s, move):
    activity = [0]
    watched, _ = new_monitor(stall_timeout_s=10,
                             activity=lambda: activity[0])
    for _ in range(5):
        watched.poll()
        now_s[0] += 9
        if move == 'advance':
            watched.advance(1)
        elif move == 'check':
            watched.check()
        else:
            activity[0] += 1
    assert not watched.is_stopped()


def test_a_pause_ends_with_the_job():
    watched, _ = new_monitor()
    watched.pause(0)
    watched.stop()
    with pytest.raises(errors.Cancelled):
        watched.pause(3600)
