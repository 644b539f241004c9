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

import dataclasses
import datetime

import pytest

from chunked_backup.hosts.standalone import retention


@dataclasses.dataclass
class Backup:
    id: str
    created: datetime.datetime | None
    parent_id: str | None = None
    status: str = 'available'
    name: str = 'name'


def backups(*hours, chain=()):
    """Backups of so many hours after a Monday's midnight."""
    monday = datetime.datetime(2026, 6, 1).astimezone()
    return [Backup(str(number), monday + datetime.timedelta(hours=hour),
                   dict(chain).get(number))
            for number, hour in enumerate(hours)]


def decide(backups, keep):
    return retention.decide(backups, keep, lambda each: each.name)


def kept(backups, **keep):
    return [each.backup.id for each in decide(backups, keep)
            if each.reasons]


def test_last_keeps_the_newest():
    assert kept(backups(0, 1, 2, 3), last=2) == ['2', '3']


def test_daily_keeps_the_newest_of_each_day():
    assert kept(backups(1, 2, 25, 26, 49), daily=2) == ['3', '4']


def test_days_without_a_backup_do_not_count():
    assert kept(backups(1, 24 * 10, 24 * 20), daily=3) == ['0', '1', '2']


@pytest.mark.parametrize('rule, hours, expected', [
    ('hourly', (0, 0.5, 1.2), ['1', '2']),
    ('weekly', (0, 24 * 6, 24 * 7), ['1', '2']),
    ('monthly', (0, 24 * 29, 24 * 30), ['1', '2']),
    ('yearly', (0, 24 * 213, 24 * 214), ['1', '2']),
])
def test_each_rule_has_its_period(rule, hours, expected):
    assert kept(backups(*hours), **{rule: 9}) == expected


def test_rules_add_up():
    assert kept(backups(1, 2, 25, 26), last=1, daily=2) == ['1', '3']


def test_what_a_kept_one_is_built_on_is_kept():
    chain = backups(0, 24, 48, 72, chain={1: '0', 2: '1', 3: '0'}.items())
    decisions = decide(chain, {'last': 1})
    assert [bool(each.reasons) for each in decisions] == [
        True, False, False, True]
    assert decisions[0].reasons == ('needed by 3',)


def test_a_rule_that_keeps_more_than_there_are():
    assert kept(backups(1, 2), last=9) == ['0', '1']


def test_each_has_a_decision_in_the_same_order():
    assert [each.backup.id for each in decide(backups(5, 3, 4), {})] == [
        '0', '1', '2']


def test_the_rules_are_applied_to_each_group_by_itself():
    some = backups(0, 1, 2)
    some[0].name = 'other'
    assert kept(some, last=1) == ['0', '2']


def test_what_another_group_is_built_on_is_kept():
    some = backups(0, 1, 2, chain={2: '0'}.items())
    some[2].name = 'other'
    assert kept(some, last=1) == ['0', '1', '2']


def test_one_that_is_not_available_stays_with_what_it_is_built_on():
    some = backups(0, 1, 2, 3, chain={2: '0'}.items())
    some[2].status = 'creating'
    decisions = decide(some, {'last': 1})
    assert [each.reasons for each in decisions] == [
        ('needed by 2',), (), ('creating',), ('last',)]


def test_one_whose_time_nobody_knows_stays():
    some = backups(0, 1)
    some[0].created = None
    assert decide(some, {'last': 1})[0].reasons == ('of unknown time',)


def test_backups_that_are_built_on_each_other_come_to_an_end():
    some = backups(0, 1, chain={0: '1', 1: '0'}.items())
    assert kept(some, last=1) == ['0', '1']
