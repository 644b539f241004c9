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

import pytest
import zstandard

from chunked_backup import errors
from chunked_backup.blocks import codecs
from chunked_backup.blocks import zstd_frames


def frames():
    """Of 400 bytes, as others than ours may write them (RFC 8878)."""
    magic = b'\x28\xb5\x2f\xfd'
    stored = b'\x21\x03\0' + b'abcd' * 25       # one of 100 bytes, the last
    repeated = b'\x62\x09\0' + b'x'             # one byte 300 times
    blocks = repeated + stored
    plain = b'x' * 300 + b'abcd' * 25
    # Length of the dictionary's id, none; that of the size of the content.
    for id_flag, id_bytes in enumerate((0, 1, 2, 4)):
        for size_flag, size in enumerate((
                b'', (400 - 256).to_bytes(2, 'little'),
                (400).to_bytes(4, 'little'), (400).to_bytes(8, 'little'))):
            yield plain, (magic + bytes([size_flag << 6 | id_flag])
                          + b'\0' + bytes(id_bytes) + size + blocks)
        # Without a window the content has a size.
        yield plain, (magic + bytes([1 << 6 | 1 << 5 | id_flag])
                      + bytes(id_bytes) + (400 - 256).to_bytes(2, 'little')
                      + blocks)
    yield b'abcd' * 25, magic + b'\x20\x64' + stored
    with_checksum = zstandard.ZstdCompressor(write_checksum=True)
    yield plain, with_checksum.compress(plain)


def read_all(stored):
    plain = codecs.decompressor('zstd', io.BytesIO(stored))
    return b''.join(iter(lambda: plain.read(1000), b''))


every_kind = pytest.mark.parametrize('plain, stored', list(frames()),
                                     ids=lambda data: data[4:5].hex())


@every_kind
@pytest.mark.parametrize('step', (1, 2, 3, 7, 1000))
def test_the_end_is_found_whatever_the_pieces(plain, stored, step):
    frames = zstd_frames.Frames()
    assert frames.is_within
    for _ in range(3):
        for start in range(0, len(stored), step):
            frames.follow(memoryview(stored)[start:start + step])
            assert frames.is_within == (start + step < len(stored))


@every_kind
def test_two_frames_may_come_in_one_piece(plain, stored):
    frames = zstd_frames.Frames()
    frames.follow(memoryview(stored * 2))
    assert not frames.is_within
    frames.follow(memoryview(stored[:5]))
    assert frames.is_within


@every_kind
def test_how_long_the_first_frame_is(plain, stored):
    for rest in (b'', b'x', stored):
        assert zstd_frames.first_frame_bytes(stored + rest) == len(stored)
    for length in range(len(stored)):
        with pytest.raises(errors.StreamCutShort):
            zstd_frames.first_frame_bytes(stored[:length])


@pytest.mark.parametrize('stored', [b'(\xb5\x2f\xfc', b'no frame at all',
                                    b'\x50\x2a\x4d\x18'])
def test_what_is_no_frame_is_refused(stored):
    with pytest.raises(errors.DecodeError, match='no zstd frame'):
        zstd_frames.first_frame_bytes(stored)
    with pytest.raises(errors.DecodeError, match='no zstd frame'):
        zstd_frames.Frames().follow(memoryview(stored))


@every_kind
def test_the_codec_reads_every_kind_to_its_end(plain, stored):
    assert codecs.decompress('zstd', stored, len(plain)) == plain
    assert read_all(stored * 2) == plain * 2
    for length in range(1, len(stored)):
        with pytest.raises(errors.DecodeError):
            read_all(stored[:length])
        with pytest.raises(errors.DecodeError):
            read_all(stored + stored[:length])
