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

"""Which backups a policy of retention keeps.

As restic and borg have it: for each rule, the newest backup of each of the
last so many hours, days, weeks, months or years in which there is one. What a
kept backup is built on is kept with it.
"""

import dataclasses
import datetime
from collections.abc import Callable, Iterable
from typing import Generic

from chunked_backup.hosts.standalone.catalogue import Kept
from chunked_backup.model import Status

_PERIODS: dict[str, Callable[[datetime.datetime], object]] = {
    'hourly': lambda time: (time.date(), time.hour),
    'daily': lambda time: time.date(),
    'weekly': lambda time: time.isocalendar()[:2],
    'monthly': lambda time: (time.year, time.month),
    'yearly': lambda time: time.year,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Decision(Generic[Kept]):
    """:param reasons: why a backup is kept; none: it goes."""

    backup: Kept
    reasons: tuple[str, ...]


def decide(backups: Iterable[Kept], keep: dict[str, int],
           group_of: Callable[[Kept], str]) -> list[Decision[Kept]]:
    """Judge backups.

    One that is being written, has failed, or was made at a time that cannot be
    told is not for rules to judge, and stays. One that somebody has begun to
    delete, and was perhaps killed over, goes.

    :param backups: all that there are: one that is left out here holds
        nothing that it is built on.
    :param keep: how many, by rule: "last" or one of the periods.
    :param group_of: what the rules are applied to, each by itself.
    :returns: one decision for each, in the same order.
    """
    by_id = {each.id: each for each in backups}
    reasons: dict[str, list[str]] = {each: [] for each in by_id}
    groups: dict[str, list[tuple[datetime.datetime, str]]] = {}
    for each in by_id.values():
        if each.status == Status.DELETING:
            continue
        if each.status != Status.AVAILABLE:
            reasons[each.id].append(each.status)
        elif each.created is None:
            reasons[each.id].append('of unknown time')
        else:
            groups.setdefault(group_of(each), []).append(
                (each.created, each.id))
    for group in groups.values():
        for rule, count in keep.items():
            for kept_id in _kept(rule, count, group):
                reasons[kept_id].append(rule)
    for each in by_id.values():
        if reasons[each.id]:
            _keep_ancestors(each, by_id, reasons)
    return [Decision(each, tuple(reasons[each.id]))
            for each in by_id.values()]


def _kept(rule: str, count: int,
          group: list[tuple[datetime.datetime, str]]) -> list[str]:
    """The ids of those that one rule keeps."""
    newest: dict[object, str] = {}
    for time, backup_id in sorted(group, reverse=True):
        period = backup_id if rule == 'last' else _PERIODS[rule](time)
        newest.setdefault(period, backup_id)
    return list(newest.values())[:count]


def _keep_ancestors(backup: Kept, by_id: dict[str, Kept],
                    reasons: dict[str, list[str]]) -> None:
    parent = by_id.get(backup.parent_id or '')
    # One that is kept keeps its own ancestors. So this ends, even where
    # records are built on each other in a ring.
    while parent is not None and not reasons[parent.id]:
        reasons[parent.id].append(f'needed by {backup.id[:8]}')
        parent = by_id.get(parent.parent_id or '')
