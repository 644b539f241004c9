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

"""What the volumes of the tests hold."""

import random

from tests.cinder.cloud import BLOCK
from tests.cinder.cloud import CHUNK
from tests.cinder.cloud import VOLUME_BYTES


def first(seed=1, size_bytes=VOLUME_BYTES):
    """Random bytes, then text, then zeros, then random bytes again."""
    generator = random.Random(seed)
    data = bytearray(generator.randbytes(size_bytes))
    data[2 * CHUNK:4 * CHUNK] = (b'%d of them ' % seed * CHUNK)[:2 * CHUNK]
    data[5 * CHUNK:6 * CHUNK] = bytes(CHUNK)
    return bytes(data)


def changed(data, *blocks, seed=2):
    """The same with a few bytes changed in each of the blocks."""
    generator = random.Random(seed)
    data = bytearray(data)
    for block in blocks:
        start = block * BLOCK + 100
        data[start:start + 7] = generator.randbytes(7)
    return bytes(data)


def zeroed(data, start, end):
    """The same with zeros in a range."""
    return data[:start] + bytes(end - start) + data[end:]


def history():
    """What a volume holds at one backup after another."""
    points = [first()]
    # Blocks next to each other, near each other, and far apart; two chunks.
    points.append(changed(points[-1], 0, 1, 9, 11, 15, 16, 40))
    points.append(zeroed(zeroed(points[-1], CHUNK, 2 * CHUNK),
                         9 * BLOCK, 10 * BLOCK))
    points.append(points[-1])
    points.append(changed(points[-1], VOLUME_BYTES // BLOCK, 33, seed=3))
    return points


def dirt(size_bytes=VOLUME_BYTES):
    """What a volume held before a restore."""
    return b'\xa5' * size_bytes
