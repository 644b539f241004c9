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

"""Real servers, each started once and when a test first asks for it.

A server that does not start fails the tests that want it; none is skipped.
"""

import contextlib
import os
import pathlib
import uuid

import pytest

from chunked_backup.drivers import s3
from chunked_backup.drivers import swift
from tests.stores import examples
from tests.stores import stores
from tests.stores.servers import base
from tests.stores.servers import swift as swift_server
from tests.stores.servers.ceph import Ceph
from tests.stores.servers.fault_proxy import FaultProxy
from tests.stores.servers.keystone import Keystone
from tests.stores.servers.swift import Swift

_HERE = pathlib.Path(__file__).parent

#: Small, so that a hundred names are several pages.
LISTING_LIMIT = 40

#: In memory, as far as it is used: Swift synchronises each object, and on a
#: disk every request takes twice as long.
DISK_BYTES = 2 << 30

#: Of a driver behind a proxy.
TIMEOUT_S = 5


def pytest_configure(config):
    config.addinivalue_line(
        'markers', 'stores: starts real servers; in one process only')


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark all tests here; the workers of xdist leave them out, or each of
    them would start servers of its own."""
    mine = [item for item in items if _HERE in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.stores)
    if mine and hasattr(config, 'workerinput'):
        config.hook.pytest_deselected(items=mine)
        items[:] = [item for item in items if item not in mine]


@pytest.fixture(scope='session', autouse=True)
def _no_proxy_of_the_environment():
    """Clients reach the servers, whatever stands in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith('_proxy') or name.startswith('AWS_'):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _store_conf(conf):
    """The options of the drivers here, with nothing but defaults."""
    modules = ((s3, 'chunked_backup_s3'), (swift, 'chunked_backup_swift'))
    for module, _ in modules:
        conf.register_group(module.GROUP)
        conf.register_opts(module.OPTS, group=module.GROUP)
    yield
    for _, group in modules:
        for name in conf[group]:
            conf.clear_override(name, group=group)


# Servers.

@pytest.fixture(scope='session')
def directory(tmp_path_factory):
    """For the data of all servers."""
    return tmp_path_factory.mktemp('servers')


@pytest.fixture(scope='session')
def certificate(directory):
    """What the servers show to who speaks TLS, and its own authority."""
    return base.certificate(directory, 'server')


@pytest.fixture(scope='session')
def other_certificate(directory):
    """An authority that has not signed the servers' certificate."""
    return base.certificate(directory, 'other')


@pytest.fixture(scope='session')
def ceph(directory, certificate):
    with Ceph(directory / 'ceph', certificate, LISTING_LIMIT) as server:
        yield server


@pytest.fixture(scope='session')
def swift_cluster(directory):
    with Swift(directory / 'swift', disk_bytes=DISK_BYTES,
               listing_limit=LISTING_LIMIT) as cluster:
        yield cluster


@pytest.fixture(scope='session')
def swift_proxy(swift_cluster):
    """With tempauth and s3api."""
    return swift_cluster.proxy()


@pytest.fixture(scope='session')
def small_swift(swift_cluster):
    """The same Swift with a limit for objects of a few KiB."""
    return swift_cluster.proxy(max_file_size=stores.SMALL_LIMIT)


@pytest.fixture(scope='session')
def hasty_swift(swift_cluster):
    """The same Swift with tokens that are worth nothing after a second."""
    return swift_cluster.proxy(token_life_s=1)


@pytest.fixture(scope='session')
def tls_swift(swift_cluster, certificate):
    """The same Swift behind TLS."""
    return swift_cluster.proxy(certificate=certificate)


@pytest.fixture(scope='session')
def old_swift(directory, certificate):
    """The Swift of Debian 12, with tempauth and s3api.

    Behind TLS: boto3 then sends bodies in ways that this Swift refuses.
    """
    with Swift(directory / 'old_swift', swift_server.OF_DEBIAN_12,
               disk_bytes=DISK_BYTES, listing_limit=LISTING_LIMIT) as cluster:
        yield cluster.proxy(certificate=certificate)


@pytest.fixture(scope='session')
def keystone(directory):
    with Keystone(directory / 'keystone') as server:
        yield server


@pytest.fixture(scope='session')
def keystone_swift(swift_cluster, keystone):
    """The same Swift with the users of Keystone, in its catalogue."""
    proxy = swift_cluster.proxy(keystone=keystone)
    keystone.add_endpoint(proxy.url, 'one')
    keystone.add_endpoint('http://127.0.0.1:9', 'two')
    return proxy


@pytest.fixture(scope='session')
def _fault_proxies():
    with contextlib.ExitStack() as stack:
        yield stack, {}


@pytest.fixture
def fault_proxy(_fault_proxies):
    """Gives a proxy without faults in front of the server at a URL."""
    stack, proxies = _fault_proxies

    def behind(url):
        if url not in proxies:
            proxies[url] = stack.enter_context(FaultProxy(url))
        return proxies[url]

    yield behind
    for proxy in proxies.values():
        proxy.clear()


# Drivers.

def _combination(request):
    """An interface and the server that has it."""
    interface, server = request.param.split('-on-')
    return stores.Store(interface, request.getfixturevalue(
        'swift_proxy' if server == 'swift' else server),
        f'tests-{uuid.uuid4().hex[:12]}')


@pytest.fixture(params=stores.COMBINATIONS)
def store(request):
    """A driver's interface, a server, and a container not yet there."""
    return _combination(request)


@pytest.fixture(params=['s3-on-ceph', 's3-on-swift'])
def s3_store(request):
    return _combination(request)


@pytest.fixture(params=['swift-on-swift', 'swift-on-ceph'])
def swift_store(request):
    return _combination(request)


@pytest.fixture
def driver(store):
    """Small chunks, and an empty container."""
    driver = store.driver()
    driver.put_container(store.container)
    return driver


@pytest.fixture
def faulty(store, fault_proxy):
    """A driver over an empty container, the proxy that its requests go
    through, and the store."""
    proxy = fault_proxy(store.server.url)
    driver = store.driver(url=proxy.url, timeout_s=TIMEOUT_S)
    driver.put_container(store.container)
    proxy.clear()
    return driver, proxy, store


@pytest.fixture(params=examples.MAKERS)
def example(request, tmp_path):
    """The command with one of the examples in etc/, nothing stored yet."""
    return examples.MAKERS[request.param](tmp_path, request)
