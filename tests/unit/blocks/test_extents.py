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

import pytest

from chunked_backup.blocks import extents
from chunked_backup.model import Extent, Region

BLOCK = 512


def plan(*regions, maximum=8 * BLOCK, merge_gap=0):
    return list(extents.plan_extents(regions, maximum, BLOCK, merge_gap))


def test_no_regions_give_no_extents():
    assert plan() == []


def test_a_region_is_split_at_the_maximum():
    assert plan(Region(0, 20 * BLOCK + 1)) == [
        Extent(0, 8 * BLOCK), Extent(8 * BLOCK, 8 * BLOCK),
        Extent(16 * BLOCK, 4 * BLOCK + 1)]


def test_adjacent_regions_become_one_extent():
    assert plan(Region(0, BLOCK), Region(BLOCK, 2 * BLOCK)) == [
        Extent(0, 2 * BLOCK)]


def test_near_regions_merge_across_the_gap():
    near = Region(0, BLOCK), Region(3 * BLOCK, 4 * BLOCK)
    assert plan(*near, merge_gap=2 * BLOCK) == [Extent(0, 4 * BLOCK)]
    assert plan(*near, merge_gap=2 * BLOCK - 1) == [
        Extent(0, BLOCK), Extent(3 * BLOCK, BLOCK)]


def test_a_long_zero_region_becomes_aligned_zero_extents():
    assert plan(Region(0, 16 * BLOCK, True)) == [
        Extent(0, 8 * BLOCK, True), Extent(8 * BLOCK, 8 * BLOCK, True)]


def test_the_edges_of_a_zero_region_stay_with_their_neighbours():
    assert plan(Region(0, 7 * BLOCK), Region(7 * BLOCK, 17 * BLOCK, True),
                Region(17 * BLOCK, 18 * BLOCK)) == [
        Extent(0, 8 * BLOCK), Extent(8 * BLOCK, 8 * BLOCK, True),
        Extent(16 * BLOCK, 2 * BLOCK)]


def test_a_short_zero_region_is_data():
    assert plan(Region(0, 2 * BLOCK), Region(2 * BLOCK, 3 * BLOCK, True),
                Region(3 * BLOCK, 4 * BLOCK)) == [Extent(0, 4 * BLOCK)]


def test_nothing_merges_across_a_zero_extent():
    assert plan(Region(0, 8 * BLOCK, True),
                Region(16 * BLOCK, 17 * BLOCK), merge_gap=1 << 30) == [
        Extent(0, 8 * BLOCK, True), Extent(16 * BLOCK, BLOCK)]


def test_the_ragged_end_of_a_zero_region_is_data():
    assert plan(Region(0, 8 * BLOCK + 100, True)) == [
        Extent(0, 8 * BLOCK, True), Extent(8 * BLOCK, 100)]


@pytest.mark.parametrize('maximum, sizes', [
    (1 << 30, {256 << 20}), (52428800, {32 << 20, 16 << 20})])
def test_zero_extents_have_few_sizes(maximum, sizes):
    found = list(extents.plan_extents(
        [Region(0, (1 << 32) + (48 << 20), True)], maximum, 32768))
    assert sum(extent.length for extent in found) == (1 << 32) + (48 << 20)
    assert {extent.length for extent in found if extent.zero} <= (
        sizes | {32 << 20, 16 << 20})
    assert all(extent.offset % extent.length == 0 for extent in found)


def test_regions_are_drawn_only_when_needed():
    drawn = []

    def regions():
        for index in range(100):
            drawn.append(index)
            yield Region(2 * index * BLOCK, (2 * index + 1) * BLOCK)

    found = extents.plan_extents(regions(), 8 * BLOCK, BLOCK)
    next(found)
    assert len(drawn) == 2


@pytest.mark.parametrize('volume, chunk, parallelism, longest', [
    (1 << 30, 2000 << 20, 8, 64 << 20),   # small: more objects than chunks
    (100 << 30, 2000 << 20, 8, 2000 << 20),
    (16 << 30, 2000 << 20, 8, 1 << 30),
    (16 << 30, 2000 << 20, 1, 2000 << 20),
    (1 << 20, 2000 << 20, 8, 64 << 20),
    (1 << 30, BLOCK, 8, BLOCK),           # a small chunk is the operator's
])
def test_a_volume_of_few_chunks_is_shared_out(volume, chunk, parallelism,
                                              longest):
    assert extents.longest_extent_bytes(volume, chunk, BLOCK,
                                        parallelism) == longest


