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

import contextlib
import hashlib
import io

import pytest

from chunked_backup import errors
from chunked_backup.blocks import digests
from chunked_backup.formats.volume_v2 import digest_table
from tests.unit import harness

BLOCK = 512
ZERO = digests.zero_digest(BLOCK)


def some(count, first=0):
    return b''.join(hashlib.sha256(b'%d' % number).digest()
                    for number in range(first, first + count))


def written(*batches):
    return b''.join(digest_table.serialize(harness.record(), BLOCK, batches))


def parse(text, backup_id='backup'):
    kept = bytearray()
    block_size = digest_table.parse(
        lambda: contextlib.nullcontext(io.BytesIO(text)), backup_id,
        kept.extend)
    return block_size, bytes(kept)


@pytest.mark.parametrize('batches', [
    [], [b''], [some(1)], [some(40000)], [some(3), some(4, 3)],
    [ZERO], [ZERO * 40000], [some(2) + ZERO * 5 + some(1)],
    [ZERO * 2, ZERO * 3, some(2), ZERO], [some(2) + ZERO, ZERO + some(3)]])
def test_a_table_comes_back(batches):
    block_size, found = parse(written(*batches))
    assert block_size == BLOCK
    assert found == b''.join(batches)


def test_a_run_is_its_kind_its_length_and_its_digests():
    head = written()
    assert written(ZERO * 2 + some(3) + ZERO) == head + (
        b'\0\2\0\0\0' b'\1\3\0\0\0' + some(3) + b'\0\1\0\0\0')


def test_more_zeros_than_a_run_can_count_are_several():
    runs = b''.join(digest_table._zero_runs((1 << 33) + 5))
    assert runs == b'\0\xff\xff\xff\xff' * 2 + b'\0\7\0\0\0'


def test_short_runs_are_kept_together_and_long_ones_in_parts():
    for table in ([some(1) + ZERO] * 40000, [some(100000)], [ZERO * 100000]):
        kept = []
        digest_table.parse(
            lambda: contextlib.nullcontext(io.BytesIO(written(*table))),
            'backup', kept.append)
        assert len(kept) == -(-sum(map(len, table)) // (32768 * 32))
        assert {len(each) for each in kept[:-1]} == {32768 * 32}


def test_a_header_without_an_end_is_not_read_for_ever():
    class Stream:
        given = 0

        def read(self, size):
            self.given += 1000
            return b'x' * 1000

    stream = Stream()
    with pytest.raises(errors.CorruptBackup, match='no header'):
        digest_table.parse(lambda: contextlib.nullcontext(stream), 'backup',
                           len)
    assert 64 << 10 < stream.given < (65 << 10) + 1000


def test_zeros_cost_nothing():
    head = len(written())
    assert len(written(*[ZERO * 32768] * 99)) == head + 5
    assert len(written(some(100))) == head + 5 + 3200


@pytest.mark.parametrize('text', [
    b'', b'{}\n', b'no line', written(some(3))[:-1],
    written(some(3)) + b'\1', written(some(3)) + b'\2\1\0\0\0',
    written(some(3)) + b'\1\0\0\0\0', written().replace(b'2.0.0', b'2.0.1'),
    written().replace(b'512', b'"512"'), written().replace(b'512', b'0'),
    written().replace(b'{', b'[' * 9999, 1),
    b' ' * (1 << 20) + written()])
def test_what_is_no_table_is_refused(text):
    with pytest.raises(errors.CorruptBackup, match='digest table is broken'):
        parse(text)


def test_the_table_of_another_backup_is_refused():
    with pytest.raises(errors.CorruptBackup, match='belongs to backup'):
        parse(written(), 'other')
