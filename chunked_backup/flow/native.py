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

"""Real threads, in a process that eventlet has patched, too.

Cinder 29 runs its backup service on eventlet unless told otherwise. Then
``threading`` makes green threads, all of which share one native thread, the
hub's: whoever computes or waits for a disk there stalls the whole service.
So the package takes threads, locks and queues from here; they are the
interpreter's own, whatever has been patched.

The other way round, a library that talks over sockets has been patched, too,
and its green locks do not work between native threads (eventlet issue 432).
A driver of such a library marks its functions ``on_hub``: called by a
worker, they run as green threads of the hub, where they wait for the network
without stalling anybody.

eventlet is imported here alone, and only if somebody has patched with it.
"""

import collections
import concurrent.futures
import contextlib
import functools
import importlib
import os
import sys
import time
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any, TypeVar

Result = TypeVar('Result')

_BREATH_S = 0.005


def is_patched() -> bool:
    """Whether threads are green in this process."""
    if 'eventlet' not in sys.modules:
        return False
    from eventlet import patcher
    return patcher.is_monkey_patched('thread')


def _module(name: str) -> Any:
    """A module of the standard library as nobody has patched it."""
    if not is_patched():
        return importlib.import_module(name)
    from eventlet import patcher
    return patcher.original(name)


def lock() -> Any:
    """A ``threading.Lock``."""
    return _module('threading').Lock()


def reentrant_lock() -> Any:
    """A ``threading.RLock``."""
    return _module('threading').RLock()


def event() -> Any:
    """A ``threading.Event``."""
    return _module('threading').Event()


def semaphore(value: int) -> Any:
    """A ``threading.Semaphore``."""
    return _module('threading').Semaphore(value)


def simple_queue() -> Any:
    """A ``queue.SimpleQueue``."""
    return _module('queue').SimpleQueue()


class Future(concurrent.futures.Future):
    """What will come of a function that runs on another thread.

    Worker threads wait by ``result()`` as usual, the coordinator by ``wait``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._condition = _module('threading').Condition()


def wait(future: Future, timeout_s: float) -> bool:
    """Wait for a future as the coordinator, which may be a green thread.

    :returns: whether it is done.
    """
    if is_patched():
        return _hub().wait(future, timeout_s)
    with contextlib.suppress(TimeoutError,
                             concurrent.futures.CancelledError):
        future.exception(timeout_s)
    return future.done()


def wait_all(futures: Iterable[Future]) -> None:
    """Wait as a worker until all have ended, however they have."""
    for future in futures:
        with contextlib.suppress(concurrent.futures.CancelledError):
            future.exception()


def start(function: Callable[[], None], name: str, ended: Future) -> None:
    """Run a function that never raises on a thread that no exit waits for.

    :param name: of the thread, for as long.
    :param ended: is done when the function has ended.
    """
    if is_patched():
        _hub()  # it belongs to the thread of the first coordinator
    _threads_of(os.getpid()).start(function, name, ended)


class _Threads:
    """Threads, each kept for the next function when its own has ended.

    In a patched process the end of a thread is dear: greenlet then walks the
    whole heap, on the hub, to see who still knows the thread. In cinder-backup
    that came to 0.3 s of each backup, and to pauses of as long.
    """

    def __init__(self) -> None:
        self._idle: collections.deque = collections.deque()

    def start(self, function: Callable[[], None], name: str,
              ended: Future) -> None:
        try:
            thread, orders = self._idle.pop()
            thread.name = name
        except IndexError:
            orders = simple_queue()
            thread = _module('threading').Thread(
                target=self._serve, args=(orders,), name=name, daemon=True)
            thread.start()
        orders.put((thread, function, ended))

    def _serve(self, orders: Any) -> None:
        while True:
            thread, function, ended = orders.get()
            function()
            self._idle.append((thread, orders))
            ended.set_result(None)
            del function, ended  # nothing is kept while idle


def on_hub(function: Callable[..., Result]) -> Callable[..., Result]:
    """Have a function that uses patched sockets run where they work.

    Nothing changes in a process that is not patched.
    """
    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Result:
        if not is_patched() or _hub().is_here():
            return function(*args, **keywords)
        future = Future()
        _hub().post(functools.partial(_fulfil, future, function, args,
                                      keywords))
        return future.result()

    return call


def breathe() -> None:
    """Let other green threads run, where this is one that has not let them
    for a while; a network that is never slow would let none."""
    if is_patched() and _hub().is_here():
        _hub().breathe()


def _fulfil(future: Future, function: Callable, args: tuple,
            keywords: dict[str, Any]) -> None:
    try:
        future.set_result(function(*args, **keywords))
    except BaseException as exc:  # the worker that waits raises it
        future.set_exception(exc)


class _Hub:
    """The hub of the thread that made it, reachable from any thread."""

    def __init__(self) -> None:
        import eventlet
        self._thread_id = _module('threading').get_ident()
        self._posted: collections.deque = collections.deque()
        # Not a pipe: eventlet patches what reads and writes those.
        self._breathed_s = 0.0
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        eventlet.spawn(self._serve)

    def is_here(self) -> bool:
        """Whether the caller runs in the hub's own thread."""
        return _module('threading').get_ident() == self._thread_id

    def breathe(self) -> None:
        """Let others run at least every few milliseconds."""
        import eventlet
        if time.monotonic() - self._breathed_s > _BREATH_S:
            eventlet.sleep(0)
            self._breathed_s = time.monotonic()

    def post(self, function: Callable[[], None]) -> None:
        """Have a function run in a green thread, soon."""
        self._posted.append(function)
        os.eventfd_write(self._bell, 1)

    def wait(self, future: Future, timeout_s: float) -> bool:
        """Wait for a future without keeping the hub from its work."""
        import eventlet
        done = eventlet.Event()
        future.add_done_callback(
            lambda _: self.post(functools.partial(_send, done)))
        done.wait(timeout_s)
        return future.done()

    def _serve(self) -> None:
        import eventlet
        from eventlet import hubs
        while True:
            hubs.trampoline(self._bell, read=True)
            os.eventfd_read(self._bell)
            while self._posted:
                eventlet.spawn_n(self._posted.popleft())


def _send(event: Any) -> None:
    if not event.ready():
        event.send()


@functools.lru_cache(maxsize=1)
def _threads_of(process_id: int) -> _Threads:
    return _Threads()


@functools.lru_cache(maxsize=1)
def _hub_of(process_id: int) -> _Hub:
    return _Hub()


def _hub() -> _Hub:
    """The hub that the jobs of this process wait on."""
    return _hub_of(os.getpid())
