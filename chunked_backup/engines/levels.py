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

"""Which backup a new one is built on.

A full backup has level 0. What a level counts is how many backups of the
chain have to be there for this one to be restored; two policies end a chain
and begin the next:

========================= ====================================================
``max_level`` N           levels 0, 1, ... N, then 0 again
``always_level`` N        levels 0, 1, ... N, then N again and again, each
                          with what differs from the newest of level N - 1
``restart_always_level``  whatever comes next is a 0 once level 0 is older
                          than so many days
========================= ====================================================

Which backup is built on which is told by ids alone, never by levels.
"""

import dataclasses
import datetime
from collections.abc import Iterable

from chunked_backup import errors


@dataclasses.dataclass(frozen=True, slots=True)
class LevelPolicy:
    """What the user has asked for.

    :param incremental: without it, every backup is a full one.
    :param restart_always_level: an age of level 0 in days.
    :raises InvalidInput: the wishes contradict each other.
    """

    incremental: bool = False
    max_level: int | None = None
    always_level: int | None = None
    restart_always_level: float | None = None

    def __post_init__(self) -> None:
        limits = {'max-level': self.max_level,
                  'always-level': self.always_level,
                  'restart-always-level': self.restart_always_level}
        given = {name: value for name, value in limits.items()
                 if value is not None}
        for name, value in given.items():
            if value < 0:
                raise errors.InvalidInput(
                    reason=f'--{name} {value} is below 0')
        if given and not self.incremental:
            raise errors.InvalidInput(
                reason=f'--{next(iter(given))} says how an incremental '
                       'backup is made; it wants --incremental')
        if 'max-level' in given and 'always-level' in given:
            raise errors.InvalidInput(
                reason='--max-level begins a new chain where --always-level '
                       'goes on with the old one; give one of them')

    def parent(self, backups: Iterable['Rung'],
               now: datetime.datetime) -> 'Rung | None':
        """The backup to build on, or None for a full one.

        :param backups: all of one name that can be restored, in any order.
        """
        if not self.incremental:
            return None
        chain = _newest_chain(backups)
        if not chain or self._is_old(chain[0], now):
            return None
        newest = chain[-1]
        if self.max_level is not None and newest.level >= self.max_level:
            return None
        if self.always_level is None or newest.level < self.always_level:
            return newest
        below = [each for each in chain
                 if each.level == self.always_level - 1]
        return below[-1] if below else None

    def _is_old(self, full: 'Rung', now: datetime.datetime) -> bool:
        return (self.restart_always_level is not None
                and now - full.created_at > datetime.timedelta(
                    days=self.restart_always_level))


@dataclasses.dataclass(frozen=True, slots=True)
class Rung:
    """What a policy has to know of a backup."""

    id: str
    parent_id: str | None
    level: int
    created_at: datetime.datetime


def _newest_chain(backups: Iterable[Rung]) -> list[Rung]:
    """The newest full backup and all that are built on it: level by level,
    on each the newest last, whatever the clock has done meanwhile."""
    children: dict[str | None, list[Rung]] = {}
    for each in sorted(backups, key=lambda each: (each.created_at, each.id)):
        children.setdefault(each.parent_id, []).append(each)
    chain: list[Rung] = []
    level = children.get(None, [])[-1:]
    while level:
        chain += level
        level = sorted(
            (child for each in level for child in children.get(each.id, [])),
            key=lambda each: (each.created_at, each.id))
    return chain
