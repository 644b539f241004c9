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
import zlib

import pytest

from chunked_backup.blocks import samples

SHORTEST = 64 << 10
NOISE = random.Random(1).randbytes(4 * SHORTEST)


def test_what_is_like_text_shrinks_and_noise_does_not():
    assert samples.shrink(b'text ' * SHORTEST, zlib.compress)
    assert not samples.shrink(NOISE, zlib.compress)


def test_a_short_piece_is_not_looked_at():
    assert samples.shrink(NOISE[:SHORTEST - 1], None)
    assert not samples.shrink(NOISE[:SHORTEST], zlib.compress)


def test_four_samples_of_4_kib_are_looked_at_in_all_parts_of_a_piece():
    looked_at = []

    def compress(data):
        looked_at.append(bytes(data))
        return bytes(data)

    samples.shrink(memoryview(NOISE), compress)
    assert looked_at == [NOISE[start:start + 4096]
                         for start in range(0, len(NOISE), SHORTEST)]


@pytest.mark.parametrize('left, worthwhile', [(4014, True), (4015, False)])
def test_two_percent_less_are_worth_it(left, worthwhile):
    """Of 4096 bytes, 4014.08."""
    assert samples.shrink(NOISE, lambda data: data[:left]) == worthwhile
