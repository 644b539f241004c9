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

"""The client of boto3, and what requests to all kinds of S3 need."""

import base64
import functools
import hashlib
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from chunked_backup.drivers import streams
from chunked_backup.flow import native

# A session of boto3 makes one client at a time.
_making_client = threading.Lock()


class Client:
    """One client for all threads; it is made when it is first used.

    :param options: the group ``[chunked_backup_s3]``.
    :param parallelism: how many requests there are at the same time.
    """

    def __init__(self, options: Any, parallelism: int) -> None:
        self._options = options
        self._parallelism = parallelism
        self._lock = threading.Lock()
        self._client: Any = None

    @native.on_hub
    def connect(self) -> Any:
        """The client of boto3; all threads share it and its connections."""
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    @native.on_hub
    def request(self, operation: str, **arguments: Any) -> Any:
        """The answer to one request; ``operation`` is boto3's name."""
        return getattr(self.connect(), operation)(**arguments)

    def pages(self, operation: str,
              **arguments: Any) -> Iterable[Mapping[str, Any]]:
        """The answers to a listing, one after the other; on the hub only."""
        pages: Iterable[Mapping[str, Any]] = self.connect().get_paginator(
            operation).paginate(**arguments)
        return pages

    def key_arguments(self) -> dict[str, Any]:
        """Arguments of each request when the store encrypts with our key."""
        mine = self._options
        if not mine.sse_customer_key:
            return {}
        return {'SSECustomerKey': mine.sse_customer_key,
                'SSECustomerAlgorithm': mine.sse_customer_algorithm}

    def knows_condition(self) -> bool:
        """Whether this botocore can ask that nothing be replaced."""
        model = self.connect().meta.service_model
        return all(
            'IfNoneMatch' in model.operation_model(name).input_shape.members
            for name in ('PutObject', 'CompleteMultipartUpload'))

    def _make(self) -> Any:
        from botocore import config

        streams.quiet('boto3', 'botocore')
        mine = self._options
        settings: dict[str, Any] = {
            'connect_timeout': mine.timeout_s,
            'read_timeout': mine.timeout_s,
            'max_pool_connections': max(
                mine.max_pool_connections,
                self._parallelism),
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


@functools.lru_cache(maxsize=1)
def _session() -> Any:
    """What has read the service's description: making one costs 0.1 s of
    CPU, another client of it 0.01 s."""
    import boto3
    return boto3.session.Session()


def _add_content_md5(params: dict[str, Any], **_: Any) -> None:
    """Swift 2.30 wants a digest with DeleteObjects that botocore has
    stopped to send."""
    body = params['body']
    if isinstance(body, str):
        body = body.encode()
    params['headers'].setdefault('Content-MD5', base64.b64encode(
        hashlib.md5(body, usedforsecurity=False).digest()).decode())
