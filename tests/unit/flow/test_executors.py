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
import threading

import pytest

from chunked_backup import errors
from chunked_backup.flow import executors

MODES = ('serial', 'threads')


def nothing():
    pass


def nothing_with(item):
    pass


@pytest.mark.parametrize('mode', MODES)
def test_a_result_comes_back(mode):
    with executors.open_workers(mode, 2) as workers:
        for executor in (workers.io, workers.cpu):
            future = executor.submit(pow, 2, 5)
            assert executor.result(future, nothing) == 32


@pytest.mark.parametrize('mode', MODES)
def test_an_error_comes_back(mode):
    with executors.open_workers(mode, 2) as workers:
        future = workers.io.submit(int, 'no number')
        with pytest.raises(ValueError, match='no number'):
            workers.io.result(future, nothing)


@pytest.mark.parametrize('mode', MODES)
def test_the_coordinator_ticks_while_it_waits_and_its_error_ends_it(mode):
    def tick():
        raise errors.Cancelled()

    with executors.open_workers(mode, 2) as workers:
        future = workers.io.submit(nothing)
        with pytest.raises(errors.Cancelled):
            workers.io.result(future, tick)


def test_the_coordinator_ticks_until_the_result_is_there():
    go_on = threading.Event()
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 2:
            go_on.set()

    with executors.open_workers('threads', 1) as workers:
        future = workers.io.submit(go_on.wait, 60)
        assert workers.io.result(future, tick)
    assert len(ticks) >= 2


def test_serial_runs_in_the_caller_and_threads_do_not():
    names = {}
    for mode in MODES:
        with executors.open_workers(mode, 1) as workers:
            names[mode] = workers.io.submit(
                threading.get_ident).result()
    assert names['serial'] == threading.get_ident() != names['threads']


def test_io_may_wait_for_cpu_with_one_thread_each():
    with executors.open_workers('threads', 1) as workers:
        future = workers.io.submit(
            lambda: workers.cpu.submit(pow, 3, 2).result())
        assert workers.io.result(future, nothing) == 9


def test_the_workers_are_left_when_nothing_runs_any_more():
    started, go_on = threading.Event(), threading.Event()
    done = []

    def first():
        started.set()
        go_on.wait(60)
        done.append('first')

    with executors.open_workers('threads', 1) as workers:
        workers.io.submit(first)
        second = workers.io.submit(done.append, 'second')
        started.wait(60)
        threading.Thread(target=go_on.set).start()
    assert done[:1] == ['first']
    assert second.cancelled() or done == ['first', 'second']


def test_a_function_that_hangs_is_left_behind():
    started, go_on = threading.Event(), threading.Event()
    executor = executors.ThreadExecutor(1, 'a name')
    hanging = executor.submit(lambda: started.set() or go_on.wait(60))
    waiting = executor.submit(pow, 2, 3)
    started.wait(60)
    executor.shutdown(grace_s=0)
    assert waiting.cancelled() and not hanging.done()
    go_on.set()
    assert hanging.result(60)


def test_whoever_waits_for_what_will_not_begin_is_told():
    started, go_on = threading.Event(), threading.Event()
    executor = executors.ThreadExecutor(1, 'a name')
    executor.submit(lambda: started.set() or go_on.wait(60))
    waiting = executor.submit(pow, 2, 3)
    started.wait(60)
    try:
        executor.shutdown(grace_s=0)
        done, _ = concurrent.futures.wait([waiting], timeout=60)
        assert done == {waiting}
        with pytest.raises(errors.Cancelled):
            executor.submit(pow, 2, 3)
    finally:
        go_on.set()


def test_threads_are_started_as_they_are_needed():
    executor = executors.ThreadExecutor(8, 'a name')
    for _ in range(20):
        executor.submit(nothing).result()
    assert len(executor._threads) < 8
    go_on = threading.Event()
    futures = [executor.submit(go_on.wait, 60) for _ in range(20)]
    assert len(executor._threads) == 8
    go_on.set()
    assert all(future.result(60) for future in futures)
    executor.shutdown()


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('count', (0, 1, 40))
def test_all_items_are_run_and_each_once(mode, count):
    done = []
    with executors.open_workers(mode, 3) as workers:
        workers.io.run_all(done.append, iter(range(count)), nothing)
    assert sorted(done) == list(range(count))


