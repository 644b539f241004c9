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

"""Which of our errors an answer of S3 is, or none at all."""

import contextlib
from collections.abc import Iterator
from typing import Any

from chunked_backup import errors

MISSING_OBJECT = ('NoSuchKey', '404', 'NotFound')
_MISSING_BUCKET = ('NoSuchBucket',)
_PRESENT = ('PreconditionFailed',)
_UNKNOWN = ('NotImplemented',)
_DENIED = ('AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch',
           'AllAccessDisabled', 'AccountProblem', 'ExpiredToken', '403')
_OUT_OF_SPACE = ('QuotaExceeded', 'InsufficientStorage', '507',
                 'EntityTooLarge')
# What the network broke on its way shows as a wrong digest or length.
_TRANSIENT = ('BadDigest', 'IncompleteBody', 'RequestTimeout', 'SlowDown',
              'ServiceUnavailable', 'InternalError', 'OperationAborted',
              'Throttling', 'TooManyRequests', 'RequestTimeTooSkewed',
              'XAmzContentSHA256Mismatch', 'ConditionalRequestConflict')


@contextlib.contextmanager
def classified(container: str,
               object_name: str | None = None) -> Iterator[None]:
    """Turn errors of boto3 and of the network into ours.

    :raises DriverError: of the kind that a caller can act on.
    """
    from botocore import exceptions
    import urllib3.exceptions
    where = {'container': container, 'object_name': object_name}
    try:
        yield
    except exceptions.ClientError as exc:
        raise error(code(exc), status(exc), container, object_name,
                    str(exc)) from exc
    except (exceptions.SSLError, exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError) as exc:
        raise errors.AccessDenied(reason=exc, **where) from exc
    except (exceptions.ConnectionError, exceptions.HTTPClientError,
            exceptions.IncompleteReadError,
            exceptions.ResponseStreamingError,
            urllib3.exceptions.HTTPError, OSError) as exc:
        raise errors.TransientDriverError(reason=exc, **where) from exc
    except exceptions.BotoCoreError as exc:
        raise errors.DriverError(reason=exc, **where) from exc


def error(error_code: str, http_status: int, container: str,
          object_name: str | None, reason: str) -> errors.DriverError:
    """Our error for what S3 answers.

    :param error_code: as S3 names it.
    :param http_status: 0 where it is not known.
    """
    kind = errors.DriverError
    if error_code in _MISSING_BUCKET or (object_name is None
                                         and http_status == 404):
        kind = errors.ContainerNotFound
    elif error_code in MISSING_OBJECT:
        kind = errors.ObjectNotFound
    elif error_code in _PRESENT:
        kind = errors.ObjectExists
    elif error_code in _OUT_OF_SPACE or http_status == 507:
        kind = errors.OutOfSpace  # a quota may come with status 403
    elif error_code in _DENIED or http_status in (401, 403):
        kind = errors.AccessDenied
    elif error_code in _UNKNOWN:
        kind = errors.DriverError
    elif (error_code in _TRANSIENT or http_status in (408, 429)
          or http_status >= 500):
        kind = errors.TransientDriverError
    return kind(container=container, object_name=object_name, reason=reason)


def client_error() -> type[Exception]:
    """What boto3 raises when S3 refuses; imported when first needed."""
    from botocore import exceptions
    refused: type[Exception] = exceptions.ClientError
    return refused


def code(refused: Any) -> str:
    """What S3 calls the error; an empty text where it gives no name."""
    return str(refused.response.get('Error', {}).get('Code', ''))


def status(refused: Any) -> int:
    """The status of the answer; 0 where there was none."""
    return int(refused.response.get('ResponseMetadata', {}).get(
        'HTTPStatusCode', 0))
