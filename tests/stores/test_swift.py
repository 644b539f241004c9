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

"""What only the Swift driver does with objects and containers."""

import json
import types
import uuid

import pytest
import swiftclient

from chunked_backup import errors
from tests.stores import stores
from tests.stores.servers import http

NAME = 'volume_1/2026/az_nova_backup_1-00001'
LIMIT = stores.SMALL_LIMIT
LARGE = bytes(range(256)) * (LIMIT // 256 * 3) + b'the rest'


@pytest.fixture
def store(swift_store):
    return swift_store


def names(driver, container):
    return list(driver.get_container_entries(container, ''))


# Static large objects.

@pytest.fixture
def large(small_swift, fault_proxy):
    """A driver over a Swift with a small limit, the proxy before it, and an
    empty container."""
    proxy = fault_proxy(small_swift.url)
    driver = stores.swift_driver(small_swift, proxy.url)
    container = f'large-{uuid.uuid4().hex[:12]}'
    driver.put_container(container)
    return driver, proxy, container


def test_an_object_above_the_limit_is_one_object(large):
    driver, _, container = large
    stores.put(driver, container, NAME, LARGE[:10], LARGE[10:])
    assert names(driver, container) == [NAME]
    assert len(names(driver, f'{container}_segments')) == 4
    assert stores.get(driver, container, NAME) == LARGE
    with driver.get_object_reader(container, NAME) as reader:
        reader.skip(LIMIT + 5)
        assert reader.read(10) == LARGE[LIMIT + 5:LIMIT + 15]


@pytest.mark.parametrize('length', [LIMIT, LIMIT + 1])
def test_the_limit_is_exact(large, length):
    driver, _, container = large
    stores.put(driver, container, NAME, bytes(length))
    assert stores.get(driver, container, NAME) == bytes(length)
    assert driver._large_objects.are_in(container) is (length > LIMIT)


def test_deleting_one_deletes_its_segments(large):
    driver, _, container = large
    stores.put(driver, container, NAME, LARGE)
    driver.delete_object(container, NAME)
    assert names(driver, container) == []
    assert names(driver, f'{container}_segments') == []


def test_deleting_several_deletes_their_segments(large):
    driver, _, container = large
    for name in ('a', 'b'):
        stores.put(driver, container, name, LARGE)
    stores.put(driver, container, 'small', b'.')
    driver.delete_objects(container, ['a', 'b', 'small', 'missing'])
    assert names(driver, container) == []
    assert names(driver, f'{container}_segments') == []


def test_segments_that_no_object_lists_are_unfinished(large):
    driver, _, container = large
    stores.put(driver, container, NAME, LARGE)
    assert driver.get_unfinished(container) == []
    handle = 'slo-' + '0' * 16
    stores.put(driver, f'{container}_segments', f'{NAME}/{handle}/00000000',
               b'left')
    [unfinished] = driver.get_unfinished(container)
    assert (unfinished.object_name, unfinished.handle) == (NAME, handle)
    assert 0 <= unfinished.age_s < 3600
    driver.discard_unfinished(container, unfinished)
    driver.discard_unfinished(container, unfinished)
    assert driver.get_unfinished(container) == []
    assert stores.get(driver, container, NAME) == LARGE


def test_deleting_one_leaves_another_that_begins_like_it(large):
    driver, _, container = large
    for name in ('a', 'a/b', 'ab', 'a/slo-0123456789abcdef'):
        stores.put(driver, container, name, LARGE)
    driver.delete_object(container, 'a')
    for name in ('a/b', 'ab', 'a/slo-0123456789abcdef'):
        assert stores.get(driver, container, name) == LARGE


@pytest.mark.parametrize('match', ['^PUT .*/00000000$', '^PUT .*/00000002$',
                                   '^PUT .*multipart-manifest=put'])
@pytest.mark.parametrize('fault', ['answer', 'break_upload', 'lose_answer'])
def test_one_that_fails_leaves_no_segments(large, match, fault):
    driver, proxy, container = large
    stores.put(driver, container, 'before', LARGE)  # makes the container
    driver.delete_object(container, 'before')
    rule = proxy.inject(fault, match=match, after=100)
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, container, NAME, LARGE)
    assert rule.fired == 1
    if fault == 'lose_answer' and 'manifest' in match:  # it is there
        assert stores.get(driver, container, NAME) == LARGE
    else:
        assert names(driver, container) == []
        assert names(driver, f'{container}_segments') == []


def test_one_that_fails_leaves_the_older_object_whole(large):
    driver, proxy, container = large
    stores.put(driver, container, NAME, LARGE)
    proxy.inject('answer', match='^PUT .*multipart-manifest=put')
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, container, NAME, LARGE[::-1])
    proxy.clear()
    assert stores.get(driver, container, NAME) == LARGE
    assert len(names(driver, f'{container}_segments')) == 4


