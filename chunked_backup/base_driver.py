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

"""The seam between backups and stores: what a driver does for its store.

A driver knows one store and nothing else. It says how to make a container,
list it, and write, read and delete an object; everything about volumes,
chains, digests, compression and formats is done with those, in
``chunked_backup.driver`` and below.

What a driver promises (``chunked_backup.testing.contract`` checks each):

* ``get_object_writer`` gives a context manager with ``write(bytes)``. Leaving
  it normally makes the whole object visible at once; leaving it by an
  exception makes nothing visible, and an object of that name that was there
  before is still there.
* ``get_exclusive_writer``, where a driver has one, gives the same; when the
  name is taken it raises ``ObjectExists`` and leaves the object there as it
  was, or it replaces the whole.
* ``get_object_reader`` gives a context manager with ``read()``, and better
  with ``read(size)``. Without sizes whole objects are held in memory.
* Deleting what is missing succeeds.
* A listing that fails raises; it never gives an empty or a partial list.
* A name that could lead outside the container is refused.
* Errors are classified: ``ObjectNotFound``, ``ContainerNotFound``,
  ``AccessDenied``, ``OutOfSpace``, ``TransientDriverError``.
* Any number of threads may use one driver.
"""

import abc
import datetime
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from oslo_config import cfg

from chunked_backup import opts
from chunked_backup.flow.tally import Tally
from chunked_backup.model import Unfinished
from chunked_backup.store.reader import open_part
from chunked_backup.store.seam import ObjectReader
from chunked_backup.store.seam import ObjectWriter


