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

"""How fast, how much memory, how many objects: ours beside its peers.

    tox -e bench -- FIGURE [--rounds N] [--help]

The peers are Cinder 29.0.0, which tox installs, and restic and borg, which the
system has to have (on Debian: apt-get install restic borgbackup). In each
round all take their turns; the medians of all rounds are compared. Whatever
is restored is compared with the volume.
"""

import argparse
import contextlib
import hashlib
import mmap
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

from tests.bench import contenders
from tests.bench import costs
from tests.bench import images
from tests.stores.servers import base
from tests.stores.servers.ceph import Ceph
from tests.stores.servers.fault_proxy import FaultProxy

_MIB = 1 << 20
_CHANGED = 0.05
_INCREMENTALS = 10
_BLOCK_BYTES = 32768
_DISTANCE_S = 0.03
_COPYING_THREADS = 4
_STOCK_S3 = 'cinder.backup.drivers.s3.S3BackupDriver'
_OUR_S3 = '''
[chunked_backup]
driver = s3
compression_algorithm = {compression}
{options}

[chunked_backup_s3]
'''
_DRIVERS = (contenders.Stock, contenders.Ours)
_OURS = (contenders.Ours.name, contenders.Program.name)
_PROGRAMS = (contenders.Program, contenders.Restic, contenders.Borg)


def main():
    """Measure, and print the figures."""
    arguments = _arguments()
    names = FIGURES if arguments.figure == 'all' else [arguments.figure]
    for name in names:
        with tempfile.TemporaryDirectory(
                prefix='chunked_backup-bench-') as directory:
            bench = Bench(pathlib.Path(directory), arguments)
            FIGURES[name](bench)
            print(f'{name}: {FIGURES[name].__doc__.splitlines()[0]}')
            bench.summarize()


def _arguments():
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('figure', choices=['all', *FIGURES])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--volume-mib', type=int, default=1024)
    parser.add_argument(
        '--without', action='append', default=[], metavar='NAME',
        help='leave one out: cinder, restic or borg')
    parser.add_argument(
        '--set', action='append', default=[], metavar='OPTION = VALUE',
        help='an option of ours in the section chunked_backup')
    return parser.parse_args()


