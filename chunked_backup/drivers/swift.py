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
import datetime
import hashlib
import importlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from email import utils
from typing import Any
from urllib import parse

from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import errors
from chunked_backup import opts
from chunked_backup.drivers import streams
from chunked_backup.drivers.swift_account import Account
from chunked_backup.flow import native
from chunked_backup.model import Unfinished

GROUP = cfg.OptGroup('chunked_backup_swift',
                     title='Chunked backups in Swift')

_cinder = opts.cinder_option

OPTS = [
    cfg.URIOpt(
        'url', deprecated_opts=_cinder('backup_swift_url'),
        help='Where the store is, with auth = per_user: the URL up to '
             '``AUTH_``, to which the project is added. Without it, the '
             'catalogue of the request is asked.'),
    cfg.URIOpt(
        'auth_url', deprecated_opts=_cinder('backup_swift_auth_url'),
        help='Where to sign in, with auth = single_user. Without it, the '
             'catalogue of the request is asked.'),
    cfg.StrOpt(
        'catalog_info', default='object-store:swift:publicURL',
        deprecated_opts=_cinder('swift_catalog_info'),
        help='What to look for in the catalogue: service type, service name '
             'and endpoint type.'),
    cfg.StrOpt(
        'keystone_catalog_info', default='identity:Identity Service:publicURL',
        deprecated_opts=_cinder('keystone_catalog_info'),
        help='The same for auth_url.'),
    cfg.StrOpt(
        'auth', default='per_user', choices=('per_user', 'single_user'),
        deprecated_opts=_cinder('backup_swift_auth'),
        help='Whose objects backups are: those of the user who asks for '
             'them, or of one user for all.'),
    cfg.StrOpt(
        'auth_version', default='1',
        deprecated_opts=_cinder('backup_swift_auth_version'),
        help='The version of signing in: 1, 2 or 3.'),
    cfg.StrOpt(
        'tenant', deprecated_opts=_cinder('backup_swift_tenant'),
        help='The tenant, with auth_version 2.'),
    cfg.StrOpt(
        'user_domain', deprecated_opts=_cinder('backup_swift_user_domain'),
        help='The domain of the user, with auth_version 3.'),
    cfg.StrOpt(
        'project_domain',
        deprecated_opts=_cinder('backup_swift_project_domain'),
        help='The domain of the project, with auth_version 3.'),
    cfg.StrOpt(
        'project', deprecated_opts=_cinder('backup_swift_project'),
        help='The project, with auth_version 3.'),
    cfg.StrOpt(
        'user', deprecated_opts=_cinder('backup_swift_user'),
        help='The user, with auth = single_user.'),
    cfg.StrOpt(
        'key', secret=True, deprecated_opts=_cinder('backup_swift_key'),
        help='The password of the user.'),
    cfg.StrOpt(
        'container', default='volumebackups',
        deprecated_opts=_cinder('backup_swift_container'),
        help='The container for backups that name none.'),
    cfg.StrOpt(
        'create_storage_policy',
        deprecated_opts=_cinder('backup_swift_create_storage_policy'),
        help='The storage policy of containers that are created.'),
    cfg.IntOpt(
        'chunk_size_bytes', default=52428800, min=1,
        deprecated_opts=_cinder('backup_swift_object_size'),
        help='No object holds more of a volume than this; a multiple of '
             'sha_block_size_bytes.'),
    cfg.IntOpt(
        'sha_block_size_bytes', default=32768, min=1,
        deprecated_opts=_cinder('backup_swift_block_size'),
        help='Changes are found in blocks of this size. All backups of a '
             'chain have to have the same.'),
    cfg.IntOpt(
        'retry_attempts', default=3, min=0,
        deprecated_opts=_cinder('backup_swift_retry_attempts'),
        help='How often a request is tried again.'),
    cfg.IntOpt(
        'retry_backoff', default=2, min=0,
        deprecated_opts=_cinder('backup_swift_retry_backoff'),
        help='How many seconds to wait before the first time; longer before '
             'each that follows.'),
    cfg.BoolOpt(
        'enable_progress_timer', default=True,
        deprecated_opts=_cinder('backup_swift_enable_progress_timer'),
        help='Whether the volume service is told how far a backup is.'),
    cfg.StrOpt(
        'ca_cert_file', deprecated_opts=_cinder('backup_swift_ca_cert_file'),
        help='The certificates to check those of the store against.'),
    cfg.BoolOpt(
        'auth_insecure', default=False,
        deprecated_opts=_cinder('backup_swift_auth_insecure'),
        help='Whether the certificates of the store are not checked.'),
    cfg.BoolOpt(
        'service_auth', default=False,
        deprecated_opts=_cinder('backup_swift_service_auth'),
        help='Whether a service token goes with each request, with '
             'auth = per_user within Cinder, so that the user\'s token may '
             'expire in the middle of a backup.'),
    cfg.StrOpt(
        'region_name', deprecated_opts=_cinder('backup_swift_region_name'),
        help='The region to look for in the catalogue.'),
    cfg.FloatOpt(
        'timeout_s', default=60, min=0.1,
        help='How long to wait for a connection, and for data on one.'),
]

