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

import itertools
import random
import zlib

import pytest

from chunked_backup.blocks import zlib_writer

MIB = 1 << 20
RANDOM = random.Random(7).randbytes(MIB)
TEXT = b'a line of text that comes again and again; ' * (MIB // 43)
PIECES = {
    'random': RANDOM, 'text': TEXT, 'zeros': bytes(MIB),
    'short random': RANDOM[:1000], 'short text': TEXT[:1000], 'none': b'',
    # Its first half alone does not shrink.
    'mixed': RANDOM[:MIB // 2] + TEXT[:MIB // 2],
    'odd': RANDOM[:3 * 0xffff + 1], 'exact': RANDOM[:2 * 0xffff],
}


def compressed(*pieces):
    writer = zlib_writer.ZlibWriter()
    return b''.join([*map(writer.compress, pieces), writer.flush()])


@pytest.mark.parametrize('kinds', list(itertools.chain(
    itertools.permutations(PIECES, 1), itertools.permutations(PIECES, 2),
    [('text', 'random', 'text', 'random', 'random', 'zeros', 'text')])),
    ids='-'.join)
def test_any_pieces_in_any_order_are_one_stream(kinds):
    pieces = [PIECES[kind] for kind in kinds]
    assert zlib.decompress(compressed(*pieces)) == b''.join(pieces)


def test_nothing_at_all_is_a_stream():
    assert zlib.decompress(compressed()) == b''


def test_views_that_are_used_again_are_not_kept():
    buffer = bytearray(RANDOM)
    writer = zlib_writer.ZlibWriter()
    first = writer.compress(memoryview(buffer))
    buffer[:] = TEXT.ljust(MIB, b'.')
    second = writer.compress(memoryview(buffer))
    assert zlib.decompress(first + second + writer.flush()) == (
        RANDOM + TEXT.ljust(MIB, b'.'))


def test_what_does_not_shrink_is_stored_as_it_is():
    stream = compressed(TEXT, RANDOM, TEXT)
    assert RANDOM[:0xffff] in stream
    assert len(stream) < len(RANDOM) + 2 * len(TEXT) // 10
    assert len(compressed(RANDOM)) < len(RANDOM) + 100
