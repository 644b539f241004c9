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


"""Signatures, deltas and patches of files and of streams.

A *file* is a path (str or path-like), bytes-like, or a binary stream that can
seek. A *pipe* is bytes-like, or a binary stream that is only read forward.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, overload

from chunked_backup import errors
from chunked_backup.delta.encoder import DeltaEncoder
from chunked_backup.delta.ops import Op
from chunked_backup.delta.patch import Write, apply, check
from chunked_backup.delta.signature import (
    DEFAULT_BLOCK_SIZE_BYTES, Signature, SignatureBuilder)
from chunked_backup.delta.stream import DeltaReader, DeltaWriter, Readable

Path = str | os.PathLike[str]
Pipe = bytes | bytearray | memoryview | Readable
File = Path | bytes | bytearray | memoryview | BinaryIO

_PIECE_BYTES = 1 << 18
_PATH = (str, os.PathLike)


class Delta:
    """The way from an old version to a new one, made while it is read.

    It can be taken once: as operations (``ops``), or as the bytes of a stream
    (``read``), which any of the functions here accepts as a pipe. The new
    version is read meanwhile, once.
    """

    def __init__(self, source: File | Pipe, old: Signature) -> None:
        self._source = source
        self._old = old
        self._encoder = DeltaEncoder(old, zeros=True)
        self._parts = self._serialized()
        self._rest = memoryview(b'')

    @property
    def signature(self) -> Signature:
        """The signature of the new version.

        :raises InvalidInput: the delta has not been read to its end.
        """
        return self._encoder.signature

    def ops(self) -> Iterator[Op]:
        """The operations: ``Copy``, ``Literal`` and ``Zero``."""
        for piece in _read_pieces(self._source):
            yield from self._encoder.update(piece)
        yield from self._encoder.finish()

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the stream; fewer than ``size`` at its end."""
        parts = []
        missing = sys.maxsize if size < 0 else size
        while missing and (self._rest or self._next_part()):
            parts.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(parts[-1])
        return b''.join(parts)

    def _next_part(self) -> bool:
        """Go on to the next part; whether there is one."""
        self._rest = memoryview(next(self._parts, b''))
        return len(self._rest) > 0

    def _serialized(self) -> Iterator[bytes]:
        writer = DeltaWriter()
        yield writer.begin(self._old)
        for op in self.ops():
            yield writer.op(op)
        yield writer.end(self.signature)


@overload
def gen_sig_from_file(path: File | Pipe, ex_signature: None = None, *,
                      block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                      seed: bytes | None = None) -> Signature: ...


@overload
def gen_sig_from_file(path: File | Pipe, ex_signature: Signature, *,
                      block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                      seed: bytes | None = None) -> Delta: ...


def gen_sig_from_file(path: File | Pipe,
                      ex_signature: Signature | None = None, *,
                      block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                      seed: bytes | None = None) -> Signature | Delta:
    """The signature of a file, or its delta against an older signature.

    :param path: a file.
    :param ex_signature: the signature of the old version. Block size and seed
        are then its own.
    :param block_size_bytes: of a new signature.
    :param seed: of a new signature, 16 bytes; by default drawn at random for
        this process. Signatures can only be compared if theirs is the same.
    :returns: without ``ex_signature`` the signature (level 0); with it a
        ``Delta`` (level 1 and higher), which reads the file when it is read,
        and then has the new signature.
    """
    if ex_signature is not None:
        return Delta(path, ex_signature)
    builder = SignatureBuilder(block_size_bytes, seed)
    for piece in _read_pieces(path):
        builder.update(piece)
    return builder.finish()


@overload
def gen_sig_from_stream(read_pipe: Pipe, ex_signature: None = None, *,
                        block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                        seed: bytes | None = None) -> Signature: ...


@overload
def gen_sig_from_stream(read_pipe: Pipe, ex_signature: Signature, *,
                        block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                        seed: bytes | None = None) -> Delta: ...