_SEGMENTS = '_segments'
_SEGMENT = re.compile('(?P<name>.+)/(?P<directory>slo-[0-9a-f]{16})/[0-9]{8}',
                      re.DOTALL)
_LARGEST_OBJECT_BYTES = 5 << 30
_SEGMENT_BYTES = 1 << 30
_DELETE_AT_ONCE = 1000
_DENIED = (401, 403)
_OUT_OF_SPACE = (413, 507)
_TRANSIENT = (408, 422, 429, 498, 499)


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
        self._lock = threading.Lock()
        self._info: dict[str, Any] | None = None

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return opts.OPTS + OPTS

    @property
    def retry_attempts(self) -> int:
        return 1 + self._options.retry_attempts

    @property
    def retry_wait_s(self) -> float:
        return self._options.retry_backoff

    def check_store(self) -> None:
        # The first import takes 0.3 s, which a service has at its start but
        # not in the middle of its work.
        for module in self.required_modules:
            importlib.import_module(module)
        self._account.check()

    def put_container(self, container: str) -> None:
        policy = self._options.create_storage_policy

        def put(connection: Any) -> None:
            try:
                connection.head_container(container)
                return
            except _client_exception() as exc:
                if exc.http_status != 404:
                    raise
            connection.put_container(container, headers=(
                {'X-Storage-Policy': policy} if policy else None))

        self._request(container, None, put)

    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        _, entries = self._request(
            container, None, lambda connection: connection.get_container(
                container, prefix=prefix, full_listing=True))
        return [entry['name'] for entry in entries]

    def get_object_ages(self, container: str,
                        prefix: str) -> dict[str, float]:
        answer, entries = self._request(
            container, None, lambda connection: connection.get_container(
                container, prefix=prefix, full_listing=True))
        now = utils.parsedate_to_datetime(answer['date'])
        return {entry['name']: _age_s(now, entry['last_modified'])
                for entry in entries}

    def get_unfinished(self, container: str) -> Iterable[Unfinished]:
        """Segments that no large object lists."""
        ages: dict[tuple[str, str], float] = {}
        with contextlib.suppress(errors.ContainerNotFound):
            for segment, age_s in self.get_object_ages(
                    container + _SEGMENTS, '').items():
                if found := _SEGMENT.fullmatch(segment):
                    of = found['name'], found['directory']
                    ages[of] = min(age_s, ages.get(of, age_s))
        return [Unfinished(name, age_s, directory)
                for (name, directory), age_s in ages.items()
                if self._directory_in_use(container, name) != directory]

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None:
        if self._directory_in_use(
                container, unfinished.object_name) != unfinished.handle:
            self._drop_segments(container, unfinished.object_name,
                                unfinished.handle)

    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager:
        return self._writer(container, object_name)

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> contextlib.AbstractContextManager:
        """A writer that is refused when the object has been there before.

        It is no lock: of writers that come at the same moment several may
        pass, and the last one wins. Swift asks its disks before it takes an
        object, Ceph's gateway takes no notice of the condition.
        """
        return self._writer(container, object_name, exclusive=True)

    def _writer(self, container: str, object_name: str,
                exclusive: bool = False
                ) -> contextlib.AbstractContextManager:
        _check_names(container, object_name)

        def send(whole: streams.Upload) -> None:
            most = self._limit('max_file_size', _LARGEST_OBJECT_BYTES)
            put = self._put_segments if whole.length > most else self._put
            if not exclusive:
                put(container, object_name, whole)
                return
            self._require_missing(container, object_name)
            with _replacing_nothing(container, object_name):
                put(container, object_name, whole, {'If-None-Match': '*'})

        return streams.spooled(self, send)

    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager:
        _check_names(container, object_name)

        def get(start: int) -> tuple[Any, int]:
            headers = {'Range': f'bytes={start}-'} if start else {}
            connection, (answer, body) = self._account.hold(
                lambda connection: connection.get_object(
                    container, object_name, resp_chunk_size=1 << 20,
                    headers=headers))
            length = int(answer['content-length'])
            return _Body(self._account, connection, body, length), length

        return contextlib.closing(streams.RangeReader(
            get, lambda: _classified(container, object_name)))

    def delete_object(self, container: str, object_name: str) -> None:
        self._delete(container, object_name)
        for segment in self._segments(container, object_name):
            self._delete(container + _SEGMENTS, segment)

    def delete_objects(self, container: str, names: list[str]) -> None:
        most = min(_DELETE_AT_ONCE, self._limit(
            'max_deletes_per_request', 0, section='bulk_delete'))
        if not most or self._has_segments(container):
            super().delete_objects(container, names)
            return
        for name in names:
            _check_names(container, name)
        for first in range(0, len(names), most):
            self._delete_at_once(container, names[first:first + most])

    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        return container

    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        return None

    # Requests.

    def _request(self, container: str, object_name: str | None,
                 function: Callable[[Any], Any]) -> Any:
        _check_names(container, object_name)
        with _classified(container, object_name):
            return self._account.request(function)

    def _require_missing(self, container: str, name: str) -> None:
        """See that there is no such object.

        :raises ObjectExists: there is.
        """
        with contextlib.suppress(errors.ObjectNotFound):
            self._request(container, name, lambda connection:
                          connection.head_object(container, name))
            raise errors.ObjectExists(container=container, object_name=name)

    def _put(self, container: str, name: str, whole: streams.Upload,
             headers: Mapping[str, str] | None = None) -> None:
        md5 = whole.md5.hex()

        def put(connection: Any) -> str:
            whole.file.seek(0)
            return connection.put_object(
                container, name, whole.file, content_length=whole.length,
                etag=md5, headers=headers)

        with _into(container):
            found = self._request(container, name, put)
        self._check_etag(container, name, found, md5)

    @staticmethod
    def _check_etag(container: str, name: str, found: str | None,
                    md5: str) -> None:
        if (found or '').strip('"') != md5:
            raise errors.TransientDriverError(
                container=container, object_name=name,
                reason=f'the store has taken the md5 {found}, sent was {md5}')

    def _put_segments(self, container: str, name: str, whole: streams.Upload,
                      headers: Mapping[str, str] | None = None) -> None:
        """A static large object: its segments, then their list.

        An older one keeps its own until this one is there, and then loses
        just those: others may belong to a writer at the same time. A small
        object leaves them to ``delete_object``; looking for them would be a
        request more for each put.
        """
        segments_container = container + _SEGMENTS
        self.put_container(segments_container)
        older = self._directory_in_use(container, name)
        directory = f'slo-{secrets.token_hex(8)}'
        listed: list[dict[str, Any]] = []
        size = min(_SEGMENT_BYTES, self._limit('max_file_size',
                                               _LARGEST_OBJECT_BYTES))
        try:
            for start in range(0, whole.length, size):
                part = streams.Part(whole.file, start,
                                    min(size, whole.length - start))
                md5 = part.md5()
                segment = f'{name}/{directory}/{len(listed):08d}'
                listed.append({'path': f'/{segments_container}/{segment}',
                               'size_bytes': part.length, 'etag': md5.hex()})
                self._put(segments_container, segment,
                          streams.Upload(part, part.length, md5))
            text = json.dumps(listed).encode()
            with _into(container):
                found = self._request(
                    container, name, lambda connection:
                    connection.put_object(
                        container, name, text, headers=headers,
                        query_string='multipart-manifest=put'))
        except BaseException as exc:
            self._take_back(container, name, directory, exc)
            raise
        self._check_etag(container, name, found, hashlib.md5(
            ''.join(each['etag'] for each in listed).encode(),
            usedforsecurity=False).hexdigest())
        if older:
            # What cannot be removed now goes with this object.
            with contextlib.suppress(errors.DriverError):
                self._drop_segments(container, name, older)

    def _take_back(self, container: str, name: str, directory: str,
                   cause: BaseException) -> None:
        """Drop what belongs to no object, unless its list has arrived after
        all."""
        try:
            if self._directory_in_use(container, name) != directory:
                self._drop_segments(container, name, directory)
        except errors.ChunkedBackupError as exc:
            cause.add_note(f'segments could not be removed: {exc}')

    def _drop_segments(self, container: str, name: str,
                       directory: str) -> None:
        for segment in self._segments(container, name):
            if segment.startswith(f'{name}/{directory}/'):
                self._delete(container + _SEGMENTS, segment)

    def _directory_in_use(self, container: str, name: str) -> str | None:
        """What the segments of an object have between their names and
        numbers; None when there is no object, or one in one piece."""
        try:
            _, text = self._request(
                container, name, lambda connection: connection.get_object(
                    container, name, headers={'Range': 'bytes=0-8191'},
                    query_string='multipart-manifest=get'))
        except (errors.ObjectNotFound, errors.ContainerNotFound):
            return None
        found = re.search(rb'/(slo-[0-9a-f]{16})/00000000"', text)
        return found[1].decode() if found else None

    def _segments(self, container: str, object_name: str) -> list[str]:
        """The segments of one object, and of no other that has its name for
        a beginning."""
        mine = re.compile(re.escape(object_name)
                          + '/slo-[0-9a-f]{16}/[0-9]{8}')
        try:
            return [segment for segment in self.get_container_entries(
                container + _SEGMENTS, f'{object_name}/slo-')
                if mine.fullmatch(segment)]
        except errors.ContainerNotFound:
            return []

    def _has_segments(self, container: str) -> bool:
        try:
            return bool(self._request(
                container + _SEGMENTS, None, lambda connection:
                connection.get_container(container + _SEGMENTS, limit=1))[1])
        except errors.ContainerNotFound:
            return False

    def _delete(self, container: str, name: str) -> None:
        with contextlib.suppress(errors.ObjectNotFound,
                                 errors.ContainerNotFound):
            self._request(container, name, lambda connection:
                          connection.delete_object(container, name))

    def _delete_at_once(self, container: str, names: list[str]) -> None:
        lines = '\n'.join(parse.quote(f'{container}/{name}')
                          for name in names)
        _, body = self._request(
            container, None, lambda connection: connection.post_account(
                {'Content-Type': 'text/plain', 'Accept': 'application/json'},
                query_string='bulk-delete', data=lines.encode()))
        answer = json.loads(body)
        status = int(answer['Response Status'].split()[0])
        for failed, reason in answer['Errors']:
            raise _error(int(reason.split()[0]), container,
                         parse.unquote(failed).lstrip('/').partition('/')[2],
                         f'deleting several objects: {reason}')
        if status >= 400 and status != 404:
            raise _error(status, container, None,
                         f'deleting several objects: {answer}')

    @native.on_hub
    def _limit(self, name: str, default: int, section: str = 'swift') -> int:
        """What the cluster says of itself."""
        with self._lock:
            if self._info is None:
                try:
                    with _classified('', None):
                        self._info = self._account.request(
                            lambda connection: connection.get_capabilities())
                except (errors.ObjectNotFound, errors.ContainerNotFound,
                        errors.AccessDenied):
                    self._info = {}  # a gateway that does not tell
            return self._info.get(section, {}).get(name, default)


