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
from typing import Any

_PERIODS: dict[str, Callable[[datetime.datetime], Any]] = {
    'hourly': lambda time: (time.date(), time.hour),
    'daily': lambda time: time.date(),
    'weekly': lambda time: time.isocalendar()[:2],
    'monthly': lambda time: (time.year, time.month),
    'yearly': lambda time: time.year,
}
RULES = ('last', *_PERIODS)


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """:param reasons: why a backup is kept; none: it goes."""

    backup: Any
    reasons: tuple[str, ...]


def decide(backups: Iterable[Any], keep: dict[str, int]) -> list[Decision]:
    """Judge the backups of one name.

    :param backups: with ``id``, ``parent_id`` and ``created``.
    :param keep: how many, by rule; see ``RULES``.
    :returns: one decision for each, oldest first.
    """
    ordered = sorted(backups, key=lambda each: (each.created, each.id))
    reasons: dict[str, list[str]] = {each.id: [] for each in ordered}
    for rule, count in keep.items():
        seen: set[Any] = set()
        for each in reversed(ordered):
            period = (each.id if rule == 'last'
                      else _PERIODS[rule](each.created.astimezone()))
            if len(seen) < count and period not in seen:
                seen.add(period)
                reasons[each.id].append(rule)
    by_id = {each.id: each for each in ordered}
    for each in reversed(ordered):
        if reasons[each.id]:
            _keep_ancestors(each, by_id, reasons)
    return [Decision(each, tuple(reasons[each.id])) for each in ordered]


def _keep_ancestors(backup: Any, by_id: dict[str, Any],
                    reasons: dict[str, list[str]]) -> None:
    parent = by_id.get(backup.parent_id)
    while parent is not None:
        if not reasons[parent.id]:
            reasons[parent.id].append(f'needed by {backup.id[:8]}')
        parent = by_id.get(parent.parent_id)
