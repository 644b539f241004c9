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

"""Whether a piece is worth compressing, judged by some of it."""

from collections.abc import Callable

# Shorter pieces cost more to look at than they take to compress.
_SHORTEST_BYTES = 64 << 10
_SAMPLES = 4
_SAMPLE_BYTES = 4096
_WORTHWHILE = 0.98


def shrink(data: memoryview | bytes,
           compress: Callable[[memoryview | bytes], bytes]) -> bool:
    """Whether samples of a piece do; of a short one, which is not looked at,
    it is taken for granted.

    :param compress: as all of it would be.
    """
    if len(data) < _SHORTEST_BYTES:
        return True
    step = len(data) // _SAMPLES
    shrunk = sum(len(compress(data[start:start + _SAMPLE_BYTES]))
                 for start in range(0, step * _SAMPLES, step))
    return shrunk < _WORTHWHILE * _SAMPLES * _SAMPLE_BYTES
