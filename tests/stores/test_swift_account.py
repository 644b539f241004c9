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

"""Who signs in to Swift, and how long that lasts."""

import json
import random
import time
import types
from concurrent import futures

import pytest
import swiftclient

from chunked_backup import errors
from chunked_backup.drivers.swift import SwiftBackupDriver
from chunked_backup.hosts.standalone.service import VolumeService
from tests import support
from tests.stores import stores

NAME = 'volume_1/2026/az_nova_backup_1-00001'


def round_trip(driver, container):
    driver.put_container(container)
    stores.put(driver, container, NAME, b'data')
    assert stores.get(driver, container, NAME) == b'data'
    assert list(driver.get_container_entries(container, '')) == [NAME]
    driver.delete_object(container, NAME)


# Tokens that expire.

OPERATIONS = {
    'put': lambda driver: stores.put(driver, 'hasty', NAME, b'data'),
    'put_much': lambda driver: stores.put(driver, 'hasty', NAME,
                                          bytes(20 << 20)),
    'get': lambda driver: stores.get(driver, 'hasty', NAME),
    'list': lambda driver: driver.get_container_entries('hasty', ''),
    'delete': lambda driver: driver.delete_object('hasty', NAME),
    'delete_several': lambda driver: driver.delete_objects('hasty', [NAME]),
    'put_container': lambda driver: driver.put_container('hasty'),
}


def until_refused(url, token):
    """Wait until the store at a URL refuses a token."""
    for _ in range(100):
        try:
            swiftclient.client.head_account(url, token)
        except swiftclient.ClientException as exc:
            assert exc.http_status == 401
            return
        time.sleep(0.1)
    pytest.fail('the token is worth something for ever')


@pytest.mark.parametrize('operation', OPERATIONS)
def test_an_expired_token_is_renewed(hasty_swift, swift_proxy, operation):
    stores.swift_driver(swift_proxy).put_container('hasty')
    stores.put(stores.swift_driver(swift_proxy), 'hasty', NAME, b'data')
    driver = stores.swift_driver(hasty_swift)
    driver.put_container('hasty')
    _, token = driver._account._signed_in
    until_refused(f'{hasty_swift.url}/v1/AUTH_test', token)
    OPERATIONS[operation](driver)
    assert driver._account._signed_in[1] != token


def test_tokens_expire_in_the_middle_of_a_backup(hasty_swift, fault_proxy,
                                                 tmp_path):
    proxy = fault_proxy(hasty_swift.url)
    service = VolumeService(stores.swift_driver(
        hasty_swift, proxy.url, container='hasty-backup'))
    proxy.inject('delay', match='^PUT', seconds=0.4)
    volume = tmp_path / 'volume'
    volume.write_bytes(random.Random(1).randbytes(14 * support.CHUNK))
    backup = service.backup(str(volume))
    assert len(proxy.seen('^GET /auth')) > 1
    proxy.clear()
    target = tmp_path / 'target'
    service.restore(backup, str(target))
    assert target.read_bytes() == volume.read_bytes()


def test_a_token_that_is_refused_once_more_is_access_denied(swift_proxy,
                                                            fault_proxy):
    proxy = fault_proxy(swift_proxy.url)
    driver = stores.swift_driver(swift_proxy, proxy.url)
    driver.put_container('refused')
    proxy.inject('answer', match='/v1/', status=401, body=b'')
    with pytest.raises(errors.AccessDenied):
        driver.get_container_entries('refused', '')
    assert len(proxy.seen('/auth/')) == 2


def test_one_token_serves_all_threads(swift_proxy, fault_proxy):
    proxy = fault_proxy(swift_proxy.url)
    driver = stores.swift_driver(swift_proxy, proxy.url)
    stores.swift_driver(swift_proxy).put_container('threads')
    driver = stores.swift_driver(swift_proxy, proxy.url)
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: stores.put(
            driver, 'threads', f'{NAME}{number}', b'data'), range(16)))
    assert len(proxy.seen('/auth/')) == 1


# Keystone, version 3.

@pytest.fixture
def version_3(keystone, keystone_swift):
    """The options that sign in to Keystone."""
    return {'auth_url': keystone.url, 'auth_version': '3',
            'user': keystone.USER, 'key': keystone.PASSWORD,
            'project': keystone.PROJECT, 'user_domain': keystone.DOMAIN,
            'project_domain': keystone.DOMAIN, 'region_name': 'one'}


@pytest.fixture
def by_keystone(version_3, keystone_swift):
    def driver(**options):
        return stores.swift_driver(keystone_swift, **{**version_3, **options})

    return driver


def test_a_user_signs_in_by_version_3(by_keystone):
    round_trip(by_keystone(), 'version-3')


