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


import random
import tracemalloc
from concurrent import futures

import pytest

from chunked_backup import delta
from chunked_backup import errors
from chunked_backup.delta import signature as signatures

SEED = b'the seed of all.'
BLOCK = 64
RANDOM = random.Random(0)
A, B, C, D = (RANDOM.randbytes(BLOCK) for _ in range(4))
TAIL = RANDOM.randbytes(20)
OTHER = RANDOM.randbytes(BLOCK)


def signature(data, block=BLOCK):
    builder = delta.SignatureBuilder(block, SEED)
    builder.update(data)
    return builder.finish()


def encode(old, new, block=BLOCK, zeros=False):
    encoder = delta.DeltaEncoder(signature(old, block), zeros)
    return encoder.update(new) + encoder.finish()


def copy(first, count=1):
    return delta.Copy(first * BLOCK, count * BLOCK)


def literal(data):
    return delta.Literal(data)


LONG = A + B + C + D + TAIL
LAST = delta.Copy(4 * BLOCK, 20)
WHOLE = delta.Copy(0, 4 * BLOCK + 20)


@pytest.mark.parametrize('old, new, expected', [
    # nothing to find
    (b'', b'', []),
    (b'', TAIL, [literal(TAIL)]),
    (LONG, b'', []),
    (LONG, OTHER, [literal(OTHER)]),
    # as it was, longer and shorter
    (LONG, LONG, [WHOLE]),
    (LONG, LONG + OTHER, [WHOLE, literal(OTHER)]),
    (LONG, LONG + b'x', [WHOLE, literal(b'x')]),
    (LONG, A + B, [copy(0, 2)]),
    (LONG, A + B + C[:9], [copy(0, 2), literal(C[:9])]),
    (LONG, A + B + TAIL, [copy(0, 2), LAST]),
    # inserted and deleted
    (LONG, b'x' + LONG, [literal(b'x'), WHOLE]),
    (LONG, A + b'x' + LONG[BLOCK:],
     [copy(0), literal(b'x'), delta.Copy(BLOCK, 3 * BLOCK + 20)]),
    (LONG, A + LONG[2 * BLOCK:],
     [copy(0), delta.Copy(2 * BLOCK, 2 * BLOCK + 20)]),
    (LONG, LONG[3:], [literal(A[3:]), delta.Copy(BLOCK, 3 * BLOCK + 20)]),
    # moved and repeated
    (LONG, B + A + C + D + TAIL,
     [copy(1), copy(0), delta.Copy(2 * BLOCK, 2 * BLOCK + 20)]),
    (LONG, A + C + C + D + TAIL,
     [copy(0), copy(2), delta.Copy(2 * BLOCK, 2 * BLOCK + 20)]),
    (A + A + B, A + B + A, [copy(0), copy(2), copy(0)]),
    (A + A + B, A + A + A + B, [copy(0, 2), copy(0), copy(2)]),
    # changed in place
    (LONG, A + OTHER + C + D + TAIL,
     [copy(0), literal(OTHER), delta.Copy(2 * BLOCK, 2 * BLOCK + 20)]),
    (LONG, A + OTHER + OTHER + D + TAIL,
     [copy(0), literal(OTHER + OTHER), delta.Copy(3 * BLOCK, BLOCK + 20)]),
    (LONG, A + B + C + OTHER + TAIL,
     [copy(0, 3), literal(OTHER), LAST]),
    # a short last block, and nothing but one
    (LONG, A + B + C + D + OTHER[:20], [copy(0, 4), literal(OTHER[:20])]),
    (A + A[-20:], A, [copy(0)]),
    (TAIL, TAIL, [delta.Copy(0, 20)]),
    (TAIL, TAIL + b'x', [delta.Copy(0, 20), literal(b'x')]),
    (TAIL, b'x' + TAIL, [literal(b'x'), delta.Copy(0, 20)]),
    (TAIL, TAIL + OTHER, [delta.Copy(0, 20), literal(OTHER)]),
    (TAIL, OTHER + OTHER + TAIL,
     [literal(OTHER + OTHER), delta.Copy(0, 20)]),
    (TAIL, TAIL[:19], [literal(TAIL[:19])]),
])
def test_what_is_found(old, new, expected):
    assert encode(old, new) == expected