def gen_sig_from_stream(read_pipe: Pipe,
                        ex_signature: Signature | None = None, *,
                        block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                        seed: bytes | None = None) -> Signature | Delta:
    """The same for what comes out of a pipe, which is not closed."""
    if ex_signature is not None:
        return Delta(read_pipe, ex_signature)
    return gen_sig_from_file(read_pipe, seed=seed,
                             block_size_bytes=block_size_bytes)


def patch_from_file(src: File, dst: Path | BinaryIO,
                    read_pipe: Pipe | None = None) -> None:
    """Make the new version of a file beside the old one.

    :param src: the old version, a file, which stays as it is. Without
        ``read_pipe``: a file with the delta; ``dst`` is then the old version,
        as for ``patch_from_stream``.
    :param dst: the new version: a path, which is replaced only once all of it
        has been written and checked, or a stream that can be written.
    :param read_pipe: the delta, a pipe.
    :raises DeltaError: the delta is damaged.
    :raises PatchError: the delta is not for this old version, or the new one
        does not come out as recorded. A stream that was written to is then
        worth nothing; a path is as it was.
    """
    if read_pipe is None:
        with _opened(src) as delta_file:
            patch_from_stream(delta_file, dst)
        return
    with _opened(src) as old, _opened_pipe(read_pipe) as delta:
        if not isinstance(dst, _PATH):
            _patch(delta, old, dst.write, _name(src))
            return
        with _replacing(dst) as new:
            _patch(delta, old, new.write, _name(dst),
                   lambda length: new.seek(length, os.SEEK_CUR))
            new.truncate()


def patch_from_stream(read_pipe: Pipe, dst: Path | BinaryIO) -> None:
    """Turn the old version of a file into the new one.

    A chain of deltas, given one after the other, restores each level.

    :param read_pipe: the delta, a pipe.
    :param dst: the path of the old version; none need be there if the delta
        was made against nothing. Or, for such a delta, a stream that can be
        written.
    :raises DeltaError, PatchError: as ``patch_from_file``.
    """
    exists = isinstance(dst, _PATH) and os.path.exists(dst)
    patch_from_file(dst if exists else b'', dst, read_pipe)


def _patch(delta: Readable, old: BinaryIO, write: Write, name: str,
           skip: Callable[[int], object] | None = None) -> None:
    reader = DeltaReader(delta, _name(delta))
    length = old.seek(0, os.SEEK_END)
    if length != reader.old_length:
        raise errors.PatchError(
            name=name, reason=f'the old version has {length} bytes, but the '
            f'delta is for one of {reader.old_length}')
    found = apply(reader, old, write, name=name, skip=skip)
    reader.expect_nothing_more()
    check(name, (reader.end.length, reader.end.digest), found)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of another one if no error is raised."""
    part = os.fsdecode(path) + '.part'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    try:
        # Exclusively: a link that somebody puts there is not followed.
        with open(part, 'xb') as new:
            yield new
            new.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(new.fileno(), os.stat(path).st_mode & 0o7777)
            os.fsync(new.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


@contextlib.contextmanager
def _opened(source: File) -> Iterator[BinaryIO]:
    """What can be read and can seek; a stream stays open."""
    if isinstance(source, _PATH):
        with open(source, 'rb', buffering=0) as stream:
            yield stream
    elif isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    else:
        yield source


def _opened_pipe(source: File | Pipe
                 ) -> contextlib.AbstractContextManager[Readable]:
    """What can be read; a stream stays open."""
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        return _opened(source)
    return contextlib.nullcontext(source)


def _read_pieces(source: File | Pipe) -> Iterator[memoryview]:
    """All of it; a piece is only good until the next is asked for."""
    with _opened_pipe(source) as stream:
        if not hasattr(stream, 'readinto'):
            while piece := stream.read(_PIECE_BYTES):
                yield memoryview(piece)
            return
        buffer = memoryview(bytearray(_PIECE_BYTES))
        while size := stream.readinto(buffer):
            yield buffer[:size]


def _name(source: object) -> str:
    """How errors call it."""
    if not isinstance(source, _PATH):
        source = getattr(source, 'name', '-')
    return str(source)