def test_replacing_one_by_another_leaves_no_older_segments(large):
    driver, _, container = large
    stores.put(driver, container, f'{NAME}/other', LARGE)
    others = set(names(driver, f'{container}_segments'))
    stores.put(driver, container, NAME, LARGE)
    before = set(names(driver, f'{container}_segments')) - others
    stores.put(driver, container, NAME, LARGE[::-1])
    after = set(names(driver, f'{container}_segments'))
    assert len(before) == len(after - others) == 4
    assert others < after and not before & after
    assert stores.get(driver, container, NAME) == LARGE[::-1]
    assert stores.get(driver, container, f'{NAME}/other') == LARGE


def test_older_segments_that_cannot_be_removed_do_no_harm(large):
    driver, proxy, container = large
    stores.put(driver, container, NAME, LARGE)
    refused = proxy.inject('answer', match='^DELETE .*/slo-')
    stores.put(driver, container, NAME, LARGE[::-1])
    assert refused.fired == 1
    proxy.clear()
    assert stores.get(driver, container, NAME) == LARGE[::-1]
    driver.delete_object(container, NAME)
    assert names(driver, f'{container}_segments') == []


@pytest.mark.parametrize('name', [
    'é', 'a"b', 'a/slo-0123456789abcdef', 'a/slo-0123456789abcdef/00000000'])
def test_one_whose_list_has_arrived_unanswered_is_whole(large, name):
    driver, proxy, container = large
    proxy.inject('lose_answer', match='^PUT .*multipart-manifest=put')
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, container, name, LARGE)
    proxy.clear()
    assert stores.get(driver, container, name) == LARGE


def test_a_bit_flipped_in_a_segment_is_refused(large):
    driver, proxy, container = large
    stores.put(driver, container, 'before', b'.')
    rule = proxy.inject('flip_upload', match='^PUT .*/00000001$', after=9)
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, container, NAME, LARGE)
    assert rule.fired == 1
    assert names(driver, container) == ['before']


def test_ceph_has_static_large_objects_too(ceph):
    driver = stores.swift_driver(ceph)
    driver._objects._capabilities = {'swift': {'max_file_size': LIMIT}}
    driver.put_container('large')
    stores.put(driver, 'large', NAME, LARGE)
    assert len(names(driver, 'large_segments')) == 4
    assert stores.get(driver, 'large', NAME) == LARGE
    driver.delete_objects('large', [NAME])
    assert names(driver, 'large') == names(driver, 'large_segments') == []


# Objects that replace nothing.

@pytest.mark.parametrize('size', [10, 30 << 20])
def test_an_exclusive_writer_replaces_nothing_that_was_there_before(
        driver, store, size):
    stores.commit(driver, store.container, NAME, b'first')
    with pytest.raises(errors.ObjectExists):
        stores.commit(driver, store.container, NAME, bytes(size))
    assert stores.get(driver, store.container, NAME) == b'first'


def test_a_large_object_replaces_nothing_that_was_there_before(large):
    driver, _, container = large
    stores.commit(driver, container, NAME, LARGE)
    with pytest.raises(errors.ObjectExists):
        stores.commit(driver, container, NAME, LARGE[::-1])
    assert stores.get(driver, container, NAME) == LARGE
    assert len(names(driver, f'{container}_segments')) == 4


@pytest.mark.parametrize('data', [b'data', LARGE], ids=['small', 'large'])
def test_swift_itself_refuses_an_object_that_came_meanwhile(
        large, monkeypatch, data):
    driver, _, container = large
    stores.put(driver, container, NAME, data)
    monkeypatch.setattr(driver._objects, 'require_missing', lambda *_: None)
    with pytest.raises(errors.ObjectExists):
        stores.commit(driver, container, NAME, data[::-1])
    assert stores.get(driver, container, NAME) == data


# Digests.

def test_every_put_carries_its_md5(faulty):
    driver, proxy, store = faulty
    stores.put(driver, store.container, NAME, b'data')
    put, = proxy.seen('^PUT')
    assert put.headers['etag'] == '8d777f385d3dfec8815d20f7496026dc'


@pytest.mark.parametrize('headers', [{}, {'Etag': 'f' * 32}])
def test_an_answer_with_another_etag_is_a_transient_error(faulty, headers):
    driver, proxy, store = faulty
    stores.put(driver, store.container, 'before', b'.')
    proxy.inject('answer', match='^PUT', status=201, headers=headers,
                 body=b'')
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, b'data')


# Listings.

def test_a_page_that_fails_ends_a_listing_with_an_error(faulty):
    driver, proxy, store = faulty
    proxy.inject('answer', match='^GET', status=200, times=1,
                 headers={'Content-Type': 'application/json'},
                 body=json.dumps([{'name': 'a'}]).encode())
    proxy.inject('answer', match='^GET', status=503)
    with pytest.raises(errors.TransientDriverError):
        driver.get_container_entries(store.container, '')


# Deleting several.

