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

from collections.abc import Callable
from types import ModuleType

from chunked_backup import errors
from chunked_backup.store.object_store import ObjectStore


def remove_objects(store: ObjectStore, layout: ModuleType, prefix: str,
                   progress: Callable[[], None] = lambda: None) -> int:
    """Delete the objects of one backup, its manifest first.

    Without its manifest it is no backup any more; what an interruption leaves
    behind is garbage, never a backup that lacks objects.

    :param progress: called again and again while the store answers.
    :returns: how many objects there were.
    :raises DriverError: the store could not be listed or an object not
        deleted. A container that does not exist holds nothing.
    """
    try:
        names = store.names(prefix)
    except errors.ContainerNotFound:
        return 0
    mine = [name for name in names if layout.names.belongs_to(prefix, name)]
    manifest = layout.names.manifest(prefix)
    # Whether it is listed or not: a listing may lag.
    store.delete([manifest], progress)
    store.delete((name for name in mine if name != manifest), progress)
    return len(mine)


def remove_leftovers(store: ObjectStore, layout: ModuleType,
                     prefix: str) -> int | None:
    """Delete what a broken-off run has left of a backup.

    :returns: how many objects there were; None if nothing was touched, as
        there is a manifest after all.
    """
    manifest = layout.names.manifest(prefix)
    names = [name for name in store.names(prefix)
             if layout.names.belongs_to(prefix, name)]
    if manifest in names or store.exists(manifest):
        return None
    store.delete(names)
    return len(names)
