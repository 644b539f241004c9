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

"""OpenStack Swift: one account, container and object server with one copy
of everything, and any number of proxies in front of them."""

import dataclasses
import pathlib

from tests.stores.servers import base
from tests.stores.servers import http

#: The packages of today's Swift, and of the one that Debian 12 has. That one
#: does not start on Python 3.13, where an old one that does takes its place.
#: Keystone is asked by the first alone.
CURRENT = ('swift>=2.36', 'keystonemiddleware>=10.0')
OF_DEBIAN_12 = ("swift==2.30.1; python_version < '3.13'",
                "swift==2.35.0; python_version >= '3.13'",
                'setuptools<81')  # for pkg_resources

_PARTS = ('account', 'container', 'object')

_RINGS = '''
import sys
from swift.common.ring import RingBuilder
directory, host, *ports = sys.argv[1:]
for name, port in zip(('account', 'container', 'object', 'object-1'), ports):
    ring = RingBuilder(6, 1, 1)
    ring.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'ip': host,
                  'port': int(port), 'device': 'disk', 'meta': '',
                  'replication_ip': host, 'replication_port': int(port)})
    ring.rebalance()
    ring.get_ring().save(f'{directory}/{name}.ring.gz')
'''

# Limits are read from /etc/swift and nowhere else, as long as nobody says
# otherwise before the servers are imported. The Swift of Debian 12 calls what
# Python 3.12 has no more. What a proxy knows of containers it keeps in
# memcached, and asks for with every request where there is none: a dictionary
# does the same for one process.
_LAUNCHER = '''
import configparser, json, sys, time
parser = configparser.RawConfigParser
parser.readfp = getattr(parser, 'readfp', parser.read_file)
class Cache:
    def __init__(self):
        self._values = {}
    def get(self, key, **_):
        value, until_s = self._values.get(key, ('null', 0))
        return json.loads(value) if until_s > time.monotonic() else None
    def set(self, key, value, **keywords):
        life_s = keywords.get('time') or 60
        self._values[key] = json.dumps(value), time.monotonic() + life_s
    def delete(self, key, **_):
        self._values.pop(key, None)
def cache(*_, **__):
    kept = Cache()
    def middleware(application):
        def serve(environment, start_response):
            environment['swift.cache'] = kept
            return application(environment, start_response)
        return serve
    return middleware
from swift.common import constraints, utils
utils.set_swift_dir(sys.argv[1])
constraints.reload_constraints()
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3]))
'''

_SWIFT_CONF = '''
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = standard
default = yes
[storage-policy:1]
name = other
[swift-constraints]
container_listing_limit = {container_listing_limit}
max_file_size = {max_file_size}
'''

_DEFAULT = '''
[DEFAULT]
bind_ip = {host}
bind_port = {port}
swift_dir = {directory}
devices = {data}
mount_check = false
fallocate_reserve = {reserve_bytes}
recon_cache_path = {data}
workers = 0
user = root
'''

_PART = '''
[pipeline:main]
pipeline = {part}-server
[app:{part}-server]
use = egg:swift#{part}
'''

_FILTERS = ('catch_errors', 'gatekeeper', 'healthcheck', 'listing_formats',
            'bulk', 'copy', 'container_quotas', 'slo', 'dlo')

_PROXY = '''
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk \
{authenticators} copy container_quotas slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# A disk that was full is asked again soon, not after a minute.
error_suppression_interval = 1
# On a busy machine, half a second for a connection makes a 503 of it.
conn_timeout = 10
node_timeout = 60
[filter:cache]
paste.filter_factory = __main__:cache
'''

_TEMPAUTH = '''
[filter:s3api]
use = egg:swift#s3api
max_bucket_listing = {listing_limit}
[filter:tempauth]
use = egg:swift#tempauth
token_life = {token_life_s}
fernet_key_one = MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
active_fernet_key_id = one
user_test_tester = canary-of-swift .admin
'''

_KEYSTONE = '''
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = {user}
password = {password}
project_name = {project}
user_domain_id = default
project_domain_id = default
interface = public
delay_auth_decision = true
service_token_roles_required = true
token_cache_time = -1
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
'''


