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

"""Everything that a plan names comes back, whatever its format."""

from collections.abc import Iterator, Sequence

from chunked_backup.blocks.plan import Fetch
from chunked_backup.endpoints.sink import VolumeSink
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.jobs.chain import Chain
from chunked_backup.jobs.faults import Faults
from chunked_backup.jobs.fetch_object import ObjectFetcher
from chunked_backup.jobs.fetch_pack import PackFetcher
from chunked_backup.jobs.fetch_pack import Run
from chunked_backup.model import PackedExtent


class Fetcher:
    """Brings what a plan names into a sink.

    ``fetch`` takes one of the ``units`` of it, and may run in several threads
    at once.

    :param faults: is told of damage.
    :param thorough: check what a restore would not need; see ``RestoreJob``.
    """

    def __init__(self, chain: Chain, sink: VolumeSink, monitor: Monitor,
                 faults: Faults, workers: Workers, thorough: bool) -> None:
        self._packs = PackFetcher(chain, sink, monitor, faults, thorough)
        self._objects = ObjectFetcher(chain, sink, monitor, faults,
                                      workers.cpu, thorough)

    def units(self, fetches: Sequence[Fetch]) -> Iterator[Fetch | Run]:
        """What the work on some objects is shared out as."""
        for fetch in fetches:
            if isinstance(fetch.stored, PackedExtent):
                yield from self._packs.runs(fetch)
            else:
                yield fetch

    def fetch(self, unit: Fetch | Run) -> None:
        """:raises CorruptObject: an object is missing or not what was
            recorded.
        """
        if isinstance(unit, Run):
            self._packs.fetch(unit)
        else:
            self._objects.fetch(unit)
