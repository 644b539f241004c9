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
