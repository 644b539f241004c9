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

"""What a check works with: a driver, data, and names of its own."""

import concurrent.futures
import contextlib
import functools
import hashlib
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any

from chunked_backup import errors
from chunked_backup.store.retry import RetryPolicy

THREADS = 8
LARGE_BYTES = (5 << 20) + 7  # more than the least part of S3's uploads
PIECE_BYTES = 1 << 20


class Deliberate(Exception):
    """What a check leaves a writer by."""


class Scratch:
    """A driver, a container, and names that nobody else uses.

    A store that fails for now is asked again, as a backup asks it: to be busy
    breaks no promise.

    :param driver: the driver to check.
    :param container: one that may be written to; None for the one that the
        driver would give to a backup.
    """

    def __init__(self, driver: Any, container: str | None = None) -> None:
        self.driver = driver
        backup = new_backup()
        self.container = container or (
            driver.update_container_name(backup, None)
            or driver.backup_default_container)
        self.prefix = driver._generate_object_name_prefix(backup)
        self._policy = RetryPolicy(driver.retry_attempts, driver.retry_wait_s)

    def name(self, ending: str) -> str:
        """The name of an object that belongs to this check."""
        return f'{self.prefix}{ending}'

    def write(self, name: str, data: Any, *more: Any) -> None:
        """Store an object of one or more pieces."""
        def write() -> None:
            with self.driver.get_object_writer(self.container,
                                               name) as writer:
                for piece in (data, *more):
                    writer.write(piece)

        self._policy.call(write)

    def read(self, name: str) -> bytes:
        """All of an object."""
        def read() -> bytes:
            with self.driver.get_object_reader(self.container,
                                               name) as reader:
                return bytes(reader.read())

        return self._policy.call(read)

    def names(self, prefix: str | None = None) -> list[str]:
        """A sorted listing; of everything of this check unless told."""
        if prefix is None:
            prefix = self.prefix
        return self._policy.call(lambda: sorted(
            self.driver.get_container_entries(self.container, prefix)))

    def delete(self, name: str) -> None:
        """Have no object of that name."""
        self._policy.call(
            lambda: self.driver.delete_object(self.container, name))

    def delete_several(self, names: list[str]) -> None:
        """Have no objects of those names."""
        self._policy.call(
            lambda: self.driver.delete_objects(self.container, names))

    def clean(self) -> None:
        """Leave nothing of this check."""
        with contextlib.suppress(errors.ContainerNotFound,
                                 errors.RepositoryNotFound):
            names = self.names()
            with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(self.delete_several, (
                    names[number::THREADS] for number in range(THREADS))))
            self.driver.discard_container(self.container)


def new_backup(**fields: Any) -> Any:
    """What a driver may look at of a backup, with a new id."""
    values: dict[str, Any] = {
        'id': str(uuid.uuid4()), 'volume_id': str(uuid.uuid4()),
        'parent_id': None, 'container': None, 'availability_zone': None}
    return types.SimpleNamespace(**(values | fields))


def in_threads(work: Callable[[int], None]) -> None:
    """Do ``work`` with 0, 1, ... in as many threads, begun together."""
    together = threading.Barrier(THREADS)

    def run(number: int) -> None:
        together.wait()
        work(number)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run, number)
                       for number in range(THREADS)]:
            future.result()


@functools.cache
def noise(count: int) -> bytes:
    """Bytes without a pattern, the same ones every time."""
    return hashlib.shake_256(b'contract').digest(count)
