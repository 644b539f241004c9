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


"""One backup, checked by itself: what it has stored, each object once.

A verification proves that a restore point can be brought back, and reads what
it needs of the ancestors for that. To check all backups of a chain so would
read the full one again for each. Here each backup answers for its own objects:
their bytes have to be those of its own digest table, which covers the whole
volume, and its chain has to hold every byte.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from chunked_backup import errors
from chunked_backup.blocks.plan import Fetch
from chunked_backup.blocks.plan import plan_restore
from chunked_backup.endpoints.sink import NullSink
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.executors import run_one
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.window import ordered
from chunked_backup.jobs.chain import Chain
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.fetch import Fetcher
from chunked_backup.jobs.fetch_pack import Run
from chunked_backup.model import CheckSummary
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredObject


class CheckJob:
    """Checks the newest backup of a chain.

    :param prefix: of its objects.
    :param wanted: whether to read the object of a name; every one is looked
        for.
    """

    def __init__(self, chain: Chain, prefix: str,
                 wanted: Callable[[str], bool], monitor: Monitor,
                 parallelism: int = 4, executor: str = 'threads') -> None:
        self._chain = chain
        self._level = chain.levels[0]
        self._prefix = prefix
        self._wanted = wanted
        self._monitor = monitor
        self._parallelism = parallelism
        self._executor = executor

    def run(self) -> CheckSummary:
        """Do it all; what is damaged is listed, not raised.

        :raises DriverError: the store fails for now.
        """
        objects = list(self._level.manifest.objects.names())
        missing = run_one(self._executor, self._monitor.tick,
                          self._level.store.missing, objects, self._prefix)
        read = {name for name in objects
                if name not in missing and self._wanted(name)}
        problems = [*self._gaps(),
                    *map(self._missing, filter(missing.__contains__,
                                               objects)),
                    *self._read(read)]
        return CheckSummary(
            object_count=len(objects), read_count=len(read),
            fetched_bytes=self._level.store.read_bytes,
            problems=tuple(problems))

    def _gaps(self) -> list[str]:
        chain = self._chain
        plan = plan_restore((level.manifest.objects.sorted()
                             for level in chain.levels),
                            [(0, chain.volume_bytes)])
        return [str(errors.IncompleteChain(
            backup_id=self._level.record.id,
            reason=f'no object holds the bytes from {start} to {end}'))
            for start, end in plan.missing]

    def _missing(self, name: str) -> str:
        offset = min(stored.offset for stored in self._level.manifest.objects
                     if stored.name == name)
        return str(errors.CorruptObject(
            backup_id=self._level.record.id, object_name=name, offset=offset,
            reason='it is missing'))

    def _read(self, names: Collection[str]) -> list[str]:
        chain = self._chain
        own = Chain([self._level], chain.digests, chain.block_size_bytes,
                    chain.volume_bytes)

        def wanted() -> Iterator[StoredObject | PackedExtent]:
            return (stored for stored in self._level.manifest.objects.sorted()
                    if stored.name in names)

        fetches = plan_restore(
            [wanted()], _ranges(wanted(), chain.volume_bytes)).fetches
        with open_workers(self._executor, self._parallelism) as workers:
            fetcher = Fetcher(own, NullSink(), self._monitor,
                              Faults(salvage=False), workers, thorough=True)
            try:
                return list(filter(None, ordered(
                    workers.io, self._read_one,
                    ((fetcher, unit) for unit in fetcher.units(fetches)),
                    2 * workers.io_threads, self._monitor.tick)))
            except BaseException:
                self._monitor.stop()
                raise

    def _read_one(self, fetcher: Fetcher, unit: Fetch | Run) -> str | None:
        """What is wrong with an object, or a part of it, the first of it."""
        try:
            fetcher.fetch(unit)
        except errors.TransientDriverError:
            raise  # the store has failed, not this object
        except (errors.CorruptBackup, errors.DriverError) as exc:
            return str(exc)
        return None


def _ranges(objects: Iterable[StoredObject | PackedExtent],
            volume_bytes: int) -> list[tuple[int, int]]:
    """What objects hold of a volume, as ranges that are apart."""
    ranges: list[tuple[int, int]] = []
    for stored in objects:
        start, end = stored.offset, min(stored.end, volume_bytes)
        if ranges and ranges[-1][1] == start:
            start = ranges.pop()[0]
        if start < end:
            ranges.append((start, end))
    return ranges
