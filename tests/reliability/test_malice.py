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


"""Repositories made to do harm: names, metadata, bombs."""

import contextlib
import ctypes
import gc
import io
import itertools
import os
import pathlib
import random
import re

import pytest

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.blocks import codecs
from chunked_backup.model import BackupRecord
from chunked_backup.model import PackedExtent
from chunked_backup.model import StoredObject
from chunked_backup.model import StoredPack
from tests import support
from tests.contract import test_posix as posix_names
from tests.corruption import chains
from tests.corruption import test_malice as malice
from tests.fuzz import mutations
from tests.fuzz import targets

BAD_PARTS = [*posix_names.DOTS, *posix_names.SLASHES, *posix_names.NULS,
             *posix_names.NOT_TEXT]


def tree(root):
    return sorted(str(path) for path in root.rglob('*'))


def names():
    """Bad containers and objects, alone and within what looks harmless."""
    for bad in posix_names.BAD_CONTAINERS:
        yield bad, 'object'
    for bad in posix_names.BAD_OBJECTS:
        yield 'container', bad
    for bad in BAD_PARTS:
        yield f'ab/{bad}/cd', 'object'
        yield f'{bad}/container', 'object'
        yield 'container', f'volume_x/{bad}'


def test_malicious_names(tmp_path, conf, ledger):
    """They come from records, manifests and options."""
    counted = ledger('malicious names')
    (tmp_path / 'outside').mkdir()
    driver = support.posix_driver(tmp_path / 'repository')
    driver.put_container('container')
    os.symlink(tmp_path / 'outside', tmp_path / 'repository' / 'link')
    before = tree(tmp_path)
    uses = [
        lambda container, name: support_write(driver, container, name),
        lambda container, name: driver.delete_object(container, name),
        lambda container, name: driver.get_object_reader(
            container, name).__enter__(),
        lambda container, name: list(driver.get_container_entries(
            container, name)),
    ]
    for container, name in [*names(), ('link', 'x'), ('link/x', 'y')]:
        counted.point()
        for use in uses:
            try:
                use(container, name)
            except errors.ChunkedBackupError:
                pass
        if tree(tmp_path) != before:
            counted.silent.append(f'{container!r} {name!r}')
            break
    assert counted.points >= 300


def support_write(driver, container, name):
    with driver.get_object_writer(container, name) as writer:
        writer.write(b'escaped')


#: What a chain calls it, and the target that reads it.
KINDS = {'manifest': '{}', 'digest table': '{}_v{}', 'record': '{}'}


def seeds(chain, kind):
    """What the chain has of a kind, under the names that targets go by."""
    for level, backup_id in enumerate(chain.ids):
        [manifest], [name] = (chain.names(each, level)
                              for each in ('manifest', kind))
        prefix = manifest.removesuffix('_metadata')
        yield chain.objects[name].replace(
            prefix.encode(), targets.PREFIX.encode()).replace(
                backup_id.encode(), b'backup')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('version', ['1.0.0', '2.0.0'])
def test_fuzzed_metadata(conf, kind, version, ledger, scale):
    counted = ledger('malicious metadata')
    documents = list(seeds(chains.make('zlib', version=version), kind))
    target = targets.TARGETS[KINDS[kind].format(
        kind.replace(' ', '_'), version[0])]
    assert all(map(target, documents))
    rng = random.Random(f'{kind} {version}')
    with growing_at_most(400 << 20):
        for _ in range(scale(8400, 84000)):
            counted.point()
            data = mutations.fuzzed(rng, rng.choice(documents))
            try:
                target(data)
            except Exception as exc:
                counted.silent.append(f'{exc!r} for {data[:300]!r}')