class _Body:
    """An answer that is being read; nobody else has its connection."""

    def __init__(self, account: Account, connection: Any, body: Any,
                 length: int) -> None:
        self._account = account
        self._connection = connection
        self._body = body
        self._left = length

    def read(self, size: int) -> bytes:
        data = self._body.read(size)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._body.close()
        if self._left:
            self._connection.close()
        else:
            self._account.give_back(self._connection)


def _age_s(now: datetime.datetime, written: str) -> float:
    """:param written: as listings have it: UTC without saying so."""
    then = datetime.datetime.fromisoformat(written.removesuffix('Z'))
    return max(0.0, (now - then.replace(
        tzinfo=datetime.UTC)).total_seconds())


def _check_names(container: str, object_name: str | None) -> None:
    streams.check_container(container)
    if object_name is not None:
        streams.check_object(object_name)


# Errors.

def _client_exception() -> Any:
    import swiftclient
    return swiftclient.ClientException


@contextlib.contextmanager
def _classified(container: str,
                object_name: str | None = None) -> Iterator[None]:
    from keystoneauth1 import exceptions
    import requests
    import urllib3.exceptions
    where = {'container': container, 'object_name': object_name}
    try:
        yield
    except _client_exception() as exc:
        raise _error(exc.http_status or 0, container, object_name,
                     str(exc)) from exc
    except (requests.exceptions.SSLError, exceptions.SSLError) as exc:
        raise errors.AccessDenied(reason=exc, **where) from exc
    except (requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError, exceptions.ConnectionError,
            OSError) as exc:
        raise errors.TransientDriverError(reason=exc, **where) from exc
    except exceptions.HttpError as exc:
        raise _error(_of_keystone(exc.http_status), container, object_name,
                     f'Keystone: {exc}') from exc
    except exceptions.ClientException as exc:
        raise errors.DriverError(reason=f'Keystone: {exc}',
                                 **where) from exc