class BaseDriver(abc.ABC):
    """Knows a store. A driver subclasses ``ChunkedBackupDriver``, which adds
    the verbs.

    :param context: the volume service's request context; kept as
        ``self.context`` and handed to nobody else.
    :param chunk_size_bytes: no object holds more of a volume than this; a
        multiple of the block size.
    :param sha_block_size_bytes: what one digest covers, and so the smallest
        change that an incremental stores.
    :param backup_default_container: where backups go that name no container.
    :param enable_progress_timer: whether Cinder's users are notified of
        progress every so many seconds.
    """

    #: A driver sets this when its writers keep no buffer after ``write``.
    takes_memoryviews = False

    #: How much of an object on its way a driver keeps in memory.
    spool_bytes = 0

    #: How many objects are transferred at the same time where the option
    #: ``parallelism`` does not say: this default has enough requests under way
    #: to a store that is not here.
    suitable_parallelism = 8

    #: Cinder's own driver for the same store, by its class path. Within
    #: Cinder its backups are taken over.
    cinder_driver: str | None = None

    #: Libraries that a driver imports when it first needs them.
    required_modules: tuple[str, ...] = ()

    def __init__(self, context: Any, chunk_size_bytes: int,
                 sha_block_size_bytes: int, backup_default_container: str,
                 enable_progress_timer: bool) -> None:
        self.context = context
        self.conf = cfg.CONF
        opts.register(self.conf)
        self.chunk_size_bytes = chunk_size_bytes
        self.sha_block_size_bytes = sha_block_size_bytes
        self.backup_default_container = backup_default_container
        self.enable_progress_timer = enable_progress_timer
        #: It grows while a long request gets on: by what is read from the
        #: store, and by what a driver adds.
        self.activity = 0
        #: What the operation that runs has done and cost so far.
        self.tally = Tally()

    # What a store has to do.

    @abc.abstractmethod
    def put_container(self, container: str) -> None:
        """Create a container; one that exists is as good."""

    @abc.abstractmethod
    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        """The names of all objects that begin with ``prefix``.

        :raises ContainerNotFound: there is no such container.
        """

    @abc.abstractmethod
    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> AbstractContextManager[ObjectWriter]:
        """A context manager over an object with ``write(data)``."""

    @abc.abstractmethod
    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> AbstractContextManager[ObjectReader]:
        """A context manager over an object with ``read()``.

        :raises ObjectNotFound: there is no such object; from here or from
            ``read``.
        """

    @abc.abstractmethod
    def delete_object(self, container: str, object_name: str) -> None:
        """Have no object of that name."""

    @abc.abstractmethod
    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        """The container for a new backup, or None to keep the one asked for.

        :param backup: the volume service's object, with ``id`` and
            ``volume_id``.
        :param container: what the user asked for.
        """

    @abc.abstractmethod
    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        """Anything to keep in the manifest and be handed back with every
        object, as JSON has it; None for nothing."""

    # What a store may do.

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> AbstractContextManager[ObjectWriter]:
        """As ``get_object_writer``, for the object that commits a backup.

        Where the store can, an object of that name is left as it is, and
        leaving the block raises. This default replaces it.

        :raises ObjectExists: the name is taken.
        """
        return self.get_object_writer(container, object_name, extra_metadata)

    def get_range_reader(self, container: str, object_name: str, start: int,
                         length: int, extra_metadata: Any = None
                         ) -> AbstractContextManager[ObjectReader]:
        """As ``get_object_reader``, of a part of an object; where it reaches
        beyond the end, of what there is.

        A store that sends parts does better than this default, which opens
        the whole and leaves out what comes before.
        """
        return open_part(self.get_object_reader(
            container, object_name, extra_metadata), start, length)

    @property
    def parallelism(self) -> int:
        """How many objects are transferred at the same time."""
        configured: int | None = self.conf.chunked_backup.parallelism
        return configured or self.suitable_parallelism

    @property
    def retry_attempts(self) -> int:
        """How often a request is made while the store fails for now."""
        attempts: int = self.conf.chunked_backup.retry_attempts
        return attempts

    @property
    def retry_wait_s(self) -> float:
        """At most how long to wait before the second; see RetryPolicy."""
        wait_s: float = self.conf.chunked_backup.retry_wait_s
        return wait_s

    def _generate_object_name_prefix(self, backup: Any) -> str:
        """The beginning of all object names of a new backup.

        It has to end with something that only this backup has. The name is
        Cinder's, for the drivers that override it there.
        """
        now = datetime.datetime.now(datetime.UTC)
        zone = (getattr(backup, 'availability_zone', None)
                or self.conf.chunked_backup.availability_zone)
        return (f'volume_{backup.volume_id}/{now:%Y%m%d%H%M%S}/'
                f'az_{zone}_backup_{backup.id}')

    def get_containers(self) -> Iterable[str]:
        """The containers that may hold backups, to rebuild a catalogue."""
        return [self.backup_default_container]

    @property
    def catalogue_container(self) -> str:
        """Where a stand-alone host keeps its records."""
        return self.backup_default_container

    def delete_objects(self, container: str, names: list[str]) -> None:
        """Have no objects of those names; a store that can delete many at
        once does so."""
        for name in names:
            self.delete_object(container, name)

    def discard_container(self, container: str) -> None:
        """A backup in this container was deleted; a driver that gives each
        backup a container of its own removes it if it is empty."""

    def get_object_ages(self, container: str,
                        prefix: str) -> dict[str, float] | None:
        """How old the objects are whose names begin with ``prefix``.

        :returns: name -> how many seconds ago, on the store's own clock, it
            was written; None where the store cannot tell.
        :raises ContainerNotFound: there is no such container.
        """
        return None

    def get_unfinished(self, container: str) -> Iterable[Unfinished]:
        """What broken-off writes have left that is no object: temporary
        files, uploads without an end, parts of no object."""
        return ()

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None:
        """Remove one of these; one that is gone is as good."""

    def check_store(self) -> None:
        """See that the store can be used.

        :raises ChunkedBackupError: it cannot, and why.
        """

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        """The options of this driver, for documents."""
        return opts.OPTS

    @classmethod
    def class_path(cls) -> str:
        """What a record says of who has written a backup."""
        return f'{cls.__module__}.{cls.__qualname__}'
