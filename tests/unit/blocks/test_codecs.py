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

import bz2
import io
import random
import zlib
from concurrent import futures

import pytest
import zstandard

from chunked_backup import errors
from chunked_backup.blocks import codecs

STREAMS = ('zlib', 'gzip', 'bz2', 'bzip2', 'zstd')
PLAIN = b'some text that repeats, ' * 300 + bytes(500)
# A whole zstd block more than once: the frame then ends with an empty block.
BLOCKS = bytes(range(256)) * 1024


def read_all(spelling, data, size=1000):
    plain = codecs.decompressor(spelling, io.BytesIO(data))
    parts = []
    while part := plain.read(size):
        assert len(part) <= size
        parts.append(part)
    return b''.join(parts)


@pytest.mark.parametrize('spelling, recorded', [
    ('none', 'none'), ('off', 'none'), ('no', 'none'), ('None', 'none'),
    ('zlib', 'zlib'), ('GZIP', 'gzip'), ('bz2', 'bz2'), ('Bzip2', 'bzip2'),
    ('zstd', 'zstd')])
def test_the_spelling_that_is_recorded(spelling, recorded):
    assert codecs.canonical(spelling) == recorded


def test_an_unknown_spelling_is_refused_and_the_known_are_named():
    with pytest.raises(errors.ConfigurationError, match='lz4.*zstd'):
        codecs.canonical('lz4')


def test_an_unknown_recorded_spelling_is_a_decode_error():
    with pytest.raises(errors.DecodeError, match='lz4'):
        codecs.decompressor('lz4', io.BytesIO())


@pytest.mark.parametrize('spelling', ('none',) + STREAMS)
def test_round_trip(spelling):
    stored = codecs.compress(spelling, memoryview(PLAIN))
    assert read_all(spelling, stored) == PLAIN


@pytest.mark.parametrize('spelling', ('none',) + STREAMS)
def test_an_object_is_decoded_in_one_call(spelling):
    stored = codecs.compress(spelling, BLOCKS)
    assert codecs.decompress(spelling, stored, len(BLOCKS)) == BLOCKS
    # One more than is wanted shows that there is more.
    short = codecs.decompress(spelling, stored, len(BLOCKS) - 10)
    if spelling != 'none':
        assert short == BLOCKS[:-9]
        for damaged in (stored[:-1], stored + b'x', b'x' + stored):
            with pytest.raises(errors.DecodeError):
                codecs.decompress(spelling, damaged, len(BLOCKS))


@pytest.mark.parametrize('spelling', STREAMS)
def test_the_first_of_several_streams(spelling):
    stored = codecs.compress(spelling, PLAIN)
    for rest in (b'', b'x', stored):
        assert codecs.decompress_first(
            spelling, stored + rest, len(PLAIN)) == (PLAIN, len(stored))
    for length in (len(PLAIN) - 9, len(PLAIN) - 1, len(PLAIN) + 1):
        with pytest.raises(errors.DecodeError, match='bytes or more'):
            codecs.decompress_first(spelling, stored + b'x', length)
    for length in range(len(stored)):
        with pytest.raises(errors.DecodeError, match='cut short'):
            codecs.decompress_first(spelling, stored[:length], len(PLAIN))
    with pytest.raises(errors.DecodeError, match='broken|no zstd'):
        codecs.decompress_first(spelling, b'no' + stored, len(PLAIN))


def test_what_is_not_compressed_has_no_streams():
    with pytest.raises(errors.DecodeError, match='"none" has no streams'):
        codecs.decompress_first('none', codecs.compress('zlib', PLAIN),
                                len(PLAIN))


def test_zstd_makes_the_same_of_a_piece_whatever_went_before():
    """In any thread, though its compressors are used again."""
    rng = random.Random(1)
    words = [rng.randbytes(rng.randrange(2, 9)) for _ in range(500)]
    pieces = [b''.join(rng.choices(words, k=rng.randrange(20_000)))
              for _ in range(30)]
    expected = [zstandard.ZstdCompressor(level=2).compress(piece)
                for piece in pieces]

    def compress_all(seed):
        order = random.Random(seed).sample(range(len(pieces)), len(pieces))
        found = {number: codecs.compress('zstd', pieces[number])
                 for number in order}
        return [found[number] for number in range(len(pieces))]

    with futures.ThreadPoolExecutor(4) as threads:
        for found in threads.map(compress_all, range(20)):
            assert found == expected


def test_what_is_worth_compressing():
    noise = memoryview(random.Random(1).randbytes(1 << 17))
    text = memoryview(b'text ' * (1 << 15))
    for spelling in ('none',) + STREAMS:
        assert not codecs.is_compressible(spelling, noise)
        assert codecs.is_compressible(spelling, text) == (spelling != 'none')
        assert codecs.is_compressible(spelling, noise[:99]) == (
            spelling != 'none')


