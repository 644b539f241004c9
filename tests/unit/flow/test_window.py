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

from chunked_backup.flow import executors
from chunked_backup.flow.window import ordered


def nothing():
    pass


@pytest.mark.parametrize('mode', ('serial', 'threads'))
@pytest.mark.parametrize('limit', (1, 2, 50))
def test_results_come_in_the_order_of_the_items(mode, limit):
    with executors.open_workers(mode, 3) as workers:
        found = list(ordered(workers.io, pow,
                             ((number, 2) for number in range(40)), limit,
                             nothing))
    assert found == [number ** 2 for number in range(40)]


def test_a_slow_first_item_does_not_lose_its_place():
    go_on = threading.Event()

    def work(number):
        if number == 0:
            go_on.wait(60)
        else:
            go_on.set()
        return number

    with executors.open_workers('threads', 2) as workers:
        found = list(ordered(workers.io, work,
                             ((number,) for number in range(6)), 4, nothing))
    assert found == list(range(6))


@pytest.mark.parametrize('limit', (1, 3))
def test_no_more_items_are_drawn_than_there_is_room_for(limit):
    go_on = threading.Event()
    drawn = []

    def items():
        for number in range(20):
            drawn.append(number)
            yield (60,)

    with executors.open_workers('threads', 2) as workers:
        found = ordered(workers.io, go_on.wait, items(), limit,
                        lambda: go_on.set() if len(drawn) > limit else None)
        next(found)
        # One item waits for the room that the first result has left.
        assert len(drawn) == limit + 1


@pytest.mark.parametrize('mode', ('serial', 'threads'))
def test_the_first_error_in_order_ends_the_stream(mode):
    with executors.open_workers(mode, 2) as workers:
        found = ordered(workers.io, int,
                        (('1',), ('2',), ('three',), ('four',)), 4, nothing)
        assert [next(found), next(found)] == [1, 2]
        with pytest.raises(ValueError, match='three'):
            next(found)
        assert list(found) == []


def test_no_items_give_no_results():
    with executors.open_workers('serial', 1) as workers:
        assert list(ordered(workers.io, pow, [], 1, nothing)) == []
