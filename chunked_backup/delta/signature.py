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


"""What is kept of a file, to find later what has changed in it.

A signature has a weak and a strong hash of every block. The strong one is
blake3 with a key that is made of the signature's seed: 16 bytes of it. Chance
does not bring two equal ones about, and whoever wants to needs the key; what
is restored is besides checked against the digest of the whole file.

Layout, little-endian::

    magic           4   "CBSG"
    version         1   1
    zero            3
    block size      4   in bytes
    length          8   of the file, in bytes
    seed           16
    digest         32   blake3 of the file
    weak            4   for each block; 0 for a short last one
    strong         16   for each block
    check          16   blake3 of all that stands before
"""

import dataclasses
import functools
import io
import secrets
import struct
from collections.abc import Iterator
from typing import BinaryIO

import blake3
import numpy

from chunked_backup import errors
from chunked_backup.delta import rolling

DEFAULT_BLOCK_SIZE_BYTES = 65536
MAX_BLOCK_SIZE_BYTES = 4 << 20
SEED_BYTES = 16
STRONG_BYTES = 16
WEAK_BYTES = 4
DIGEST_BYTES = 32
CHECK_BYTES = 16

_MAGIC = b'CBSG'
_VERSION = 1
_HEADER = struct.Struct(f'<4sB3xIQ{SEED_BYTES}s{DIGEST_BYTES}s')
_PIECE_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Hashes:
    """How blocks are hashed under one block size and seed."""

    block_size_bytes: int
    seed: bytes
    key: bytes

    @property
    def rolling(self) -> rolling.RollingHash:
        """The weak hash."""
        return _rolling(self.block_size_bytes, self.seed)

    def strong(self, data: memoryview) -> bytes:
        """The strong hash of some bytes: ``STRONG_BYTES`` of them."""
        return blake3.blake3(data, key=self.key).digest(STRONG_BYTES)

    @functools.cached_property
    def strong_of_zeros(self) -> bytes:
        """The strong hash of a block of zeros."""
        return self.strong(memoryview(bytes(self.block_size_bytes)))


@functools.lru_cache(maxsize=16)
def hashes(block_size_bytes: int, seed: bytes) -> Hashes:
    """The hashes of that block size, in bytes, and seed, of 16 bytes."""
    return Hashes(block_size_bytes, seed, blake3.blake3(
        seed, derive_key_context='chunked_backup delta strong hash').digest())


@functools.lru_cache(maxsize=2)
def _rolling(block_size_bytes: int, seed: bytes) -> rolling.RollingHash:
    number = int.from_bytes(blake3.blake3(
        seed, derive_key_context='chunked_backup delta weak hash').digest(8),
        'little')
    # 5 modulo 8: its powers repeat as late as those of any number can.
    return rolling.RollingHash(block_size_bytes, number & ~7 | 5)


