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

"""A restore, and a verification: the same walk into another sink.

1. The digest table says which blocks are zero; they are zeroed, not fetched.
2. The plan says which object provides each other byte: no byte of an object
   is fetched twice, every byte of the target is written at most once.
3. Each object, or each run of its extents, streams: fetch, decode, check
   against the digest table, write. A block is written only after its sha256
   has matched, so a restore that fails has left the target incomplete but
   never with wrong bytes.
4. One flush.

What is not promised: that a shadowed part of an object is sound. A
verification (``thorough``) reads every object that it needs to its end and
checks its md5, too, or all of every extent that it needs and checks its
digest; and it fetches zeros as well.
"""

from collections.abc import Callable
from typing import TypeVarTuple

from chunked_backup.blocks.plan import Fetch
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.flow.executors import open_workers
from chunked_backup.flow.executors import run_one
from chunked_backup.flow.monitor import Monitor
from chunked_backup.jobs.chain import Chain
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.fetch import Fetcher
from chunked_backup.jobs.sources import find_sources
from chunked_backup.jobs.sources import missing
from chunked_backup.model import RestoreSummary

Arguments = TypeVarTuple('Arguments')

_ZERO_STEP_BYTES = 1 << 30


class RestoreJob:
    """Brings one restore point into a sink.

    :param thorough: check what a restore would not need, see above.
    :param faults: what to do about damage.
    """

    def __init__(self, chain: Chain, sink: VolumeSink, monitor: Monitor,
                 faults: Faults, parallelism: int = 4,
                 executor: str = 'threads', thorough: bool = False) -> None:
        self._chain = chain
        self._sink = sink
        self._monitor = monitor
        self._faults = faults
        self._parallelism = parallelism
        self._executor = executor
        self._thorough = thorough

    def run(self) -> RestoreSummary:
        """Do it all.

        :raises CorruptBackup: and names backup, object and offset.
        :raises InvalidVolume: the target is too small; it is untouched.
        :raises VolumeIOError: the target failed.
        :raises Cancelled: the host has ended the restore.
        """
        chain = self._chain
        zeros, plan = find_sources(chain, self._thorough)
        self._aside(self._sink.prepare, chain.volume_bytes)
        for start, end in plan.missing:
            self._faults.add(missing(chain, start, end), start, end)
        self._monitor.enter('zero')
        self._aside(self._zero, [*plan.missing, *zeros])
        self._monitor.enter('fetch')
        self._fetch(plan.fetches)
        self._monitor.enter('flush')
        self._aside(self._sink.flush)
        self._monitor.poll()
        return RestoreSummary(
            volume_bytes=chain.volume_bytes,
            object_count=sum(fetch.stored.name is not None
                             for fetch in plan.fetches),
            fetched_bytes=sum(level.store.read_bytes
                              for level in chain.levels),
            bad_ranges=self._faults.ranges())

    def _aside(self, function: Callable[[*Arguments], None],
               *args: *Arguments) -> None:
        """Run on a worker what waits for the device."""
        try:
            run_one(self._executor, self._monitor.tick, function, *args)
        except BaseException:
            self._monitor.stop()
            raise

    def _zero(self, ranges: list[tuple[int, int]]) -> None:
        for start, end in ranges:
            for position in range(start, end, _ZERO_STEP_BYTES):
                self._monitor.check()
                count = min(_ZERO_STEP_BYTES, end - position)
                self._sink.zero(position, position + count)
                self._monitor.advance(count)

    def _fetch(self, fetches: list[Fetch]) -> None:
        with open_workers(self._executor, self._parallelism) as workers:
            fetcher = Fetcher(self._chain, self._sink, self._monitor,
                              self._faults, workers, self._thorough)
            try:
                workers.io.run_all(fetcher.fetch, fetcher.units(fetches),
                                   self._monitor.tick)
            except BaseException:
                self._monitor.stop()
                raise
