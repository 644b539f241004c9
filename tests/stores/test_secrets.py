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

"""No key and no token comes to light, whatever is logged or goes wrong."""

import itertools
import logging
import traceback
import types

import pytest

from chunked_backup import errors
from chunked_backup.drivers.swift import SwiftBackupDriver
from tests import support
from tests.stores import stores
from tests.stores.servers.keystone import Keystone
from tests.stores.servers.ceph import Ceph
from tests.stores.servers.swift import Proxy

NAME = 'volume_1/2026/az_nova_backup_1-00001'
SSE_KEY = 'canary-of-our-key-for-encryption'
WRONG_KEY = 'canary-of-a-wrong-key'
SECRETS = {Ceph.secret_key, Ceph.key, Proxy.secret_key, Keystone.PASSWORD,
           Keystone.SERVICE_PASSWORD, SSE_KEY, WRONG_KEY}

#: Who could log a secret; the loggers below them follow.
LIBRARIES = ('boto3', 'botocore', 's3transfer', 'swiftclient', 'urllib3',
             'requests', 'keystoneauth', 'keystoneauth1', 'chunked_backup')

#: So much of a token may be shown: what all tokens begin with.
PREFIX = len('AUTH_rgwtk') + 4


class Record(logging.Handler):
    """All that is logged, as text, with tracebacks."""

    def __init__(self):
        super().__init__(0)
        self.setFormatter(logging.Formatter('%(name)s %(message)s'))
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def logged():
    """Everything at DEBUG, as an operator has it who looks for a fault."""
    loggers = [logging.getLogger(name) for name in ('', *LIBRARIES)]
    before = [logger.level for logger in loggers]
    record = Record()
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(record)
    yield record
    logging.getLogger().removeHandler(record)
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def use(driver, container, failures):
    """All that a driver does; what goes wrong is kept as it is printed."""
    for step in (
            lambda: driver.check_for_setup_error(),
            lambda: driver.put_container(container),
            lambda: stores.put(driver, container, NAME, b'data'),
            lambda: stores.get(driver, container, NAME),
            lambda: stores.get(driver, container, 'missing'),
            lambda: driver.get_container_entries(container, ''),
            lambda: driver.get_container_entries('missing', ''),
            lambda: driver.delete_object(container, NAME),
            lambda: driver.delete_objects(container, [NAME])):
        try:
            step()
        except errors.ChunkedBackupError as exc:
            failures += traceback.format_exception(exc)
            failures += [str(exc), repr(exc)]


def require_none(secrets, logged, failures):
    logging.getLogger('chunked_backup.tests').debug('the end')
    assert any('the end' in line for line in logged.lines)
    assert failures
    for secret, text in itertools.product(secrets, logged.lines + failures):
        assert secret not in text


def tokens(proxy):
    """More than the beginnings of what went over the network."""
    found = {request.headers[name] for request in proxy.requests
             for name in ('x-auth-token', 'x-service-token')
             if name in request.headers}
    return {token[:PREFIX] for token in found if len(token) > PREFIX}


def test_stores_in_use_show_no_secret(logged, faulty):
    driver, proxy, store = faulty
    failures = []
    use(driver, store.container, failures)
    names = {'s3': 'secret_key', 'swift': 'key'}
    use(store.driver(url=proxy.url, **{names[store.interface]: WRONG_KEY}),
        store.container, failures)
    for fault in ('answer', 'refuse', 'truncate', 'lose_answer'):
        proxy.rules.clear()
        proxy.inject(fault)
        use(store.driver(url=proxy.url), store.container, failures)
    assert store.interface == 's3' or tokens(proxy)
    require_none(SECRETS | tokens(proxy), logged, failures)


def test_encryption_with_our_key_does_not_show_it(logged, ceph, swift_proxy):
    failures = []
    for server in (ceph, swift_proxy):
        use(stores.s3_driver(server, sse_customer_key=SSE_KEY,
                             sse_customer_algorithm='AES256'),
            'encrypted-secretly', failures)
    require_none(SECRETS, logged, failures)


def test_a_key_that_cannot_be_used_is_not_shown(logged, ceph):
    failures = []
    use(stores.s3_driver(ceph, sse_customer_key=SSE_KEY + '-too-long',
                         sse_customer_algorithm='none'),
        'encrypted-secretly', failures)
    require_none(SECRETS, logged, failures)


def test_signing_in_to_keystone_shows_no_secret(
        logged, conf, tmp_path, keystone, keystone_swift, fault_proxy):
    path = tmp_path / 'cinder.conf'
    path.write_text(
        '[service_user]\nauth_type = password\n'
        f'auth_url = {keystone.url}\nusername = {keystone.SERVICE_USER}\n'
        f'password = {keystone.SERVICE_PASSWORD}\n'
        f'project_name = {keystone.SERVICE_PROJECT}\n'
        'user_domain_id = default\nproject_domain_id = default\n')
    conf(['--config-file', str(path)], project='chunked_backup')
    proxy = fault_proxy(keystone_swift.url)
    failures = []
    for key in (keystone.PASSWORD, WRONG_KEY):
        use(stores.swift_driver(
            keystone_swift, auth_url=keystone.url, auth_version='3',
            user=keystone.USER, key=key, project=keystone.PROJECT,
            region_name='one'), 'secretly', failures)
    token, project_id = keystone.token()
    support.override('chunked_backup_swift', auth='per_user',
                     service_auth=True, url=f'{proxy.url}/v1/AUTH_')
    for each in (token, token[:-9] + 'forgotten'):
        use(SwiftBackupDriver(types.SimpleNamespace(
            auth_token=each, project_id=project_id)), 'secretly', failures)
    seen = {request.headers[name][20:40] for request in proxy.requests
            for name in ('x-auth-token', 'x-service-token')
            if name in request.headers}
    assert token[20:40] in seen
    assert len(seen) > 1
    require_none(SECRETS | seen, logged, failures)


def test_a_library_that_logs_its_requests_would_be_noticed(logged, ceph):
    """What the tests above rely on: without our care there is a leak."""
    driver = stores.s3_driver(ceph, sse_customer_key=SSE_KEY,
                              sse_customer_algorithm='AES256')
    driver._client.connect()
    logging.getLogger('botocore').setLevel(logging.DEBUG)
    driver.put_container('encrypted-secretly')
    stores.put(driver, 'encrypted-secretly', NAME, b'data')
    assert any(SSE_KEY in line or 'customer-key' in line.lower()
               for line in logged.lines)