def test_several_are_deleted_by_one_request(swift_proxy, fault_proxy):
    proxy = fault_proxy(swift_proxy.url)
    driver = stores.swift_driver(swift_proxy, proxy.url)
    driver.put_container('several')
    for name in ('a', 'b c', 'd'):
        stores.put(driver, 'several', name, b'.')
    proxy.clear()
    driver.delete_objects('several', ['a', 'b c', 'd'])
    assert len(proxy.seen('^POST .*bulk-delete')) == 1
    assert proxy.seen('^DELETE') == []
    assert names(driver, 'several') == []


@pytest.mark.parametrize(('status', 'expected'), [
    ('403 Forbidden', errors.AccessDenied),
    ('503 Service Unavailable', errors.TransientDriverError),
    ('409 Conflict', errors.DriverError)])
def test_one_of_several_that_cannot_be_deleted_is_named(
        swift_proxy, fault_proxy, status, expected):
    proxy = fault_proxy(swift_proxy.url)
    driver = stores.swift_driver(swift_proxy, proxy.url)
    proxy.inject('answer', match='^POST', status=200, body=json.dumps({
        'Errors': [['/several/b%20c', status]],
        'Response Status': '400 Bad Request'}).encode())
    with pytest.raises(errors.DriverError) as caught:
        driver.delete_objects('several', ['a', 'b c'])
    assert type(caught.value) is expected
    assert caught.value.object_name == 'b c'


def test_a_whole_deletion_that_fails_is_an_error(swift_proxy, fault_proxy):
    proxy = fault_proxy(swift_proxy.url)
    driver = stores.swift_driver(swift_proxy, proxy.url)
    proxy.inject('answer', match='^POST', status=200, body=json.dumps({
        'Errors': [], 'Response Status': '502 Bad Gateway'}).encode())
    with pytest.raises(errors.TransientDriverError):
        driver.delete_objects('several', ['a'])


# Connections.

def test_an_object_being_read_has_a_connection_of_its_own(driver, store):
    contents = {f'{NAME}{number}': bytes([number]) * 200_000
                for number in range(4)}
    for name, data in contents.items():
        stores.put(driver, store.container, name, data)
    first = f'{NAME}0'
    with driver.get_object_reader(store.container, first) as reader:
        found = reader.read(1000)
        for name, data in contents.items():
            assert stores.get(driver, store.container, name) == data
        found += reader.read()
    assert found == contents[first]


def test_connections_are_used_again(driver, store):
    for number in range(5):
        stores.put(driver, store.container, NAME, b'data')
        stores.get(driver, store.container, NAME)
    assert len(driver._account._idle) == 1


# Containers.

def test_a_container_gets_the_storage_policy_of_the_options(swift_proxy):
    driver = stores.swift_driver(swift_proxy, create_storage_policy='other')
    driver.put_container('of-another-policy')
    url, token = swiftclient.client.get_auth(
        swift_proxy.auth_url, swift_proxy.user, swift_proxy.key)
    answer = http.request('HEAD', f'{url}/of-another-policy',
                          headers={'X-Auth-Token': token})
    assert answer.headers['X-Storage-Policy'] == 'other'
    stores.put(driver, 'of-another-policy', NAME, b'data')
    assert stores.get(driver, 'of-another-policy', NAME) == b'data'


def test_an_unknown_storage_policy_is_an_error(swift_proxy):
    driver = stores.swift_driver(swift_proxy, create_storage_policy='none')
    with pytest.raises(errors.DriverError, match='400'):
        driver.put_container('of-no-policy')


@pytest.mark.parametrize('container', ['', 'a/b', '.', '..', 'a\0', 'a' * 257,
                                       '\ud800'])
def test_what_is_no_container_is_refused(container):
    server = types.SimpleNamespace(url='http://127.0.0.1:9', user='a',
                                   key='b', auth_url='http://127.0.0.1:9')
    driver = stores.swift_driver(server)
    for use in (lambda: driver.put_container(container),
                lambda: driver.get_container_entries(container, ''),
                lambda: stores.put(driver, container, NAME, b''),
                lambda: stores.get(driver, container, NAME),
                lambda: driver.delete_object(container, NAME)):
        with pytest.raises(errors.InvalidName):
            use()


# TLS.

def test_a_certificate_is_checked_against_the_file_of_the_options(
        tls_swift, certificate):
    driver = stores.swift_driver(tls_swift, ca_cert_file=str(certificate))
    driver.put_container('encrypted-way')
    stores.put(driver, 'encrypted-way', NAME, b'data')
    assert stores.get(driver, 'encrypted-way', NAME) == b'data'


def test_a_certificate_of_another_authority_is_access_denied(
        tls_swift, other_certificate):
    for options in ({'ca_cert_file': str(other_certificate)},
                    {'ca_cert_file': None}):
        driver = stores.swift_driver(tls_swift, **options)
        with pytest.raises(errors.AccessDenied):
            driver.get_container_entries('volumebackups', '')


def test_a_certificate_need_not_be_checked(tls_swift):
    driver = stores.swift_driver(tls_swift, auth_insecure=True)
    driver.put_container('unchecked')
    assert names(driver, 'unchecked') == []
