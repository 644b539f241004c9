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

"""Ceph's object gateway over a cluster of one monitor and one disk in
memory. Debian's packages are unpacked, not installed."""

import os
import sys
import uuid

from tests.stores.servers import base
from tests.stores.servers import http

_PACKAGES = ('ceph-mon', 'ceph-osd', 'radosgw')

# What the packages depend on and these three daemons do without.
_NEEDLESS = (
    'python3|lvm2|liblvm|libdevmapper|dmeventd|cryptsetup|gdisk|hdparm|'
    'logrotate|nvme|libnvme|parted|libparted|smartmontools|sudo|xfsprogs|'
    'libinih|dmidecode|uuid-runtime')

_CONFIGURATION = '''
[global]
fsid = {cluster_id}
mon_host = [v2:{host}:{monitor}/0]
public_addr = {host}
cluster_addr = {host}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_data_avail_warn = 2
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_crush_chooseleaf_type = 0
osd_crush_initial_weight = 1
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_load_list = *
osd_class_dir = {library}/rados-classes
erasure_code_dir = {library}/ceph/erasure-code
plugin_dir = {library}/ceph
mon_data = {directory}/monitor
osd_data = {directory}/disk
rgw_data = {directory}
run_dir = {directory}
crash_dir = {directory}
admin_socket = {directory}/$name.asok
log_file = {directory}/$name.ceph.log
mon_cluster_log_file = {directory}/cluster.log
[client.rgw]
# Without keys there is no secure mode, which a gateway asks for by default.
ms_mon_client_mode = crc
rgw_frontends = beast endpoint={host}:{port} ssl_endpoint={host}:{tls_port} \
ssl_certificate={certificate}
rgw_thread_pool_size = 64
rgw_max_listing_results = {listing_limit}
rgw_enable_usage_log = false
rgw_crypt_require_ssl = false
'''

# The command line tool of Ceph needs Python packages of Debian's Python;
# the library below it does not.
_MONITOR_COMMAND = '''
import ctypes, sys
library, configuration, command = sys.argv[1:]
rados = ctypes.CDLL(library)
cluster = ctypes.c_void_p()
output, length = ctypes.c_void_p(), ctypes.c_size_t()
status, status_length = ctypes.c_void_p(), ctypes.c_size_t()
steps = (
    lambda: rados.rados_create(ctypes.byref(cluster), b'admin'),
    lambda: rados.rados_conf_read_file(cluster, configuration.encode()),
    lambda: rados.rados_conf_set(cluster, b'client_mount_timeout', b'60'),
    lambda: rados.rados_connect(cluster),
    lambda: rados.rados_mon_command(
        cluster, (ctypes.c_char_p * 1)(command.encode()), 1, None, 0,
        ctypes.byref(output), ctypes.byref(length), ctypes.byref(status),
        ctypes.byref(status_length)))
for number, step in enumerate(steps):
    result = step()
    if result < 0:
        sys.exit(f'step {number} has failed: {result}')
'''


class Ceph(base.Server):
    """A gateway that speaks S3 and Swift.

    :param certificate: a file with the key and the certificate for TLS.
    :param listing_limit: how many names a page of a listing has.
    """

    access_key = 'testkey'
    secret_key = 'canary-of-ceph-s3'
    user = 'test:swift'
    key = 'canary-of-ceph-swift'
    ca_cert_file = None  # for tls_url only

    def __init__(self, directory, certificate, listing_limit=1000):
        super().__init__(directory)
        self._listing_limit = listing_limit
        self._certificate = certificate
        port, tls_port, self._monitor = base.free_ports(3)
        self.url = f'http://{base.HOST}:{port}'
        self.tls_url = f'https://{base.HOST}:{tls_port}'
        self._ports = {'port': port, 'tls_port': tls_port,
                       'monitor': self._monitor}

    @property
    def auth_url(self):
        return f'{self.url}/auth/v1.0'

    def start(self):
        root = base.unpacked('ceph', _PACKAGES, _NEEDLESS)
        library = base.library(root)
        self._bin = root / 'usr' / 'bin'
        self._environment = {**os.environ, 'LD_LIBRARY_PATH': ':'.join(map(
            str, (library, library / 'ceph', root / 'usr' / 'lib' / 'ceph',
                  root / 'lib' / library.name)))}
        cluster_id, disk_id = uuid.uuid4(), uuid.uuid4()
        self._configuration = self.write('ceph.conf', _CONFIGURATION.format(
            host=base.HOST, cluster_id=cluster_id, library=library,
            directory=self.directory, certificate=self._certificate,
            listing_limit=self._listing_limit,
            **self._ports))
        (self.directory / 'disk').mkdir()
        monitors = self.directory / 'monitors'
        self._run('monmaptool', '--create', '--fsid', cluster_id, '--addv',
                  'a', f'[v2:{base.HOST}:{self._monitor}]', monitors)
        self._run('ceph-mon', '-i', 'a', '--mkfs', '--monmap', monitors)
        self._daemon('ceph-mon', '-i', 'a')
        self._run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk_id)
        base.run([sys.executable, '-c', _MONITOR_COMMAND,
                  library / 'librados.so.2', self._configuration,
                  f'{{"prefix": "osd new", "uuid": "{disk_id}"}}'],
                 env=self._environment)
        self._daemon('ceph-osd', '-i', '0')
        self._daemon('radosgw', '-n', 'client.rgw')
        self.until(lambda: http.answers(self.url))
        self._administer('user', 'create', '--uid=test',
                         '--display-name=test',
                         f'--access-key={self.access_key}',
                         f'--secret={self.secret_key}')
        self._administer('subuser', 'create', '--uid=test',
                         f'--subuser={self.user}', '--access=full',
                         '--key-type=swift', f'--secret={self.key}')

    def limit(self, container, size_bytes):
        """Have a quota for a container."""
        self._administer('quota', 'set', '--quota-scope=bucket',
                         f'--bucket={container}', f'--max-size={size_bytes}')
        self._administer('quota', 'enable', '--quota-scope=bucket',
                         f'--bucket={container}')

    def _run(self, program, *arguments):
        base.run([self._bin / program, *arguments, '-c', self._configuration],
                 env=self._environment)

    def _administer(self, *arguments):
        self._run('radosgw-admin', '-n', 'client.rgw', *arguments)

    def _daemon(self, program, *arguments):
        self.spawn(program, [self._bin / program, *arguments, '-c',
                             self._configuration, '-f'],
                   env=self._environment)