@dataclasses.dataclass
class Proxy:
    """Where a proxy is, and how a client signs in."""

    url: str
    access_key: str = 'test:tester'
    secret_key: str = 'canary-of-swift'
    ca_cert_file: str | None = None

    @property
    def auth_url(self):
        return f'{self.url}/auth/v1.0'

    @property
    def user(self):
        return self.access_key

    @property
    def key(self):
        return self.secret_key


class Swift(base.Server):
    """A cluster on one machine.

    :param requirements: the packages that it is made of.
    :param disk_bytes: the size of its disk, which is then in memory; a
        quarter is kept free. Without it, the disk that has the directory.
    :param listing_limit: how many names a page of a listing has.
    """

    def __init__(self, directory, requirements=CURRENT, disk_bytes=None,
                 listing_limit=1000):
        super().__init__(directory)
        self._requirements = requirements
        self._disk_bytes = disk_bytes
        self._listing_limit = listing_limit
        self._disk = self.directory / 'data' / 'disk'

    def start(self):
        self._bin = base.virtualenv('swift', self._requirements) / 'bin'
        self._disk.mkdir(parents=True)
        if self._disk_bytes:
            base.run(['mount', '-t', 'tmpfs', '-o',
                      f'size={self._disk_bytes}', 'tmpfs', self._disk])
        self._write_limits(self.directory)
        ports = dict(zip(_PARTS, base.free_ports(3), strict=True))
        base.run([self._bin / 'python', '-W', 'ignore', '-c', _RINGS,
                  self.directory, base.HOST, *ports.values(),
                  ports['object']])
        for part in _PARTS:
            self._launch(part, self.directory, ports[part],
                         _PART.format(part=part))
        self.until(lambda: all(
            http.request('OPTIONS', f'http://{base.HOST}:{port}/').ok
            for port in ports.values()))

    def stop(self):
        super().stop()
        if self._disk.is_mount():
            base.run(['umount', self._disk])

    def proxy(self, token_life_s=86400, max_file_size=5 << 30,
              certificate=None, keystone=None):
        """One more proxy of this cluster.

        :param certificate: a file; with it the proxy speaks TLS.
        :param keystone: who signs users in; tempauth without it.
        """
        name = f'proxy-{len(self.processes)}'
        port = base.free_port()
        directory = self.directory / name
        directory.mkdir()
        for ring in self.directory.glob('*.ring.gz'):
            (directory / ring.name).symlink_to(ring)
        self._write_limits(directory, max_file_size)
        if keystone:
            authenticators = 'authtoken keystoneauth'
            text = _KEYSTONE.format(
                url=keystone.url, user=keystone.SERVICE_USER,
                password=keystone.SERVICE_PASSWORD,
                project=keystone.SERVICE_PROJECT)
        else:
            authenticators = 's3api tempauth'
            text = _TEMPAUTH.format(token_life_s=token_life_s,
                                    listing_limit=self._listing_limit)
        text += _PROXY.format(authenticators=authenticators)
        for each in _FILTERS:
            text += f'[filter:{each}]\nuse = egg:swift#{each}\n'
        self._launch(name, directory, port, text, certificate)
        scheme = 'https' if certificate else 'http'
        found = Proxy(f'{scheme}://{base.HOST}:{port}', ca_cert_file=(
            str(certificate) if certificate else None))
        self.until(lambda: http.answers(
            f'{found.url}/healthcheck', verify=found.ca_cert_file or True))
        return found

    def _write_limits(self, directory, max_file_size=5 << 30):
        pathlib.Path(directory, 'swift.conf').write_text(
            _SWIFT_CONF.format(
                # s3api asks for one more.
                container_listing_limit=self._listing_limit + 1,
                max_file_size=max_file_size))

    def _launch(self, name, directory, port, text, certificate=None):
        # Objects run out of space, listings do not.
        reserve_bytes = (self._disk_bytes or 0) // 4 * (name == 'object')
        default = _DEFAULT.format(
            host=base.HOST, port=port, directory=directory,
            data=self._disk.parent, reserve_bytes=reserve_bytes)
        if certificate:
            default += (f'cert_file = {certificate}\n'
                        f'key_file = {certificate}\n')
        configuration = self.write(f'{name}.conf', default + text)
        kind = name if name in _PARTS else 'proxy'
        self.spawn(name, [self._bin / 'python', '-W', 'ignore', '-c',
                          _LAUNCHER, directory, configuration,
                          f'{kind}-server'])
