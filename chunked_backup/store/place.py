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

"""Where a record says that its backup is."""

from typing import Protocol

from chunked_backup import errors


class Placed(Protocol):
    """What both kinds of records have: an id, and once it is written a
    container and a prefix of names in it."""

    @property
    def id(self) -> str: ...

    @property
    def container(self) -> str | None: ...

    @property
    def prefix(self) -> str | None: ...


def container_of(record: Placed) -> str:
    """The container of a backup.

    :raises IncompleteChain: it has none yet.
    """
    return _known(record, record.container, 'container')


def prefix_of(record: Placed) -> str:
    """The beginning of the names of all objects of a backup.

    :raises IncompleteChain: it has none yet.
    """
    return _known(record, record.prefix, 'prefix')


def _known(record: Placed, value: str | None, what: str) -> str:
    if value is None:
        raise errors.IncompleteChain(
            backup_id=record.id,
            reason=f'its record names no {what}: it was never written')
    return value
