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

"""What benchmarks back up."""

import itertools
import random

_PIECE_BYTES = 1 << 20
_WORDS = 20_000
_PHRASES = 20_000
_WORDS_OF_A_PHRASE = 10
_PHRASES_OF_A_PIECE = 32_768  # at least as many as fill it


def write_mixed(path, size_bytes, seed=1):
    """A file as disks are: half of it does not compress, a quarter is like
    text, a quarter is zeros, in pieces of 1 MiB that are shuffled.

    No piece but those of zeros is there twice. The same seed gives the same
    file.
    """
    source = random.Random(seed)
    pieces_of_text = text(source)
    kinds = [source.randbytes, source.randbytes,
             lambda _: next(pieces_of_text), bytes]
    pieces = [kinds[number % len(kinds)]
              for number in range(size_bytes // _PIECE_BYTES)]
    source.shuffle(pieces)
    with open(path, 'wb') as file:
        for make in pieces:
            file.write(make(_PIECE_BYTES))
    return path


def change_blocks(path, share, seed, block_bytes=32768):
    """Fill a share of a file's blocks, chosen at random, with new bytes.

    :returns: how many.
    """
    source = random.Random(seed)
    with open(path, 'r+b') as file:
        blocks = file.seek(0, 2) // block_bytes
        chosen = sorted(source.sample(range(blocks), int(blocks * share)))
        for block in chosen:
            file.seek(block * block_bytes)
            file.write(source.randbytes(block_bytes))
    return len(chosen)


def data_bytes(path, block_bytes):
    """How many bytes of a file are in blocks that are not all zeros."""
    zeros = bytes(block_bytes)
    with open(path, 'rb') as file:
        return sum(len(block)
                   for block in iter(lambda: file.read(block_bytes), b'')
                   if block != zeros)


def write_sparse(path, size_bytes, data_bytes, seed=1):
    """A file with holes: its data, which does not compress, lies in pieces of
    4 MiB at random places."""
    source = random.Random(seed)
    piece_bytes = 4 * _PIECE_BYTES
    with open(path, 'wb') as file:
        file.truncate(size_bytes)
        for place in sorted(source.sample(range(size_bytes // piece_bytes),
                                          data_bytes // piece_bytes)):
            file.seek(place * piece_bytes)
            file.write(source.randbytes(piece_bytes))
    return path


def text(source):
    """Pieces of phrases that come again now and then, made of words of which
    few are frequent and most are rare."""
    words = [bytes(source.choices(b'etaoinshrdlucmwfgypb',
                                  k=source.randint(3, 10)))
             for _ in range(_WORDS)]
    weights = list(itertools.accumulate(1 / rank
                                        for rank in range(1, _WORDS + 1)))
    phrases = [b' '.join(source.choices(words, cum_weights=weights,
                                        k=_WORDS_OF_A_PHRASE))
               for _ in range(_PHRASES)]
    while True:
        yield b' '.join(source.choices(
            phrases, k=_PHRASES_OF_A_PIECE))[:_PIECE_BYTES]
