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

"""Which of our errors an answer of Swift or Keystone is, or none at all."""

import contextlib
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors

_DENIED = (401, 403)
_OUT_OF_SPACE = (413, 507)
_TRANSIENT = (408, 422, 429, 498, 499)


def client_exception() -> Any:
    """What swiftclient raises; imported when first needed."""
    import swiftclient
    return swiftclient.ClientException


@contextlib.contextmanager
def classified(container: str,
               object_name: str | None = None) -> Iterator[None]:
    """Turn errors of the clients and of the network into ours.

    :raises DriverError: of the kind that a caller can act on.
    """
    from keystoneauth1 import exceptions
    import requests
    import urllib3.exceptions
    where = {'container': container, 'object_name': object_name}
    try:
        yield
    except client_exception() as exc:
        raise error(exc.http_status or 0, container, object_name,
                    str(exc)) from exc
    except (requests.exceptions.SSLError, exceptions.SSLError) as exc:
        raise errors.AccessDenied(reason=exc, **where) from exc
    except (requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError, exceptions.ConnectionError,
            OSError) as exc:
        raise errors.TransientDriverError(reason=exc, **where) from exc
    except exceptions.HttpError as exc:
        raise error(_of_keystone(exc.http_status), container, object_name,
                    f'Keystone: {exc}') from exc
    except exceptions.ClientException as exc:
        raise errors.DriverError(reason=f'Keystone: {exc}',
                                 **where) from exc
    except ValueError as exc:
        # A listing, or what the server can do, is JSON.
        raise errors.DriverError(reason=f'its answer makes no sense: {exc}',
                                 **where) from exc


def error(status: int, container: str, object_name: str | None,
          reason: str) -> errors.DriverError:
    """Our error for what Swift answers.

    :param status: of HTTP; 0 where none has come.
    """
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


@contextlib.contextmanager
def into(container: str) -> Iterator[None]:
    """What is missing when an object is put is its container."""
    try:
        yield
    except errors.ObjectNotFound as exc:
        raise errors.ContainerNotFound(container=container,
                                       reason='put says so') from exc


@contextlib.contextmanager
def replacing_nothing(container: str, name: str) -> Iterator[None]:
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
