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


import io
import random
import subprocess
import sys
import tracemalloc

import blake3
import pytest

from chunked_backup import delta
from chunked_backup import errors

SEED = b'the seed of all.'
DATA = random.Random(0).randbytes(1000)


def signature(data, block=64, seed=SEED):
    builder = delta.SignatureBuilder(block, seed)
    builder.update(data)
    return builder.finish()


class Pipe:
    """A stream that gives one byte at a time."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, length):
        return self._stream.read(min(length, 1))


@pytest.mark.parametrize('length, blocks', [
    (0, 0), (1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (1000, 16)])
def test_each_block_has_its_hashes_the_last_one_too(length, blocks):
    made = signature(DATA[:length])
    assert made.length == length
    assert made.digest == blake3.blake3(DATA[:length]).digest()
    assert len(made.weak) == blocks
    assert len(made.strong) == 16 * blocks
    assert len(set(map(made.strong_of, range(blocks)))) == blocks


def test_a_change_in_a_short_last_block_changes_its_hash():
    changed = signature(DATA[:-1] + b'\0')
    assert changed.strong_of(15) != signature(DATA).strong_of(15)
    assert changed.strong[:-16] == signature(DATA).strong[:-16]


def test_the_default_block_size_and_a_seed_for_this_process():
    one, other = (delta.SignatureBuilder().finish() for _ in range(2))
    assert one.block_size_bytes == delta.DEFAULT_BLOCK_SIZE_BYTES == 65536
    assert one.seed == other.seed
    elsewhere = subprocess.run(
        [sys.executable, '-c', 'from chunked_backup import delta\n'
         'print(delta.SignatureBuilder().finish().seed.hex())'],
        capture_output=True, check=True, text=True).stdout
    assert len(bytes.fromhex(elsewhere)) == 16
    assert one.seed.hex() != elsewhere.strip()


def test_hashes_depend_on_the_seed_and_the_digest_does_not():
    one, other = signature(DATA), signature(DATA, seed=bytes(16))
    assert one.digest == other.digest
    assert not set(one.weak.tolist()[:-1]) & set(other.weak.tolist()[:-1])
    assert one.strong_of(0) != other.strong_of(0)
    assert one != other


def test_a_builder_takes_what_is_bytes_like_and_keeps_none_of_it():
    piece = bytearray(DATA[:100])
    builder = delta.SignatureBuilder(64, SEED)
    builder.update(piece)
    piece[:] = bytes(100)
    builder.update(memoryview(DATA)[100:])
    assert builder.finish() == signature(DATA)


@pytest.mark.parametrize('block', [0, -1, delta.MAX_BLOCK_SIZE_BYTES + 1])
def test_a_block_size_out_of_range_is_refused(block):
    with pytest.raises(errors.InvalidInput, match='block size'):
        delta.SignatureBuilder(block)


def test_a_seed_of_another_length_is_refused():
    with pytest.raises(errors.InvalidInput, match='seed of 3 bytes'):
        delta.SignatureBuilder(64, b'abc')


def test_the_greatest_block_size():
    data = random.Random(1).randbytes(delta.MAX_BLOCK_SIZE_BYTES + 1)
    made = signature(data, delta.MAX_BLOCK_SIZE_BYTES)
    encoder = delta.DeltaEncoder(made)
    ops = encoder.update(b'x' + data) + encoder.finish()
    assert ops == [delta.Literal(b'x'), delta.Copy(0, len(data))]


def test_a_stream_may_hold_more_than_a_signature():
    stream = io.BytesIO()
    signature(DATA).write_to(stream)
    signature(b'').write_to(stream)
    stream.write(b'more')
    stream.seek(0)
    assert delta.Signature.read_from(stream) == signature(DATA)
    assert delta.Signature.read_from(stream) == signature(b'')
    assert stream.read() == b'more'


def test_a_pipe_gives_what_it_has():
    whole = signature(DATA).to_bytes()
    assert delta.Signature.read_from(Pipe(whole)) == signature(DATA)


@pytest.mark.parametrize('place, value, reason', [
    (0, b'X', "begins with b'XBSG'"),
    (4, b'\2', 'version 2'),
    (8, b'\0\0\0\0', 'block size of 0'),
    (8, b'\xff\xff\xff\xff', 'block size of 4294967295'),
    (12, b'\1', 'check'),
    (70, b'\1', 'check'),
    (-1, b'\0', 'check')])
def test_what_is_wrong_is_said(place, value, reason):
    data = bytearray(signature(DATA).to_bytes())
    place %= len(data)
    assert data[place:place + len(value)] != value
    data[place:place + len(value)] = value
    with pytest.raises(errors.SignatureError, match=reason) as raised:
        delta.Signature.from_bytes(bytes(data), name='its name')
    assert 'its name' in str(raised.value)


def test_bytes_that_follow_are_refused():
    with pytest.raises(errors.SignatureError, match='2 bytes follow'):
        delta.Signature.from_bytes(signature(DATA).to_bytes() + b'ab')


def test_a_length_that_is_a_lie_takes_no_memory():
    data = bytearray(signature(DATA, block=1).to_bytes())
    data[12:20] = (1 << 62).to_bytes(8, 'little')
    tracemalloc.start()
    try:
        with pytest.raises(errors.SignatureError, match='too early'):
            delta.Signature.from_bytes(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