@pytest.mark.parametrize('options', [
    {'user_domain': None, 'project_domain': None},
    {'project': None, 'tenant': 'demo-project'},
    {'auth_version': 'v3.0'}])
def test_what_may_be_left_out_of_version_3(by_keystone, options):
    round_trip(by_keystone(**options), 'version-3')


def test_an_auth_url_need_not_tell_the_version(by_keystone, keystone):
    round_trip(by_keystone(auth_url=keystone.url.removesuffix('/v3')),
               'version-3')


@pytest.mark.parametrize('options', [
    {'key': 'wrong'}, {'user': 'nobody'}, {'user_domain': 'nowhere'},
    {'project': 'none'}])
def test_wrong_credentials_are_access_denied(by_keystone, options):
    with pytest.raises(errors.AccessDenied):
        by_keystone(**options).put_container('denied')


def test_the_region_selects_the_endpoint(by_keystone):
    with pytest.raises(errors.TransientDriverError, match='port=9'):
        by_keystone(region_name='two').put_container('elsewhere')
    with pytest.raises(errors.ConfigurationError, match='region three'):
        by_keystone(region_name='three').put_container('nowhere')


def test_a_keystone_that_is_not_there_is_a_transient_error(by_keystone):
    driver = by_keystone(auth_url='http://127.0.0.1:9/v3')
    with pytest.raises(errors.TransientDriverError):
        driver.put_container('version-3')


@pytest.mark.parametrize('status', [500, 503])
def test_a_keystone_in_trouble_is_a_transient_error(by_keystone, keystone,
                                                    fault_proxy, status):
    proxy = fault_proxy(keystone.url)
    proxy.inject('answer', status=status, body=b'')
    driver = by_keystone(auth_url=f'{proxy.url}/v3')
    with pytest.raises(errors.TransientDriverError):
        driver.put_container('version-3')
    assert len(proxy.requests) == 1


def test_a_wrong_auth_url_is_no_missing_container(by_keystone, keystone):
    driver = by_keystone(auth_url=f'{keystone.url}/nothing/v3')
    with pytest.raises(errors.DriverError) as caught:
        driver.get_container_entries('version-3', '')
    assert type(caught.value) is errors.DriverError


def test_a_revoked_token_is_renewed(by_keystone, keystone):
    driver = by_keystone()
    driver.put_container('version-3')
    url, token = driver._account._sign_in()
    keystone.revoke(token)
    until_refused(url, token)
    round_trip(driver, 'version-3')
    assert driver._account._session.get_token() != token


# Version 2.

def test_a_user_signs_in_by_version_2(swift_proxy, fault_proxy):
    """No Keystone of today has version 2, so its answer is made here."""
    url, token = swiftclient.client.get_auth(
        swift_proxy.auth_url, swift_proxy.user, swift_proxy.key)
    proxy = fault_proxy(swift_proxy.url)
    proxy.inject('answer', match='^POST /v2.0/tokens', status=200, headers={
        'Content-Type': 'application/json'}, body=json.dumps({'access': {
            'token': {'id': token, 'expires': '2099-01-01T00:00:00Z',
                      'tenant': {'id': 'an id', 'name': 'a tenant'}},
            'user': {'id': 'an id', 'name': 'a user', 'roles': []},
            'serviceCatalog': [{
                'type': 'object-store', 'name': 'swift', 'endpoints': [
                    {'region': 'other', 'publicURL': 'http://127.0.0.1:9'},
                    {'region': 'one', 'publicURL': url}]}]}}).encode())
    driver = stores.swift_driver(
        swift_proxy, auth_url=f'{proxy.url}/v2.0', auth_version='2',
        user='a user', key='a key', tenant='a tenant', region_name='one')
    round_trip(driver, 'version-2')
    request, = proxy.requests
    assert json.loads(request.body) == {'auth': {
        'tenantName': 'a tenant',
        'passwordCredentials': {'username': 'a user', 'password': 'a key'}}}


# Requests of users.

def context(token, project_id, url='http://127.0.0.1:9'):
    """What Cinder hands to a driver, as far as that looks at it."""
    return types.SimpleNamespace(
        auth_token=token, project_id=project_id, service_catalog=[
            {'type': 'volume', 'name': 'cinder', 'endpoints': []},
            {'type': 'object-store', 'name': 'swift', 'endpoints': [
                {'region': 'two', 'publicURL': 'http://127.0.0.1:9'},
                {'region': 'one', 'adminURL': 'http://127.0.0.1:9'},
                {'region': 'one',
                 'publicURL': f'{url}/v1/AUTH_{project_id}'}]}])


def per_user(request_context, **options):
    support.override('chunked_backup_swift', auth='per_user', **options)
    return SwiftBackupDriver(request_context)