class Bench:
    """One figure in the making.

    :param directory: for volumes and repositories.
    :ivar options: lines for the section of ours.
    """

    def __init__(self, directory, arguments):
        self.directory = directory
        self.rounds = arguments.rounds
        self.volume_bytes = arguments.volume_mib * _MIB
        self._without = arguments.without
        self.options = '\n'.join(arguments.set)
        self._costs = {}
        self._volume = None

    def mixed_volume(self):
        """The volume of most figures."""
        return images.write_mixed(self.directory / 'volume',
                                  self.volume_bytes)

    def take_part(self, kinds, compression='zlib'):
        """Everybody who takes part, with a directory of their own."""
        for kind in kinds:
            if kind.name not in self._without:
                extra = ({'options': self.options}
                         if issubclass(kind, contenders.Ours) else {})
                yield kind(self.directory / kind.name, compression, **extra)

    def note(self, contender, cost, what=''):
        """Keep what something has cost."""
        key = (what, contender.name)
        self._costs.setdefault(key, []).append(cost)
        print(f'    {what} {contender.name}: {_text(cost)}', flush=True)

    def restore(self, contender, volume, what=''):
        """Measure a restore, and see that it is right."""
        target = self.directory / 'restored'
        contender.leave_cache()
        self.note(contender, contender.restore(target), what)
        subprocess.run(['cmp', volume, target], check=True)
        target.unlink()

    def bound_of_hashes(self, with_md5):
        """Measure what no backup can be faster than on two cores."""
        def work():
            data = memoryview(os.urandom(_MIB))
            md5 = hashlib.md5(usedforsecurity=False)
            for _ in range(self.volume_bytes // _MIB // 2):
                for start in range(0, _MIB, _BLOCK_BYTES):
                    hashlib.sha256(data[start:start + _BLOCK_BYTES])
                if with_md5:
                    md5.update(data)

        self._bound(work, 2)

    def bound_of_device(self, volume):
        """Measure what no restore can be faster than: as much of the volume
        as is not zeros is copied past the page cache."""
        target = self.directory / 'copied'
        pieces = iter(range(0, images.data_bytes(volume, _BLOCK_BYTES), _MIB))
        os.sync()
        with (_past_cache(volume, os.O_RDONLY) as source,
              _past_cache(target, os.O_WRONLY | os.O_CREAT) as sink):
            def work():
                with mmap.mmap(-1, _MIB) as data:
                    for start in pieces:
                        os.preadv(source, [data], start)
                        os.pwrite(sink, data, start)

            self._bound(work, _COPYING_THREADS)
        target.unlink()

    def _bound(self, work, count):
        threads = [threading.Thread(target=work) for _ in range(count)]
        begin_s, cpu_s = time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._costs.setdefault(('', 'bound'), []).append(costs.Cost(
            time.monotonic() - begin_s, time.process_time() - cpu_s, 0))

    def summarize(self):
        """Print the medians, and how many times as fast ours are."""
        bare_bytes = costs.interpreter_bytes()
        medians = {key: _median(values)
                   for key, values in self._costs.items()}
        for (what, name), cost in medians.items():
            print(f'  {what:16} {name:16} {_text(cost)}, '
                  f'{(cost.peak_bytes - bare_bytes) / _MIB:.0f} MiB above '
                  'a bare interpreter')
        for (what, name), cost in medians.items():
            for ours in _OURS:
                mine = medians.get((what, ours))
                if mine is not None and name not in _OURS:
                    print(f'  {what:16} {ours} is '
                          f'{cost.elapsed_s / mine.elapsed_s:.1f} times as '
                          f'fast as {name}')


@contextlib.contextmanager
def _past_cache(path, flags):
    """A file, for pieces whose place, length and memory are aligned."""
    descriptor = os.open(path, flags | os.O_DIRECT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _median(values):
    """Field by field; what is not known stays so."""
    return costs.Cost(*(None if None in field else statistics.median(field)
                        for field in zip(*values, strict=True)))


def _text(cost):
    text = (f'{cost.elapsed_s:7.2f} s, CPU {cost.cpu_s:7.2f} s, peak '
            f'{cost.peak_bytes / _MIB:5.0f} MiB')
    if cost.objects is not None:
        text += f', {cost.objects:.0f} objects'
    if cost.moved_bytes is not None:
        text += f', {cost.moved_bytes / _MIB:.1f} MiB moved'
    return text


def full_zlib(bench):
    """Full backup, zlib."""
    _full(bench, 'zlib', _DRIVERS + _PROGRAMS)


def full_zstd(bench):
    """Full backup, zstd."""
    _full(bench, 'zstd', _DRIVERS)


def full_none(bench):
    """Full backup, no compression.

    The bound is sha256 and md5 of as much memory on two threads.
    """
    _full(bench, 'none', _DRIVERS,
          lambda: bench.bound_of_hashes(with_md5=True))


def _full(bench, compression, kinds, bound=lambda: None):
    volume = bench.mixed_volume()
    everybody = list(bench.take_part(kinds, compression))
    for _ in range(bench.rounds):
        for contender in everybody:
            bench.note(contender, contender.full(volume))
            contender.forget()
        bound()


def unchanged(bench):
    """Incremental backup, nothing changed.

    The bound is sha256 of as many blocks in memory on two threads.
    """
    volume = bench.mixed_volume()
    everybody = list(bench.take_part(_DRIVERS + _PROGRAMS))
    for contender in everybody:
        contender.full(volume)
    for _ in range(bench.rounds):
        for contender in everybody:
            bench.note(contender, contender.incremental(volume))
        bench.bound_of_hashes(with_md5=False)


def scattered(bench):
    """Incremental backup, 5 % of the 32 KiB blocks changed at random."""
    volume = bench.mixed_volume()
    everybody = list(bench.take_part(_DRIVERS + _PROGRAMS))
    for contender in everybody:
        contender.full(volume)
    for number in range(bench.rounds):
        images.change_blocks(volume, _CHANGED, seed=number)
        for contender in everybody:
            bench.note(contender, contender.incremental(volume))


def restore_chain(bench):
    """Restore of a full backup and 10 incrementals of 5 % each.

    The bound is a copy of the volume, without its zeros, past the page cache.
    """
    volume = bench.mixed_volume()
    everybody = list(bench.take_part(_DRIVERS + _PROGRAMS))
    for contender in everybody:
        contender.full(volume)
    for number in range(_INCREMENTALS):
        images.change_blocks(volume, _CHANGED, seed=number)
        for contender in everybody:
            contender.incremental(volume)
    for _ in range(bench.rounds):
        for contender in everybody:
            bench.restore(contender, volume)
        bench.bound_of_device(volume)


def sparse(bench):
    """Full backup of a sparse volume of 100 times the size.

    Of Cinder it is taken once: it reads all of the zeros.
    """
    volume = images.write_sparse(bench.directory / 'volume',
                                 100 * bench.volume_bytes,
                                 bench.volume_bytes)
    for number in range(bench.rounds):
        for contender in bench.take_part(_DRIVERS):
            if contender.name != 'cinder' or not number:
                bench.note(contender, contender.full(volume))
                contender.forget()


def sparse_tebibyte(bench):
    """Full and unchanged incremental backup of a TiB that holds a GiB."""
    volume = images.write_sparse(bench.directory / 'volume',
                                 1024 * bench.volume_bytes,
                                 bench.volume_bytes)
    [ours] = bench.take_part([contenders.Program])
    for _ in range(bench.rounds):
        bench.note(ours, ours.full(volume), 'full')
        bench.note(ours, ours.incremental(volume), 'again')
        ours.forget()


def start(bench):
    """Start-up of the command: its help, and a list of no backups."""
    [ours] = bench.take_part([contenders.Program])
    for _ in range(bench.rounds):
        for words in (['--help'], ['volume', 'list']):
            _, cost = ours.run(*words)
            bench.note(ours, cost, ' '.join(words))


def distant(bench):
    """Backups and restores, S3 on Ceph 30 ms before each request.

    A full backup is restored, then an incremental one of 5 %, with it.
    """
    volume = bench.mixed_volume()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Ceph(
            bench.directory / 'ceph',
            base.certificate(bench.directory, 'server')))
        proxy = stack.enter_context(FaultProxy(server.url))
        proxy.inject('delay', seconds=_DISTANCE_S)
        everybody = [
            contenders.Stock(
                bench.directory / 'cinder', driver=_STOCK_S3, options={
                    'backup_s3_endpoint_url': proxy.url,
                    'backup_s3_store_access_key': server.access_key,
                    'backup_s3_store_secret_key': server.secret_key,
                    'backup_s3_store_bucket': 'stock'}),
            contenders.Ours(
                bench.directory / 'ours', options=bench.options,
                configuration=_OUR_S3 + (
                    f'endpoint_url = {proxy.url}\n'
                    f'access_key = {server.access_key}\n'
                    f'secret_key = {server.secret_key}\n'
                    'bucket = ours\n'))]
        for number in range(bench.rounds):
            for contender in everybody:
                bench.note(contender, contender.full(volume), 'full')
                bench.restore(contender, volume, 'restore of it')
            images.change_blocks(volume, _CHANGED, seed=number)
            for contender in everybody:
                bench.note(contender, contender.incremental(volume),
                           'incremental')
                bench.restore(contender, volume, 'restore of both')


FIGURES = {
    'full-zlib': full_zlib,
    'full-zstd': full_zstd,
    'full-none': full_none,
    'unchanged': unchanged,
    'scattered': scattered,
    'restore': restore_chain,
    'sparse': sparse,
    'sparse-tebibyte': sparse_tebibyte,
    'start': start,
    'distant': distant,
}


if __name__ == '__main__':
    main()
