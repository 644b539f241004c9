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

"""Removing what a backup stored."""

import contextlib
from collections.abc import Callable
from types import ModuleType

from chunked_backup import errors
from chunked_backup.store.object_store import ObjectStore


def remove_objects(store: ObjectStore, naming: ModuleType, prefix: str,
                   progress: Callable[[], None] = lambda: None) -> int:
    """Delete the objects of one backup, its manifest first.

    Without its manifest it is no backup any more; what an interruption leaves
    behind is garbage, never a backup that lacks objects.

    :param naming: how objects are named: ``formats.names``, or that of trees.
    :param progress: called again and again while the store answers.
    :returns: how many objects there were.
    :raises DriverError: the store could not be listed or an object not
        deleted. A container that does not exist, or cannot, holds nothing.
    """
    try:
        found = store.names(prefix)
    except (errors.ContainerNotFound, errors.InvalidName):
        return 0
    mine = [name for name in found if naming.belongs_to(prefix, name)]
    manifest = naming.manifest(prefix)
    # Whether it is listed or not: a listing may lag. What nobody can store
    # under its name, as a record may have it, is not there.
    with contextlib.suppress(errors.InvalidName):
        store.delete([manifest], progress)
    store.delete((name for name in mine if name != manifest), progress)
    return len(mine)


def remove_leftovers(store: ObjectStore, naming: ModuleType,
                     prefix: str) -> int | None:
    """Delete what a broken-off run has left of a backup.

    :returns: how many objects there were; None if nothing was touched, as
        there is a manifest after all.
    """
    manifest = naming.manifest(prefix)
    mine = [name for name in store.names(prefix)
            if naming.belongs_to(prefix, name)]
    if manifest in mine or store.exists(manifest):
        return None
    store.delete(mine)
    return len(mine)