def test_a_request_leads_to_the_account_of_its_user(keystone,
                                                    keystone_swift):
    request = context(*keystone.token(), keystone_swift.url)
    driver = per_user(request, region_name='one')
    driver.check_for_setup_error()
    round_trip(driver, 'per-user')


def test_the_url_of_the_options_wins_over_the_catalogue(keystone,
                                                        keystone_swift):
    request = context(*keystone.token())
    round_trip(per_user(request, url=f'{keystone_swift.url}/v1/AUTH_'),
               'per-user')


def test_the_token_of_a_request_cannot_be_renewed(keystone, keystone_swift):
    token, project_id = keystone.token()
    driver = per_user(context(token, project_id,
                              keystone_swift.url), region_name='one')
    driver.put_container('per-user')
    keystone.revoke(token)
    until_refused(f'{keystone_swift.url}/v1/AUTH_{project_id}', token)
    with pytest.raises(errors.AccessDenied):
        driver.get_container_entries('per-user', '')


def test_a_region_without_a_store_is_a_configuration_error(keystone):
    request = context('token', 'project')
    with pytest.raises(errors.ConfigurationError, match='region three'):
        per_user(request, region_name='three').check_for_setup_error()


def test_without_a_request_there_is_no_token():
    driver = per_user(None)
    driver.check_for_setup_error()  # as at the start of a volume service
    with pytest.raises(errors.ConfigurationError, match='single_user'):
        driver.put_container('per-user')


# The token of the service.

@pytest.fixture
def service_user(conf, tmp_path, keystone):
    """The user of the volume service itself is configured as in Cinder."""
    path = tmp_path / 'cinder.conf'
    path.write_text(
        '[service_user]\nauth_type = password\n'
        f'auth_url = {keystone.url}\nusername = {keystone.SERVICE_USER}\n'
        f'password = {keystone.SERVICE_PASSWORD}\n'
        f'project_name = {keystone.SERVICE_PROJECT}\n'
        'user_domain_id = default\nproject_domain_id = default\n')
    conf(['--config-file', str(path)], project='chunked_backup')


@pytest.fixture
def expired_request(keystone, keystone_swift):
    """A request whose token has expired meanwhile."""
    hasty_url = keystone.with_token_life(1)
    token, project_id = keystone.token(hasty_url)
    time.sleep(2)
    return context(token, project_id, keystone_swift.url)


def test_a_service_token_makes_up_for_an_expired_one(
        service_user, expired_request, keystone, keystone_swift):
    lasting = context(*keystone.token(), keystone_swift.url)
    per_user(lasting, region_name='one').put_container('expired')
    with pytest.raises(errors.AccessDenied):
        per_user(expired_request).get_container_entries('expired', '')
    round_trip(per_user(expired_request, service_auth=True), 'expired')


@pytest.mark.parametrize('service_auth', [True, False])
def test_a_service_token_is_sent_when_it_is_wanted(
        service_user, keystone, keystone_swift, fault_proxy, service_auth):
    proxy = fault_proxy(keystone_swift.url)
    driver = per_user(context(*keystone.token()),
                      url=f'{proxy.url}/v1/AUTH_', service_auth=service_auth)
    round_trip(driver, 'service-token')
    assert {'x-service-token' in request.headers
            for request in proxy.seen('/v1/')} == {service_auth}


def test_a_service_token_needs_a_service_user(keystone, keystone_swift):
    driver = per_user(context(*keystone.token()),
                      url=f'{keystone_swift.url}/v1/AUTH_',
                      service_auth=True)
    with pytest.raises(errors.ConfigurationError, match='service_user'):
        driver.put_container('service-token')


# What is wrong with options is said before anything is done.

@pytest.mark.parametrize(('options', 'named'), [
    ({'catalog_info': 'object-store'}, 'catalog_info'),
    ({'keystone_catalog_info': 'identity'}, 'keystone_catalog_info'),
    ({'user': None}, 'user'), ({'key': None}, 'key'),
    ({'auth_version': '4'}, 'auth_version')])
def test_options_that_do_not_suffice_are_refused(options, named):
    server = types.SimpleNamespace(url='http://127.0.0.1:9', user='a',
                                   key='b', auth_url='http://127.0.0.1:9')
    with pytest.raises(errors.ConfigurationError, match=named):
        stores.swift_driver(server, **options).check_for_setup_error()


def test_without_an_auth_url_there_has_to_be_a_catalogue():
    support.override('chunked_backup_swift', auth='single_user', user='a',
                     key='b')
    with pytest.raises(errors.ConfigurationError, match='auth_url'):
        SwiftBackupDriver(None).check_for_setup_error()
