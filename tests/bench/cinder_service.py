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

"""What a volume costs the backup service of Cinder: its driver and ours.

A volume is backed up, backed up again unchanged, and restored to a new one,
by each driver in each mode, in a service of its own. Told are the time, the
processor's time, the peak of memory above the idle service, and by how much a
heartbeat of 10 ms within the service was late at worst; on eventlet it is a
green thread, which waits for whoever blocks the hub. The one command, from
the top of the source tree, after ``tox -e cinder --notest``::

    .tox/cinder/bin/python -m tests.bench.cinder_service [--help]

It wants root, and three times the volume's size of room in TMPDIR.
"""

import argparse
import contextlib
import os
import pathlib
import tempfile
import time

from tests.bench import images
from tests.cinder import cloud as clouds
from tests.cinder import databases
from tests.cinder import stores
from tests.stores.servers import base
from tests.stores.servers.ceph import Ceph
from tests.stores.servers.swift import Swift

_DEADLINE_S = 600
_BEAT_S = 0.01
_TICKS_PER_S = os.sysconf('SC_CLK_TCK')
_WARM_UP = b'warm' * 262144

#: The chunks and blocks are those that each driver has by default.
_DEFAULTS = dict.fromkeys((
    'backup_file_size', 'backup_sha_block_size_bytes',
    'backup_s3_object_size', 'backup_s3_block_size',
    'backup_swift_object_size', 'backup_swift_block_size'))


def main():
    """Measure, and print the figures."""
    arguments = _arguments()
    clouds.DEADLINE_S = _DEADLINE_S
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory()))
        database = databases.Sqlite(directory / 'database').make()
        volume = images.write_mixed(directory / 'volume',
                                    arguments.volume_mib << 20)
        make_store = stack.enter_context(_server(arguments.store, directory))
        print('store  mode      driver  operation    wall_s   cpu_s  '
              'peak_mib  late_ms')
        for number in range(arguments.rounds):
            for mode in arguments.mode:
                for driver in ('stock', 'ours'):
                    home = directory / f'{number}-{mode}-{driver}'
                    home.mkdir()
                    with clouds.Cloud(home, database.copy(
                            home / 'cinder.sqlite')) as cloud:
                        _measure(arguments, cloud, make_store, mode, driver,
                                 volume)


@contextlib.contextmanager
def _server(name, directory):
    """Gives what makes the store for a cloud."""
    if name == 'posix':
        yield stores.Posix
    elif name == 's3':
        with Ceph(directory / 'ceph', base.certificate(
                directory, 'server')) as server:
            yield lambda _: stores.S3(server)
    else:
        with Swift(directory / 'swift') as cluster:
            proxy = cluster.proxy()
            yield lambda _: stores.Swift(proxy)


def _measure(arguments, cloud, make_store, mode, driver, path):
    store = make_store(cloud)
    options = {**store.options, **_DEFAULTS,
               'backup_compression_algorithm': arguments.compression}
    with cloud.service(getattr(store, driver), mode, options) as service:
        service.remove(service.back_up(service.volume(_WARM_UP)))
        volume = service.volume(b'')
        volume.path.unlink()
        volume.path.hardlink_to(path)
        target = service.volume(b'')
        backups = []

        def back_up(**keywords):
            backup_id, done = service.try_to_back_up(volume, **keywords)
            backups.append(backup_id)
            return done

        for operation, function in (
                ('full', back_up),
                ('unchanged', lambda: back_up(incremental=True)),
                ('restore', lambda: service.try_to_bring_back(
                    backups[-1], target, is_new=True))):
            figures = _watched(service.process_id, function)
            print(f'{arguments.store:6} {mode:9} {driver:7} {operation:10}'
                  '{:9.2f}{:8.2f}{:10.0f}{:9.0f}'.format(*figures),
                  flush=True)
        _require_equal(path, target.path)
        for backup_id in reversed(backups):
            service.remove(backup_id)
        target.path.unlink()


def _watched(process_id, function):
    """Seconds, seconds of the processor, MiB above what was there before, and
    milliseconds that the heartbeat was late."""
    process = pathlib.Path('/proc', str(process_id))
    (process / 'clear_refs').write_text('5')  # the peak is what is there now
    before_kib = _kib(process, 'VmRSS')
    cpu_s, start_s = _cpu_s(process), time.monotonic()
    done = function()
    elapsed_s = time.monotonic() - start_s
    assert done['error'] is None, done
    return (elapsed_s, _cpu_s(process) - cpu_s,
            (_kib(process, 'VmHWM') - before_kib) / 1024,
            1000 * max(0, done['longest_pause_s'] - _BEAT_S))


def _cpu_s(process):
    fields = (process / 'stat').read_text().rpartition(')')[2].split()
    return sum(map(int, fields[11:13])) / _TICKS_PER_S


def _kib(process, name):
    line, = (line for line in (process / 'status').read_text().splitlines()
             if line.startswith(name + ':'))
    return int(line.split()[1])


def _require_equal(volume, target):
    """Cinder cuts a file that it restores to, and no zeros at the end of a
    new one are written."""
    with open(volume, 'rb') as first, open(target, 'rb') as second:
        while piece := first.read(1 << 20):
            assert second.read(1 << 20).ljust(len(piece), b'\0') == piece, (
                'restored wrongly')


def _arguments():
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.cinder_service',
        description=__doc__.partition('\n')[0])
    parser.add_argument('--store', choices=('posix', 's3', 'swift'),
                        default='posix')
    parser.add_argument('--mode', nargs='+', choices=clouds.MODES,
                        default=list(clouds.MODES))
    parser.add_argument('--compression', default='zlib')
    parser.add_argument('--volume-mib', type=int, default=1024)
    parser.add_argument('--rounds', type=int, default=1)
    return parser.parse_args()


if __name__ == '__main__':
    main()