def test_the_longest_extent_is_whole_blocks():
    block = 3 * (100 << 20)
    assert extents.longest_extent_bytes(1 << 40, 4 * block, block,
                                        10_000) == block
    assert extents.longest_extent_bytes(1600 << 20, 3000 << 20, 3 << 20,
                                        8) == 99 << 20


def packs(*regions, pack=8, extent=3):
    return list(extents.plan_packs(regions, lambda before, start: pack * BLOCK,
                                   extent * BLOCK, BLOCK))


def blocks(*starts_and_counts):
    return [Extent(start * BLOCK, count * BLOCK)
            for start, count in starts_and_counts]


def test_no_regions_give_no_packs():
    assert packs() == []


def test_far_regions_share_a_pack_until_it_is_full():
    far = [Region(10 * number * BLOCK, (10 * number + 3) * BLOCK)
           for number in range(5)]
    for pack in (6, 8):
        assert packs(*far, pack=pack) == [
            blocks((0, 3), (10, 3)), blocks((20, 3), (30, 3)),
            blocks((40, 3))]


def test_packs_may_grow_with_what_is_before_them():
    asked = []

    def pack_bytes(before, start):
        asked.append((before, start))
        return max(2 * BLOCK, before)

    found = list(extents.plan_packs(
        [Region(0, 50 * BLOCK, True), Region(50 * BLOCK, 69 * BLOCK)],
        pack_bytes, 2 * BLOCK, BLOCK))
    assert asked == [
        (before * BLOCK, start * BLOCK) for before, start in (
            (0, 50), (2, 52), (4, 54), (8, 58), (16, 66))]
    assert [sum(extent.length for extent in pack if not extent.zero) // BLOCK
            for pack in found] == [2, 2, 4, 8, 3]


def test_a_long_region_becomes_several_extents():
    assert packs(Region(0, 10 * BLOCK + 1)) == [
        blocks((0, 3), (3, 3)),
        [*blocks((6, 3)), Extent(9 * BLOCK, BLOCK + 1)]]


def test_zeros_of_any_length_fill_no_pack():
    hole = Region(BLOCK, 1000 * BLOCK, zero=True)
    assert packs(Region(0, BLOCK), hole,
                 Region(1000 * BLOCK, 1007 * BLOCK), pack=8, extent=8) == [
        [Extent(0, BLOCK), Extent(BLOCK, 999 * BLOCK, True),
         Extent(1000 * BLOCK, 7 * BLOCK)]]


def test_a_part_of_a_block_is_no_hole():
    assert packs(Region(0, 5 * BLOCK + 9, zero=True)) == [
        [Extent(0, 5 * BLOCK, True), Extent(5 * BLOCK, 9)]]
    assert packs(Region(0, 9, zero=True)) == [[Extent(0, 9)]]


@pytest.mark.parametrize('chunk, block, longest', [
    (1 << 30, 32768, 16 << 20), (1 << 20, 32768, 1 << 20),
    (1 << 30, 7 << 20, 14 << 20), (1 << 30, 100 << 20, 100 << 20)])
def test_how_much_a_short_object_holds(chunk, block, longest):
    assert extents.short_pack_bytes(chunk, block) == longest


@pytest.mark.parametrize('left, chunk, block, parallelism, longest', [
    (1 << 30, 1 << 30, 32768, 4, 256 << 20),
    (1 << 30, 1 << 30, 32768, 1, 1 << 30),
    ((200 << 20) + 9, 1 << 30, 32768, 4, 50 << 20),
    (100 << 20, 1 << 30, 3 << 20, 4, 24 << 20),  # whole blocks
    (1, 1 << 30, 32768, 4, 16 << 20),
    (1, 1 << 20, 32768, 4, 1 << 20)])
def test_the_last_objects_are_short(left, chunk, block, parallelism, longest):
    assert extents.last_pack_bytes(left, chunk, block,
                                   parallelism) == longest