def parts_of(version):
    """What one of very many objects is in a manifest."""
    number = itertools.count()
    while True:
        at = next(number)
        if version == '1.0.0':
            yield StoredObject(f'{targets.PREFIX}-{at + 1:05d}', 512 * at,
                               512, 'none', '0' * 32)
        else:
            yield StoredPack(at + 1, [PackedExtent(
                f'{targets.PREFIX}-{at + 1:05d}', 512 * at, 512, 'none', 0,
                512, bytes(16))])


@pytest.mark.parametrize('version', ['1.0.0', '2.0.0'])
def test_a_manifest_of_very_many_objects(version, tmp_path, ledger, scale):
    """Of one block each: 50 bytes of memory for each, and little else."""
    counted = ledger('malicious metadata')
    count = scale(3 * 10 ** 4, 10 ** 7)
    kind = formats.of(version).manifest
    objects = kind.ObjectList(targets.PREFIX)
    for part in itertools.islice(parts_of(version), count):
        objects.append(part)
    manifest = formats.Manifest(
        BackupRecord(id='backup', volume_id='volume'), objects, version,
        None, None, 512 * count, 512, '0' * 64)
    path = tmp_path / 'manifest'
    with path.open('wb') as file:
        file.writelines(kind.serialize(manifest))
    del objects, manifest
    with growing_at_most(50 * count + (20 << 20)), path.open('rb') as file:
        read = formats.parse_manifest(file, 'backup', targets.PREFIX)
    assert len(read.objects) == count
    counted.point()


@contextlib.contextmanager
def growing_at_most(limit_bytes):
    """How much the memory of the process may grow at any time.

    What other tests have left in it does not count, and cannot be used again
    without being seen: it is given back before.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path('/proc/self/clear_refs').write_text('5')
    before_bytes = _peak_bytes()
    yield
    grown_bytes = _peak_bytes() - before_bytes
    assert grown_bytes < limit_bytes


def _peak_bytes():
    """The most that was in memory since that was last forgotten."""
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s*(\d+)', status)[1]) << 10


@pytest.mark.parametrize('part', range(2))
def test_fuzzed_streams(part, ledger, scale):
    counted = ledger('decoders, fuzzed')
    rng = random.Random(part)
    plain = rng.randbytes(700) + bytes(3000) + b'text ' * 100
    streams = {codec: codecs.compress(codec, plain)
               for codec in ('zlib', 'bz2', 'zstd')}
    for _ in range(scale(5000, 100000)):
        counted.point()
        codec = rng.choice(sorted(streams))
        stored = bytearray(streams[codec])
        for _ in range(rng.randrange(4)):
            stored[rng.randrange(len(stored))] = rng.randrange(256)
        stored = stored[:rng.choice([len(stored), rng.randrange(
            len(stored) + 1)])] + rng.choice([b'', b'', b'x', streams[codec]])
        decoded = codecs.decompressor(codec, io.BytesIO(bytes(stored)))
        count = 0
        try:
            while count <= len(plain) and (piece := decoded.read(
                    min(512, len(plain) + 1 - count))):
                count += len(piece)
        except errors.DecodeError:
            pass
        if count > len(plain) + 1:
            counted.silent.append(f'{codec}: {count} bytes')


@pytest.mark.parametrize('bomb', [
    malice.zlib_bomb, malice.bz2_bomb, malice.zstd_bomb, malice.zstd_frames,
    malice.zstd_window, malice.zstd_content_size, malice.bz2_empty_streams])
def test_bombs(bomb, ledger):
    """Never more than what was asked for, in little memory."""
    counted = ledger('decompression bombs')
    codec, data = bomb()
    with growing_at_most(64 << 20):
        for length in (1, 511, 4096, 1 << 20):
            counted.point()
            decoded = codecs.decompressor(codec, io.BytesIO(data))
            count = 0
            try:
                while count <= length and (
                        piece := decoded.read(length + 1 - count)):
                    count += len(piece)
            except errors.DecodeError:
                pass
            if count > length + 1:
                counted.silent.append(f'{codec}: {count} bytes of {length}')
