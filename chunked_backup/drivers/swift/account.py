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

"""Signing in to Swift, and connections that may be shared."""

import contextlib
import re
import threading
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from chunked_backup import errors
from chunked_backup.flow import native

_SERVICE_GROUP = 'service_user'


class Account:
    """One user's account.

    A connection serves one request, or one answer that is being read, at a
    time; idle ones are kept for the next. Connections know a URL and a token
    and nothing else: who signs in, and again when a token has expired, is
    only this class.

    :param conf: the configuration, for the user of the service itself.
    :param options: the group ``[chunked_backup_swift]``.
    :param context: the request's context, with ``auth_token``,
        ``project_id`` and ``service_catalog``, for ``auth = per_user``.
    """

    def __init__(self, conf: Any, options: Any, context: Any) -> None:
        self._conf = conf
        self._options = options
        self._context = context
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        self._signing_in = threading.Lock()
        self._signed_in: tuple[str, str] | None = None
        self._session: Any = None
        self._service: tuple[Any, Any] | None = None

    @native.on_hub
    def check(self) -> None:
        """See that the options suffice; nothing is connected.

        :raises ConfigurationError: they do not.
        """
        mine = self._options
        for name in ('catalog_info', 'keystone_catalog_info'):
            if getattr(mine, name).count(':') != 2:
                raise errors.ConfigurationError(
                    reason=f'{name} of [chunked_backup_swift] is not of the '
                           'form type:name:endpoint')
        if mine.auth == 'single_user':
            if not (mine.user and mine.key):
                raise errors.ConfigurationError(
                    reason='auth = single_user needs user and key in '
                           '[chunked_backup_swift]')
            if self._version() not in ('1', '2', '3'):
                raise errors.ConfigurationError(
                    reason='auth_version of [chunked_backup_swift] is none '
                           f'of 1, 2 and 3: {mine.auth_version}')
            self._auth_url()
        elif self._is_request():
            self._storage_url()

    @native.on_hub
    def request(self, function: Callable[[Any], Any]) -> Any:
        """What ``function`` gives for a ``swiftclient.Connection``.

        It is called a second time, after signing in anew, when the token has
        expired; so it has to begin at the beginning each time.
        """
        connection, result = self.hold(function)
        self.give_back(connection)
        return result

    @native.on_hub
    def hold(self, function: Callable[[Any], Any]) -> tuple[Any, Any]:
        """The same, and the connection, which nobody else may use until it is
        given back: what was asked for is still to be read from it."""
        import swiftclient

        signed_in = self._sign_in()
        try:
            return self._hold(signed_in, function)
        except swiftclient.ClientException as exc:
            if exc.http_status != 401 or self._options.auth == 'per_user':
                raise
            self._forget(signed_in)
        except OSError:
            # A server that refuses a token may do so by closing the
            # connection before it has read all of a body.
            self._forget(signed_in)
            raise
        return self._hold(self._sign_in(), function)

    @native.on_hub
    def give_back(self, connection: Any) -> None:
        """Keep a connection, with nothing more to read, for others."""
        with self._lock:
            self._idle.append(connection)

    def _hold(self, signed_in: tuple[str, str],
              function: Callable[[Any], Any]) -> tuple[Any, Any]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        url, connection.token = signed_in
        if url != connection.url:
            connection.close()
            connection.url = url
        connection.service_token = self._service_token()
        try:
            return connection, function(connection)
        except BaseException:
            connection.close()  # its stream may be out of step
            raise

    def _connect(self) -> Any:
        import swiftclient
        mine = self._options
        return swiftclient.Connection(
            retries=0, retry_on_ratelimit=False, cacert=mine.ca_cert_file,
            insecure=mine.auth_insecure, timeout=mine.timeout_s)

    # Signing in.

    def _sign_in(self) -> tuple[str, str]:
        """The URL of the account, and a token."""
        if self._options.auth == 'per_user':
            if not self._is_request():
                raise errors.ConfigurationError(
                    reason='auth = per_user of [chunked_backup_swift] takes '
                           'the token of a request, and there is none; '
                           'outside of a volume service set auth to '
                           'single_user')
            return self._storage_url(), self._context.auth_token
        with self._signing_in:  # one for all that need it
            if self._version() == '1':
                if self._signed_in is None:
                    self._signed_in = self._sign_in_1()
                return self._signed_in
            return self._sign_in_by_keystone()

    def _forget(self, signed_in: tuple[str, str]) -> None:
        """A token that is worth nothing; others may know that already."""
        with self._signing_in:
            if self._signed_in == signed_in:
                self._signed_in = None
            known = self._session and self._session.auth.auth_ref
            if known and known.auth_token == signed_in[1]:
                self._session.invalidate()

    def _sign_in_1(self) -> tuple[str, str]:
        import swiftclient
        mine = self._options
        signed_in: tuple[str, str] = swiftclient.client.get_auth(
            self._auth_url(), mine.user, mine.key, auth_version='1',
            cacert=mine.ca_cert_file, insecure=mine.auth_insecure,
            timeout=mine.timeout_s)
        return signed_in

    def _sign_in_by_keystone(self) -> tuple[str, str]:
        """The session signs in when there is no token or it expires soon."""
        from keystoneauth1 import exceptions
        if self._session is None:
            self._session = self._open_session()
        service_type, _, endpoint = self._options.catalog_info.split(':')
        region = self._options.region_name
        try:
            url = self._session.get_endpoint(
                service_type=service_type, interface=endpoint,
                region_name=region)
        except exceptions.CatalogException:
            url = None
        if not url:
            raise errors.ConfigurationError(
                reason=f'the catalogue of {self._auth_url()} has no '
                       f'{self._options.catalog_info}'
                       + (f' in region {region}' if region else ''))
        return url, self._session.get_token()

    def _open_session(self) -> Any:
        from keystoneauth1 import identity
        from keystoneauth1 import session

        mine = self._options
        url = self._auth_url().rstrip('/')
        if not re.search(r'/v[0-9.]+$', url):
            url += '/v2.0' if self._version() == '2' else '/v3'
        who: Any
        if self._version() == '2':
            who = identity.V2Password(url, username=mine.user,
                                      password=mine.key,
                                      tenant_name=mine.tenant)
        else:
            who = identity.V3Password(
                url, username=mine.user, password=mine.key,
                project_name=mine.project or mine.tenant,
                **_domain('user', mine.user_domain),
                **_domain('project', mine.project_domain))
        return session.Session(
            who, timeout=mine.timeout_s,
            verify=not mine.auth_insecure and (mine.ca_cert_file or True))

    def _version(self) -> str:
        version: str = self._options.auth_version
        return version.removeprefix('v').split('.')[0]

    def _is_request(self) -> bool:
        return bool(getattr(self._context, 'auth_token', None))

    def _service_token(self) -> str | None:
        """The token of the volume service's own user, with which a user's
        token may have expired."""
        if not (self._options.service_auth
                and self._options.auth == 'per_user'):
            return None
        from keystoneauth1 import exceptions
        from keystoneauth1 import loading
        with self._signing_in:
            if self._service is None:
                # A reading of our own: in the global configuration, options
                # that are required there would be required everywhere.
                conf = cfg.ConfigOpts()
                conf([], project=self._conf.project,
                     default_config_files=self._conf.config_file or [],
                     default_config_dirs=self._conf.config_dir or [])
                loading.register_auth_conf_options(conf, _SERVICE_GROUP)
                loading.register_session_conf_options(conf, _SERVICE_GROUP)
                try:
                    self._service = (
                        loading.load_session_from_conf_options(
                            conf, _SERVICE_GROUP),
                        loading.load_auth_from_conf_options(
                            conf, _SERVICE_GROUP))
                except exceptions.OptionError as exc:
                    raise _no_service_user(exc) from exc
            session, who = self._service
            if who is None:
                raise _no_service_user('it has no auth_type')
            return session.get_token(who)

    # Where.

    def _auth_url(self) -> str:
        return self._options.auth_url or self._from_catalogue(
            self._options.keystone_catalog_info, 'auth_url')

    def _storage_url(self) -> str:
        if self._options.url:
            return f'{self._options.url}{self._context.project_id}'
        return self._from_catalogue(self._options.catalog_info, 'url')

    def _from_catalogue(self, wanted: str, option: str) -> str:
        service_type, _, endpoint_type = wanted.split(':')
        region = self._options.region_name
        for service in getattr(self._context, 'service_catalog', None) or ():
            if service.get('type') != service_type:
                continue
            for endpoint in service.get('endpoints', ()):
                with contextlib.suppress(KeyError):
                    if not region or endpoint.get('region') == region:
                        url: str = endpoint[endpoint_type]
                        return url
        raise errors.ConfigurationError(
            reason=f'{option} of [chunked_backup_swift] is not set and '
                   f'the catalogue of the request has no {wanted}'
                   + (f' in region {region}' if region else ''))


def _domain(whose: str, name: str | None) -> dict[str, Any]:
    """By its name; the domain that every Keystone has when there is none."""
    if name:
        return {f'{whose}_domain_name': name}
    return {f'{whose}_domain_id': 'default'}


def _no_service_user(reason: object) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        reason='service_auth of [chunked_backup_swift] needs the user of the '
               f'service in [{_SERVICE_GROUP}]: {reason}')
