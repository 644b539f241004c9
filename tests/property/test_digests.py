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

from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.blocks import digests

DIGESTS = st.lists(st.sampled_from([b'a' * 32, b'b' * 32,
                                    digests.zero_digest(16)]), max_size=20)


@given(DIGESTS, DIGESTS)
def test_differing_runs_against_a_comparison_of_each(new, old):
    differing = [index for index, digest in enumerate(new)
                 if index >= len(old) or old[index] != digest]
    runs = list(digests.differing_runs(b''.join(new), b''.join(old)))
    assert [index for low, high in runs
            for index in range(low, high)] == differing
    assert all(low < high for low, high in runs)
    assert all(one[1] < other[0] for one, other in zip(runs, runs[1:]))


@given(DIGESTS)
def test_zero_runs_against_a_comparison_of_each(found):
    zero = digests.zero_digest(16)
    runs = list(digests.zero_runs(b''.join(found), 16))
    assert [(index, is_zero) for low, high, is_zero in runs
            for index in range(low, high)] == [
        (index, digest == zero) for index, digest in enumerate(found)]
    assert all(one[2] != other[2] for one, other in zip(runs, runs[1:]))


@given(st.lists(st.one_of(st.just(bytes(7)), st.binary(max_size=9)),
                max_size=9), st.integers(1, 20))
def test_hashing_blocks_against_hashing_each(parts, block):
    data = b''.join(parts)
    assert digests.hash_blocks(memoryview(data), block) == b''.join(
        hashlib.sha256(data[start:start + block]).digest()
        for start in range(0, len(data), block))
