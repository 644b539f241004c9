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

"""What parallelism makes of a store that is far away.

A volume of 1 GiB is backed up to a real server, with 30 ms of delay before
each request, and restored again; with one worker and with several by turns.
The one command, from the top of the source tree::

    python -m tests.bench.latency [--help]

It wants the packages of test-requirements.txt, 4 GiB of memory and 3 GiB of
room in TMPDIR, and installs the server on its first run.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

from tests.bench import images
from tests.functional.command import Command
from tests.stores.servers import base
from tests.stores.servers.ceph import Ceph
from tests.stores.servers.fault_proxy import FaultProxy
from tests.stores.servers.swift import Swift

_CONFIGURATION = '''
[chunked_backup]
driver = {driver}
{parallelism}
compression_algorithm = {compression}

[chunked_backup_s3]
endpoint_url = {url}
access_key = {server.access_key}
secret_key = {server.secret_key}
{chunk_size}

[chunked_backup_swift]
auth = single_user
auth_url = {url}/auth/v1.0
user = {server.user}
key = {server.key}
{chunk_size}
'''


def main():
    """Measure, and print the figures."""
    arguments = _arguments()
    with (tempfile.TemporaryDirectory() as name,
          _server(arguments.store, pathlib.Path(name)) as server,
          FaultProxy(server.url) as proxy):
        directory = pathlib.Path(name)
        proxy.inject('delay', seconds=arguments.delay_ms / 1000)
        volume = images.write_mixed(directory / 'volume',
                                    arguments.volume_mib << 20)
        command = Command(directory)
        figures = {}
        for _ in range(arguments.rounds):
            for parallelism in arguments.parallelism:
                path = directory / 'bench.conf'
                path.write_text(_configuration(arguments, server, proxy.url,
                                               parallelism))
                for what, elapsed_s, count in _measure(
                        command, path, volume, proxy):
                    figures.setdefault((what, parallelism),
                                       []).append(elapsed_s)
                    print(f'{what:8} parallelism {parallelism or "default":>7}'
                          f' {elapsed_s:8.2f} s {count:6} requests',
                          flush=True)
    _summarize(figures, arguments.parallelism)


def _arguments():
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.latency',
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--store', choices=('s3', 'swift'), default='s3',
                        help='S3 on Ceph, or Swift')
    parser.add_argument('--delay-ms', type=float, default=30,
                        help='before each request')
    parser.add_argument('--volume-mib', type=int, default=1024)
    parser.add_argument('--chunk-size', type=int, metavar='BYTES',
                        help='in place of that of the driver')
    parser.add_argument('--compression', default='zlib')
    parser.add_argument('--parallelism', type=int, nargs='+', default=[1, 0],
                        metavar='N', help='0 is the default of the command')
    parser.add_argument('--rounds', type=int, default=2)
    return parser.parse_args()


def _server(store, directory):
    if store == 's3':
        return Ceph(directory / 'ceph',
                    base.certificate(directory, 'server'))
    return _SwiftProxy(directory / 'swift')


class _SwiftProxy:
    """A cluster with one proxy, as one server."""

    def __init__(self, directory):
        self._cluster = Swift(directory)

    def __enter__(self):
        return self._cluster.__enter__().proxy()

    def __exit__(self, *exc_info):
        self._cluster.__exit__(*exc_info)


def _configuration(arguments, server, url, parallelism):
    return _CONFIGURATION.format(
        driver=arguments.store, server=server, url=url,
        compression=arguments.compression,
        parallelism=f'parallelism = {parallelism}' if parallelism else '',
        chunk_size=(f'chunk_size_bytes = {arguments.chunk_size}'
                    if arguments.chunk_size else ''))


def _measure(command, configuration, volume, proxy):
    """Back a volume up, restore and delete it.

    :returns: what was done, the seconds it took and how many requests.
    """
    target = volume.with_name('restored')
    option = ('--config-file', configuration)
    for what, words in (('backup', ('volume', 'backup', volume)),
                        ('restore', ('volume', 'restore', 'latest', target))):
        proxy.requests.clear()
        begin_s = time.monotonic()
        command.run(*option, *words)
        yield what, time.monotonic() - begin_s, len(proxy.requests)
    base.run(['cmp', volume, target])
    target.unlink()
    command.run(*option, 'volume', 'delete', 'latest')


def _summarize(figures, parallelisms):
    for what in ('backup', 'restore'):
        medians = {each: statistics.median(figures[what, each])
                   for each in parallelisms}
        first = medians[parallelisms[0]]
        for parallelism, median_s in medians.items():
            print(f'{what:8} parallelism {parallelism or "default":>7} median '
                  f'{median_s:8.2f} s, {first / median_s:.2f} times as fast '
                  f'as with {parallelisms[0] or "the default"}')


if __name__ == '__main__':
    main()
