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

"""Backups and restores of a volume that changes, against a plain model."""

import contextlib
import io
import os
import tempfile
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.blocks import extents
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.formats.cinder_v1 import digest_table
from chunked_backup.formats.volume_v2 import digest_table as table_v2
from chunked_backup.formats.volume_v2 import lines
from chunked_backup.formats.volume_v2 import manifest as manifest_v2
from chunked_backup.jobs import backup as backup_module
from chunked_backup.jobs import digest_spool
from chunked_backup.jobs import fetch_object
from chunked_backup.jobs import fetch_pack
from chunked_backup.jobs import restore as restore_module
from chunked_backup.jobs import settings as job_settings
from chunked_backup.jobs import sources
from chunked_backup.jobs import store_extent
from chunked_backup.jobs import store_pack
from chunked_backup.store.reader import open_part
from tests import support
from tests.unit import harness

BLOCK, CHUNK = support.BLOCK, support.CHUNK
LARGEST = 10 * CHUNK

OFFSETS = st.one_of(st.integers(0, LARGEST),
                    st.integers(0, LARGEST // BLOCK).map(BLOCK.__mul__))
LENGTHS = st.one_of(st.integers(1, 3 * BLOCK),
                    st.integers(1, 24).map(BLOCK.__mul__))
CHANGES = st.one_of(
    st.tuples(st.just('write'), OFFSETS, LENGTHS, st.integers(1, 255)),
    st.tuples(st.just('noise'), OFFSETS, LENGTHS, st.integers(0, 99)),
    st.tuples(st.just('zero'), OFFSETS, LENGTHS, st.just(0)),
    st.tuples(st.just('resize'), st.integers(1, LARGEST), st.just(0),
              st.just(0)))
GENERATIONS = st.fixed_dictionaries({
    'changes': st.lists(CHANGES, max_size=5),
    'full': st.sampled_from([False, False, False, True]),
    'compression': st.sampled_from(['none', 'zlib', 'gzip', 'bz2', 'bzip2',
                                    'zstd']),
    'merge_gap': st.sampled_from([0, BLOCK, 5 * BLOCK, 1 << 20]),
    'executor': st.sampled_from(['serial', 'threads']),
    'format': st.sampled_from(['1.0.0', '2.0.0', '2.0.0']),
    'sparse': st.booleans(),
    'parent': st.integers(0, 99)})


def changed(volume, changes):
    volume = bytearray(volume)
    for kind, offset, length, value in changes:
        if kind == 'resize':
            del volume[offset:]
            volume.extend(bytes(offset - len(volume)))
            continue
        end = min(offset + length, len(volume))
        if offset >= end:
            continue
        if kind == 'noise':
            data = b''.join(
                (value * 7919 + number * 104729 + number ** 3).to_bytes(
                    8, 'big')[-3:] for number in range(length))
        else:
            data = bytes([value]) * length
        volume[offset:end] = data[:end - offset]
    return bytes(volume)


@contextlib.contextmanager
def opened(volume, sparse):
    """The volume as a file with holes, or as one without a descriptor."""
    if not sparse:
        yield io.BytesIO(volume)
        return
    with tempfile.TemporaryFile(buffering=0) as file:
        file.truncate(len(volume))
        for start in range(0, len(volume), 4096):
            part = volume[start:start + 4096]
            if any(part):
                os.pwrite(file.fileno(), part, start)
        yield file


class RangesDriver(harness.CountingDriver):
    """Knows which parts of objects were asked for."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self.ranges = []

    def get_range_reader(self, container, object_name, start, length,
                         extra_metadata=None):
        with self._counting:
            self.ranges.append((object_name, start, start + length))
        return open_part(MemoryBackupDriver.get_object_reader(
            self, container, object_name), start, length)

    def check_reads(self):
        """No object was opened, and no part of one read, twice."""
        assert set(self.opened.values()) == {1}
        ranges = sorted(self.ranges)
        for one, other in zip(ranges, ranges[1:]):
            assert one[0] != other[0] or one[2] <= other[1]


@contextlib.contextmanager
def small_limits():
    """Every limit so small that these volumes reach it."""
    with contextlib.ExitStack() as stack:
        for module, name, value in (
                (job_settings, 'PIECE_BYTES', 3 * BLOCK),
                (fetch_object, 'PIECE_BYTES', 700),
                (store_extent, '_SAMPLE_BYTES', 64),
                (extents, 'SMALLEST_ZERO_EXTENT_BYTES', 2 * BLOCK),
                (backup_module, '_HOLE_BLOCKS', 7),
                (sources, '_DIGEST_BATCH', 5),
                (restore_module, '_ZERO_STEP_BYTES', 3 * BLOCK),
                (digest_spool, '_BATCH_DIGESTS', 6),
                (digest_table, '_BATCH_DIGESTS', 4),
                (digest_table, '_READ_BYTES', 300),
                (extents, '_PACK_BYTES', 4 * BLOCK),
                (fetch_pack, '_RUN_BYTES', 5 * BLOCK),
                (fetch_pack, '_LARGEST_GAP_BYTES', 300),
                (fetch_pack, 'PIECE_BYTES', 3 * BLOCK),
                (fetch_pack, '_ZERO_BLOCKS', 7),
                (store_pack, '_HOLE_BLOCKS', 7),
                (table_v2, '_BATCH_DIGESTS', 4),
                (table_v2, '_READ_BYTES', 300),
                (manifest_v2, '_BATCH_RECORDS', 3),
                (lines, '_READ_BYTES', 100)):
            assert hasattr(module, name)
            stack.enter_context(mock.patch.object(module, name, value))
        stack.enter_context(mock.patch.object(
            digest_spool.DigestSpool.__init__, '__defaults__', (320,)))
        yield


def check_restores(driver, backup, expected):
    size = len(expected)
    for target, is_new, executor in (
            (b'', True, 'serial'), (bytes(size + 99), True, 'threads'),
            (b'\xa5' * (size + 99), False, 'serial'),
            (b'\xa5' * (size + 99), False, 'threads')):
        support.override(executor=executor)
        file = harness.CountingFile(target)
        backup.status = 'restoring'
        driver.opened.clear()
        driver.ranges.clear()
        summary = driver.restore(backup, 'target', file, is_new)
        backup.status = 'available'
        assert summary.volume_bytes == size
        restored = file.getvalue()[:size].ljust(size, b'\0')
        assert restored == expected
        assert file.getvalue()[size:] == target[size:]
        writes = sorted(file.writes)
        assert all(one[0] + one[1] <= other[0]
                   for one, other in zip(writes, writes[1:]))
        driver.check_reads()


@given(st.integers(1, LARGEST), st.lists(GENERATIONS, min_size=1,
                                         max_size=8))
def test_every_point_of_a_chain_restores_to_what_it_was(size, generations):
    driver = harness.attach(RangesDriver(None, CHUNK, BLOCK))
    volume = bytes(size)
    points = []
    with small_limits():
        for number, generation in enumerate(generations):
            parent = None
            if points and not generation['full']:
                # Mostly the newest, sometimes an older one: a branch.
                parent = points[-1] if generation['parent'] < 80 else (
                    points[generation['parent'] % len(points)])
                volume = parent[1] if generation['parent'] >= 90 else volume
            volume = changed(volume, generation['changes'])
            support.override(
                compression_algorithm=generation['compression'],
                merge_gap_bytes=generation['merge_gap'],
                executor=generation['executor'])
            # Of a host that leaves no choice, so that formats take turns.
            driver.host.format_version = generation['format']
            with opened(volume, generation['sparse']) as file:
                backup = harness.back_up(
                    driver, f'backup {number}', file,
                    parent and parent[0].id)
            points.append((backup, volume))
        for backup, expected in points:
            check_restores(driver, backup, expected)
            driver.verify_backup(backup)
