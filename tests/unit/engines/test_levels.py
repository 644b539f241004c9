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

import datetime

import pytest

from chunked_backup import errors
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.engines.levels import Rung

_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def day(number):
    return _EPOCH + datetime.timedelta(days=number)


def levels(policy, days):
    """The levels of backups made day by day, and whose child each is."""
    made = []
    for number in range(days):
        parent = policy.parent(made, day(number))
        made.append(Rung(str(number), parent and parent.id,
                         parent.level + 1 if parent else 0, day(number)))
    return [each.level for each in made], [each.parent_id for each in made]


def test_without_incremental_every_backup_is_full():
    assert levels(LevelPolicy(), 3) == ([0, 0, 0], [None] * 3)


def test_incremental_goes_on_without_end():
    assert levels(LevelPolicy(True), 5) == (
        [0, 1, 2, 3, 4], [None, '0', '1', '2', '3'])


def test_max_level_begins_anew_after_it():
    assert levels(LevelPolicy(True, max_level=2), 7) == (
        [0, 1, 2, 0, 1, 2, 0], [None, '0', '1', None, '3', '4', None])


def test_max_level_0_is_full_backups_only():
    assert levels(LevelPolicy(True, max_level=0), 3)[0] == [0, 0, 0]


def test_always_level_comes_again_each_against_the_level_below():
    assert levels(LevelPolicy(True, always_level=2), 6) == (
        [0, 1, 2, 2, 2, 2], [None, '0', '1', '1', '1', '1'])


def test_always_level_1_is_what_others_call_differential():
    assert levels(LevelPolicy(True, always_level=1), 4) == (
        [0, 1, 1, 1], [None, '0', '0', '0'])


def test_always_level_0_is_full_backups_only():
    assert levels(LevelPolicy(True, always_level=0), 3)[0] == [0, 0, 0]


def test_the_age_of_level_0_decides_when_to_begin_anew():
    # Each backup is young when the next is made; only level 0 grows old.
    policy = LevelPolicy(True, restart_always_level=2.5)
    assert levels(policy, 7)[0] == [0, 1, 2, 0, 1, 2, 0]


def test_it_restarts_a_differential_chain_too():
    policy = LevelPolicy(True, always_level=1, restart_always_level=2.5)
    assert levels(policy, 7)[0] == [0, 1, 1, 0, 1, 1, 0]


def test_exactly_that_old_is_not_older():
    full = Rung('a', None, 0, day(0))
    policy = LevelPolicy(True, restart_always_level=1)
    assert policy.parent([full], day(1)) is full


def test_a_policy_that_changes_goes_on_from_what_there_is():
    rungs = [Rung('a', None, 0, day(0)), Rung('b', 'a', 1, day(1)),
             Rung('c', 'b', 2, day(2)), Rung('d', 'c', 3, day(3))]
    assert LevelPolicy(True, always_level=2).parent(rungs, day(4)).id == 'b'
    assert LevelPolicy(True, max_level=2).parent(rungs, day(4)) is None


def test_only_the_chain_of_the_newest_full_backup_counts():
    rungs = [Rung('a', None, 0, day(0)), Rung('b', None, 0, day(1)),
             Rung('c', 'a', 1, day(2))]
    assert LevelPolicy(True).parent(rungs, day(3)).id == 'b'


def test_a_clock_that_went_back_hides_no_backup():
    rungs = [Rung('a', None, 0, day(9)), Rung('b', 'a', 1, day(3))]
    assert LevelPolicy(True).parent(rungs, day(4)).id == 'b'


def test_two_at_one_time_are_told_apart_by_id():
    rungs = [Rung('a', None, 0, day(0)), Rung('b', None, 0, day(0))]
    assert LevelPolicy(True).parent(rungs, day(1)).id == 'b'
    assert LevelPolicy(True).parent(rungs[::-1], day(1)).id == 'b'


@pytest.mark.parametrize('wishes', [
    dict(max_level=1), dict(always_level=1), dict(restart_always_level=1.0)])
def test_a_limit_without_incremental_is_refused(wishes):
    with pytest.raises(errors.InvalidInput, match='--incremental'):
        LevelPolicy(**wishes)


def test_wishes_that_contradict_each_other_are_refused():
    with pytest.raises(errors.InvalidInput, match='--always-level'):
        LevelPolicy(True, max_level=1, always_level=1)
    with pytest.raises(errors.InvalidInput, match='below 0'):
        LevelPolicy(True, max_level=-1)