def test_a_thread_that_is_held_up_holds_up_no_item():
    go_on = threading.Event()
    done = []

    def work(number):
        if number == 0:
            go_on.wait(60)
        done.append(number)
        if number == 5:
            go_on.set()

    with executors.open_workers('threads', 2) as workers:
        workers.io.run_all(work, range(6), nothing)
    assert done == [1, 2, 3, 4, 5, 0]


def test_no_more_items_are_drawn_than_threads_work_on():
    go_on = threading.Event()
    drawn = []

    def items():
        for number in range(20):
            drawn.append(number)
            yield number

    def tick():
        seen.append(len(drawn))
        if len(seen) == 4:
            go_on.set()

    seen = []
    with executors.open_workers('threads', 2) as workers:
        workers.io.run_all(lambda _: go_on.wait(60), items(), tick)
    assert max(seen[:4]) == 2 and len(drawn) == 20


@pytest.mark.parametrize('mode', MODES)
def test_after_an_error_no_item_is_begun(mode):
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise ValueError('the third')

    with executors.open_workers(mode, 1) as workers:
        with pytest.raises(ValueError, match='the third'):
            workers.io.run_all(work, range(20), nothing)
    assert begun == [0, 1, 2, 3]


@pytest.mark.parametrize('mode', MODES)
def test_an_error_of_the_items_themselves_comes_back(mode):
    def items():
        yield 1
        raise ValueError('no more of them')

    with executors.open_workers(mode, 2) as workers:
        with pytest.raises(ValueError, match='no more of them'):
            workers.io.run_all(nothing_with, items(), nothing)


def test_who_meets_an_error_ends_it_for_the_others():
    begun = []

    def work(number):
        begun.append(number)
        raise ValueError('the first')

    share = executors._Share(work, range(20))
    with pytest.raises(ValueError, match='the first'):
        share.work()
    share.work()
    assert begun == [0]


def test_an_error_does_not_wait_for_those_who_wait():
    go_on = threading.Event()

    def work(number):
        if number == 0:
            go_on.wait(60)
        elif number == 1:
            raise ValueError('at once')

    with executors.open_workers('threads', 2) as workers:
        try:
            with pytest.raises(ValueError, match='at once'):
                workers.io.run_all(work, range(6), nothing)
            assert not go_on.is_set()
        finally:
            go_on.set()


@pytest.mark.parametrize('mode', MODES)
def test_after_an_error_of_the_tick_no_item_is_begun(mode):
    begun = []
    first = threading.Event()

    def work(number):
        begun.append(number)
        first.wait(60)

    def tick():
        raise errors.Cancelled()

    with executors.open_workers(mode, 1) as workers:
        try:
            with pytest.raises(errors.Cancelled):
                workers.io.run_all(work, range(20), tick)
        finally:
            first.set()
    assert len(begun) <= 1


@pytest.mark.parametrize('mode', MODES)
def test_run_one_gives_the_result_or_the_error(mode):
    assert executors.run_one(mode, nothing, pow, 2, 5) == 32
    with pytest.raises(ValueError, match='no number'):
        executors.run_one(mode, nothing, int, 'no number')


def test_run_one_leaves_a_function_behind_when_the_tick_says_so():
    go_on = threading.Event()

    def tick():
        raise errors.Cancelled()

    try:
        with pytest.raises(errors.Cancelled):
            executors.run_one('threads', tick, go_on.wait, 60)
    finally:
        go_on.set()


def test_an_unknown_executor_is_refused():
    with pytest.raises(errors.ConfigurationError, match='fibers'):
        with executors.open_workers('fibers', 1):
            pass


def test_there_is_a_processor():
    assert executors.available_cpus() >= 1
