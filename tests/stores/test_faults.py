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

"""What the network and a server in trouble do, and the error that it is."""

import pytest

from chunked_backup import errors
from chunked_backup.store.object_store import ObjectStore
from tests.stores import stores
from tests.stores.conftest import TIMEOUT_S
from tests.stores.servers import base

NAME = 'volume_1/2026/az_nova_backup_1-00001'
DATA = bytes(range(256)) * 400

#: A method of the driver, as one request or a few.
OPERATIONS = {
    'put': lambda driver, container: stores.put(driver, container, NAME,
                                                DATA),
    'get': lambda driver, container: stores.get(driver, container, NAME),
    'list': lambda driver, container: driver.get_container_entries(
        container, ''),
    'delete': lambda driver, container: driver.delete_object(container,
                                                             NAME),
    'delete_several': lambda driver, container: driver.delete_objects(
        container, [NAME, NAME + '2']),
    'put_container': lambda driver, container: driver.put_container(
        container + '-2'),
}


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


@pytest.fixture(scope='module')
def kept():
    """What has been asked of a store once, by its name."""
    return {}


@pytest.fixture
def prepared(request, store, fault_proxy, kept):
    """The same as ``faulty`` with an object, and everything asked that is
    asked once; the container serves all tests."""
    name = request.node.callspec.params['store']
    if name not in kept:
        driver, _, _ = kept[name] = request.getfixturevalue('faulty')
        stores.put(driver, store.container, 'other', b'data')
        driver.delete_objects(store.container, ['other'])
    driver, proxy, store = kept[name]
    # The options are those of all drivers: as they were when it was made.
    store.driver(url=proxy.url, timeout_s=TIMEOUT_S)
    stores.put(driver, store.container, NAME, DATA)
    proxy.clear()
    return driver, proxy, store


@pytest.mark.parametrize('fault', ['answer', 'refuse', 'lose_answer'])
def test_a_failing_request_is_a_transient_error(prepared, operation, fault):
    driver, proxy, store = prepared
    rule = proxy.inject(fault)
    with pytest.raises(errors.TransientDriverError):
        operation(driver, store.container)
    assert rule.fired == 1  # nobody below us tries again
    proxy.clear()
    operation(driver, store.container)


@pytest.mark.parametrize('status', [408, 429, 500, 502, 503, 504])
def test_an_overloaded_server_is_a_transient_error(prepared, status):
    driver, proxy, store = prepared
    proxy.inject('answer', status=status, body=b'')
    with pytest.raises(errors.TransientDriverError):
        stores.get(driver, store.container, NAME)


@pytest.mark.parametrize(('status', 'expected'), [
    (403, errors.AccessDenied), (507, errors.OutOfSpace),
    (400, errors.DriverError)])
def test_what_the_server_refuses_is_no_transient_error(prepared, status,
                                                       expected):
    driver, proxy, store = prepared
    proxy.inject('answer', status=status, body=b'')
    with pytest.raises(errors.DriverError) as caught:
        stores.put(driver, store.container, NAME, DATA)
    assert type(caught.value) is expected


def test_an_answer_before_the_whole_body_is_heard(faulty):
    """And closes, as Ceph does when a quota does not allow what is announced;
    it is no broken connection, and not tried again."""
    driver, proxy, store = faulty
    rule = proxy.inject('answer_early', match='^PUT .*-00001', status=507,
                        body=b'')
    for _ in range(10):
        with pytest.raises(errors.OutOfSpace):
            stores.put(driver, store.container, NAME, bytes(6 << 20))
    assert rule.fired == 10


def test_a_server_that_hangs_is_a_transient_error(prepared, operation):
    _, proxy, store = prepared
    driver = store.driver(url=proxy.url, timeout_s=1)
    list(driver.get_container_entries(store.container, ''))  # signs in
    driver.delete_objects(store.container, [])
    proxy.inject('hang')
    with pytest.raises(errors.TransientDriverError):
        operation(driver, store.container)


def test_a_server_that_is_not_there_is_a_transient_error(store):
    driver = store.driver(url=f'http://{base.HOST}:{base.free_port()}')
    with pytest.raises(errors.TransientDriverError):
        driver.put_container(store.container)


def test_a_wrong_key_is_access_denied(store):
    names = {'s3': 'secret_key', 'swift': 'key'}
    driver = store.driver(**{names[store.interface]: 'wrong'})
    with pytest.raises(errors.AccessDenied):
        driver.put_container(store.container)


def test_an_unknown_user_is_access_denied(store):
    names = {'s3': 'access_key', 'swift': 'user'}
    driver = store.driver(**{names[store.interface]: 'test:nobody'})
    with pytest.raises(errors.AccessDenied):
        list(driver.get_container_entries(store.container, ''))


# Uploads.

def test_an_upload_that_breaks_off_leaves_nothing(faulty):
    driver, proxy, store = faulty
    rule = proxy.inject('break_upload', match='^PUT', after=50_000)
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, DATA)
    assert rule.fired == 1
    assert list(driver.get_container_entries(store.container, '')) == []


@pytest.mark.parametrize('after', [0, 70_000])
def test_a_bit_flipped_on_the_way_up_is_refused(faulty, after):
    driver, proxy, store = faulty
    rule = proxy.inject('flip_upload', match='^PUT', after=after)
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, DATA)
    assert rule.fired == 1
    assert list(driver.get_container_entries(store.container, '')) == []


