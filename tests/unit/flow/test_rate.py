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
from chunked_backup.flow import rate


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when somebody waits."""
    class Clock:
        now_s = 100.0

        def monotonic(self):
            return self.now_s

        def pause(self, wait_s):
            self.now_s += wait_s

    clock = Clock()
    monkeypatch.setattr(rate, 'time', clock)
    return clock


def test_what_is_moved_takes_its_time(clock):
    limit = rate.RateLimit(1000, clock.pause)
    for _ in range(50):
        limit.spend(100)
    assert clock.now_s == pytest.approx(105)


def test_small_and_large_pieces_come_to_the_same(clock):
    limit = rate.RateLimit(1000, clock.pause)
    for count in (1, 7000, 999, 2000):
        limit.spend(count)
    assert clock.now_s == pytest.approx(110)


def test_of_idle_time_a_second_is_saved(clock):
    limit = rate.RateLimit(1000, clock.pause)
    clock.now_s += 3600
    limit.spend(1000)
    assert clock.now_s == pytest.approx(3700)
    limit.spend(500)
    assert clock.now_s == pytest.approx(3700.5)


def test_without_a_rate_nobody_waits(clock):
    rate.RateLimit(0, clock.pause).spend(1 << 40)
    assert clock.now_s == 100


def test_the_end_of_the_job_ends_the_wait():
    def pause(wait_s):
        raise errors.Cancelled()

    with pytest.raises(errors.Cancelled):
        rate.RateLimit(1, pause).spend(10)
