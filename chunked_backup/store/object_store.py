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
"""One container of a driver, with what every use of it needs around it."""

import contextlib
import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.flow.rate import UNLIMITED
from chunked_backup.flow.rate import RateLimit
from chunked_backup.model import Unfinished
from chunked_backup.store.reader import Reader
from chunked_backup.store.retry import RetryPolicy
from chunked_backup.store.seam import ObjectWriter
from chunked_backup.store.seam import StoreDriver

Result = TypeVar('Result')

_OpenWriter = Callable[..., contextlib.AbstractContextManager[ObjectWriter]]

_DELETE_AT_ONCE = 100
_PIECE_BYTES = 1 << 20


class ObjectStore:
    """Reads and writes whole objects of one container, patiently.

    Every call is tried again while the driver says that the store fails only
    for now.

    :param driver: a ``ChunkedBackupDriver``; it has the retry policy.
    :param extra_metadata: what the driver's ``get_extra_metadata`` gave for
        a backup; handed back to it with every data object.
    :param sleep: waits between two tries; see ``RetryPolicy``.
    :param limit: what is written and read counts against it.
    :param is_work: what is read shows that a job gets on. The records that a
        host looks at while it waits show nothing.
    """

    def __init__(self, driver: StoreDriver, container: str,
                 extra_metadata: Any = None,
                 sleep: Callable[[float], None] = time.sleep,
                 limit: RateLimit = UNLIMITED,
                 is_work: bool = False) -> None:
        self.driver = driver
        self.container = container
        self.extra_metadata = extra_metadata
        self.read_bytes = 0
        self._sleep = sleep
        self._limit = limit
        self._is_work = is_work
        self._policy = RetryPolicy(driver.retry_attempts,
                                   driver.retry_wait_s, sleep,
                                   lambda: driver.tally.retried())
        self._lock = native.lock()

    def with_extra_metadata(self, extra_metadata: Any) -> 'ObjectStore':
        """The same container, for data objects."""
        return ObjectStore(self.driver, self.container, extra_metadata,
                           self._sleep, self._limit, self._is_work)

    def create(self) -> None:
        """Have the container."""
        self._policy.call(functools.partial(self.driver.put_container,
                                            self.container))

    def put(self, name: str, produce: Callable[['Writer'], Result]) -> Result:
        """Store one object.

        :param produce: writes all of it. It is called again for each new
            try, so it has to begin anew each time.
        :returns: what ``produce`` has returned.
        """
        return self._policy.call(functools.partial(
            self._write, self.driver.get_object_writer, name, produce))

    def commit(self, name: str, produce: Callable[['Writer'], str]) -> str:
        """Store one object that nobody else may have stored.

        What a new try finds there, and what is just what a try before has
        written, was stored by that: only its answer was lost.

        :param produce: as for ``put``; returns the sha256 of all of it.
        :returns: the sha256.
        :raises ObjectExists: somebody else has, and the store can tell.
        """
        written: str | None = None

        def once() -> str:
            before = written
            try:
                return self._write(self.driver.get_exclusive_writer, name,
                                   remembered)
            except errors.ObjectExists:
                if before is None or before != self._sha256(name):
                    raise
                return before

        def remembered(writer: 'Writer') -> str:
            nonlocal written
            written = produce(writer)
            return written

        return self._policy.call(once)

    def _write(self, open_writer: _OpenWriter, name: str,
               produce: Callable[['Writer'], Result]) -> Result:
        with open_writer(self.container, name,
                         extra_metadata=self.extra_metadata) as inner:
            return produce(Writer(inner, self.driver.takes_memoryviews,
                                  self._limit, self.driver.tally.wrote))

    def _sha256(self, name: str) -> str:
        sha256 = hashlib.sha256()
        with self.reader(name) as reader:
            while data := reader.read(_PIECE_BYTES):
                sha256.update(data)
        return sha256.hexdigest()

    def put_bytes(self, name: str, data: bytes | memoryview) -> None:
        """Store one object that is in memory."""
        self.put(name, lambda writer: writer.write(data))

    @contextlib.contextmanager
    def reader(self, name: str, start: int = 0,
               length: int | None = None) -> Iterator[Reader]:
        """A stored object, or a part of it.

        :param length: of the part; None for all of the object.
        :raises ObjectNotFound: there is none.
        """
        opened = functools.partial(self.driver.get_object_reader,
                                   self.container, name)
        if length is not None:
            opened = functools.partial(self.driver.get_range_reader,
                                       self.container, name, start, length)
        reader = Reader(functools.partial(
            opened, extra_metadata=self.extra_metadata), self._policy,
            self._moved)
        reader.open()
        try:
            yield reader
        finally:
            reader.close()
            with self._lock:
                self.read_bytes += reader.read_bytes

    def _moved(self, count: int) -> None:
        # Of digest tables, which may be long, no job sees more than this.
        if self._is_work:
            self.driver.activity += count
        self.driver.tally.read(count)
        self._limit.spend(count)

    def names(self, prefix: str) -> list[str]:
        """The names that begin with ``prefix``, in no order.

        :raises ContainerNotFound: there is no such container.
        """
        def once() -> list[str]:
            return [name for name in self.driver.get_container_entries(
                self.container, prefix) if name.startswith(prefix)]

        return self._policy.call(once)

    def missing(self, names: Iterable[str], prefix: str) -> frozenset[str]:
        """Those of the names that no object has.

        :param prefix: what all of them begin with. What a listing of it does
            not show is asked for by itself, as a listing may lag.
        """
        unlisted = set(names).difference(self.names(prefix))
        return frozenset(name for name in unlisted if not self.exists(name))

    def exists(self, name: str) -> bool:
        """Whether there is such an object; asked of the object itself, as a
        listing may lag."""
        try:
            with self.reader(name) as reader:
                reader.read(1)
            return True
        except (errors.ObjectNotFound, errors.ContainerNotFound,
                errors.InvalidName):
            return False

    def ages(self, prefix: str) -> dict[str, float] | None:
        """Name -> age in seconds; see ``get_object_ages`` of a driver."""
        return self._policy.call(functools.partial(
            self.driver.get_object_ages, self.container, prefix))

    def unfinished(self) -> list[Unfinished]:
        """What broken-off writes have left; see ``get_unfinished``."""
        return self._policy.call(lambda: list(
            self.driver.get_unfinished(self.container)))

    def discard_unfinished(self, unfinished: Unfinished) -> None:
        """Remove one of these."""
        self._policy.call(functools.partial(
            self.driver.discard_unfinished, self.container, unfinished))

    def discard(self) -> None:
        """Tidy up after a backup was deleted; see ``discard_container``."""
        with contextlib.suppress(errors.InvalidName):  # there is no such one
            self._policy.call(functools.partial(
                self.driver.discard_container, self.container))

    def delete(self, names: Iterable[str],
               progress: Callable[[], None] = lambda: None) -> None:
        """Have no objects of those names.

        :param progress: called again and again.
        """
        names = list(names)
        for first in range(0, len(names), _DELETE_AT_ONCE):
            progress()
            self._policy.call(functools.partial(
                self.driver.delete_objects, self.container,
                names[first:first + _DELETE_AT_ONCE]))


class Writer:
    """A driver's writer; counts, and copies for drivers that keep views.

    :param takes_memoryviews: the driver's promise to keep no buffer after
        ``write``. Without it each piece is copied (0.1 ms for 1 MiB), because
        the buffers of a job are used again.
    :param wrote: told each time how many bytes were written.
    """

    def __init__(self, inner: ObjectWriter, takes_memoryviews: bool,
                 limit: RateLimit = UNLIMITED,
                 wrote: Callable[[int], None] = lambda count: None) -> None:
        self._inner = inner
        self._wrote = wrote
        self._limit = limit
        self._takes_memoryviews = takes_memoryviews
        self.written_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``; waits as long as the limit asks for.

        :raises DriverError: the store has failed.
        :raises Cancelled: the job has ended meanwhile.
        """
        if not len(data):
            return
        if not self._takes_memoryviews:
            data = bytes(data)
        self._inner.write(cast(bytes, data))
        self.written_bytes += len(data)
        self._wrote(len(data))
        self._limit.spend(len(data))