def test_a_repeated_block_behind_a_change_is_not_taken_for_another():
    """Nor where it is not there yet when the change is seen."""
    old, new = C + A + B + C + D, C + A + OTHER + C + D
    expected = [copy(0, 2), literal(OTHER), copy(3, 2)]
    assert encode(old, new) == expected
    encoder = delta.DeltaEncoder(signature(old))
    ops = [op for each in range(len(new))
           for op in encoder.update(new[each:each + 1])]
    assert ops + encoder.finish() == expected


def test_a_byte_at_the_front_of_a_large_file():
    data = random.Random(1).randbytes(5 << 20)
    assert encode(data, b'x' + data, delta.DEFAULT_BLOCK_SIZE_BYTES) == [
        delta.Literal(b'x'), delta.Copy(0, len(data))]


def test_a_byte_in_front_of_each_block():
    old = random.Random(1).randbytes(1 << 20)
    new = b''.join(b'x' + old[low:low + 4096]
                   for low in range(0, len(old), 4096))
    ops = encode(old, new, 4096)
    assert ops == [op for low in range(0, len(old), 4096)
                   for op in (delta.Literal(b'x'), delta.Copy(low, 4096))]


@pytest.mark.parametrize('bad', [0, 2])
def test_equal_weak_hashes_are_no_match(bad):
    """Whoever would believe them would restore wrong bytes."""
    old = signature(A + B + C + D)
    new = OTHER + B
    weak = old.weak.copy()
    weak[bad] = signature(OTHER).weak[0]
    forged = delta.Signature(BLOCK, SEED, old.length, old.digest, weak,
                             old.strong)
    encoder = delta.DeltaEncoder(forged)
    assert encoder.update(b'x' + new) + encoder.finish() == [
        literal(b'x' + OTHER), copy(1)]


def test_blocks_with_equal_weak_hashes_are_told_apart():
    old = signature(A + B + C + D)
    weak = old.weak.copy()
    weak[0] = weak[1] = weak[2] = signature(C).weak[0]
    forged = delta.Signature(BLOCK, SEED, old.length, old.digest, weak,
                             old.strong)
    encoder = delta.DeltaEncoder(forged)
    assert encoder.update(b'x' + C) + encoder.finish() == [
        literal(b'x'), copy(2)]


