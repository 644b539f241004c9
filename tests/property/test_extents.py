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

from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.blocks.extents import plan_extents
from chunked_backup.model import Region

BLOCK = 512


@st.composite
def regions(draw):
    """Sorted regions that begin on block boundaries; the last may end off
    one."""
    found = []
    position = 0
    for gap, length, zero in draw(st.lists(st.tuples(
            st.integers(0, 6), st.integers(1, 40), st.booleans()),
            max_size=12)):
        start = position + gap * BLOCK
        position = start + length * BLOCK
        found.append(Region(start, position, zero))
    if found and draw(st.booleans()):
        last = found[-1]
        found[-1] = last._replace(end=last.end - draw(
            st.integers(1, BLOCK - 1)))
    return found


@given(regions(), st.integers(1, 20), st.integers(0, 8 * BLOCK))
def test_extents_against_the_regions(regions, maximum_blocks, merge_gap):
    maximum = maximum_blocks * BLOCK
    extents = list(plan_extents(regions, maximum, BLOCK, merge_gap))
    ranges = [(extent.offset, extent.offset + extent.length)
              for extent in extents]

    # Sorted, apart, aligned, and not too long.
    assert all(one[1] <= other[0] for one, other in zip(ranges, ranges[1:]))
    for extent in extents:
        assert extent.offset % BLOCK == 0
        assert 0 < extent.length <= maximum

    # Every byte of a region is in an extent; what else is in one is a gap
    # that may be merged.
    covered = {block for start, end in ranges
               for block in range(start // BLOCK, -(-end // BLOCK))}
    wanted = {block for region in regions
              for block in range(region.start // BLOCK,
                                 -(-region.end // BLOCK))}
    assert wanted <= covered
    if regions:
        assert ranges[-1][1] == regions[-1].end
        assert ranges[0][0] == regions[0].start
    mergeable = {block for one, other in zip(regions, regions[1:])
                 if other.start - one.end <= merge_gap
                 for block in range(one.end // BLOCK, other.start // BLOCK)}
    assert covered - wanted <= mergeable

    # A zero extent is part of a zero region, and one of few sizes.
    for extent in extents:
        if extent.zero:
            assert any(region.zero and region.start <= extent.offset
                       and extent.offset + extent.length <= region.end
                       for region in regions)
            assert extent.offset % extent.length == 0
            assert (extent.length // BLOCK).bit_count() == 1


@given(regions(), st.integers(1, 20))
def test_extents_that_could_be_one_are(regions, maximum_blocks):
    """No two neighbours that hold data would fit into one extent, unless
    the first was filled up."""
    maximum = maximum_blocks * BLOCK
    extents = list(plan_extents(regions, maximum, BLOCK, 0))
    for one, other in zip(extents, extents[1:]):
        if (not one.zero and not other.zero
                and one.offset + one.length == other.offset):
            assert one.length == maximum
