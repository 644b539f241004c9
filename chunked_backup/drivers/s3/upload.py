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

"""Objects on their way up: whole or in parts, replacing others or not.

Whether a server encrypts with our key is seen in its answer; whether it keeps
an object that is not to be replaced is tried out, once for each bucket.
"""

import base64
import hashlib
import io
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from chunked_backup import errors
from chunked_backup.drivers import streams
from chunked_backup.drivers.s3 import classify
from chunked_backup.drivers.s3.classify import classified
from chunked_backup.drivers.s3.client import Client
from chunked_backup.flow import native

PART_BYTES = 64 << 20
# Objects in parts are not refused by every server that refuses others.
EXCLUSIVE_PART_BYTES = 1 << 30
#: What the names of objects begin with that a bucket is tried out with.
PROBE = 'chunked_backup_probe_'
_MOST_PARTS = 10000

# Whether a bucket (endpoint, name) refuses to replace objects; tried out once
# in a process, since a driver is made for every operation.
refusing: dict[tuple[str, str], bool] = {}


class Uploads:
    """Sends objects.

    :param options: the group ``[chunked_backup_s3]``.
    """

    def __init__(self, client: Client, options: Any) -> None:
        self._client = client
        self._options = options
        self._probing = threading.Lock()

    def send(self, container: str, name: str, whole: streams.Upload) -> None:
        """Store an object, in parts where it is large."""
        with classified(container, name):
            if whole.length > PART_BYTES:
                self._put_parts(container, name, whole)
            else:
                self._put(container, name, whole)

    def send_exclusively(self, container: str, name: str,
                         whole: streams.Upload) -> None:
        """The same, replacing nothing as far as the server goes along.

        :raises ObjectExists: there is such an object.
        """
        with classified(container, name):
            condition = ({'IfNoneMatch': '*'} if self._refuses(container)
                         else {})
            in_parts = whole.length > EXCLUSIVE_PART_BYTES
            if in_parts or not condition:
                self._require_missing(container, name)
            put = self._put_parts if in_parts else self._put
            put(container, name, whole, **condition)

    def _put(self, container: str, name: str, whole: streams.Upload,
             **arguments: Any) -> None:
        if self._options.md5_validation:
            arguments['ContentMD5'] = base64.b64encode(whole.md5).decode()
        answer = self._client.request(
            'put_object', Bucket=container, Key=name, Body=whole.file,
            ContentLength=whole.length, **arguments,
            **self._client.key_arguments())
        try:
            self._check_encrypted(answer)
        except errors.ConfigurationError:
            self._client.request('delete_object', Bucket=container, Key=name)
            raise

    @native.on_hub
    def _refuses(self, container: str) -> bool:
        """Whether the store refuses to replace an object when told so."""
        bucket = self._client.connect().meta.endpoint_url, container
        with self._probing:
            if bucket not in refusing:
                refusing[bucket] = (self._client.knows_condition()
                                    and self._try_out(container))
            return refusing[bucket]

    def _try_out(self, container: str) -> bool:
        """Put an object of our own twice, and see what the store says."""
        probe = PROBE + secrets.token_hex(16)
        empty = streams.Upload(io.BytesIO(), 0, hashlib.md5(
            usedforsecurity=False).digest())
        try:
            with classified(container, probe):
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
            with classified(container, probe):
                self._client.request('delete_object', Bucket=container,
                                     Key=probe)
        except errors.TransientDriverError:
            # A server that has refused the condition may have closed its
            # end of the connection since: Swift 2.30 does.
            self._client.request('delete_object', Bucket=container, Key=probe)

    def _require_missing(self, container: str, name: str) -> None:
        """See that there is no such object.

        :raises ObjectExists: there is.
        """
        try:
            self._client.request('head_object', Bucket=container, Key=name,
                                 **self._client.key_arguments())
        except classify.client_error() as exc:
            if classify.status(exc) != 404:
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
        part_bytes = max(PART_BYTES, -(-whole.length // _MOST_PARTS))
        started = self._client.request(
            'create_multipart_upload', Bucket=container, Key=name,
            **self._client.key_arguments())
        of = {'Bucket': container, 'Key': name,
              'UploadId': started['UploadId']}
        try:
            self._check_encrypted(started)
            parts: list[dict[str, Any]] = []
            for start in range(0, whole.length, part_bytes):
                part = streams.Part(whole.file, start,
                                    min(part_bytes, whole.length - start))
                number = len(parts) + 1
                answer = self._client.request(
                    'upload_part', Body=part, ContentLength=part.length,
                    PartNumber=number, **of, **self._md5_arguments(part),
                    **self._client.key_arguments())
                parts.append({'PartNumber': number, 'ETag': answer['ETag']})
            self._client.request('complete_multipart_upload',
                                 MultipartUpload={'Parts': parts}, **of,
                                 **condition)
        except BaseException as exc:
            try:
                self._client.request('abort_multipart_upload', **of)
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
