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

"""What a manifest says, whatever the format."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

from chunked_backup.model import BackupRecord
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredObject


class Objects(Protocol):
    """The data objects of one backup; a format has the list for them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[StoredObject | PackedExtent]:
        """In the order of the manifest."""

    def names(self) -> Iterator[str]:
        """The name of each stored object."""

    def sorted(self) -> Iterator[StoredObject | PackedExtent]:
        """By offset, whatever the order in the manifest."""


@dataclasses.dataclass(slots=True)
class Manifest:
    """What ``<prefix>_metadata`` says.

    :param objects: what is stored where: the list class of the format.
    :param version: of the format.
    :param volume_meta: the volume's own metadata, as the text of a JSON
        document, or None.
    :param extra_metadata: what the driver wants back with every read, if
        anything.
    :param volume_bytes: the size of the volume; with the two below, not in
        format 1.0.0.
    :param digest_table_sha256: of the whole object.
    """

    record: BackupRecord
    objects: Objects
    version: str
    volume_meta: str | None = None
    extra_metadata: Any = None
    volume_bytes: int | None = None
    block_size_bytes: int | None = None
    digest_table_sha256: str | None = None
