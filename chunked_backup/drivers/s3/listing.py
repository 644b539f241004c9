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

"""What a bucket holds, and how old it is by the store's own clock."""

import datetime
from collections.abc import Mapping
from email import utils
from typing import Any

from chunked_backup.drivers.s3 import classify
from chunked_backup.drivers.s3.client import Client
from chunked_backup.flow import native
from chunked_backup.model import Unfinished


@native.on_hub
def names(client: Client, container: str, prefix: str) -> list[str]:
    """The names of all objects that begin with ``prefix``."""
    return [entry['Key'] for page in client.pages(
        'list_objects_v2', Bucket=container, Prefix=prefix)
        for entry in page.get('Contents', ())]


@native.on_hub
def ages(client: Client, container: str, prefix: str) -> dict[str, float]:
    """Name -> seconds since it was written, of the same objects."""
    found: dict[str, float] = {}
    for page in client.pages('list_objects_v2', Bucket=container,
                             Prefix=prefix):
        now = _date(page)
        for entry in page.get('Contents', ()):
            found[entry['Key']] = _age_s(now, entry['LastModified'])
    return found


@native.on_hub
def uploads(client: Client, container: str) -> list[Unfinished]:
    """Uploads in parts that were neither completed nor aborted."""
    return [Unfinished(upload['Key'],
                       _upload_age_s(client, container, upload, page),
                       upload['UploadId'])
            for page in client.pages('list_multipart_uploads',
                                     Bucket=container)
            for upload in page.get('Uploads', ())]


def _upload_age_s(client: Client, container: str, upload: Mapping[str, Any],
                  page: Mapping[str, Any]) -> float:
    """Since its newest part, or its beginning."""
    newest = upload['Initiated']
    try:
        for parts in client.pages('list_parts', Bucket=container,
                                  Key=upload['Key'],
                                  UploadId=upload['UploadId']):
            newest = max([newest, *(part['LastModified'] for part
                                    in parts.get('Parts', ()))])
    except classify.client_error() as exc:
        if classify.code(exc) != 'NoSuchUpload':  # it has just ended
            raise
        return 0.0
    return _age_s(_date(page), newest)


def _date(answer: Mapping[str, Any]) -> datetime.datetime:
    """What time it was for the store when it answered."""
    return utils.parsedate_to_datetime(
        answer['ResponseMetadata']['HTTPHeaders']['date'])


def _age_s(now: datetime.datetime, written: datetime.datetime) -> float:
    return max(0.0, (now - written).total_seconds())
