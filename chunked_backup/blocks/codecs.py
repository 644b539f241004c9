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

"""Compression: the spellings of format 1.0.0 and the streams behind them.

Whole objects are never held: a compressor takes pieces and gives pieces, a
decompressor reads from a source and gives at most what it is asked for, so
that a decompression bomb costs no more memory than honest data.

========== =============================== ===================================
spelling   stored as                        written with
========== =============================== ===================================
none       the plain bytes
zlib, gzip one zlib stream (RFC 1950)       isal level 1: 10 times zlib 6, a
                                            ratio of 0.24 against 0.19 on
                                            source text; see ``zlib_writer``
bz2, bzip2 bzip2 streams                    bz2
zstd       one frame with its content size  zstandard level 2; Cinder's reader
           (RFC 8878)                       needs the size
========== =============================== ===================================

``gzip`` is no gzip file: Cinder has written a zlib stream under that name
from the start.
"""

import bz2
import functools
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from isal import isal_zlib

from chunked_backup import errors
from chunked_backup.blocks import samples
from chunked_backup.blocks import zstd_frames
from chunked_backup.blocks.zlib_writer import ZlibWriter

if TYPE_CHECKING:
    import zstandard

NONE = 'none'
OFF = ('none', 'off', 'no')
ZLIB = ('zlib', 'gzip')
BZ2 = ('bz2', 'bzip2')
ZSTD = ('zstd',)
#: Every spelling that the option takes.
SPELLINGS = OFF + ZLIB + BZ2 + ZSTD

# Level 3 takes 40 % more time for 1.5 % less of the benchmark volume.
_ZSTD_LEVEL = 2
# zstd level 19 asks for 8 MiB; a frame that asks for more than twice that was
# made to exhaust the reader.
_ZSTD_LARGEST_WINDOW_BYTES = 16 << 20
# Four streams that isal decompresses at the same time take 100 MiB with 64 KiB
# reads, 270 MiB with 256 KiB: it scatters what it has not consumed.
_READ_BYTES = 64 << 10
# The library's own declaration calls it an exception, not a class of them.
_ZLIB_ERROR = cast(type[Exception], isal_zlib.error)
# None is used by two at the same time; there are as many as ever were at work.
_IDLE_ZSTD: list['zstandard.ZstdCompressor'] = []


def _broken(cause: Exception) -> errors.DecodeError:
    return errors.DecodeError(reason=f'the stored stream is broken ({cause})')


class Compressor(Protocol):
    """Makes the stored bytes of one object."""

    def compress(self, data: memoryview | bytes, /) -> memoryview | bytes:
        """What is ready of the stored bytes; often nothing, and where
        nothing is compressed the very buffer that was given."""

    def flush(self) -> bytes:
        """The rest of them."""


class Source(Protocol):
    """Where stored bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, often fewer; ``b''`` at the end."""


class Decompressor(Protocol):
    """Where plain bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, often fewer; ``b''`` at the end.

        :raises DecodeError: the stored bytes are no whole stream.
        """


class _Identity:
    def compress(self, data: memoryview | bytes) -> memoryview | bytes:
        return data

    def flush(self) -> bytes:
        return b''


def canonical(spelling: str) -> str:
    """The spelling that is recorded: lower case, one word for none."""
    word = spelling.lower()
    if word not in SPELLINGS:
        raise errors.ConfigurationError(
            reason=f'unknown compression algorithm "{spelling}"; known are: '
                   + ', '.join(SPELLINGS))
    return NONE if word in OFF else word


def compressor(spelling: str, length: int) -> Compressor:
    """Begin one object.

    :param spelling: a canonical spelling.
    :param length: how many plain bytes will follow; zstd records it.
    """
    if spelling in ZLIB:
        return ZlibWriter()
    if spelling in BZ2:
        return bz2.BZ2Compressor()
    if spelling in ZSTD:
        import zstandard  # 20 ms that only its users pay
        return zstandard.ZstdCompressor(
            level=_ZSTD_LEVEL).compressobj(size=length)
    return _Identity()


def is_compressible(spelling: str, data: memoryview) -> bool:
    """Whether a piece is worth compressing; see ``samples``."""
    return spelling != NONE and samples.shrink(
        data, functools.partial(compress, spelling))


def compress(spelling: str, data: memoryview | bytes) -> bytes:
    """Compress one piece as an object of its own."""
    if spelling in ZSTD:
        return _compress_zstd(data)
    stream = compressor(spelling, len(data))
    return bytes(stream.compress(data)) + stream.flush()


def _compress_zstd(data: memoryview | bytes) -> bytes:
    """Compress one piece with a compressor that was used before.

    1 MiB of text takes 4.4 ms so, 5.6 ms through a stream of its own; a sample
    of 4 KiB 5 us in place of 17.
    """
    try:
        idle = _IDLE_ZSTD.pop()
    except IndexError:
        import zstandard
        idle = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    try:
        return idle.compress(data)
    finally:
        _IDLE_ZSTD.append(idle)


