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

"""What may be the name of a container or of an object, and what is a
temporary file's."""

import secrets

from chunked_backup import errors

_TEMPORARY_PREFIX = '.'
_TEMPORARY_SUFFIX = '.tmp'
_LONGEST_NAME_BYTES = 255
_LONGEST_CONTAINER = 255  # characters, as Cinder has it


def container_parts(container: str) -> list[str]:
    """The directories of a container's path.

    :raises InvalidName: it could lead outside the repository.
    """
    parts = container.split('/')
    problem = next(filter(None, map(_problem, parts)), None)
    if problem is None and len(container) > _LONGEST_CONTAINER:
        problem = f'it is longer than {_LONGEST_CONTAINER} characters'
    if problem:
        raise errors.InvalidName(kind='container', name=container,
                                 reason=problem)
    return parts


def is_container(container: str) -> bool:
    """Whether a container may have that name."""
    try:
        container_parts(container)
    except errors.InvalidName:
        return False
    return True


def own_container(backup_id: str) -> str:
    """The container of one backup alone."""
    return '/'.join((backup_id[0:2], backup_id[2:4], backup_id))


def is_own_container(container: str) -> bool:
    """Whether a container was made for one backup alone."""
    return container == own_container(container.rpartition('/')[2])


def check_object_name(name: str) -> None:
    """:raises InvalidName: no object may have that name."""
    problem = _problem(name)
    if problem is None and '/' in name:
        problem = 'it has a slash'
    if problem is None and name.startswith(_TEMPORARY_PREFIX):
        problem = 'it begins with a dot'
    if problem:
        raise errors.InvalidName(kind='object', name=name, reason=problem)


def is_object_name(name: str) -> bool:
    """Whether an object may have that name."""
    try:
        check_object_name(name)
    except errors.InvalidName:
        return False
    return True


def new_temporary_name() -> str:
    """A name for a file that is no object yet."""
    return f'{_TEMPORARY_PREFIX}{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}'


def is_temporary_name(name: str) -> bool:
    """Whether a file is, or was to be, no object yet."""
    return (name.startswith(_TEMPORARY_PREFIX)
            and name.endswith(_TEMPORARY_SUFFIX))


def _problem(part: str) -> str | None:
    if part in ('', '.', '..'):
        return 'it is empty, absolute, or leads to another directory'
    if '\0' in part:
        return 'it has a NUL'
    try:
        encoded = part.encode()
    except UnicodeEncodeError:
        return 'it is no valid text'
    if len(encoded) > _LONGEST_NAME_BYTES:
        return f'a part of it is longer than {_LONGEST_NAME_BYTES} bytes'
    return None
