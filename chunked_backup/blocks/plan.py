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

"""Which bytes of which objects make up a volume.

A chain is walked from the newest backup to the oldest, and each takes what
is not covered yet. So every byte of the volume has exactly one source, a
shadowed object is never fetched, no byte is written twice, and leaving out
zeros on a new target is safe at every level.

Replaying the chain from the oldest (as Cinder does) writes the volume several
times over, and with zeros left out restored wrong bytes in Cinder 23 to 28.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredObject

# No volume reaches as far.
_NOWHERE = sys.maxsize
_NO_GAP = (_NOWHERE, _NOWHERE)


class Fetch(NamedTuple):
    """One object to fetch and the ranges of the volume it provides.

    :param level: index into the chain, 0 for the newest backup.
    :param stored: the object, or the first of its extents that is needed.
    :param ranges: half-open ranges of volume offsets, sorted.
    """

    level: int
    stored: StoredObject | PackedExtent
    ranges: list[tuple[int, int]]


class Plan(NamedTuple):
    """:param fetches: sorted by the first range of each.
    :param missing: ranges that no object of the chain provides.
    """

    fetches: list[Fetch]
    missing: list[tuple[int, int]]


def plan_restore(levels: Iterable[Iterable[StoredObject | PackedExtent]],
                 wanted: Sequence[tuple[int, int]]) -> Plan:
    """Resolve a chain.

    :param levels: the objects or extents of each backup, newest backup first,
        sorted by offset and not overlapping within a backup.
    :param wanted: half-open ranges of volume offsets, sorted and apart.
    """
    fetches: list[Fetch] = []
    missing = list(wanted)
    for level, objects in enumerate(levels):
        if not missing:
            break
        missing = _cover(missing, level, objects, fetches)
    fetches.sort(key=lambda fetch: fetch.ranges[0])
    return Plan(fetches, missing)


def _cover(missing: Sequence[tuple[int, int]], level: int,
           objects: Iterable[StoredObject | PackedExtent],
           fetches: list[Fetch]) -> list[tuple[int, int]]:
    """One sweep over sorted gaps and sorted objects; the gaps left over."""
    left: list[tuple[int, int]] = []
    packs: dict[str | None, Fetch] = {}
    gaps = iter(missing)
    start, end = next(gaps, _NO_GAP)
    for stored in objects:
        low = stored.offset
        high = low + stored.length
        ranges = []
        while start < high:
            if end <= low:  # the gap ends before the object begins
                left.append((start, end))
                start, end = next(gaps, _NO_GAP)
                continue
            if start < low:
                left.append((start, low))
                start = low
            if end > high:
                ranges.append((start, high))
                start = high
            else:
                ranges.append((start, end))
                start, end = next(gaps, _NO_GAP)
        if ranges and not _join(packs, stored, ranges):
            fetches.append(Fetch(level, stored, ranges))
            packs[stored.name] = fetches[-1]
        if start == _NOWHERE:
            break
    else:
        left.append((start, end))
    left.extend(gaps)
    return left


def _join(packs: dict[str | None, Fetch], stored: StoredObject | PackedExtent,
          ranges: list[tuple[int, int]]) -> bool:
    """Add ranges to the fetch of the object that an extent lies in, if there
    is one."""
    if not isinstance(stored, PackedExtent) or stored.name not in packs:
        return False
    known = packs[stored.name].ranges
    if known[-1][1] == ranges[0][0]:
        known[-1] = (known[-1][0], ranges.pop(0)[1])
    known += ranges
    return True
