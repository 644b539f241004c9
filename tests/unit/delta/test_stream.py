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
import os
import random
import threading

import pytest

from chunked_backup import delta
from chunked_backup import errors

SEED = b'the seed of all.'
OLD = random.Random(0).randbytes(1000)
OPS = [delta.Copy(3, 5), delta.Literal(b'literal'), delta.Zero(1 << 40),
       delta.Copy(0, 1000)]
HEADER_BYTES = 52


def signature(data):
    builder = delta.SignatureBuilder(64, SEED)
    builder.update(data)
    return builder.finish()


class New:
    """As much of a signature as the end of a stream says."""

    length = sum(op.length for op in OPS)
    digest = b'd' * 32


def written(ops=OPS, new=New):
    writer = delta.DeltaWriter()
    return b''.join([writer.begin(signature(OLD)), *map(writer.op, ops),
                     writer.end(new)])


def read(data):
    return list(delta.DeltaReader(io.BytesIO(data), name='its name'))


def test_what_was_written_is_read():
    stream = io.BytesIO(written() + b'more')
    reader = delta.DeltaReader(stream)
    assert reader.block_size_bytes == 64
    assert reader.old_length == 1000
    assert reader.old_digest == signature(OLD).digest
    with pytest.raises(errors.InvalidInput, match='at its end only'):
        reader.end
    assert list(reader) == OPS
    assert (reader.end.length, reader.end.digest) == (New.length, New.digest)
    assert stream.read() == b'more'


def test_no_operations():
    class Empty:
        length = 0
        digest = bytes(32)

    assert read(written([], Empty)) == []


def test_a_pipe_gives_what_it_has():
    class Pipe(io.BytesIO):
        def read(self, length):
            return super().read(min(length, 3))

    assert list(delta.DeltaReader(Pipe(written()))) == OPS


def test_between_two_who_run_at_the_same_time(tmp_path):
    """The reader is at work while the writer goes on."""
    new = OLD * 3000
    reading, writing = os.pipe()

    def write():
        with open(writing, 'wb') as pipe:
            changes = delta.gen_sig_from_stream(new, signature(OLD))
            while part := changes.read(1000):
                pipe.write(part)

    thread = threading.Thread(target=write)
    thread.start()
    target = tmp_path / 'file'
    target.write_bytes(OLD)
    with open(reading, 'rb', buffering=0) as pipe:
        delta.patch_from_stream(pipe, target)
    thread.join()
    assert target.read_bytes() == new


@pytest.mark.parametrize('place, value, reason', [
    (0, b'X', "begins with b'XBDL'"),
    (4, b'\2', 'version 2'),
    (8, b'\0\0\0\0', 'block size of 0'),
    (20, b'\0', 'check'),
    (HEADER_BYTES, b'X', "operation b'X'"),
    (HEADER_BYTES + 1, b'\xff\xff', '5 bytes at offset 65535'),
    (HEADER_BYTES + 9, b'\0', '0 bytes at offset 3'),
    (HEADER_BYTES + 9, b'\7', 'check'),
    (HEADER_BYTES + 17, b'\0', 'check'),
    (HEADER_BYTES + 26, b'\0', 'literal of 0 bytes'),
    (HEADER_BYTES + 29, b'\xff', 'literal of 4278190087 bytes'),
    (HEADER_BYTES + 30, b'L', 'check'),
    (-1, b'\0', 'check'),
    (-20, b'\0', 'check')])
def test_what_is_wrong_is_said(place, value, reason):
    data = bytearray(written())
    place %= len(data)
    assert data[place:place + len(value)] != value
    data[place:place + len(value)] = value
    with pytest.raises(errors.DeltaError, match=reason) as raised:
        read(bytes(data))
    assert 'its name' in str(raised.value)


def test_a_length_that_is_a_lie_is_not_acted_upon():
    """Zeros without end would be written before the end shows the lie."""
    data = bytearray(written([delta.Zero(1)]))
    data[HEADER_BYTES + 8] = 0x7f
    with pytest.raises(errors.DeltaError, match='check'):
        next(iter(delta.DeltaReader(io.BytesIO(bytes(data)))))


@pytest.mark.parametrize('length', [0, 3, HEADER_BYTES - 1, HEADER_BYTES,
                                    HEADER_BYTES + 10, -1, -8, -48])
def test_where_it_ends_too_early_is_said(length):
    data = written()[:length]
    with pytest.raises(errors.DeltaError, match='too early') as raised:
        read(data)
    assert raised.value.offset == len(data)


def test_a_total_that_is_not_that_of_the_operations_is_refused():
    with pytest.raises(errors.DeltaError, match='are announced'):
        read(written(OPS[:2]))
