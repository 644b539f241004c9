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

"""The reference driver: objects in the memory of this process.

For tests, and to read before writing a driver. It keeps every promise of the
contract with as little as possible.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

from chunked_backup import driver
from chunked_backup import errors
from chunked_backup.flow import native

_CHUNK_SIZE_BYTES = 1 << 20
_SHA_BLOCK_SIZE_BYTES = 32768


class MemoryBackupDriver(driver.ChunkedBackupDriver):
    """Keeps containers in a dictionary.

    :param stores: container -> name -> bytes; give the same one to several
        drivers to have them share a repository.
    """

    takes_memoryviews = True

    def __init__(self, context: Any = None,
                 chunk_size_bytes: int = _CHUNK_SIZE_BYTES,
                 sha_block_size_bytes: int = _SHA_BLOCK_SIZE_BYTES,
                 backup_default_container: str = 'backups',
                 enable_progress_timer: bool = True,
                 stores: dict[str, dict[str, bytes]] | None = None) -> None:
        super().__init__(context, chunk_size_bytes, sha_block_size_bytes,
                         backup_default_container, enable_progress_timer)
        self.stores = {} if stores is None else stores
        self._lock = native.reentrant_lock()

    def put_container(self, container: str) -> None:
        self.stores.setdefault(container, {})

    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        with self._lock:
            return [name for name in self._objects(container)
                    if name.startswith(prefix)]

    @contextlib.contextmanager
    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None) -> Iterator[io.BytesIO]:
        objects = self._objects(container)
        if not object_name:  # any other leads nowhere in a dictionary
            raise errors.InvalidName(kind='object', name=object_name,
                                     reason='it is empty')
        data = io.BytesIO()
        yield data
        with self._lock:  # not reached when the block ends by an exception
            objects[object_name] = data.getvalue()

    @contextlib.contextmanager
    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> Iterator[io.BytesIO]:
        with (contextlib.ExitStack() as until_stored,
              self.get_object_writer(container, object_name) as writer):
            yield writer
            until_stored.enter_context(self._lock)
            if object_name in self._objects(container):
                raise errors.ObjectExists(container=container,
                                          object_name=object_name)

    @contextlib.contextmanager
    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None) -> Iterator[io.BytesIO]:
        try:
            data = self._objects(container)[object_name]
        except KeyError:
            raise errors.ObjectNotFound(
                container=container, object_name=object_name) from None
        yield io.BytesIO(data)

    def delete_object(self, container: str, object_name: str) -> None:
        with self._lock:
            self.stores.get(container, {}).pop(object_name, None)

    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        return container

    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        return None

    def get_containers(self) -> Iterable[str]:
        return list(self.stores)

    def _objects(self, container: str) -> dict[str, bytes]:
        try:
            return self.stores[container]
        except KeyError:
            raise errors.ContainerNotFound(
                container=container, reason='create it first') from None
