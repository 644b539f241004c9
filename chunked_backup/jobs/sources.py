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

"""Where each byte of a restore point comes from; nothing of it is read."""

from collections.abc import Iterator
from typing import NamedTuple

from chunked_backup import errors
from chunked_backup.blocks import digests
from chunked_backup.blocks.plan import Plan
from chunked_backup.blocks.plan import plan_restore
from chunked_backup.jobs.chain import Chain
from chunked_backup.model import MappedRange

_DIGEST_BATCH = 65536

Ranges = list[tuple[int, int]]


class Sources(NamedTuple):
    """:param zeros: ranges that hold only zeros and are not fetched.
    :param plan: for all others.
    """

    zeros: Ranges
    plan: Plan


def find_sources(chain: Chain, thorough: bool = False) -> Sources:
    """Resolve a chain.

    :param thorough: have zeros fetched, too.
    """
    zeros, wanted = _split_zeros(chain)
    if thorough or not len(chain.digests):
        zeros, wanted = [], [(0, chain.volume_bytes)]
    return Sources(zeros, plan_restore(
        (level.manifest.objects.sorted() for level in chain.levels), wanted))


def map_volume(chain: Chain) -> list[MappedRange]:
    """Which backup of a chain provides which part of the volume.

    :returns: all of the volume, in order; neighbours are of different
        backups.
    :raises IncompleteChain: of some part, none does.
    """
    zeros, plan = find_sources(chain)
    for start, end in plan.missing:
        raise missing(chain, start, end)
    ids = [level.record.id for level in chain.levels]
    ranges = [MappedRange(start, end, None) for start, end in zeros]
    ranges += [MappedRange(start, end, ids[fetch.level])
               for fetch in plan.fetches for start, end in fetch.ranges]
    merged: list[MappedRange] = []
    for each in sorted(ranges):
        if merged and merged[-1].backup_id == each.backup_id:
            each = each._replace(start=merged.pop().start)
        merged.append(each)
    return merged


def missing(chain: Chain, start: int, end: int) -> errors.IncompleteChain:
    """What is wrong with a chain of which no object holds some bytes."""
    return errors.IncompleteChain(
        backup_id=chain.levels[0].record.id,
        reason=f'no object holds the bytes from {start} to {end}')


def _split_zeros(chain: Chain) -> tuple[Ranges, Ranges]:
    """Ranges of zero blocks, and of all others."""
    zeros: Ranges = []
    others: Ranges = []
    for low, high, zero in _runs(chain):
        ranges = zeros if zero else others
        start = low * chain.block_size_bytes
        end = min(high * chain.block_size_bytes, chain.volume_bytes)
        if ranges and ranges[-1][1] == start:
            start = ranges.pop()[0]
        ranges.append((start, end))
    return zeros, others


def _runs(chain: Chain) -> Iterator[tuple[int, int, bool]]:
    for first in range(0, len(chain.digests), _DIGEST_BATCH):
        for low, high, zero in digests.zero_runs(
                chain.digests.read(first, _DIGEST_BATCH),
                chain.block_size_bytes):
            yield first + low, first + high, zero
