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

"""The names of a volume backup's objects, in every format.

Who lists, deletes or tidies up goes by names alone and need not know the
format of a backup; its manifest says it.
"""

import re

MANIFEST_SUFFIX = '_metadata'
DIGEST_TABLE_SUFFIX = '_sha256file'
_SUFFIX = re.compile(r'(-\d{5,}|_metadata|_sha256file)\Z')
_USUAL_PREFIX = re.compile(r'volume_.+[/_]\d{14}[/_](az_.*_)?backup_.+')


def data_object(prefix: str, number: int) -> str:
    """The name of the ``number``-th data object, counted from 1."""
    return f'{prefix}-{number:05d}'


def manifest(prefix: str) -> str:
    """The name of the manifest."""
    return prefix + MANIFEST_SUFFIX


def digest_table(prefix: str) -> str:
    """The name of the digest table."""
    return prefix + DIGEST_TABLE_SUFFIX


def id_of(prefix: str) -> str:
    """The id of the backup with a prefix."""
    return prefix.rpartition('backup_')[2]


def prefix_of_manifest(name: str) -> str | None:
    """The prefix of the backup whose manifest is called ``name``."""
    if not name.endswith(MANIFEST_SUFFIX):
        return None
    return name.removesuffix(MANIFEST_SUFFIX) or None


def prefix_of(name: str) -> str | None:
    """The prefix of the backup that an object called ``name`` is part of.

    Only prefixes that look like those of Cinder and of our own drivers count:
    in a container may be what is no backup at all.
    """
    prefix, count = _SUFFIX.subn('', name)
    return prefix if count and _USUAL_PREFIX.fullmatch(prefix) else None


def belongs_to(prefix: str, name: str) -> bool:
    """Whether an object called ``name`` is part of the backup ``prefix``."""
    return name.startswith(prefix) and bool(
        _SUFFIX.fullmatch(name[len(prefix):]))
