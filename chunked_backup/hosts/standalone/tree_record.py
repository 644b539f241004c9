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

"""The record of one backup of a tree."""

import dataclasses
import datetime
from typing import Self

from chunked_backup.formats.tree_v1 import time_of
from chunked_backup.hosts.standalone.record import InvalidRecord
from chunked_backup.hosts.standalone.record import Record


@dataclasses.dataclass
class TreeBackup(Record):
    """One backup of a tree.

    :param name: what its user calls the chain.
    :param source: the path it was made from; ``host`` is the machine.
    :param level: how many backups it is built on.
    :param totals: see ``jobs.tree_backup.Totals``.
    """

    name: str
    prefix: str | None = None
    engine: str = ''
    source: str = ''
    host: str = ''
    level: int = 0
    totals: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        backup = super().from_json(data)
        try:
            time_of(backup.created_at)
        except ValueError as exc:
            raise InvalidRecord(f'created_at: {exc}') from exc
        return backup

    @property
    def volume_id(self) -> str:
        """Drivers ask for it when they choose a container."""
        return self.id

    @property
    def service_metadata(self) -> str | None:
        """The prefix, as records of volumes call it."""
        return self.prefix

    @property
    def created(self) -> datetime.datetime:
        """When its making began."""
        return time_of(self.created_at).astimezone()
