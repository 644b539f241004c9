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


"""A sink that says that it is incomplete until it is whole."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.endpoints import marked
from chunked_backup.endpoints.sink import SeekSink

HEAD = marked._HEAD_BYTES
SIZES = st.one_of(st.integers(1, 8192),
                  st.integers(HEAD - 5000, HEAD + 5000))


@given(SIZES, st.integers(0, 1 << 32))
def test_every_byte_arrives_in_any_order(size, seed):
    rng = random.Random(seed)  # Hypothesis takes hours for a MiB of its own
    expected = bytearray(rng.randbytes(size))
    cuts = sorted({0, size, *(rng.randrange(size) for _ in range(6))})
    parts = [(start, end, rng.random() < 0.3)
             for start, end in zip(cuts, cuts[1:])]
    rng.shuffle(parts)
    file = io.BytesIO(b'\xa5' * (size + 10))
    sink = marked.MarkedSink(SeekSink(file, False), 'of a test')
    sink.prepare(size)
    for start, end, zero in parts:
        if zero:
            expected[start:end] = bytes(end - start)
            sink.zero(start, end)
        else:
            sink.write(start, memoryview(expected)[start:end])
        assert file.getvalue()[:size].startswith(marked.NOTE[:size])
        assert sink.is_incomplete
    sink.flush()
    assert not sink.is_incomplete
    assert file.getvalue() == bytes(expected) + b'\xa5' * 10


class Failing(SeekSink):
    def __init__(self, file, calls):
        super().__init__(file, False)
        self.calls = calls

    def flush(self):
        self.calls -= 1
        if self.calls < 0:
            raise OSError('made to fail')


@pytest.mark.parametrize('calls', range(4))
def test_the_note_stays_until_all_the_rest_is_on_the_disk(calls):
    data = random.Random(1).randbytes(2 * HEAD)
    file = io.BytesIO(bytes(2 * HEAD))
    sink = marked.MarkedSink(Failing(file, calls), 'of a test')
    with pytest.raises(OSError):
        sink.prepare(2 * HEAD)
        sink.write(0, memoryview(data))
        sink.flush()
    assert sink.is_incomplete
    assert file.getvalue().startswith(marked.NOTE) == (calls < 3)
