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

"""The words of the project as plain values: no behaviour, no I/O.

All offsets, lengths and sizes are bytes of the volume unless a name says
otherwise.
"""

import dataclasses
import enum
from typing import NamedTuple


class Status(enum.StrEnum):
    """The states of a backup's record, with Cinder's spellings."""

    CREATING = 'creating'
    AVAILABLE = 'available'
    RESTORING = 'restoring'
    ERROR = 'error'
    DELETING = 'deleting'
    DELETED = 'deleted'


@dataclasses.dataclass(frozen=True, slots=True)
class BackupRecord:
    """What a host knows of one backup, in the words the core needs.

    :param prefix: the beginning of all its object names; Cinder calls it
        ``service_metadata``.
    :param created_at: the text that goes into the manifest, as
        ``str(datetime)`` gives it.
    :param manifest_sha256: what the manifest was when it was written, where
        the host has kept it; likewise ``digest_table_sha256``.
    """

    id: str
    volume_id: str
    parent_id: str | None = None
    container: str | None = None
    prefix: str | None = None
    name: str | None = None
    description: str | None = None
    created_at: str = ''
    status: str = Status.CREATING
    manifest_sha256: str | None = None
    digest_table_sha256: str | None = None


class Region(NamedTuple):
    """A range of a volume; ``zero`` when it is known to hold only zeros."""

    start: int
    end: int
    zero: bool = False


class Extent(NamedTuple):
    """A range of a volume that becomes one stored object."""

    offset: int
    length: int
    zero: bool = False


class StoredObject(NamedTuple):
    """One line of a manifest: an object and what it holds.

    :param offset: where its plain bytes belong in the volume.
    :param length: how many plain bytes it holds.
    :param compression: the spelling recorded with it, ``none`` when stored
        as it is.
    :param md5: hex digest of the plain bytes, or None where a writer left it
        out.
    """

    name: str
    offset: int
    length: int
    compression: str
    md5: str | None

    @property
    def end(self) -> int:
        """The offset behind its last byte in the volume."""
        return self.offset + self.length


class PackedExtent(NamedTuple):
    """A range of a volume, and where its bytes are in an object that may hold
    several.

    :param name: of the object; None when it is zeros, which none holds.
    :param compression: the spelling of its codec, ``none`` when stored as it
        is.
    :param start: where in the object its stored bytes begin.
    :param digest: see ``blocks.digests.extent_digest``.
    """

    name: str | None
    offset: int
    length: int
    compression: str
    start: int
    stored_bytes: int
    digest: bytes

    @property
    def end(self) -> int:
        """Where in the volume it ends."""
        return self.offset + self.length


class StoredPack(NamedTuple):
    """What one unit of work has stored: an object, or nothing but zeros.

    :param number: of the object, counted from 1.
    :param extents: in the order of the volume.
    """

    number: int
    extents: list[PackedExtent]

    @property
    def length(self) -> int:
        """How much of the volume they are."""
        return sum(extent.length for extent in self.extents)


class Segment(NamedTuple):
    """A part of a stream that is one stored object.

    :param length: how many bytes of the stream it holds.
    :param compression: the spelling of its codec, ``none`` when stored as it
        is.
    :param digest: blake3 of the stored bytes.
    """

    length: int
    stored_bytes: int
    compression: str
    digest: bytes


class Unfinished(NamedTuple):
    """What a broken-off write has left in a store that is no object.

    :param object_name: what was to be written, or None if that is not known.
    :param age_s: how long ago, on the store's own clock, it last grew.
    :param handle: what its driver knows it by.
    """

    object_name: str | None
    age_s: float
    handle: str


@dataclasses.dataclass(frozen=True, slots=True)
class BackupSummary:
    """What a finished backup tells its host."""

    object_count: int
    volume_bytes: int
    changed_bytes: int
    stored_bytes: int
    manifest_sha256: str
    digest_table_sha256: str
    format_version: str


class BadRange(NamedTuple):
    """A part of a volume that a salvage could not bring back."""

    offset: int
    length: int
    reason: str


class MappedRange(NamedTuple):
    """A part of a volume, and the backup that has stored it; None where all
    of it is zero and nothing is fetched."""

    start: int
    end: int
    backup_id: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class CheckSummary:
    """What the check of one backup tells its caller.

    :param object_count: how many data objects it has.
    :param read_count: how many of them were read.
    :param fetched_bytes: stored bytes read from them.
    :param problems: what is damaged, in sentences.
    """

    object_count: int
    read_count: int
    fetched_bytes: int
    problems: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreSummary:
    """What a finished restore or verification tells its caller.

    :param fetched_bytes: stored bytes read from data objects.
    :param bad_ranges: empty unless a salvage was asked for.
    """

    volume_bytes: int
    object_count: int
    fetched_bytes: int
    bad_ranges: tuple[BadRange, ...] = ()
