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


import random

import numpy
import pytest

from chunked_backup.delta import rolling

MULTIPLIER = 0x9e3779b97f4a7c15


def window_hash(window):
    """By the definition: a polynomial of words, in 64 bits."""
    size = 1 if len(window) % 4 else 4
    total = 0
    for low in range(0, len(window), size):
        word = int.from_bytes(window[low:low + size], 'little')
        total = (total * MULTIPLIER + word) % (1 << 64)
    return total * MULTIPLIER % (1 << 64) >> 32


def rolled(data, block, counts, start=0):
    """The hashes at the offsets, with a call for each count."""
    buffer = numpy.frombuffer(data + bytes(rolling.SLACK_BYTES), numpy.uint8)
    roller = rolling.Roller(rolling.RollingHash(block, MULTIPLIER))
    found = []
    for count in counts:
        found += rolling.weak(roller.roll(buffer, start, count)).tolist()
        start += count
    return found


@pytest.mark.parametrize('block', [1, 2, 3, 4, 5, 8, 12, 17, 64])
@pytest.mark.parametrize('start', [0, 1, 2, 3, 5])
def test_every_offset_has_the_hash_of_its_window(block, start):
    data = random.Random(block).randbytes(200)
    expected = [window_hash(data[low:low + block])
                for low in range(start, 200 - block + 1)]
    assert rolled(data, block, [len(expected)], start) == expected


@pytest.mark.parametrize('block', [3, 4, 64])
@pytest.mark.parametrize('step', [4, 8, 60])
def test_one_call_goes_on_where_the_last_has_ended(block, step):
    data = random.Random(block).randbytes(block + 4 * step)
    expected = [window_hash(data[low:low + block])
                for low in range(4 * step)]
    assert rolled(data, block, [step] * 4) == expected
    assert rolled(data, block, [step] * 3 + [step - 1]) == expected[:-1]


@pytest.mark.parametrize('block', [1, 4, 7, 64, 4096, 70000, 200000])
def test_blocks_have_the_hashes_of_windows(block):
    data = random.Random(block).randbytes(3 * block)
    found = rolling.RollingHash(block, MULTIPLIER).hash_blocks(data)
    assert found.dtype == numpy.uint32
    assert found.tolist() == [window_hash(data[low:low + block])
                              for low in range(0, 3 * block, block)]


def test_blocks_need_not_be_aligned_in_memory():
    data = random.Random(1).randbytes(129)
    found = rolling.RollingHash(64, MULTIPLIER).hash_blocks(
        memoryview(data)[1:])
    assert found.tolist() == [window_hash(data[1:65]), window_hash(data[65:])]


@pytest.mark.parametrize('place', [0, 3, 60, 61, 62, 63])
def test_a_change_of_one_byte_is_seen_wherever_it_is(place):
    blocks = [bytes(place) + bytes([number]) + bytes(63 - place)
              for number in range(256)]
    found = rolling.RollingHash(64, MULTIPLIER).hash_blocks(b''.join(blocks))
    assert len(set(found.tolist())) == 256


def test_words_that_differ_in_their_upper_byte_only_are_told_apart():
    """Big-endian numbers are such words; half of a 64-bit sum sees them."""
    blocks = [bytes(3) + bytes([number]) + bytes([0, 0, 0, number * 7 % 256])
              for number in range(256)]
    found = rolling.RollingHash(8, MULTIPLIER).hash_blocks(b''.join(blocks))
    assert len(set(found.tolist())) == 256
