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


import contextlib
import functools
import io
import re
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from chunked_backup import driver
from chunked_backup import errors
from chunked_backup import opts
from chunked_backup.drivers import streams
from chunked_backup.drivers.s3 import classify
from chunked_backup.drivers.s3 import listing
from chunked_backup.drivers.s3 import upload
from chunked_backup.drivers.s3.classify import classified
from chunked_backup.drivers.s3.client import Client
from chunked_backup.drivers.s3.options import GROUP
from chunked_backup.drivers.s3.options import OPTS
from chunked_backup.drivers.s3.upload import Uploads
from chunked_backup.model import Unfinished

_DELETE_AT_ONCE = 1000


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
        self._client = Client(mine, self.parallelism)
        self._uploads = Uploads(self._client, mine)

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return opts.OPTS + OPTS

    @property
    def retry_attempts(self) -> int:
        attempts: int = self._options.retry_max_attempts
        return attempts

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
        self._client.connect()

    def put_container(self, container: str) -> None:
        _check_bucket(container)
        with classified(container):
            if self._has_bucket(container):
                return
            region = self._client.connect().meta.region_name
            where = {} if region in (None, 'us-east-1', 'aws-global') else {
                'CreateBucketConfiguration': {'LocationConstraint': region}}
            try:
                self._client.request('create_bucket', Bucket=container,
                                     **where)
            except classify.client_error() as exc:
                if classify.code(exc) != 'BucketAlreadyOwnedByYou':
                    raise

    def _has_bucket(self, container: str) -> bool:
        try:
            self._client.request('head_bucket', Bucket=container)
        except classify.client_error() as exc:
            if classify.status(exc) != 404:
                raise
            return False
        return True

    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]:
        _check_bucket(container)
        with classified(container):
            return listing.names(self._client, container, prefix)

    def get_object_ages(self, container: str,
                        prefix: str) -> dict[str, float]:
        _check_bucket(container)
        with classified(container):
            return listing.ages(self._client, container, prefix)

    def get_unfinished(self, container: str) -> Iterable[Unfinished]:
        """Uploads in parts that were neither completed nor aborted, and what
        a writer that was killed has tried a bucket out with."""
        _check_bucket(container)
        with classified(container):
            probes = listing.ages(self._client, container, upload.PROBE)
            return [*listing.uploads(self._client, container), *(
                Unfinished(None, age_s, name)
                for name, age_s in probes.items())]

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None:
        if unfinished.object_name is None:
            self.delete_object(container, unfinished.handle)
            return
        _check_bucket(container)
        with classified(container, unfinished.object_name):
            try:
                self._client.request('abort_multipart_upload',
                                     Bucket=container,
                                     Key=unfinished.object_name,
                                     UploadId=unfinished.handle)
            except classify.client_error() as exc:
                if classify.code(exc) != 'NoSuchUpload':
                    raise

    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> contextlib.AbstractContextManager[Any]:
        _check_names(container, object_name)
        return streams.spooled(self, functools.partial(
            self._uploads.send, container, object_name))

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> contextlib.AbstractContextManager[Any]:
        """A writer that replaces nothing, as far as the server goes along.

        One that takes If-None-Match seriously lets one of several writers
        through: AWS and Ceph do; of Swift's s3api, writers that come at the
        same moment may pass together. With another server, with a boto3 that
        does not know the condition (before 1.35), and for objects above 1
        GiB, which go up in parts (Ceph 16 then ignores the condition), all
        that is certain is that an object that has been there for a while is
        noticed and stays.
        """
        _check_names(container, object_name)
        return streams.spooled(self, functools.partial(
            self._uploads.send_exclusively, container, object_name))

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
        _check_names(container, object_name)

        def get(wanted: str | None) -> tuple[Any, int]:
            arguments = self._client.key_arguments()
            if wanted:
                arguments['Range'] = wanted
            try:
                answer = self._client.request(
                    'get_object', Bucket=container, Key=object_name,
                    **arguments)
            except classify.client_error() as exc:
                if not wanted or classify.status(exc) != 416:
                    raise
                return io.BytesIO(), 0  # it begins beyond the end
            return answer['Body'], answer['ContentLength']

        return contextlib.closing(streams.RangeReader(
            get, functools.partial(classified, container, object_name),
            start, length))

    def delete_object(self, container: str, object_name: str) -> None:
        _check_names(container, object_name)
        with (contextlib.suppress(errors.ObjectNotFound,
                                  errors.ContainerNotFound),
              classified(container, object_name)):
            self._client.request('delete_object', Bucket=container,
                                 Key=object_name)

    def delete_objects(self, container: str, names: list[str]) -> None:
        _check_names(container, *names)
        with contextlib.suppress(errors.ContainerNotFound):
            for first in range(0, len(names), _DELETE_AT_ONCE):
                self._delete_at_once(container,
                                     names[first:first + _DELETE_AT_ONCE])

    def _delete_at_once(self, container: str, names: list[str]) -> None:
        with classified(container):
            answer = self._client.request(
                'delete_objects', Bucket=container, Delete={
                    'Objects': [{'Key': name} for name in names],
                    'Quiet': True})
        for failed in answer.get('Errors', ()):
            if failed.get('Code') not in classify.MISSING_OBJECT:
                raise classify.error(failed.get('Code', ''), 0, container,
                                     failed.get('Key'),
                                     failed.get('Message', ''))

    def update_container_name(self, backup: Any,
                              container: str | None) -> str | None:
        return container

    def get_extra_metadata(self, backup: Any, volume: Any) -> Any:
        return None


def _check_names(container: str, *object_names: str) -> None:
    _check_bucket(container)
    for name in object_names:
        streams.check_object(name)


def _check_bucket(name: str) -> None:
    """Refuse an ARN and the like, which lead to other accounts.

    :raises InvalidName: it is no plain bucket.
    """
    streams.check_container(name)
    if not re.fullmatch('[A-Za-z0-9._-]+', name):
        raise errors.InvalidName(kind='container', name=name,
                                 reason='a bucket has letters, digits, dots, '
                                        'hyphens and underscores only')
