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
import itertools
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup import errors
from chunked_backup.blocks import codecs

STREAMS = st.sampled_from(['zlib', 'bz2', 'zstd'])
PLAIN = st.builds(
    lambda parts: b''.join(data * count for data, count in parts),
    st.lists(st.tuples(st.binary(max_size=40), st.integers(1, 300)),
             max_size=8))
MOST = 8 * 40 * 300
OTHERS = {
    'zlib': zlib.decompress, 'bz2': bz2.decompress,
    'zstd': lambda data: zstandard.ZstdDecompressor().decompress(data)}


class Slow:
    """A source whose reads are short."""

    def __init__(self, data, sizes):
        self._stream = io.BytesIO(data)
        self._sizes = sizes
        self._turn = 0

    def read(self, size):
        self._turn += 1
        most = self._sizes[self._turn % len(self._sizes)]
        return self._stream.read(min(size, most))


def read_all(spelling, source, sizes=(1 << 20,)):
    """Everything, or an error; never more than was asked for.

    What a changed byte has made a bomb is left after ``MOST`` bytes.
    """
    plain = codecs.decompressor(spelling, source)
    found = bytearray()
    for size in itertools.cycle(sizes):
        part = plain.read(size)
        assert len(part) <= size
        found += part
        if not part or len(found) > MOST:
            return bytes(found)


def compress(spelling, plain, cuts):
    """Compressed in pieces, as a long object is."""
    stream = codecs.compressor(spelling, len(plain))
    bounds = [0, *sorted(cut % (len(plain) + 1) for cut in cuts), len(plain)]
    parts = [bytes(stream.compress(memoryview(plain)[low:high]))
             for low, high in zip(bounds, bounds[1:])]
    return b''.join(parts) + stream.flush()


SIZES = st.lists(st.integers(1, 5000) | st.integers(100, 5000), min_size=1,
                 max_size=4)
CUTS = st.lists(st.integers(0, 100000), max_size=5)


@given(st.one_of(st.just('none'), STREAMS), PLAIN, CUTS, SIZES, SIZES)
def test_round_trip_in_any_pieces(spelling, plain, cuts, stored_sizes,
                                  plain_sizes):
    stored = compress(spelling, plain, cuts)
    assert read_all(spelling, Slow(stored, stored_sizes),
                    plain_sizes) == plain
    if spelling != 'none' and plain:
        assert OTHERS[spelling](stored) == plain


@given(STREAMS, PLAIN, st.integers(0, 1 << 20), SIZES)
def test_a_stream_cut_short_is_an_error(spelling, plain, end, sizes):
    stored = codecs.compress(spelling, plain)
    try:
        read_all(spelling, io.BytesIO(stored[:end % len(stored)]), sizes)
    except errors.DecodeError:
        return
    raise AssertionError('it was taken for a whole stream')


@given(STREAMS, PLAIN, st.binary(min_size=1, max_size=40))
def test_bytes_behind_a_stream_are_an_error(spelling, plain, junk):
    stored = codecs.compress(spelling, plain)
    try:
        read_all(spelling, io.BytesIO(stored + junk))
    except errors.DecodeError:
        return
    raise AssertionError('the bytes were overlooked')


@given(STREAMS, PLAIN, st.integers(0, 1 << 20), st.integers(1, 255), SIZES)
def test_changed_bytes_give_an_error_or_bounded_output(spelling, plain, at,
                                                       change, sizes):
    stored = bytearray(codecs.compress(spelling, plain))
    stored[at % len(stored)] ^= change
    try:
        read_all(spelling, io.BytesIO(stored), sizes)
    except errors.DecodeError:
        pass


@given(STREAMS, st.binary(max_size=200), SIZES)
def test_any_bytes_give_an_error_or_bounded_output(spelling, stored, sizes):
    try:
        read_all(spelling, io.BytesIO(stored), sizes)
    except errors.DecodeError:
        pass


@given(STREAMS, PLAIN, st.binary(max_size=40), st.integers(0, 1 << 20))
def test_the_first_of_several_streams_is_told_from_the_rest(
        spelling, plain, rest, cut):
    stored = codecs.compress(spelling, plain)
    assert codecs.decompress_first(spelling, stored + rest, len(plain)) == (
        plain, len(stored))
    with pytest.raises(errors.DecodeError):
        codecs.decompress_first(spelling, stored[:cut % len(stored)],
                                len(plain))


@given(STREAMS, PLAIN, st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_changed_first_stream_is_an_error_or_as_long(spelling, plain, at,
                                                       change):
    stored = bytearray(codecs.compress(spelling, plain))
    stored[at % len(stored)] ^= change
    try:
        found, size = codecs.decompress_first(spelling, bytes(stored),
                                              len(plain))
    except errors.DecodeError:
        return
    assert len(found) == len(plain) and size <= len(stored)
