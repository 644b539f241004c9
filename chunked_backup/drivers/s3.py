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

"""Backups in S3: AWS, Ceph's gateway, Swift's s3api, MinIO and the like.

A container is a bucket. Large objects go up in parts; what is on its way and
fails is aborted. Whether a server encrypts with our key, and whether it keeps
an object that is not to be replaced, is tried out, never assumed.

botocore logs whole requests at DEBUG, keys included, so its loggers stay at
WARNING.
"""

import base64
import contextlib
import datetime
import functools
import hashlib
import io
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from email import utils
from typing import Any

from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import errors
from chunked_backup import opts
from chunked_backup.drivers import streams
from chunked_backup.flow import native
from chunked_backup.model import Unfinished

GROUP = cfg.OptGroup('chunked_backup_s3', title='Chunked backups in S3')

_cinder = opts.cinder_option

OPTS = [
    cfg.StrOpt(
        'endpoint_url', deprecated_opts=_cinder('backup_s3_endpoint_url'),
        help='Where the store is. Without it, AWS.'),
    cfg.StrOpt(
        'access_key', secret=True,
        deprecated_opts=_cinder('backup_s3_store_access_key'),
        help='The access key. Without it, whatever boto3 finds in the '
             'environment.'),
    cfg.StrOpt(
        'secret_key', secret=True,
        deprecated_opts=_cinder('backup_s3_store_secret_key'),
        help='The secret of the access key.'),
    cfg.StrOpt(
        'region_name',
        help='The region to sign for and to create buckets in.'),
    cfg.StrOpt(
        'addressing_style', default='auto',
        choices=('auto', 'path', 'virtual'),
        help='Whether a bucket is a part of the path or of the host name.'),
    cfg.StrOpt(
        'bucket', default='volumebackups',
        deprecated_opts=_cinder('backup_s3_store_bucket'),
        help='The bucket for backups that name no container.'),
    cfg.IntOpt(
        'chunk_size_bytes', default=52428800, min=1,
        deprecated_opts=_cinder('backup_s3_object_size'),
        help='No object holds more of a volume than this; a multiple of '
             'sha_block_size_bytes.'),
    cfg.IntOpt(
        'sha_block_size_bytes', default=32768, min=1,
        deprecated_opts=_cinder('backup_s3_block_size'),
        help='Changes are found in blocks of this size. All backups of a '
             'chain have to have the same.'),
    cfg.BoolOpt(
        'enable_progress_timer', default=True,
        deprecated_opts=_cinder('backup_s3_enable_progress_timer'),
        help='Whether the volume service is told how far a backup is.'),
    cfg.StrOpt(
        'http_proxy', default='',
        deprecated_opts=_cinder('backup_s3_http_proxy'),
        help='The proxy for http.'),
    cfg.StrOpt(
        'https_proxy', default='',
        deprecated_opts=_cinder('backup_s3_https_proxy'),
        help='The proxy for https.'),
    cfg.FloatOpt(
        'timeout_s', default=60, min=0.1,
        deprecated_opts=_cinder('backup_s3_timeout'),
        help='How long to wait for a connection, and for data on one.'),
    cfg.IntOpt(
        'max_pool_connections', default=10, min=1,
        deprecated_opts=_cinder('backup_s3_max_pool_connections'),
        help='How many connections are kept; parallelism raises it.'),
    cfg.IntOpt(
        'retry_max_attempts', default=4, min=1,
        deprecated_opts=_cinder('backup_s3_retry_max_attempts'),
        help='How often a request is tried. The retries are ours: those of '
             'boto3 are off.'),
    cfg.StrOpt(
        'retry_mode', default='legacy',
        deprecated_opts=_cinder('backup_s3_retry_mode'),
        help='Without effect, since the retries are ours; read so that a '
             'cinder.conf that has it is understood.'),
    cfg.BoolOpt(
        'verify_ssl', default=True,
        deprecated_opts=_cinder('backup_s3_verify_ssl'),
        help='Whether the certificate of the store is checked.'),
    cfg.StrOpt(
        'ca_cert_file', deprecated_opts=_cinder('backup_s3_ca_cert_file'),
        help='The certificates to check it against.'),
    cfg.BoolOpt(
        'md5_validation', default=True,
        deprecated_opts=_cinder('backup_s3_md5_validation'),
        help='Whether the store checks the md5 of what arrives.'),
    cfg.StrOpt(
        'sse_customer_key', secret=True,
        deprecated_opts=_cinder('backup_s3_sse_customer_key'),
        help='The key with which the store encrypts objects; it does not '
             'keep it.'),
    cfg.StrOpt(
        'sse_customer_algorithm',
        deprecated_opts=_cinder('backup_s3_sse_customer_algorithm'),
        help='The algorithm for that, AES256.'),
]