def test_an_object_whose_answer_was_lost_may_be_put_again(faulty):
    driver, proxy, store = faulty
    proxy.inject('lose_answer', match='^PUT', times=1)
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, DATA)
    assert list(driver.get_container_entries(store.container, '')) == [NAME]
    stores.put(driver, store.container, NAME, DATA)
    assert stores.get(driver, store.container, NAME) == DATA


# Downloads.

@pytest.mark.parametrize('fault', ['reset', 'truncate', 'stall'])
@pytest.mark.parametrize('after', [0, 70_000])
def test_a_body_that_does_not_end_is_a_transient_error(prepared, fault,
                                                       after):
    _, proxy, store = prepared
    driver = store.driver(url=proxy.url, timeout_s=0.5)
    rule = proxy.inject(fault, match='^GET .*-00001', after=after, times=1)
    with pytest.raises(errors.TransientDriverError):
        stores.get(driver, store.container, NAME)
    assert rule.fired == 1


def test_a_body_shorter_than_announced_is_a_transient_error(prepared):
    driver, proxy, store = prepared
    proxy.inject('lengthen', match='^GET .*-00001')
    with pytest.raises(errors.TransientDriverError):
        stores.get(driver, store.container, NAME)


def test_reading_goes_on_where_it_has_failed(prepared):
    driver, proxy, store = prepared
    proxy.inject('truncate', match='^GET .*-00001', after=70_000, times=1)
    found = b''
    failures = 0
    with driver.get_object_reader(store.container, NAME) as reader:
        while len(found) < len(DATA):
            try:
                found += reader.read(1000)
            except errors.TransientDriverError:
                failures += 1
    assert failures == 1
    assert found == DATA


@pytest.mark.parametrize('verb', ['PUT', 'GET'])
@pytest.mark.parametrize('times', [1, 2])
def test_each_request_that_is_made_again_is_counted(prepared, verb, times):
    """As many as were made beyond the two that it takes: those that the
    proxy turns away, and any that a busy server does."""
    driver, proxy, store = prepared
    rule = proxy.inject('answer', status=503, body=b'',
                        match=f'^{verb} .*-00001', times=times)
    before = driver.tally.retries
    objects = ObjectStore(driver, store.container, sleep=lambda wait_s: None)
    objects.put_bytes(NAME, DATA)
    with objects.reader(NAME) as reader:
        assert reader.read(len(DATA)) == DATA

    assert rule.fired == times
    made = len(proxy.seen('^(PUT|GET) .*-00001'))
    assert driver.tally.retries - before == made - 2


def test_a_dripping_server_gives_the_right_bytes(faulty):
    driver, proxy, store = faulty
    stores.put(driver, store.container, NAME, DATA[:300])
    proxy.inject('drip', match='^GET .*-00001', seconds=0.001)
    assert stores.get(driver, store.container, NAME) == DATA[:300]


def test_slow_requests_are_no_error(prepared, operation):
    driver, proxy, store = prepared
    rule = proxy.inject('delay', seconds=0.05)
    operation(driver, store.container)
    assert rule.fired >= 1


def test_a_failing_listing_gives_no_names_at_all(prepared):
    driver, proxy, store = prepared
    for fault in ('truncate', 'reset'):
        proxy.clear()
        proxy.inject(fault, match=f'^GET [^?]*{store.container}.?[?]',
                     after=20)
        with pytest.raises(errors.TransientDriverError):
            driver.get_container_entries(store.container, '')


# Ranges.

def test_skipping_much_is_a_request_for_the_rest(faulty):
    driver, proxy, store = faulty
    data = DATA * 10
    stores.put(driver, store.container, NAME, data)
    proxy.clear()
    with driver.get_object_reader(store.container, NAME) as reader:
        assert reader.read(10) == data[:10]
        reader.skip(700_000)
        assert reader.read(10) == data[700_010:700_020]
    assert [request.headers.get('range')
            for request in proxy.seen('^GET .*-00001')] == [
        None, 'bytes=700010-']


def test_skipping_little_is_no_request(prepared):
    driver, proxy, store = prepared
    proxy.clear()
    with driver.get_object_reader(store.container, NAME) as reader:
        reader.skip(1000)
        assert reader.read(10) == DATA[1000:1010]
    assert len(proxy.seen('^GET .*-00001')) == 1


# Deleting several.

def test_several_are_deleted_whether_they_are_there_or_not(driver, store):
    names = [f'{NAME}-{ending}' for ending in ('a', 'b c', 'd&<e>', 'é', '%')]
    for name in [*names, 'kept']:
        stores.put(driver, store.container, name, b'.')
    driver.delete_objects(store.container, [*names, 'missing'])
    assert list(driver.get_container_entries(store.container, '')) == ['kept']


def test_deleting_several_of_which_none_is_there_succeeds(driver, store):
    driver.delete_objects(store.container, ['missing', 'missing too'])
    driver.delete_objects(store.container, [])
    driver.delete_objects('no-container-of-ours', ['missing'])


def test_an_empty_container_has_no_names(driver, store):
    assert list(driver.get_container_entries(store.container, '')) == []
    assert list(driver.get_container_entries(store.container, 'a')) == []
