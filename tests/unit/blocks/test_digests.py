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

import hashlib

import pytest

from chunked_backup.blocks import digests


@pytest.mark.parametrize('length, count', [(0, 0), (1, 1), (511, 1),
                                           (512, 1), (513, 2), (1024, 2)])
def test_the_last_block_may_be_short(length, count):
    assert digests.block_count(length, 512) == count


def test_each_block_has_its_digest_and_the_last_may_be_short():
    data = bytes(range(250)) * 5
    expected = b''.join(hashlib.sha256(data[start:start + 512]).digest()
                        for start in range(0, len(data), 512))
    assert digests.hash_blocks(memoryview(data), 512) == expected


@pytest.mark.parametrize('length', [0, 1, 511, 512, 513, 2048])
def test_zeros_are_hashed_like_other_data(length):
    data = bytes(length)
    expected = b''.join(hashlib.sha256(data[start:start + 512]).digest()
                        for start in range(0, length, 512))
    assert digests.hash_blocks(memoryview(data), 512) == expected


@pytest.mark.parametrize('position', [0, 1, 63, 64, 65, (1 << 20) - 1,
                                      1 << 20, (2 << 20) + 4])
def test_a_single_byte_is_seen_among_zeros(position):
    data = bytearray((2 << 20) + 5)
    assert digests.is_zero(memoryview(data))
    data[position] = 1
    assert not digests.is_zero(memoryview(data))


def test_nothing_is_zero():
    assert digests.is_zero(memoryview(b''))


def test_digest_of_a_zero_block():
    expected = hashlib.sha256(bytes(4096)).digest()
    assert digests.zero_digest(4096) == expected
    assert digests.zero_digests(3, 4096) == expected * 3


def test_the_digest_of_an_extent_is_that_of_the_format():
    """As other programs that read format 2.0.0 make it."""
    blocks = hashlib.sha256(b'a block').digest()
    assert digests.extent_digest(0x0102030405, blocks) == hashlib.sha256(
        b'\5\4\3\2\1\0\0\0' + blocks).digest()[:16]


def test_differing_runs_of_equal_digests_are_none():
    assert list(digests.differing_runs(b'a' * 96, b'a' * 96)) == []


def test_what_the_old_digests_lack_differs():
    old = b'a' * 64
    assert list(digests.differing_runs(old + b'b' * 64, old)) == [(2, 4)]


def test_what_the_old_digests_have_beyond_the_new_is_left_out():
    assert list(digests.differing_runs(b'a' * 64, b'a' * 96)) == []


def test_zero_runs_alternate():
    zero, data = digests.zero_digest(512), b'd' * 32
    runs = digests.zero_runs(zero * 2 + data * 3 + zero, 512)
    assert list(runs) == [(0, 2, True), (2, 5, False), (5, 6, True)]


def test_zero_runs_that_begin_with_data_have_no_empty_run_before():
    runs = digests.zero_runs(b'd' * 32 + digests.zero_digest(512), 512)
    assert list(runs) == [(0, 1, False), (1, 2, True)]


def test_a_zero_block_may_be_longer_than_what_is_hashed_at_a_time():
    length = (3 << 19) + 5
    expected = hashlib.sha256(bytes(length)).digest()
    assert digests.zero_digest(length) == expected


def test_zero_runs_of_nothing_are_none():
    assert list(digests.zero_runs(b'', 512)) == []