@contextlib.contextmanager
def _into(container: str) -> Iterator[None]:
    """What is missing when an object is put is its container."""
    try:
        yield
    except errors.ObjectNotFound as exc:
        raise errors.ContainerNotFound(container=container,
                                       reason='put says so') from exc


@contextlib.contextmanager
def _replacing_nothing(container: str, name: str) -> Iterator[None]:
    """What is refused when nothing may be replaced is there."""
    try:
        yield
    except errors.DriverError as exc:
        if getattr(exc.__cause__, 'http_status', None) != 412:
            raise
        raise errors.ObjectExists(container=container,
                                  object_name=name) from exc


def _of_keystone(status: int) -> int:
    """A status that says nothing of a container that is missing."""
    return 400 if status == 404 else status


def _error(status: int, container: str, object_name: str | None,
           reason: str) -> errors.DriverError:
    kind = errors.DriverError
    if status == 404:
        kind = (errors.ContainerNotFound if object_name is None
                else errors.ObjectNotFound)
    elif status in _DENIED:
        kind = errors.AccessDenied
    elif status in _OUT_OF_SPACE:
        kind = errors.OutOfSpace
    elif status in _TRANSIENT or status >= 500 or not status:
        kind = errors.TransientDriverError
    return kind(container=container, object_name=object_name, reason=reason)
