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

"""S3 and Swift: both drivers on one chain, on real servers."""

import boto3
import pytest
import swiftclient

from tests.cinder import images
from tests.cinder.cloud import BLOCK
from tests.cinder.cloud import CHUNK
from tests.cinder.cloud import OURS
from tests.cinder.cloud import STOCK
from tests.cinder.cloud import VOLUME_BYTES
from tests.stores.conftest import _no_proxy_of_the_environment  # noqa: F401
from tests.stores.conftest import ceph  # noqa: F401
from tests.stores.conftest import certificate  # noqa: F401
from tests.stores.conftest import directory  # noqa: F401
from tests.stores.conftest import swift_cluster  # noqa: F401
from tests.stores.conftest import swift_proxy  # noqa: F401

CONTAINER = 'volumebackups'


class S3:
    """Ceph by its S3 interface."""

    names = ('s3', 'S3')

    def __init__(self, server):
        self._server = server
        self.options = {
            'backup_s3_endpoint_url': server.url,
            'backup_s3_store_access_key': server.access_key,
            'backup_s3_store_secret_key': server.secret_key,
            'backup_s3_object_size': CHUNK, 'backup_s3_block_size': BLOCK}

    def sign_in(self, service):
        pass

    def stored(self):
        client = boto3.client(
            's3', endpoint_url=self._server.url,
            aws_access_key_id=self._server.access_key,
            aws_secret_access_key=self._server.secret_key)
        return [each['Key'] for each in client.list_objects_v2(
            Bucket=CONTAINER).get('Contents', [])]


class Swift:
    """Swift, with one user for all backups."""

    names = ('swift', 'Swift')

    def __init__(self, server):
        self._connection = swiftclient.Connection(
            server.auth_url, server.user, server.key, auth_version='1')
        self.options = {
            'backup_swift_auth': 'single_user',
            'backup_swift_auth_version': '1',
            'backup_swift_auth_url': server.auth_url,
            'backup_swift_user': server.user,
            'backup_swift_key': server.key,
            'backup_swift_object_size': CHUNK,
            'backup_swift_block_size': BLOCK}

    def sign_in(self, service):
        pass

    def stored(self):
        return [each['name'] for each
                in self._connection.get_container(CONTAINER)[1]]


class SwiftOfUsers(Swift):
    """Swift, with the token and the catalogue of each request."""

    def __init__(self, server):
        super().__init__(server)
        self.options = {
            'backup_swift_auth': 'per_user',
            'backup_swift_object_size': CHUNK,
            'backup_swift_block_size': BLOCK}

    def sign_in(self, service):
        url, token = self._connection.get_auth()
        service.sign_in(token=token, catalogue=[{
            'type': 'object-store', 'name': 'swift',
            'endpoints': [{'region': 'one', 'publicURL': url}]}])


@pytest.fixture(params=[
    (S3, 'ceph', 'threads'), (S3, 'ceph', 'eventlet'),
    (Swift, 'swift_proxy', 'threads'),
    (SwiftOfUsers, 'swift_proxy', 'eventlet')],
    ids=('s3-threads', 's3-eventlet', 'swift-threads',
         'swift-of-users-eventlet'))
def store_and_mode(request):
    make, server, mode = request.param
    return make(request.getfixturevalue(server)), mode


@pytest.fixture
def store(store_and_mode):
    return store_and_mode[0]


@pytest.fixture
def both(new_cloud, store_and_mode):
    """The services with the stock driver and ours, on one cloud."""
    store, mode = store_and_mode
    cloud = new_cloud()
    with (cloud.service(STOCK.format(*store.names), mode,
                        store.options) as stock,
          cloud.service(OURS.format(*store.names), mode,
                        store.options) as ours):
        for service in (stock, ours):
            store.sign_in(service)
        yield stock, ours


def test_a_chain_that_alternates_is_restored_and_deleted_by_both(both, store):
    points = images.history()[:3]
    volume = both[0].volume(b'')
    backups = []
    for index, point in enumerate(points):
        volume.write(point)
        backups.append(both[index % 2].back_up(volume, incremental=index > 0))

    target = both[0].volume(images.dirt(), 'block')
    for service in both:
        target.write(images.dirt())
        service.bring_back(backups[-1], target)
        assert target.read(VOLUME_BYTES) == points[-1]
    for index, backup_id in enumerate(reversed(backups)):
        assert any(backup_id in name for name in store.stored())
        both[index % 2].remove(backup_id)
        assert not any(backup_id in name for name in store.stored())
