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
import queue
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec('Parameters')
Result = TypeVar('Result')
Item = TypeVar('Item')

_BREATH_S = 0.005


def is_patched() -> bool:
    """Whether threads are green in this process."""
    if 'eventlet' not in sys.modules:
        return False
    from eventlet import patcher
    return bool(patcher.is_monkey_patched('thread'))


def _module(name: str) -> Any:
    """A module of the standard library as nobody has patched it."""
    if not is_patched():
        return importlib.import_module(name)
    from eventlet import patcher
    return patcher.original(name)


def lock() -> threading.Lock:
    """A ``threading.Lock``."""
    made: threading.Lock = _module('threading').Lock()
    return made


def reentrant_lock() -> threading.RLock:
    """A ``threading.RLock``."""
    made: threading.RLock = _module('threading').RLock()
    return made


def event() -> threading.Event:
    """A ``threading.Event``."""
    made: threading.Event = _module('threading').Event()
    return made


def semaphore(value: int) -> threading.Semaphore:
    """A ``threading.Semaphore``."""
    made: threading.Semaphore = _module('threading').Semaphore(value)
    return made


def simple_queue() -> 'queue.SimpleQueue[Item]':
    """A ``queue.SimpleQueue``."""
    made: queue.SimpleQueue[Item] = _module('queue').SimpleQueue()
    return made


class Future(concurrent.futures.Future[Result]):
    """What will come of a function that runs on another thread.

    Worker threads wait by ``result()`` as usual, the coordinator by ``wait``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._condition = _module('threading').Condition()


def wait(future: Future[Any], timeout_s: float) -> bool:
    """Wait for a future as the coordinator, which may be a green thread.

    :returns: whether it is done.
    """
    if is_patched():
        return _hub().wait(future, timeout_s)
    with contextlib.suppress(TimeoutError,
                             concurrent.futures.CancelledError):
        future.exception(timeout_s)
    return future.done()


def wait_all(futures: Iterable[Future[Any]]) -> None:
    """Wait as a worker until all have ended, however they have."""
    for future in futures:
        with contextlib.suppress(concurrent.futures.CancelledError):
            future.exception()


def start(function: Callable[[], None], name: str,
          ended: Future[None]) -> None:
    """Run a function that never raises on a thread that no exit waits for.

    :param name: of the thread, for as long.
    :param ended: is done when the function has ended.
    """
    if is_patched():
        _hub()  # it belongs to the thread of the first coordinator
    _threads_of(os.getpid()).start(function, name, ended)


#: The thread itself, what it is to run, and what is done when it has.
_Order = tuple[threading.Thread, Callable[[], None], Future[None]]


class _Threads:
    """Threads, each kept for the next function when its own has ended.

    In a patched process the end of a thread is dear: greenlet then walks the
    whole heap, on the hub, to see who still knows the thread. In cinder-backup
    that came to 0.3 s of each backup, and to pauses of as long.
    """

    def __init__(self) -> None:
        self._idle: collections.deque[
            tuple[threading.Thread, queue.SimpleQueue[_Order]]] = (
                collections.deque())

    def start(self, function: Callable[[], None], name: str,
              ended: Future[None]) -> None:
        try:
            thread, orders = self._idle.pop()
            thread.name = name
        except IndexError:
            orders = simple_queue()
            thread = _module('threading').Thread(
                target=self._serve, args=(orders,), name=name, daemon=True)
            thread.start()
        orders.put((thread, function, ended))

    def _serve(self, orders: 'queue.SimpleQueue[_Order]') -> None:
        while True:
            thread, function, ended = orders.get()
            function()
            self._idle.append((thread, orders))
            ended.set_result(None)
            del function, ended  # nothing is kept while idle


def on_hub(function: Callable[Parameters, Result]
           ) -> Callable[Parameters, Result]:
    """Have a function that uses patched sockets run where they work.

    Nothing changes in a process that is not patched.
    """
    @functools.wraps(function)
    def call(*args: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        if not is_patched() or _hub().is_here():
            return function(*args, **keywords)
        future: Future[Result] = Future()
        _hub().post(functools.partial(
            _fulfil, future, functools.partial(function, *args, **keywords)))
        return future.result()

    return call


def breathe() -> None:
    """Let other green threads run, where this is one that has not let them
    for a while; a network that is never slow would let none."""
    if is_patched() and _hub().is_here():
        _hub().breathe()


def _fulfil(future: Future[Result], function: Callable[[], Result]) -> None:
    try:
        future.set_result(function())
    except BaseException as exc:  # the worker that waits raises it
        future.set_exception(exc)


class _Hub:
    """The hub of the thread that made it, reachable from any thread."""

    def __init__(self) -> None:
        import eventlet
        self._thread_id: int = _module('threading').get_ident()
        self._posted: collections.deque[Callable[[], None]] = (
            collections.deque())
        # Not a pipe: eventlet patches what reads and writes those.
        self._breathed_s = 0.0
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        eventlet.spawn(self._serve)

    def is_here(self) -> bool:
        """Whether the caller runs in the hub's own thread."""
        here: int = _module('threading').get_ident()
        return here == self._thread_id

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

    def wait(self, future: Future[Any], timeout_s: float) -> bool:
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
