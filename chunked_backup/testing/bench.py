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
"""How fast a store is, by size of object and number of threads.

Figures, not promises: they tell which chunk size and parallelism suit a
store. Everything stored is deleted again.
"""

import concurrent.futures
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from chunked_backup.testing.contract import Scratch

SIZES_BYTES = (4 << 10, 256 << 10, 4 << 20, 32 << 20)
THREADS = (1, 4, 8)

_PIECE_BYTES = 1 << 20
_MOST_BYTES = 256 << 20
_MOST_OBJECTS = 128


class Figure(NamedTuple):
    """:param verb: put, get, list or delete.
    :param object_bytes: the size of each object.
    :param object_count: how many were moved; ``elapsed_s`` is for all.
    """

    verb: str
    object_bytes: int
    threads: int
    object_count: int
    elapsed_s: float

    @property
    def objects_per_s(self) -> float:
        """How many objects were moved in a second."""
        return self.object_count / self.elapsed_s

    @property
    def bytes_per_s(self) -> float:
        """How many bytes were moved in a second."""
        return self.object_count * self.object_bytes / self.elapsed_s


class Suggestion(NamedTuple):
    """:param object_bytes: the least size with nearly the best throughput.
    :param threads: the least number with nearly the best throughput.
    """

    object_bytes: int
    threads: int
    bytes_per_s: float


def measure(driver: Any, sizes_bytes: Sequence[int] = SIZES_BYTES,
            threads: Sequence[int] = THREADS) -> Iterator[Figure]:
    """Put, list, get and delete objects of each size with each number of
    threads."""
    for size_bytes in sizes_bytes:
        for count in threads:
            yield from _measure_one(driver, size_bytes, count)


def suggest(figures: Sequence[Figure]) -> Suggestion:
    """Where more would gain less than a tenth."""
    puts = [figure for figure in figures if figure.verb == 'put']
    best = max(figure.bytes_per_s for figure in puts)
    good = min((figure for figure in puts if figure.bytes_per_s >= 0.9 * best),
               key=lambda figure: (figure.object_bytes * figure.threads,
                                   figure.threads))
    return Suggestion(good.object_bytes, good.threads, good.bytes_per_s)


def _measure_one(driver: Any, size_bytes: int,
                 threads: int) -> Iterator[Figure]:
    count = min(_MOST_OBJECTS, max(2 * threads, _MOST_BYTES // size_bytes
                                   // len(THREADS)))
    scratch = Scratch(driver)
    driver.put_container(scratch.container)
    names = [scratch.name(f'-{number:05d}') for number in range(count)]
    piece = os.urandom(min(size_bytes, _PIECE_BYTES))

    def put(name: str) -> None:
        with driver.get_object_writer(scratch.container, name) as writer:
            for _ in range(0, size_bytes, len(piece)):
                writer.write(piece)

    try:
        for verb, work in (('put', put), ('get', scratch.read)):
            yield Figure(verb, size_bytes, threads, count,
                         _timed(work, names, threads))
        yield Figure('list', size_bytes, 1, count,
                     _timed(lambda _: scratch.names(), ['all'], 1))
        yield Figure('delete', size_bytes, threads, count,
                     _timed(scratch.delete, names, threads))
    finally:
        scratch.clean()


def _timed(work: Callable[[str], Any], names: Sequence[str],
           threads: int) -> float:
    started_s = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, names):
            pass
    return time.monotonic() - started_s
