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

"""Single requests: each is checked, and its errors are ours.

Every put carries its length and md5, which the server checks, and its answer
is checked as well.
"""

import contextlib
import datetime
import json
import threading
from collections.abc import Callable, Mapping
from email import utils
from typing import Any
from urllib import parse

from chunked_backup import errors
from chunked_backup.drivers import streams
from chunked_backup.drivers.swift.account import Account
from chunked_backup.drivers.swift.classify import classified
from chunked_backup.drivers.swift.classify import client_exception
from chunked_backup.drivers.swift.classify import error
from chunked_backup.drivers.swift.classify import into
from chunked_backup.flow import native


class Objects:
    """The objects of an account.

    :param storage_policy: of containers that are made; None for the
        cluster's own.
    """

    def __init__(self, account: Account, storage_policy: str | None) -> None:
        self._account = account
        self._storage_policy = storage_policy
        self._lock = threading.Lock()
        self._capabilities: dict[str, Any] | None = None

    def request(self, container: str, object_name: str | None,
                function: Callable[[Any], Any]) -> Any:
        """What ``function`` gives for a connection.

        :param object_name: None for a request about the container.
        """
        check_names(container, object_name)
        with classified(container, object_name):
            return self._account.request(function)

    def put_container(self, container: str) -> None:
        """Have a container."""
        policy = self._storage_policy

        def put(connection: Any) -> None:
            try:
                connection.head_container(container)
                return
            except client_exception() as exc:
                if exc.http_status != 404:
                    raise
            connection.put_container(container, headers=(
                {'X-Storage-Policy': policy} if policy else None))

        self.request(container, None, put)

    def names(self, container: str, prefix: str) -> list[str]:
        """The names of all objects that begin with ``prefix``."""
        return [entry['name'] for entry in self._list(container, prefix)[1]]

    def ages(self, container: str, prefix: str) -> dict[str, float]:
        """Name -> seconds since it was written, of the same objects."""
        answer, entries = self._list(container, prefix)
        now = utils.parsedate_to_datetime(answer['date'])
        return {entry['name']: _age_s(now, entry['last_modified'])
                for entry in entries}

    def require_missing(self, container: str, name: str) -> None:
        """See that there is no such object.

        :raises ObjectExists: there is.
        """
        with contextlib.suppress(errors.ObjectNotFound):
            self.request(container, name, lambda connection:
                         connection.head_object(container, name))
            raise errors.ObjectExists(container=container, object_name=name)

    def put(self, container: str, name: str, whole: streams.Upload,
            headers: Mapping[str, str] | None = None) -> None:
        """Store an object in one piece."""
        md5 = whole.md5.hex()

        def put(connection: Any) -> Any:
            whole.file.seek(0)
            return connection.put_object(
                container, name, whole.file, content_length=whole.length,
                etag=md5, headers=headers)

        with into(container):
            found = self.request(container, name, put)
        check_etag(container, name, found, md5)

    def delete(self, container: str, name: str) -> None:
        """Have no object of that name; segments stay."""
        with contextlib.suppress(errors.ObjectNotFound,
                                 errors.ContainerNotFound):
            self.request(container, name, lambda connection:
                         connection.delete_object(container, name))

    def delete_at_once(self, container: str, names: list[str]) -> None:
        """The same for several, by one request."""
        lines = '\n'.join(parse.quote(f'{container}/{name}')
                          for name in names)
        _, body = self.request(
            container, None, lambda connection: connection.post_account(
                {'Content-Type': 'text/plain', 'Accept': 'application/json'},
                query_string='bulk-delete', data=lines.encode()))
        answer = json.loads(body)
        status = int(answer['Response Status'].split()[0])
        for failed, reason in answer['Errors']:
            raise error(int(reason.split()[0]), container,
                        parse.unquote(failed).lstrip('/').partition('/')[2],
                        f'deleting several objects: {reason}')
        if status >= 400 and status != 404:
            raise error(status, container, None,
                        f'deleting several objects: {answer}')

    @native.on_hub
    def limit(self, name: str, default: int, section: str = 'swift') -> int:
        """What the cluster says of itself."""
        with self._lock:
            if self._capabilities is None:
                try:
                    with classified('', None):
                        self._capabilities = self._account.request(
                            lambda connection: connection.get_capabilities())
                except (errors.ObjectNotFound, errors.ContainerNotFound,
                        errors.AccessDenied):
                    self._capabilities = {}  # a gateway that does not tell
            return int(self._capabilities.get(section, {}).get(name, default))

    def _list(self, container: str, prefix: str) -> Any:
        """The headers and the entries of a listing."""
        return self.request(
            container, None, lambda connection: connection.get_container(
                container, prefix=prefix, full_listing=True))


def check_names(container: str, object_name: str | None) -> None:
    """:raises InvalidName: clients or servers take one for another name."""
    streams.check_container(container)
    if object_name is not None:
        streams.check_object(object_name)


def check_etag(container: str, name: str, found: str | None,
               md5: str) -> None:
    """:raises TransientDriverError: the store has taken something else."""
    if (found or '').strip('"') != md5:
        raise errors.TransientDriverError(
            container=container, object_name=name,
            reason=f'the store has taken the md5 {found}, sent was {md5}')


def _age_s(now: datetime.datetime, written: str) -> float:
    """:param written: as listings have it: UTC without saying so."""
    then = datetime.datetime.fromisoformat(written.removesuffix('Z'))
    return max(0.0, (now - then.replace(
        tzinfo=datetime.UTC)).total_seconds())
