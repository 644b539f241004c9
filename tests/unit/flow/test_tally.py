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

import threading

import pytest

from chunked_backup.flow import tally


@pytest.fixture
def now_s(monkeypatch):
    """A clock that the test moves."""
    clock = [1000.0]
    monkeypatch.setattr(tally.time, 'monotonic', lambda: clock[0])
    return clock


def test_nothing_is_lost_between_threads():
    counted = tally.Tally()

    def work():
        for _ in range(2000):
            counted.advance(1)
            counted.wrote(2)
            counted.read(3)
            counted.retried()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (counted.done_bytes, counted.written_bytes, counted.read_bytes,
            counted.retries) == (16000, 32000, 48000, 16000)


def test_a_stage_lasts_until_the_next(now_s):
    counted = tally.Tally()
    for wait_s, stage in ((1, 'store'), (2, 'commit'), (4, 'store'),
                          (8, 'end')):
        now_s[0] += wait_s
        counted.enter(stage)

    assert counted.stages == {'prepare': 1, 'store': 2 + 8, 'commit': 4}
    assert counted.elapsed_s == 15
