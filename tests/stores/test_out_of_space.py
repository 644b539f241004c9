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

"""A store that takes no more, in the middle of a backup."""

import pytest

from chunked_backup import errors
from chunked_backup.hosts.standalone.service import VolumeService
from tests.functional import images
from tests.stores import examples
from tests.stores import stores
from tests.stores.servers.ceph import Ceph

_CHUNK = 8 * examples.BLOCK

# Takes what compresses well, and no chunk that does not.
_QUOTA_BYTES = _CHUNK // 2

# The number of the one object that is too large.
_TOO_LARGE = '-00004'


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(bytes(3 * _CHUNK) + images.random_bytes(_CHUNK)
                     + b'text' * _CHUNK)
    return path


def _limit(server, swift_driver, container):
    """Set the quota.

    :param swift_driver: of the user whose container it is.
    """
    if isinstance(server, Ceph):
        server.limit(container, _QUOTA_BYTES)
    else:
        swift_driver._account.request(
            lambda connection: connection.post_container(container, {
                'X-Container-Meta-Quota-Bytes': str(_QUOTA_BYTES)}))


def test_a_quota_is_out_of_space_and_leaves_nothing(store, fault_proxy,
                                                    volume):
    proxy = fault_proxy(store.server.url)
    driver = store.driver(url=proxy.url, chunk_size_bytes=_CHUNK,
                          sha_block_size_bytes=examples.BLOCK)
    driver.put_container(store.container)
    _limit(store.server, stores.swift_driver(store.server), store.container)
    with pytest.raises(errors.OutOfSpace) as caught:
        VolumeService(driver).backup(str(volume))
    assert caught.value.object_name.endswith(_TOO_LARGE)
    assert len(proxy.seen(f'^PUT .*{_TOO_LARGE}$')) == 1  # not tried again
    assert len(proxy.seen('^PUT .*-0000[123]$')) == 3
    assert list(driver.get_container_entries(store.container, '')) == []
