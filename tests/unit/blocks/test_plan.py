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

from chunked_backup.blocks.plan import Fetch, plan_restore
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredObject


def stored(start, end, name='an object'):
    return StoredObject(name, start, end - start, 'none', None)


def test_a_full_backup_provides_everything():
    first, second = stored(0, 10), stored(10, 15)
    assert plan_restore([[first, second]], [(0, 15)]) == (
        [Fetch(0, first, [(0, 10)]), Fetch(0, second, [(10, 15)])], [])


def test_the_newer_object_wins_and_the_older_gives_the_rest():
    full, newer = stored(0, 30), stored(10, 20)
    plan = plan_restore([[newer], [full]], [(0, 30)])
    assert plan.fetches == [Fetch(1, full, [(0, 10), (20, 30)]),
                            Fetch(0, newer, [(10, 20)])]


def test_a_shadowed_object_is_not_fetched():
    newer, shadowed = stored(0, 30), stored(10, 20)
    plan = plan_restore([[newer], [shadowed]], [(0, 30)])
    assert plan.fetches == [Fetch(0, newer, [(0, 30)])]


def test_only_what_is_wanted_is_fetched():
    objects = [stored(0, 10), stored(10, 20), stored(20, 30)]
    plan = plan_restore([objects], [(2, 4), (6, 8), (25, 40)])
    assert plan == ([Fetch(0, objects[0], [(2, 4), (6, 8)]),
                     Fetch(0, objects[2], [(25, 30)])], [(30, 40)])


def extent(start, end, name='an object'):
    return PackedExtent(name, start, end - start, 'zlib', start, 1, b'')


def test_the_extents_of_one_object_are_one_fetch():
    extents = [extent(0, 10), extent(10, 20), extent(20, 30, None),
               extent(30, 40), extent(40, 50, 'another'),
               extent(60, 70, None)]
    assert plan_restore([extents], [(0, 45), (62, 64)]) == ([
        Fetch(0, extents[0], [(0, 20), (30, 40)]),
        Fetch(0, extents[2], [(20, 30), (62, 64)]),
        Fetch(0, extents[4], [(40, 45)])], [])


def test_extents_of_two_levels_are_two_fetches():
    newer, older = extent(5, 10), extent(0, 20)
    assert plan_restore([[newer], [older]], [(0, 20)]).fetches == [
        Fetch(1, older, [(0, 5), (10, 20)]), Fetch(0, newer, [(5, 10)])]


def test_objects_of_one_name_are_as_many_fetches():
    """Format 1.0.0 does not forbid it."""
    objects = [stored(0, 10), stored(10, 20)]
    assert len(plan_restore([objects], [(0, 20)]).fetches) == 2


def test_what_nobody_provides_is_missing():
    assert plan_restore([[stored(5, 10)], [stored(20, 25)]],
                        [(0, 12), (22, 30)]).missing == [
        (0, 5), (10, 12), (25, 30)]


def test_no_levels_provide_nothing():
    assert plan_restore([], [(0, 1)]) == ([], [(0, 1)])


def test_older_levels_are_not_looked_at_when_nothing_is_missing():
    def older():
        raise AssertionError('the older level was read')
        yield

    assert not plan_restore([[stored(0, 10)], older()], [(0, 10)]).missing
