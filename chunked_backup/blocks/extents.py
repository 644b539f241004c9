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

"""Which ranges of a volume become objects.

The input is a stream of regions in volume order: all of the volume for a full
backup, the changed parts for an incremental. The output is a stream of
extents in volume order, each at most one object long.

Two rules shape it:

* Near regions merge. Reading back one object that also covers a few unchanged
  blocks is cheaper than one more object; the format allows it.
* Long zero regions become objects of few sizes (powers of two, aligned), so
  that the bytes of a zero object are computed once for each size and a volume
  of holes costs what its data cost. Short ones stay within their neighbours.
"""

from collections.abc import Callable, Iterable, Iterator

from chunked_backup.model import Extent, Region

# Cutting out a shorter zero region would cost more in objects than its md5
# and compression cost in time (12 ms at 8 MiB).
SMALLEST_ZERO_EXTENT_BYTES = 8 << 20
LARGEST_ZERO_EXTENT_BYTES = 256 << 20
# More requests for smaller objects would cost what their threads gain.
_SHORTEST_SHARE_BYTES = 64 << 20
_PACK_BYTES = 16 << 20


def longest_extent_bytes(total_bytes: int, chunk_size_bytes: int,
                         block_size_bytes: int, parallelism: int) -> int:
    """How much of a volume one object of a full backup is to hold at most.

    A volume of few chunks becomes more objects than it has to, two for each
    that is in work at once: one object has one md5, which is one thread's
    work. 1 GiB without compression took 2.6 s as one object, and 1.5 s as 16,
    on two cores.

    :param total_bytes: how much is stored in all, as far as that is known.
    :param chunk_size_bytes: what it never exceeds; whole blocks.
    """
    share = max(_SHORTEST_SHARE_BYTES, total_bytes // (2 * parallelism))
    share -= share % block_size_bytes
    return min(chunk_size_bytes, max(share, block_size_bytes))


def short_pack_bytes(chunk_size_bytes: int, block_size_bytes: int) -> int:
    """How much of a volume a short object is to hold at most.

    All of an incremental are short: few changes, too, are shared out among
    several workers.
    """
    share = _PACK_BYTES - _PACK_BYTES % block_size_bytes
    return min(chunk_size_bytes, max(share, block_size_bytes))


def last_pack_bytes(left_bytes: int, chunk_size_bytes: int,
                    block_size_bytes: int, parallelism: int) -> int:
    """How much of a volume an object of a full backup is to hold at most, so
    that the workers come to the end at about the same time.

    By then objects are short. 1 GiB took 0.58 s of wall time for each of CPU,
    and 0.61 without that.

    :param left_bytes: of the volume, from where the object begins.
    """
    share = left_bytes // parallelism
    share -= share % block_size_bytes
    return max(share, short_pack_bytes(chunk_size_bytes, block_size_bytes))


def plan_extents(regions: Iterable[Region], maximum_bytes: int,
                 block_size_bytes: int,
                 merge_gap_bytes: int = 0) -> Iterator[Extent]:
    """Turn regions into extents.

    :param regions: sorted, not overlapping, starting on block boundaries.
    :param maximum_bytes: no extent is longer; a multiple of the block size.
    :param merge_gap_bytes: regions with at most so many bytes between them
        become one extent.
    """
    smallest, largest = _zero_sizes(maximum_bytes, block_size_bytes)
    pending: Region | None = None
    for region in _carve_zeros(regions, smallest, largest):
        if region.zero:
            if pending is not None:
                yield from _split(pending, maximum_bytes)
                pending = None
            yield Extent(region.start, region.end - region.start, True)
        elif pending is not None and (region.start - pending.end
                                      <= merge_gap_bytes):
            pending = Region(pending.start, region.end)
        else:
            if pending is not None:
                yield from _split(pending, maximum_bytes)
            pending = region
        if pending is not None and pending.end - pending.start > maximum_bytes:
            *whole, last = _split(pending, maximum_bytes)
            yield from whole
            pending = Region(last.offset, last.offset + last.length)
    if pending is not None:
        yield from _split(pending, maximum_bytes)


def plan_packs(regions: Iterable[Region],
               pack_bytes: Callable[[int, int], int], extent_bytes: int,
               block_size_bytes: int) -> Iterator[list[Extent]]:
    """Turn regions into extents, some of them together in one object.

    :param regions: sorted, not overlapping, starting on block boundaries.
    :param pack_bytes: gives what an object holds at most, from how much those
        before it hold, and where its data begin; zeros are never counted.
    :param extent_bytes: no extent is longer, unless it is zeros; whole
        blocks, and no more than any ``pack_bytes``.
    """
    pack: list[Extent] = []
    size = before = longest = 0
    for region in regions:
        if region.zero:
            # A part of a block is data: its digest is not that of a zero one.
            whole = region.end - region.end % block_size_bytes
            if region.start < whole:
                pack.append(Extent(region.start, whole - region.start, True))
            region = Region(max(region.start, whole), region.end)
        for extent in _split(region, extent_bytes):
            if size and size + extent.length > longest:
                yield pack
                before += size
                pack, size = [], 0
            if not size:
                longest = pack_bytes(before, extent.offset)
            pack.append(extent)
            size += extent.length
    if pack:
        yield pack


def _split(region: Region, maximum_bytes: int) -> Iterator[Extent]:
    for start in range(region.start, region.end, maximum_bytes):
        yield Extent(start, min(maximum_bytes, region.end - start))


def _zero_sizes(maximum_bytes: int, block_size_bytes: int) -> tuple[int, int]:
    """The smallest and the largest zero extent: block size * 2**n."""
    size = block_size_bytes
    while (size < SMALLEST_ZERO_EXTENT_BYTES
           and size * 2 <= maximum_bytes):
        size *= 2
    smallest = size
    while size * 2 <= min(maximum_bytes, LARGEST_ZERO_EXTENT_BYTES):
        size *= 2
    return smallest, size


def _carve_zeros(regions: Iterable[Region], smallest: int,
                 largest: int) -> Iterator[Region]:
    """Cut aligned zero parts out of long zero regions; the rest is data."""
    for region in regions:
        if not region.zero:
            yield region
            continue
        start = region.start
        while start < region.end:
            size = _aligned_size(start, region.end, smallest, largest)
            if size:
                yield Region(start, start + size, True)
            else:
                # Up to the next boundary where one could begin.
                size = min(region.end, start - start % smallest + smallest)
                size -= start
                yield Region(start, start + size)
            start += size


def _aligned_size(start: int, end: int, smallest: int, largest: int) -> int:
    """The longest size that is aligned at ``start`` and fits, or 0."""
    size = largest
    while size >= smallest:
        if start % size == 0 and start + size <= end:
            return size
        size //= 2
    return 0
