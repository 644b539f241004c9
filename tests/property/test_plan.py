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

from chunked_backup.blocks.plan import plan_restore
from chunked_backup.formats.volume_v2.manifest import ObjectList
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredObject
from chunked_backup.model import StoredPack

SIZE = 60


@st.composite
def ranges(draw, most=8):
    """Sorted ranges that do not overlap, within the volume."""
    points = sorted(draw(st.sets(st.integers(0, SIZE), max_size=2 * most)))
    return list(zip(points[::2], points[1::2]))


@st.composite
def touching(draw):
    """Like ``ranges``, but side by side."""
    points = sorted(draw(st.sets(st.integers(0, SIZE), max_size=10)))
    return [pair for pair in zip(points, points[1:])
            if draw(st.booleans())]


@given(touching(), ranges())
def test_extents_are_found_by_where_they_are(places, wanted):
    objects = ObjectList('prefix')
    extents = [PackedExtent('prefix-00001', start, end - start, 'none',
                            start, end - start, bytes(16))
               for start, end in places]
    for extent in extents:
        objects.append(StoredPack(1, [extent]))

    found = list(objects.within(wanted))

    expected = []
    for extent in extents:
        parts = [(max(low, extent.offset), min(high, extent.end))
                 for low, high in wanted
                 if low < extent.end and high > extent.offset]
        if parts:
            expected.append((extent.offset, extent.length, parts))
    assert [(extent.offset, extent.length, parts)
            for extent, parts in found] == expected


LEVELS = st.lists(st.one_of(ranges(), touching()), max_size=5)


@given(LEVELS, ranges())
def test_the_plan_gives_what_replaying_the_chain_gives(levels, wanted):
    chain = [[StoredObject(f'{level}-{start}', start, end - start, 'none',
                           None) for start, end in objects]
             for level, objects in enumerate(levels)]
    # The model applies the levels from the oldest to the newest.
    source = {}
    for objects in reversed(chain):
        for stored in objects:
            for byte in range(stored.offset, stored.end):
                source[byte] = stored.name
    bytes_wanted = {byte for start, end in wanted
                    for byte in range(start, end)}

    plan = plan_restore(chain, wanted)

    provided = {}
    for fetch in plan.fetches:
        assert chain[fetch.level].count(fetch.stored) == 1
        assert fetch.ranges == sorted(fetch.ranges)
        for start, end in fetch.ranges:
            assert fetch.stored.offset <= start < end <= fetch.stored.end
            for byte in range(start, end):
                assert byte not in provided
                provided[byte] = fetch.stored.name
    missing = {byte for start, end in plan.missing
               for byte in range(start, end)}
    assert provided == {byte: name for byte, name in source.items()
                        if byte in bytes_wanted}
    assert missing == bytes_wanted - set(source)
    assert all(start < end for start, end in plan.missing)
    names = [fetch.stored.name for fetch in plan.fetches]
    assert len(names) == len(set(names))
    firsts = [fetch.ranges[0] for fetch in plan.fetches]
    assert firsts == sorted(firsts)
