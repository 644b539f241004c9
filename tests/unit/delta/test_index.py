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


import numpy
import pytest

from chunked_backup.delta import index
from chunked_backup.delta import rolling
from chunked_backup.delta import signature

BLOCK = 64
HIGHEST = (1 << 32) - 1


def signature_of(weak):
    count = len(weak)
    return signature.Signature(
        BLOCK, b'the seed of all.', count * BLOCK, bytes(32),
        numpy.array(weak, numpy.uint32),
        b''.join(number.to_bytes(16, 'little') for number in range(count)))


@pytest.mark.parametrize('blocks', [1, 100, 5000, 100_000])
def test_candidates_are_the_windows_with_the_hash_of_a_block(blocks):
    source = numpy.random.default_rng(blocks)
    known = source.integers(0, 1 << 32, blocks, dtype=numpy.uint32)
    known[[0, -1]] = source.choice([0, HIGHEST], 2)
    sums = source.integers(0, 1 << 64, 20_000, dtype=numpy.uint64)
    places = source.choice(len(sums), 50, replace=False)
    sums[places] = (source.choice(known, 50).astype(numpy.uint64) << 32
                    | sums[places] & HIGHEST)
    wanted = set(known.tolist())
    expected = [(place, total >> 32) for place, total in
                enumerate(sums.tolist()) if total >> 32 in wanted]
    assert len(expected) >= 50

    scratch = numpy.empty(rolling.OFFSETS, numpy.uint64)
    assert index.BlockIndex(signature_of(known)).candidates(
        sums, scratch) == expected


@pytest.mark.parametrize('hash_of_all', [0, HIGHEST])
def test_a_block_is_found_by_both_hashes(hash_of_all):
    known = signature_of([hash_of_all] * 3)
    found = index.BlockIndex(known)
    for number in range(3):
        assert found.find(hash_of_all, known.strong_of(number)) == number
    assert found.find(hash_of_all, bytes(15) + b'x') is None
    assert found.find(5, known.strong_of(0)) is None
