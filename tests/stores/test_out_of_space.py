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
from chunked_backup.hosts.standalone import garbage
from chunked_backup.hosts.standalone.service import VolumeService
from tests.functional import images
from tests.stores import examples
from tests.stores import stores
from tests.stores.servers.ceph import Ceph
from tests.stores.servers.swift import Swift

_STORE_FAILED = 6
_CHUNK = 8 * examples.BLOCK

# Takes what compresses well, and no chunk that does not.
_QUOTA_BYTES = _CHUNK // 2

# The number of the one object that is too large.
_TOO_LARGE = '-00004'


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(b'text' * (3 * _CHUNK // 4)
                     + images.random_bytes(_CHUNK) + b'text' * _CHUNK)
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


@pytest.mark.parametrize('example', ['swift', 's3_on_ceph', 's3_on_swift'],
                         indirect=True)
def test_the_command_tells_of_a_quota(example, request, volume):
    driver = example.driver()
    container = driver.catalogue_container
    driver.put_container(container)
    server = request.getfixturevalue(
        'ceph' if 'ceph' in request.node.name else 'swift_proxy')
    if 's3' in request.node.name:
        driver = stores.swift_driver(server)
    _limit(server, driver, container)
    done = example.run('volume', 'backup', volume, exit_code=_STORE_FAILED)
    assert 'is full or over its quota' in done.stderr
    assert example.stored() == []


@pytest.mark.parametrize('example', ['nfs'], indirect=True)
def test_the_command_tells_of_a_full_share(example, volume, tmp_path):
    example.backup(volume)
    before = example.stored()
    large = tmp_path / 'large'
    large.write_bytes(images.random_bytes(examples.SHARE_BYTES))
    done = example.run('volume', 'backup', large, exit_code=_STORE_FAILED)
    assert 'No space left on device' in done.stderr
    assert example.stored() == before


def test_a_full_disk_of_swift_leaves_nothing(tmp_path, volume):
    """An object server says 507, the proxy in front of it 503, and for a
    second to all other requests: for the client this is a store that fails
    for now."""
    with Swift(tmp_path / 'swift', disk_bytes=32 << 20) as cluster:
        server = cluster.proxy()
        driver = stores.swift_driver(
            server, retry_attempts=4, retry_backoff=1, container='full',
            chunk_size_bytes=1 << 20, sha_block_size_bytes=examples.BLOCK)
        service = VolumeService(driver)
        before = service.backup(str(volume))
        names = set(driver.get_container_entries('full', ''))
        large = tmp_path / 'large'
        large.write_bytes(images.random_bytes(40 << 20))
        with pytest.raises(errors.TransientDriverError, match='503') as caught:
            service.backup(str(large))
        assert caught.value.exit_code == _STORE_FAILED
        # What was refused may arrive after the others were removed.
        garbage.collect(driver, grace_s=0)
        # A listing may lag behind, the objects themselves do not.
        for name in set(driver.get_container_entries('full', '')) - names:
            with pytest.raises(errors.ObjectNotFound):
                stores.get(driver, 'full', name)
        service.verify(before)
        service.backup(str(volume))  # there is room again
