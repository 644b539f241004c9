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

"""Backups in OpenStack Swift.

Every put carries its length and md5, which the server checks, and its answer
is checked as well. Objects above the cluster's limit (5 GiB as a rule) become
static large objects, their segments in ``<container>_segments``; reading and
deleting treat one as the one object that it is.

Who signs in: with ``auth = per_user``, the token and the catalogue of the
request, as within Cinder; with ``single_user``, the user of the options.

swiftclient logs the beginnings of tokens and keys at DEBUG and INFO, so its
logger stays at WARNING.
"""


import contextlib
import functools
import importlib
import io
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import opts
from chunked_backup.drivers import streams
from chunked_backup.drivers.swift.account import Account
from chunked_backup.drivers.swift.classify import classified
from chunked_backup.drivers.swift.classify import client_exception
from chunked_backup.drivers.swift.classify import replacing_nothing
from chunked_backup.drivers.swift.objects import Objects
from chunked_backup.drivers.swift.objects import check_names
from chunked_backup.drivers.swift.options import GROUP
from chunked_backup.drivers.swift.options import OPTS
from chunked_backup.drivers.swift.segments import LargeObjects
from chunked_backup.model import Unfinished

_LARGEST_OBJECT_BYTES = 5 << 30
_DELETE_AT_ONCE = 1000


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]


class SwiftBackupDriver(driver.ChunkedBackupDriver):
    """Keeps backups in containers."""

    takes_memoryviews = True
    spool_bytes = streams.SPOOL_IN_MEMORY_BYTES
    cinder_driver = 'cinder.backup.drivers.swift.SwiftBackupDriver'
    required_modules = ('swiftclient', 'keystoneauth1')

    def __init__(self, context: Any = None) -> None:
        streams.quiet('swiftclient', 'keystoneauth')
        conf = cfg.CONF
        conf.register_group(GROUP)
        conf.register_opts(OPTS, group=GROUP)
        mine = self._options = conf.chunked_backup_swift
        super().__init__(context, mine.chunk_size_bytes,
                         mine.sha_block_size_bytes, mine.container,
                         mine.enable_progress_timer)
        self._account = Account(conf, mine, context)
        self._objects = Objects(self._account, mine.create_storage_policy)
        self._large_objects = LargeObjects(self._objects)

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return opts.OPTS + OPTS

    @property
    def retry_attempts(self) -> int:
        return 1 + int(self._options.retry_attempts)

    @property
    def retry_wait_s(self) -> float:
        return float(self._options.retry_backoff)

    def check_store(self) -> None:
        # The first import takes 0.3 s, which a service has at its start but
        # not in the middle of its work.
        for module in self.required_modules:
            importlib.import_module(module)
        self._account.check()

    def put_container(self, container: str) -> None:
        self._objects.put_container(container)

    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        return self._objects.names(container, prefix)

    def get_object_ages(self, container: str,
                        prefix: str) -> dict[str, float]:
        return self._objects.ages(container, prefix)

    def get_unfinished(self, container: str) -> Iterable[Unfinished]:
        """Segments that no large object lists."""
        return self._large_objects.unfinished(container)

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None:
        if unfinished.object_name is not None:
            self._large_objects.discard(container, unfinished.object_name,
                                        unfinished.handle)

    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager[Any]:
        check_names(container, object_name)
        return streams.spooled(self, functools.partial(
            self._send, container, object_name))

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> contextlib.AbstractContextManager[Any]:
        """A writer that is refused when the object has been there before.

        It is no lock: of writers that come at the same moment several may
        pass, and the last one wins. Swift asks its disks before it takes an
        object, Ceph's gateway takes no notice of the condition.
        """
        check_names(container, object_name)

        def send(whole: streams.Upload) -> None:
            self._objects.require_missing(container, object_name)
            with replacing_nothing(container, object_name):
                self._send(container, object_name, whole,
                           {'If-None-Match': '*'})

        return streams.spooled(self, send)

    def _send(self, container: str, object_name: str, whole: streams.Upload,
              headers: dict[str, str] | None = None) -> None:
        most_bytes = self._objects.limit('max_file_size',
                                         _LARGEST_OBJECT_BYTES)
        if whole.length > most_bytes:
            self._large_objects.put(container, object_name, whole, most_bytes,
                                    headers)
        else:
            self._objects.put(container, object_name, whole, headers)

    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager[
                              streams.RangeReader]:
        return self._reader(container, object_name)

    def get_range_reader(self, container: str, object_name: str, start: int,
                         length: int, extra_metadata: Any = None
                         ) -> contextlib.AbstractContextManager[
                             streams.RangeReader]:
        return self._reader(container, object_name, start, length)

    def _reader(self, container: str, object_name: str, start: int = 0,
                length: int | None = None
                ) -> contextlib.AbstractContextManager[streams.RangeReader]:
        check_names(container, object_name)

        def get(wanted: str | None) -> tuple[Any, int]:
            headers = {'Range': wanted} if wanted else {}
            try:
                connection, (answer, body) = self._account.hold(
                    lambda connection: connection.get_object(
                        container, object_name, resp_chunk_size=1 << 20,
                        headers=headers))
            except client_exception() as exc:
                if not wanted or exc.http_status != 416:
                    raise
                return io.BytesIO(), 0  # it begins beyond the end
            count = int(answer['content-length'])
            return _Body(self._account, connection, body, count), count

        return contextlib.closing(streams.RangeReader(
            get, functools.partial(classified, container, object_name),
            start, length))

    def delete_object(self, container: str, object_name: str) -> None:
        self._objects.delete(container, object_name)
        self._large_objects.delete_segments(container, object_name)

    def delete_objects(self, container: str, names: list[str]) -> None:
        most = min(_DELETE_AT_ONCE, self._objects.limit(
            'max_deletes_per_request', 0, section='bulk_delete'))
        if not most or self._large_objects.are_in(container):
            super().delete_objects(container, names)
            return
        for name in names:
            check_names(container, name)
        for first in range(0, len(names), most):
            self._objects.delete_at_once(container, names[first:first + most])

    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        return container

    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        return None


class _Body:
    """An answer that is being read; nobody else has its connection."""

    def __init__(self, account: Account, connection: Any, body: Any,
                 length: int) -> None:
        self._account = account
        self._connection = connection
        self._body = body
        self._left = length

    def read(self, size: int) -> bytes:
        data: bytes = self._body.read(size)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._body.close()
        if self._left:
            self._connection.close()
        else:
            self._account.give_back(self._connection)