def test_long_literals_are_cut():
    new = random.Random(1).randbytes((5 << 20) // 2)
    assert [op.length for op in encode(A, new)] == [1 << 20, 1 << 20, 1 << 19]


class TestZeros:

    def test_of_a_new_version_are_not_stored(self):
        """Those that fill a block of a file system, or nearly."""
        ops = encode(A, OTHER[:10] + bytes(20000) + TAIL, zeros=True)
        assert [type(op) for op in ops] == [
            delta.Literal, delta.Zero, delta.Literal]
        assert ops[0] == literal(OTHER[:10] + bytes(4086))
        assert ops[2].data == bytes(ops[2].length - 20) + TAIL
        assert ops[2].length < 4096

    def test_of_an_old_version_are_not_copied(self):
        old = bytes(8 * BLOCK) + A
        assert encode(old, old, zeros=True) == [
            delta.Zero(8 * BLOCK), copy(8)]
        assert encode(old, old) == [copy(0, 9)]

    def test_are_one_operation_whatever_the_old_version_has(self):
        new = bytes(5000 * BLOCK)
        assert encode(A + B, new, zeros=True) == [delta.Zero(len(new))]

    def test_written_over_a_block(self):
        assert encode(A + B + C, A + bytes(BLOCK) + C, zeros=True) == [
            copy(0), delta.Zero(BLOCK), copy(2)]


class TestCost:
    """In strong hashes, each of which reads a block."""

    @pytest.fixture
    def hashed(self, monkeypatch):
        lengths = []
        strong = signatures.Hashes.strong

        def counted(hashes, data):
            lengths.append(len(data))
            return strong(hashes, data)

        monkeypatch.setattr(signatures.Hashes, 'strong', counted)
        return lengths

    ZEROS = bytes(1 << 18)
    PERIOD = bytes(range(100)) * 3000

    @pytest.mark.parametrize('old, new', [
        (ZEROS, ZEROS),
        (ZEROS, ZEROS[:-1] + b'x' + ZEROS),
        (ZEROS[:-1] + b'x', b'x' + ZEROS),
        (b'x' + ZEROS, ZEROS),
        ((ZEROS[:4095] + b'x') * 64, ZEROS),
        (PERIOD, PERIOD),
        (PERIOD, b'x' + PERIOD),
        (PERIOD, PERIOD[1:]),
        (PERIOD, PERIOD[:150000] + b'x' + PERIOD),
        (PERIOD, PERIOD.replace(b'ab', b'xx')),
        (b'x' + PERIOD, ZEROS + PERIOD)])
    @pytest.mark.parametrize('block', [4096, 4093])
    def test_does_not_grow_where_data_repeats(self, hashed, old, new, block):
        known = signature(old, block)
        hashed.clear()
        encoder = delta.DeltaEncoder(known)
        encoder.update(new)
        encoder.finish()
        assert sum(hashed) <= 4 * len(new) + 4 * block

    def test_of_what_has_not_changed_is_one_for_each_block(self, hashed):
        data = random.Random(1).randbytes(1 << 18)
        known = signature(data, 4096)
        hashed.clear()
        encoder = delta.DeltaEncoder(known)
        encoder.update(data)
        encoder.finish()
        assert sum(hashed) == len(data)


@pytest.mark.parametrize('piece_bytes', [100_000, 1 << 20, 1 << 25])
def test_memory_does_not_grow_with_the_file(piece_bytes):
    source = random.Random(1)
    known = signature(source.randbytes(1 << 20), 65536)
    pieces = [source.randbytes(piece_bytes) for _ in range(3)]
    tracemalloc.start()
    try:
        encoder = delta.DeltaEncoder(known)
        for _ in range((1 << 25) // piece_bytes):
            for piece in pieces[:1 + (piece_bytes < 1 << 25)]:
                held = sum(op.length for op in encoder.update(piece))
                assert held <= piece_bytes + (3 << 20)
        encoder.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What update returns is the caller's: it may be the whole piece.
    assert peak < (20 << 20) + piece_bytes


def test_encoders_in_several_threads_do_not_meddle():
    source = random.Random(1)
    old = source.randbytes(1 << 20)
    known = signature(old, 4096)
    news = [source.randbytes(1 << 20) + old[each:] for each in range(4)]

    def encode_it(new):
        encoder = delta.DeltaEncoder(known)
        return encoder.update(new) + encoder.finish()

    with futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(encode_it, news)) == list(map(encode_it, news))


def test_the_signature_is_there_at_the_end_only():
    encoder = delta.DeltaEncoder(signature(LONG))
    encoder.update(LONG)
    with pytest.raises(errors.InvalidInput, match='at its end'):
        encoder.signature
    encoder.finish()
    assert encoder.signature == signature(LONG)


def test_an_encoder_keeps_none_of_what_it_is_given():
    piece = bytearray(A + OTHER)
    encoder = delta.DeltaEncoder(signature(LONG))
    ops = encoder.update(piece)
    piece[:] = bytes(len(piece))
    ops += encoder.update(C) + encoder.finish()
    assert ops == [copy(0), literal(OTHER), copy(2)]
