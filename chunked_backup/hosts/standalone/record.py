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

"""The record of one backup."""

import dataclasses
import datetime
import json
import types
import typing
from typing import Any, Self

from chunked_backup import errors
from chunked_backup.model import BackupRecord
from chunked_backup.model import Status

_VERSION = 1


class InvalidRecord(Exception):
    """What is stored is no record."""


@dataclasses.dataclass
class Record:
    """What is kept of a backup of either kind, as JSON.

    :param writer: the process that writes or has written it; see ``writer``.
    """

    id: str
    _: dataclasses.KW_ONLY
    parent_id: str | None = None
    status: str = Status.CREATING
    created_at: str = ''
    container: str | None = None
    writer: str | None = None
    manifest_sha256: str | None = None
    fail_reason: str | None = None

    @property
    def created(self) -> datetime.datetime | None:
        """When its making began; None where that cannot be told."""
        try:
            time = datetime.datetime.fromisoformat(self.created_at)
            if time.tzinfo is None:  # by Cinder, whose times are UTC
                time = time.replace(tzinfo=datetime.UTC)
            return time.astimezone()
        except (ValueError, OverflowError):
            return None

    def to_json(self) -> bytes:
        """What is stored of it."""
        fields = {'version': _VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, sort_keys=True, indent=2).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """:raises InvalidRecord: it is no record of a version known here."""
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise InvalidRecord(f'it is no JSON ({exc})') from exc
        if not isinstance(fields, dict):
            raise InvalidRecord('it is no map')
        if fields.pop('version', None) != _VERSION:
            raise InvalidRecord('its version is unknown')
        for field in dataclasses.fields(cls):
            value = fields.get(field.name)
            if not _is_of(value, field.type) or isinstance(value, bool):
                raise InvalidRecord(f'{field.name} is {value!r}')
        # Fields of later releases are left out.
        return cls(**{field.name: fields[field.name]
                      for field in dataclasses.fields(cls)
                      if field.name in fields})


@dataclasses.dataclass
class Backup(Record):
    """One backup, as the drivers' verbs take it.

    The names are those of Cinder's backups, and items may be had like
    attributes, so that a driver written for Cinder finds what it looks for.

    :param service_metadata: the beginning of all its object names.
    :param service: the class that wrote it.
    :param source: the path it was made from.
    :param volume_bytes: the size of the volume.
    :param changed_bytes: how much of the volume its own objects hold.
    :param stored_bytes: how much its data objects take.
    :param format_version: of its objects; None where nobody has looked.
    """

    volume_id: str
    display_name: str | None = None
    display_description: str | None = None
    service_metadata: str | None = None
    service: str | None = None
    availability_zone: str | None = None
    source: str | None = None
    object_count: int | None = None
    volume_bytes: int | None = None
    changed_bytes: int | None = None
    stored_bytes: int | None = None
    digest_table_sha256: str | None = None
    format_version: str | None = None

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    @property
    def is_incremental(self) -> bool:
        """Whether it depends on another."""
        return self.parent_id is not None

    def to_record(self) -> BackupRecord:
        """The same in the words of the core."""
        return BackupRecord(
            id=self.id, volume_id=self.volume_id, parent_id=self.parent_id,
            container=self.container, prefix=self.service_metadata,
            name=self.display_name, description=self.display_description,
            created_at=self.created_at, status=self.status,
            manifest_sha256=self.manifest_sha256,
            digest_table_sha256=self.digest_table_sha256)


def require_available(backup: Record, wanted: str) -> None:
    """See that a backup of either kind is complete.

    :param wanted: what is to be done with it, as a participle.
    :raises BackupNotRestorable: it is not.
    """
    if backup.status != Status.AVAILABLE:
        raise errors.BackupNotRestorable(backup_id=backup.id,
                                         status=backup.status, wanted=wanted)


def _is_of(value: object, kind: Any) -> bool:
    """Whether a value has the type of a field; of a dict, it alone."""
    if isinstance(kind, types.GenericAlias):
        kind = typing.get_origin(kind)
    return isinstance(value, kind)