_PART_BYTES = 64 << 20
_MOST_PARTS = 10000
_DELETE_AT_ONCE = 1000
# Objects in parts are not refused by every server that refuses others.
_EXCLUSIVE_PART_BYTES = 1 << 30

_MISSING_OBJECT = ('NoSuchKey', '404', 'NotFound')
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

# A session of boto3 makes one client at a time.
_making_client = threading.Lock()

# Whether a bucket (endpoint, name) refuses to replace objects; tried out once
# in a process, since a driver is made for every operation.
_refusing: dict[tuple[str, str], bool] = {}


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]


class S3BackupDriver(driver.ChunkedBackupDriver):
    """Keeps backups in buckets."""

    takes_memoryviews = True
    spool_bytes = streams.SPOOL_IN_MEMORY_BYTES
    cinder_driver = 'cinder.backup.drivers.s3.S3BackupDriver'
    required_modules = ('boto3',)

    def __init__(self, context: Any = None) -> None:
        conf = cfg.CONF
        conf.register_group(GROUP)
        conf.register_opts(OPTS, group=GROUP)
        mine = self._options = conf.chunked_backup_s3
        super().__init__(context, mine.chunk_size_bytes,
                         mine.sha_block_size_bytes, mine.bucket,
                         mine.enable_progress_timer)
        self._lock = threading.Lock()
        self._client: Any = None
        self._probing = threading.Lock()

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return opts.OPTS + OPTS

    @property
    def retry_attempts(self) -> int:
        return self._options.retry_max_attempts

    def check_store(self) -> None:
        mine = self._options
        if bool(mine.access_key) != bool(mine.secret_key):
            raise errors.ConfigurationError(
                reason='access_key and secret_key of [chunked_backup_s3] go '
                       'together')
        if bool(mine.sse_customer_key) != bool(mine.sse_customer_algorithm):
            raise errors.ConfigurationError(
                reason='sse_customer_key and sse_customer_algorithm of '
                       '[chunked_backup_s3] go together')
        self._connect()

    def put_container(self, container: str) -> None:
        _check_bucket(container)
        with self._classified(container):
            try:
                self._request('head_bucket', Bucket=container)
                return
            except self._client_error() as exc:
                if _status(exc) != 404:
                    raise
            region = self._connect().meta.region_name
            where = {} if region in (None, 'us-east-1', 'aws-global') else {
                'CreateBucketConfiguration': {'LocationConstraint': region}}
            try:
                self._request('create_bucket', Bucket=container, **where)
            except self._client_error() as exc:
                if _code(exc) != 'BucketAlreadyOwnedByYou':
                    raise

    @native.on_hub
    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        _check_bucket(container)
        names: list[str] = []
        with self._classified(container):
            pages = self._connect().get_paginator(
                'list_objects_v2').paginate(Bucket=container, Prefix=prefix)
            for page in pages:
                names.extend(entry['Key']
                             for entry in page.get('Contents', ()))
        return names

    @native.on_hub
    def get_object_ages(self, container: str,
                        prefix: str) -> dict[str, float]:
        _check_bucket(container)
        ages: dict[str, float] = {}
        with self._classified(container):
            pages = self._connect().get_paginator(
                'list_objects_v2').paginate(Bucket=container, Prefix=prefix)
            for page in pages:
                now = _date(page)
                for entry in page.get('Contents', ()):
                    ages[entry['Key']] = _age_s(now, entry['LastModified'])
        return ages

    @native.on_hub
    def get_unfinished(self, container: str) -> Iterable[Unfinished]:
        """Uploads in parts that were neither completed nor aborted."""
        _check_bucket(container)
        with self._classified(container):
            pages = self._connect().get_paginator(
                'list_multipart_uploads').paginate(Bucket=container)
            return [Unfinished(upload['Key'],
                               self._upload_age_s(container, upload, page),
                               upload['UploadId'])
                    for page in pages for upload in page.get('Uploads', ())]

    def _upload_age_s(self, container: str, upload: Mapping[str, Any],
                      page: Mapping[str, Any]) -> float:
        """Since its newest part, or its beginning."""
        newest = upload['Initiated']
        try:
            for parts in self._connect().get_paginator('list_parts').paginate(
                    Bucket=container, Key=upload['Key'],
                    UploadId=upload['UploadId']):
                newest = max([newest, *(part['LastModified'] for part
                                        in parts.get('Parts', ()))])
        except self._client_error() as exc:
            if _code(exc) != 'NoSuchUpload':  # it has just ended
                raise
            return 0.0
        return _age_s(_date(page), newest)

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None:
        _check_bucket(container)
        with self._classified(container, unfinished.object_name):
            try:
                self._request('abort_multipart_upload', Bucket=container,
                              Key=unfinished.object_name,
                              UploadId=unfinished.handle)
            except self._client_error() as exc:
                if _code(exc) != 'NoSuchUpload':
                    raise

    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager:
        _check_bucket(container)
        streams.check_object(object_name)

        def send(whole: streams.Upload) -> None:
            with self._classified(container, object_name):
                if whole.length > _PART_BYTES:
                    self._put_parts(container, object_name, whole)
                else:
                    self._put(container, object_name, whole)

        return streams.spooled(self, send)

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> contextlib.AbstractContextManager:
        """A writer that replaces nothing, as far as the server goes along.

        One that takes If-None-Match seriously lets one of several writers
        through: AWS and Ceph do; of Swift's s3api, writers that come at the
        same moment may pass together. With another server, with a boto3 that
        does not know the condition (before 1.35), and for objects above 1
        GiB, which go up in parts (Ceph 16 then ignores the condition), all
        that is certain is that an object that has been there for a while is
        noticed and stays.
        """
        _check_bucket(container)
        streams.check_object(object_name)

        def send(whole: streams.Upload) -> None:
            with self._classified(container, object_name):
                condition = ({'IfNoneMatch': '*'}
                             if self._refuses(container) else {})
                in_parts = whole.length > _EXCLUSIVE_PART_BYTES
                if in_parts or not condition:
                    self._require_missing(container, object_name)
                put = self._put_parts if in_parts else self._put
                put(container, object_name, whole, **condition)

        return streams.spooled(self, send)

    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager:
        _check_bucket(container)
        streams.check_object(object_name)

        def get(start: int) -> tuple[Any, int]:
            arguments = self._key_arguments()
            if start:
                arguments['Range'] = f'bytes={start}-'
            answer = self._request(
                'get_object', Bucket=container, Key=object_name, **arguments)
            return answer['Body'], answer['ContentLength']

        return contextlib.closing(streams.RangeReader(
            get, lambda: self._classified(container, object_name)))

    def delete_object(self, container: str, object_name: str) -> None:
        _check_bucket(container)
        streams.check_object(object_name)
        with (contextlib.suppress(errors.ObjectNotFound,
                                  errors.ContainerNotFound),
              self._classified(container, object_name)):
            self._request('delete_object', Bucket=container, Key=object_name)

    def delete_objects(self, container: str, names: list[str]) -> None:
        _check_bucket(container)
        for name in names:
            streams.check_object(name)
        for first in range(0, len(names), _DELETE_AT_ONCE):
            some = names[first:first + _DELETE_AT_ONCE]
            try:
                with self._classified(container):
                    answer = self._request(
                        'delete_objects', Bucket=container, Delete={
                            'Objects': [{'Key': name} for name in some],
                            'Quiet': True})
            except errors.ContainerNotFound:
                return
            for failed in answer.get('Errors', ()):
                if failed.get('Code') not in _MISSING_OBJECT:
                    raise self._error(failed.get('Code', ''), 0, container,
                                      failed.get('Key'),
                                      failed.get('Message', ''))

    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        return container

    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        return None

    # Requests.

    @native.on_hub
    def _request(self, operation: str, **arguments: Any) -> Any:
        """The answer to one request; ``operation`` is the client's name."""
        return getattr(self._connect(), operation)(**arguments)

    @native.on_hub
    def _connect(self) -> Any:
        """The client; all threads share it and its connections."""
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _make_client(self) -> Any:
        from botocore import config

        streams.quiet('boto3', 'botocore')
        mine = self._options
        settings: dict[str, Any] = {
            'connect_timeout': mine.timeout_s,
            'read_timeout': mine.timeout_s,
            'max_pool_connections': max(
                mine.max_pool_connections,
                self.conf.chunked_backup.parallelism),
            'retries': {'total_max_attempts': 1},  # ours do, see retry.py
            's3': {'addressing_style': mine.addressing_style},
        }
        proxies = {scheme: proxy for scheme, proxy in (
            ('http', mine.http_proxy), ('https', mine.https_proxy)) if proxy}
        if proxies:
            settings['proxies'] = proxies
        # From 1.36 on, botocore sends checksums that Ceph 16 and Swift 2.30
        # refuse over TLS; older ones do not know the settings.
        for name in ('request_checksum_calculation',
                     'response_checksum_validation'):
            if name in config.Config.OPTION_DEFAULTS:
                settings[name] = 'when_required'
        with _making_client:
            client = _session().client(
                's3', endpoint_url=mine.endpoint_url,
                region_name=mine.region_name or 'us-east-1',
                aws_access_key_id=mine.access_key,
                aws_secret_access_key=mine.secret_key,
                verify=((mine.ca_cert_file or True) if mine.verify_ssl
                        else False),
                config=config.Config(**settings))
        client.meta.events.register('before-call.s3.DeleteObjects',
                                    _add_content_md5)
        return client

    def _key_arguments(self) -> dict[str, Any]:
        """Arguments of each request when the store encrypts with our key."""
        mine = self._options
        if not mine.sse_customer_key:
            return {}
        return {'SSECustomerKey': mine.sse_customer_key,
                'SSECustomerAlgorithm': mine.sse_customer_algorithm}

    def _put(self, container: str, name: str, whole: streams.Upload,
             **arguments: Any) -> None:
        if self._options.md5_validation:
            arguments['ContentMD5'] = base64.b64encode(whole.md5).decode()
        answer = self._request(
            'put_object', Bucket=container, Key=name, Body=whole.file,
            ContentLength=whole.length, **arguments, **self._key_arguments())
        try:
            self._check_encrypted(answer)
        except errors.ConfigurationError:
            self._request('delete_object', Bucket=container, Key=name)
            raise

    @native.on_hub
    def _refuses(self, container: str) -> bool:
        """Whether the store refuses to replace an object when told so."""
        client = self._connect()
        bucket = client.meta.endpoint_url, container
        with self._probing:
            if bucket not in _refusing:
                _refusing[bucket] = (_knows_condition(client)
                                     and self._try_out(container))
            return _refusing[bucket]

    def _try_out(self, container: str) -> bool:
        """Put an object of our own twice, and see what the store says."""
        probe = f'chunked_backup_probe_{secrets.token_hex(16)}'
        empty = streams.Upload(io.BytesIO(), 0, hashlib.md5(
            usedforsecurity=False).digest())
        try:
            with self._classified(container, probe):
                try:
                    self._put(container, probe, empty)
                    self._put(container, probe, empty, IfNoneMatch='*')
                finally:
                    self._delete_probe(container, probe)
        except errors.ObjectExists:
            return True
        except errors.DriverError as exc:
            # The store does not know the condition, or this key may not
            # write or delete such an object.
            if type(exc) not in (errors.DriverError, errors.AccessDenied):
                raise
        return False

    def _delete_probe(self, container: str, probe: str) -> None:
        try:
            with self._classified(container, probe):
                self._request('delete_object', Bucket=container, Key=probe)
        except errors.TransientDriverError:
            # A server that has refused the condition may have closed its
            # end of the connection since: Swift 2.30 does.
            self._request('delete_object', Bucket=container, Key=probe)

    def _require_missing(self, container: str, name: str) -> None:
        """See that there is no such object.

        :raises ObjectExists: there is.
        """
        try:
            self._request('head_object', Bucket=container, Key=name,
                          **self._key_arguments())
        except self._client_error() as exc:
            if _status(exc) != 404:
                raise
            return
        raise errors.ObjectExists(container=container, object_name=name)

    def _put_parts(self, container: str, name: str, whole: streams.Upload,
                   **condition: Any) -> None:
        """Send an object in parts, and abort that when it fails.

        When the answer to the very first request is lost, an upload without
        parts may stay, of which nobody knows the id. A listing shows uploads
        of this name, but not whose they are, and all have the same owner: one
        that a live writer of another process has just begun looks the same.
        So none is aborted; they cost nothing while they have no parts, and a
        rule of the bucket's life cycle (AbortIncompleteMultipartUpload)
        removes them.
        """
        part_bytes = max(_PART_BYTES, -(-whole.length // _MOST_PARTS))
        started = self._request(
            'create_multipart_upload', Bucket=container, Key=name,
            **self._key_arguments())
        of = {'Bucket': container, 'Key': name,
              'UploadId': started['UploadId']}
        try:
            self._check_encrypted(started)
            parts: list[dict[str, Any]] = []
            for start in range(0, whole.length, part_bytes):
                part = streams.Part(whole.file, start,
                                    min(part_bytes, whole.length - start))
                number = len(parts) + 1
                answer = self._request(
                    'upload_part', Body=part, ContentLength=part.length,
                    PartNumber=number, **of, **self._md5_arguments(part),
                    **self._key_arguments())
                parts.append({'PartNumber': number, 'ETag': answer['ETag']})
            self._request('complete_multipart_upload',
                          MultipartUpload={'Parts': parts}, **of, **condition)
        except BaseException as exc:
            try:
                self._request('abort_multipart_upload', **of)
            except Exception as other:
                # It is complete after all, or the store is gone.
                exc.add_note(f'the upload could not be aborted: {other}')
            raise

    def _md5_arguments(self, part: streams.Part) -> dict[str, str]:
        if not self._options.md5_validation:
            return {}
        return {'ContentMD5': base64.b64encode(part.md5()).decode()}

    def _check_encrypted(self, answer: Mapping[str, Any]) -> None:
        """Swift's s3api takes the key, says nothing, and does not encrypt."""
        if (self._options.sse_customer_key
                and not answer.get('SSECustomerAlgorithm')):
            raise errors.ConfigurationError(
                reason='the store has ignored sse_customer_key and would '
                       'keep objects in the clear; take the key out of '
                       '[chunked_backup_s3] or use another store')

    # Errors.

    @staticmethod
    def _client_error() -> type[Exception]:
        from botocore import exceptions
        return exceptions.ClientError

    @contextlib.contextmanager
    def _classified(self, container: str,
                    object_name: str | None = None) -> Iterator[None]:
        from botocore import exceptions
        import urllib3.exceptions
        try:
            yield
        except exceptions.ClientError as exc:
            raise self._error(_code(exc), _status(exc), container,
                              object_name, str(exc)) from exc
        except (exceptions.SSLError, exceptions.NoCredentialsError,
                exceptions.PartialCredentialsError) as exc:
            raise errors.AccessDenied(container=container,
                                      object_name=object_name,
                                      reason=exc) from exc
        except (exceptions.ConnectionError, exceptions.HTTPClientError,
                exceptions.IncompleteReadError,
                exceptions.ResponseStreamingError,
                urllib3.exceptions.HTTPError, OSError) as exc:
            raise errors.TransientDriverError(
                container=container, object_name=object_name,
                reason=exc) from exc
        except exceptions.BotoCoreError as exc:
            raise errors.DriverError(container=container,
                                     object_name=object_name,
                                     reason=exc) from exc

    @staticmethod
    def _error(code: str, status: int, container: str,
               object_name: str | None, reason: str) -> errors.DriverError:
        kind = errors.DriverError
        if code in _MISSING_BUCKET or object_name is None and status == 404:
            kind = errors.ContainerNotFound
        elif code in _MISSING_OBJECT:
            kind = errors.ObjectNotFound
        elif code in _PRESENT:
            kind = errors.ObjectExists
        elif code in _OUT_OF_SPACE or status == 507:
            kind = errors.OutOfSpace  # a quota may come with status 403
        elif code in _DENIED or status in (401, 403):
            kind = errors.AccessDenied
        elif code in _UNKNOWN:
            kind = errors.DriverError
        elif code in _TRANSIENT or status in (408, 429) or status >= 500:
            kind = errors.TransientDriverError
        return kind(container=container, object_name=object_name,
                    reason=reason)


@functools.lru_cache(maxsize=1)
def _session() -> Any:
    """What has read the service's description: making one costs 0.1 s of
    CPU, another client of it 0.01 s."""
    import boto3
    return boto3.session.Session()


def _check_bucket(name: str) -> None:
    """Refuse an ARN and the like, which lead to other accounts.

    :raises InvalidName: it is no plain bucket.
    """
    streams.check_container(name)
    if not re.fullmatch('[A-Za-z0-9._-]+', name):
        raise errors.InvalidName(kind='container', name=name,
                                 reason='a bucket has letters, digits, dots, '
                                        'hyphens and underscores only')


def _knows_condition(client: Any) -> bool:
    """Whether this botocore can ask that nothing be replaced."""
    return all('IfNoneMatch' in client.meta.service_model.operation_model(
        operation).input_shape.members
        for operation in ('PutObject', 'CompleteMultipartUpload'))


def _date(answer: Mapping[str, Any]) -> datetime.datetime:
    """What time it was for the store when it answered."""
    return utils.parsedate_to_datetime(
        answer['ResponseMetadata']['HTTPHeaders']['date'])


def _age_s(now: datetime.datetime, written: datetime.datetime) -> float:
    return max(0.0, (now - written).total_seconds())


def _code(error: Any) -> str:
    return str(error.response.get('Error', {}).get('Code', ''))


def _status(error: Any) -> int:
    return error.response.get('ResponseMetadata', {}).get(
        'HTTPStatusCode', 0)


def _add_content_md5(params: dict[str, Any], **_: Any) -> None:
    """Swift 2.30 wants a digest with DeleteObjects that botocore has
    stopped to send."""
    body = params['body']
    if isinstance(body, str):
        body = body.encode()
    params['headers'].setdefault('Content-MD5', base64.b64encode(
        hashlib.md5(body, usedforsecurity=False).digest()).decode())
