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

"""Real threads in a process that eventlet has patched, each in a process of
its own, and in one that it has not."""

import subprocess
import sys
import textwrap
import threading

from chunked_backup.flow import native
from chunked_backup.flow.executors import ThreadExecutor

_PREAMBLE = """
import warnings
warnings.simplefilter('ignore')
import eventlet
eventlet.monkey_patch()
import hashlib, threading, time
from eventlet import patcher
from chunked_backup.flow import native
from chunked_backup.flow.executors import ThreadExecutor, open_workers
from chunked_backup.flow.executors import run_one
real = patcher.original('threading')
"""


def run_patched(program):
    """What a program prints that begins as Cinder's services do."""
    done = subprocess.run(
        [sys.executable, '-c', _PREAMBLE + textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_patched_process_is_known_as_one():
    assert not native.is_patched()
    assert run_patched('print(native.is_patched())') == ['True']


def test_functions_run_on_real_threads_of_a_patched_process():
    here, one, same = run_patched("""
        executor = ThreadExecutor(1, 'test')
        first = executor.submit(real.get_ident)
        second = executor.submit(real.get_ident)
        print(real.get_ident(), executor.result(first, lambda: None),
              executor.result(second, lambda: None))
    """)
    assert here != one == same


def test_the_hub_goes_on_while_a_coordinator_waits():
    program = """
        turns = []
        def turn():
            while True:
                turns.append(None)
                time.sleep(0.001)
        eventlet.spawn(turn)
        hold = native.event()
        def release():
            time.sleep(0.2)
            hold.set()
        eventlet.spawn(release)
        # The worker blocks its native thread until a green thread lets it go.
        print(run_one('threads', lambda: None, hold.wait), len(turns) > 5)
    """
    assert run_patched(program) == ['True', 'True']


def test_errors_come_back_from_the_hub_and_from_workers():
    program = """
        @native.on_hub
        def fail():
            raise LookupError('no')
        try:
            run_one('threads', lambda: None, fail)
        except LookupError as exc:
            print(exc)
    """
    assert run_patched(program) == ['no']


def test_what_is_marked_runs_in_the_thread_of_the_hub():
    hub, worker, marked, direct = run_patched("""
        marked = native.on_hub(real.get_ident)
        print(real.get_ident(), run_one('threads', lambda: None,
                                        real.get_ident),
              run_one('threads', lambda: None, marked), marked())
    """)
    assert hub == marked == direct != worker


def test_green_locks_are_shared_by_what_is_marked():
    # Between native threads a green lock that is fought for never opens.
    program = """
        lock = threading.Lock()
        busy = []
        @native.on_hub
        def fight():
            with lock:
                busy.append(len(busy))
                time.sleep(0.005)
        with open_workers('threads', 4) as workers:
            futures = [workers.io.submit(fight) for _ in range(20)]
            for future in futures:
                workers.io.result(future, lambda: None)
        print(len(busy))
    """
    assert run_patched(program) == ['20']


def test_a_tick_ends_the_wait_for_a_worker_that_hangs():
    program = """
        ticks = []
        def tick():
            ticks.append(None)
            if len(ticks) == 3:
                raise KeyError('enough')
        try:
            run_one('threads', tick, native.event().wait)
        except KeyError as exc:
            print(exc.args[0])
    """
    assert run_patched(program) == ['enough']


def test_the_end_of_a_job_waits_for_its_threads():
    program = """
        begun, hold, ended = native.event(), native.event(), []
        def work():
            begun.set()
            hold.wait()
            ended.append(None)
        def release():
            time.sleep(0.1)
            hold.set()
        executor = ThreadExecutor(1, 'test')
        executor.submit(work)
        begun.wait()
        eventlet.spawn(release)
        executor.shutdown(grace_s=30)
        print(len(ended))
    """
    assert run_patched(program) == ['1']


def test_the_threads_of_a_job_are_kept_for_the_next():
    # When one ends, greenlet walks all of the heap on the hub.
    program = """
        threads = set()
        for _ in range(5):
            executor = ThreadExecutor(1, 'test')
            future = executor.submit(real.get_native_id)
            threads.add(executor.result(future, lambda: None))
            executor.shutdown(grace_s=30)
        print(len(threads))
    """
    assert run_patched(program) == ['1']


def test_a_process_has_no_use_for_the_threads_of_its_parent():
    program = """
        import os
        def native_id():
            return run_one('threads', lambda: None, real.get_native_id)
        native_id()
        child = os.fork()
        if not child:
            native_id()
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    """
    assert run_patched(program) == ['0']


def test_nothing_imports_eventlet_in_a_process_without_it():
    program = ('import sys\n'
               'from chunked_backup.flow.executors import run_one\n'
               'print(run_one("threads", lambda: None, str, 1))\n'
               'print("eventlet" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', program], check=True,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ['1', 'False']


def test_without_eventlet_what_is_marked_runs_where_it_is_called():
    executor = ThreadExecutor(1, 'test')
    marked = native.on_hub(threading.get_ident)
    assert executor.submit(marked).result() != marked()
    executor.shutdown()
