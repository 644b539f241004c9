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

"""What the objects of a tree's backup are called."""

import functools
import re
from collections.abc import Callable

DATA = 'data'
INDEX = 'index'
SIGNATURES = 'signatures'
STREAMS = (DATA, INDEX, SIGNATURES)

_BEGINNING = 'tree_'
_MANIFEST_SUFFIX = '_manifest'
_SUFFIX = re.compile(rf'_(({"|".join(STREAMS)})_\d{{8,}}|manifest)\Z')


def prefix(created_at: str, backup_id: str) -> str:
    """The beginning of all object names of one backup.

    :param created_at: in ISO 8601; only its digits are taken.
    """
    return f'{_BEGINNING}{re.sub("[^0-9]", "", created_at)[:14]}_{backup_id}'


def id_of(prefix: str) -> str:
    """The id of the backup with a prefix."""
    return prefix.removeprefix(_BEGINNING).partition('_')[2]


def segment(prefix: str, stream: str) -> Callable[[int], str]:
    """Gives the name of the object of a stream with that number, from 1."""
    return functools.partial('{}_{}_{:08d}'.format, prefix, stream)


def manifest(prefix: str) -> str:
    """The name of the manifest."""
    return prefix + _MANIFEST_SUFFIX


def prefix_of_manifest(name: str) -> str | None:
    """The prefix of the backup whose manifest is called ``name``."""
    if name.startswith(_BEGINNING) and name.endswith(_MANIFEST_SUFFIX):
        return name.removesuffix(_MANIFEST_SUFFIX)
    return None


def prefix_of(name: str) -> str | None:
    """The prefix of the backup that an object of that name is part of."""
    found = _SUFFIX.search(name)
    if found is None or not name.startswith(_BEGINNING):
        return None
    return name[:found.start()]


def belongs_to(prefix: str, name: str) -> bool:
    """Whether an object called ``name`` is part of the backup ``prefix``."""
    return name.startswith(prefix) and bool(
        _SUFFIX.fullmatch(name[len(prefix):]))