class Signature:
    """The hashes of a file and of its blocks; the last one may be short.

    :ivar block_size_bytes: what one pair of hashes covers.
    :ivar seed: 16 bytes; signatures can be compared if theirs is the same.
    :ivar length: of the file, in bytes.
    :ivar digest: blake3 of the file, 32 bytes.
    :ivar weak: an array of uint32, one for each block.
    :ivar strong: 16 bytes for each block.
    """

    def __init__(self, block_size_bytes: int, seed: bytes, length: int,
                 digest: bytes, weak: numpy.ndarray, strong: bytes) -> None:
        self.block_size_bytes = block_size_bytes
        self.seed = seed
        self.length = length
        self.digest = digest
        self.weak = weak
        self.strong = strong

    @property
    def hashes(self) -> Hashes:
        """Both hashes, as they were when it was made."""
        return hashes(self.block_size_bytes, self.seed)

    @property
    def whole_blocks(self) -> int:
        """How many blocks are not short."""
        return self.length // self.block_size_bytes

    def strong_of(self, index: int) -> bytes:
        """The strong hash of one block."""
        return self.strong[index * STRONG_BYTES:(index + 1) * STRONG_BYTES]

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Signature)
                and self.to_bytes() == other.to_bytes())

    __hash__ = None  # type: ignore[assignment]  # the language's own way

    def to_bytes(self) -> bytes:
        """The signature as it is stored; see above."""
        return b''.join(self._parts())

    def write_to(self, stream: BinaryIO) -> None:
        """Write what ``to_bytes`` gives, without holding it."""
        for part in self._parts():
            stream.write(part)

    def _parts(self) -> Iterator[bytes]:
        check = blake3.blake3()
        for part in (
                _HEADER.pack(_MAGIC, _VERSION, self.block_size_bytes,
                             self.length, self.seed, self.digest),
                self.weak.astype('<u4', copy=False).tobytes(), self.strong):
            check.update(part)
            yield part
        yield check.digest(CHECK_BYTES)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = '-') -> 'Signature':
        """The inverse of ``to_bytes``.

        :param name: how errors call it.
        :raises SignatureError: for anything but one whole signature.
        """
        stream = io.BytesIO(data)
        signature = cls.read_from(stream, name)
        if stream.tell() != len(data):
            raise errors.SignatureError(
                name=name, reason=f'{len(data) - stream.tell()} bytes follow '
                f'its end')
        return signature

    @classmethod
    def read_from(cls, stream: BinaryIO, name: str = '-') -> 'Signature':
        """Read one signature and nothing behind it.

        :raises SignatureError: it is damaged, or ends too early.
        """
        check = blake3.blake3()
        header = _read(stream, _HEADER.size, check, name)
        magic, version, block, length, seed, digest = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise errors.SignatureError(
                name=name, reason=f'it begins with {magic!r}')
        if version != _VERSION:
            raise errors.SignatureError(
                name=name, reason=f'version {version} is not known')
        if not 1 <= block <= MAX_BLOCK_SIZE_BYTES:
            raise errors.SignatureError(
                name=name, reason=f'a block size of {block} bytes')
        count = -(-length // block)
        weak = _read(stream, count * WEAK_BYTES, check, name)
        strong = _read(stream, count * STRONG_BYTES, check, name)
        expected = check.digest(CHECK_BYTES)
        if _read(stream, CHECK_BYTES, check, name) != expected:
            raise errors.SignatureError(
                name=name, reason='its check does not match')
        return cls(block, seed, length, digest,
                   numpy.frombuffer(weak, '<u4'), strong)


def _read(stream: BinaryIO, length: int, check: blake3.blake3,
          name: str) -> bytes:
    """Exactly ``length`` bytes, in pieces: a length may be a lie."""
    parts = []
    missing = length
    while missing:
        part = stream.read(min(missing, _PIECE_BYTES))
        if not part:
            raise errors.SignatureError(
                name=name, reason=f'it ends {missing} bytes too early')
        check.update(part)
        parts.append(part)
        missing -= len(part)
    return b''.join(parts)


@functools.cache
def _seed_of_this_process() -> bytes:
    # One for each file would have its tables made anew for each file.
    return secrets.token_bytes(SEED_BYTES)


class SignatureBuilder:
    """Makes the signature of what is given to it piece by piece.

    :param seed: 16 bytes, the same for all signatures that are to be
        compared with each other; by default drawn at random for this process.
    :raises InvalidInput: a block size that is not from 1 byte to 4 MiB.
    """

    def __init__(self, block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES,
                 seed: bytes | None = None) -> None:
        if not 1 <= block_size_bytes <= MAX_BLOCK_SIZE_BYTES:
            raise errors.InvalidInput(
                reason=f'a block size of {block_size_bytes} bytes: it must '
                f'be 1 to {MAX_BLOCK_SIZE_BYTES}')
        if seed is None:
            seed = _seed_of_this_process()
        if len(seed) != SEED_BYTES:
            raise errors.InvalidInput(
                reason=f'a seed of {len(seed)} bytes: it must have '
                f'{SEED_BYTES}')
        self.length = 0
        self._hashes = hashes(block_size_bytes, bytes(seed))
        self._digest = blake3.blake3()
        self._rest = bytearray()  # the beginning of a block
        self._weak = bytearray()
        self._strong = bytearray()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Go on with ``data``."""
        data = memoryview(data).cast('B')
        self._digest.update(data)
        self.length += len(data)
        block = self._hashes.block_size_bytes
        if self._rest:
            missing = block - len(self._rest)
            self._rest += data[:missing]
            data = data[missing:]
            if len(self._rest) < block:
                return
            self._add_blocks(memoryview(bytes(self._rest)))
            self._rest.clear()
        whole = len(data) - len(data) % block
        if whole:
            self._add_blocks(data[:whole])
        self._rest += data[whole:]

    def weak_of(self, index: int) -> int:
        """The weak hash of a whole block that was given."""
        return int.from_bytes(
            self._weak[index * WEAK_BYTES:(index + 1) * WEAK_BYTES], 'little')

    def strong_of(self, index: int) -> bytes:
        """The strong hash of a whole block that was given."""
        return bytes(
            self._strong[index * STRONG_BYTES:(index + 1) * STRONG_BYTES])

    def finish(self) -> Signature:
        """The signature of all that was given."""
        strong, weak = bytes(self._strong), bytes(self._weak)
        if self._rest:
            strong += self._hashes.strong(memoryview(self._rest))
            weak += bytes(WEAK_BYTES)
        return Signature(
            self._hashes.block_size_bytes, self._hashes.seed, self.length,
            self._digest.digest(), numpy.frombuffer(weak, '<u4'), strong)

    def _add_blocks(self, data: memoryview) -> None:
        block = self._hashes.block_size_bytes
        strong = self._hashes.strong
        self._weak += self._hashes.rolling.hash_blocks(data).astype(
            '<u4', copy=False).tobytes()
        self._strong += b''.join(
            [strong(data[low:low + block])
             for low in range(0, len(data), block)])