def decompress(spelling: str, stored: bytes, length: int) -> bytes:
    """The plain bytes of one object; never more than one above ``length``.

    :raises DecodeError: the bytes are no such stream.
    """
    stream = decompressor(spelling, _Whole(stored))
    parts = []
    missing = length + 1
    while missing and (data := stream.read(missing)):
        parts.append(data)
        missing -= len(data)
    return b''.join(parts)


def decompress_first(spelling: str, stored: bytes,
                     length: int) -> tuple[bytes, int]:
    """The plain bytes of a stream that others may follow, and how many of the
    stored bytes are its own.

    :param length: how many plain bytes it should have.
    :raises DecodeError: there is no such stream; of a longer one no more than
        one byte above ``length`` was made.
    """
    if spelling in ZSTD:
        end = zstd_frames.first_frame_bytes(stored)
        plain = decompress(spelling, stored[:end], length)
    elif spelling in ZLIB:
        plain, end = _decompress_first_of(isal_zlib.decompressobj(), stored,
                                          length)
    elif spelling in BZ2:
        plain, end = _decompress_first_of(bz2.BZ2Decompressor(), stored,
                                          length)
    else:
        raise errors.DecodeError(
            reason=f'compression "{spelling}" has no streams')
    if len(plain) != length:
        raise errors.DecodeError(
            reason=f'the stream has {len(plain)} bytes or more, {length} are '
                   'expected')
    return plain, end


def _decompress_first_of(stream: Any, stored: bytes,
                         length: int) -> tuple[bytes, int]:
    try:
        plain = stream.decompress(stored, length + 1)
    except (_ZLIB_ERROR, OSError, ValueError) as exc:
        raise _broken(exc) from exc
    if not stream.eof and len(plain) <= length:
        raise errors.StreamCutShort()
    return plain, len(stored) - len(stream.unused_data)


def decompressor(spelling: str, source: Source) -> Decompressor:
    """Begin to read one object.

    :raises DecodeError: for a spelling that format 1.0.0 does not have; its
        ``read`` raises it for bytes that are no such stream.
    """
    if spelling == NONE:
        return source
    if spelling in ZLIB:
        return _ZlibReader(source)
    if spelling in BZ2:
        return _Bz2Reader(source)
    if spelling in ZSTD:
        return _ZstdReader(source)
    raise errors.DecodeError(reason=f'unknown compression "{spelling}"')


class _Whole:
    """Gives all stored bytes at the first read.

    Pieces would have to be joined, and no other thread runs meanwhile: 1 MiB
    of text takes 1.8 ms so and 2.1 ms in pieces of 64 KiB, 1 MiB that does not
    compress 0.2 and 0.4 ms.
    """

    def __init__(self, stored: bytes) -> None:
        self._stored = stored

    def read(self, size: int) -> bytes:
        stored, self._stored = self._stored, b''
        return stored


class _ZlibReader:
    """Pulls plain bytes through one zlib stream, the last of its source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = isal_zlib.decompressobj()

    def read(self, size: int) -> bytes:
        if not size:
            return b''  # to the stream it would be no limit
        while not self._stream.eof:
            stored = (self._stream.unconsumed_tail
                      or self._source.read(_READ_BYTES))
            try:
                plain = self._stream.decompress(stored, size)
            except (_ZLIB_ERROR, ValueError) as exc:
                raise _broken(exc) from exc
            if plain:
                return plain
            if not stored and not self._stream.eof:
                raise errors.StreamCutShort()
        if self._stream.unused_data or self._source.read(1):
            raise errors.DecodeError(
                reason='bytes follow the end of the stream')
        return b''


class _Bz2Reader:
    """Pulls plain bytes through one or more bzip2 streams."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = bz2.BZ2Decompressor()

    def read(self, size: int) -> bytes:
        if not size:
            return b''  # the stream would give no more, however often asked
        while True:
            if self._stream.eof:
                stored = (self._stream.unused_data
                          or self._source.read(_READ_BYTES))
                if not stored:
                    return b''
                self._stream = bz2.BZ2Decompressor()
            elif self._stream.needs_input:
                stored = self._source.read(_READ_BYTES)
                if not stored:
                    raise errors.StreamCutShort()
            else:
                stored = b''
            try:
                plain = self._stream.decompress(stored, size)
            except (OSError, EOFError, ValueError) as exc:
                raise _broken(exc) from exc
            if plain:
                return plain


class _ZstdReader:
    """Pulls plain bytes through one or more zstd frames."""

    def __init__(self, source: Source) -> None:
        import zstandard
        self._error = zstandard.ZstdError
        self._inner = zstandard.ZstdDecompressor(
            max_window_size=_ZSTD_LARGEST_WINDOW_BYTES).stream_reader(
                # Of a file it takes no more than read().
                cast(IO[bytes], _WholeFrames(source)),
                read_size=_READ_BYTES, read_across_frames=True)

    def read(self, size: int) -> bytes:
        try:
            return self._inner.read(size)
        except self._error as exc:
            raise _broken(exc) from exc


class _WholeFrames:
    """Hands stored bytes on, and sees that they end where a frame ends.

    The library itself ends quietly wherever its source ends.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames = zstd_frames.Frames()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        if not data and self._frames.is_within:
            raise errors.StreamCutShort()
        self._frames.follow(memoryview(data))
        return data