@pytest.mark.parametrize('spelling', STREAMS)
def test_what_repeats_becomes_smaller(spelling):
    assert len(codecs.compress(spelling, PLAIN)) < len(PLAIN) / 5


@pytest.mark.parametrize('spelling, decode', [
    ('zlib', zlib.decompress), ('gzip', zlib.decompress),
    ('bz2', bz2.decompress), ('bzip2', bz2.decompress),
    ('zstd', zstandard.ZstdDecompressor().decompress)])
def test_other_readers_read_ours(spelling, decode):
    assert decode(codecs.compress(spelling, PLAIN)) == PLAIN


def test_zstd_is_one_frame_with_its_content_size():
    stream = codecs.compressor('zstd', len(PLAIN))
    stored = (stream.compress(PLAIN[:99]) + stream.compress(PLAIN[99:])
              + stream.flush())
    assert zstandard.frame_content_size(stored) == len(PLAIN)
    frame = zstandard.ZstdDecompressor().decompressobj()
    assert frame.decompress(stored) == PLAIN
    assert frame.eof and not frame.unused_data


@pytest.mark.parametrize('spelling, encode', [
    ('zlib', lambda data: zlib.compress(data, 9)), ('bz2', bz2.compress),
    ('zstd', zstandard.ZstdCompressor(level=19).compress),
    ('zstd', zstandard.ZstdCompressor(write_checksum=True).compress),
    ('zstd', zstandard.ZstdCompressor(write_content_size=False).compress)])
def test_ours_reads_other_writers(spelling, encode):
    assert read_all(spelling, encode(PLAIN)) == PLAIN
    assert read_all(spelling, encode(BLOCKS), 300000) == BLOCKS


@pytest.mark.parametrize('spelling, encode', [
    ('bz2', bz2.compress), ('zstd', zstandard.ZstdCompressor().compress)])
def test_several_streams_behind_each_other_are_joined(spelling, encode):
    assert read_all(spelling, encode(b'one') + encode(b'two')) == b'onetwo'


@pytest.mark.parametrize('plain', [PLAIN, BLOCKS], ids=['text', 'blocks'])
@pytest.mark.parametrize('spelling', STREAMS)
def test_a_stream_cut_short_is_an_error(spelling, plain):
    stored = codecs.compress(spelling, plain)
    ends = (set(range(12)) | set(range(len(stored) - 12, len(stored)))
            | {len(stored) // 2})
    for end in ends:
        with pytest.raises(errors.DecodeError):
            read_all(spelling, stored[:end], 1 << 20)


@pytest.mark.parametrize('junk', [
    b'\0', b'(', b'(\xb5', b'B', b'BZh9', b'\x78\x9c', b'junk' * 9,
    b'\x50\x2a\x4d\x18\x00\x00\x00\x00'], ids=bytes.hex)
@pytest.mark.parametrize('spelling', STREAMS)
def test_bytes_behind_the_stream_are_an_error(spelling, junk):
    with pytest.raises(errors.DecodeError):
        read_all(spelling, codecs.compress(spelling, PLAIN) + junk)


def test_a_second_zlib_stream_is_an_error():
    with pytest.raises(errors.DecodeError, match='follow'):
        read_all('zlib', zlib.compress(b'one') + zlib.compress(b'two'))


@pytest.mark.parametrize('spelling', STREAMS)
def test_what_is_no_stream_is_a_decode_error(spelling):
    with pytest.raises(errors.DecodeError):
        read_all(spelling, b'this is no stream of any kind' * 9)


def test_a_zstd_frame_that_asks_for_too_much_memory_is_refused():
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=27)
    huge = zstandard.ZstdCompressor(
        compression_params=parameters).compressobj()
    stored = huge.compress(PLAIN) + huge.flush()
    with pytest.raises(errors.DecodeError, match='memory'):
        read_all('zstd', stored)


@pytest.mark.parametrize('spelling', STREAMS)
def test_a_bomb_gives_no_more_than_is_asked_for(spelling):
    length = 64 << 20
    stream = codecs.compressor(spelling, length)
    stored = b''.join(bytes(stream.compress(bytes(1 << 20)))
                      for _ in range(64)) + stream.flush()
    plain = codecs.decompressor(spelling, io.BytesIO(stored))
    assert all(1 <= len(plain.read(1000)) <= 1000 for _ in range(200))


@pytest.mark.timeout(30)
@pytest.mark.parametrize('spelling', ('none',) + STREAMS)
def test_reading_nothing_gives_nothing_and_goes_no_further(spelling):
    stored = codecs.compress(spelling, PLAIN)
    stream = codecs.decompressor(spelling, io.BytesIO(stored))
    found = b''
    while piece := stream.read(1000):
        assert stream.read(0) == b''
        found += piece
    assert found == PLAIN
    assert stream.read(0) == b''
