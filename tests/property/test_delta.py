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


"""Deltas of any old and new version, against plain models."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup import delta
from chunked_backup import errors

SEED = b'the seed of all.'
HEADER_BYTES = 52  # of a delta
BLOCK_SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 12, 16, 33, 64])


@st.composite
def versions(draw):
    """An old version, a new one made of it, and a block size."""
    letters = draw(st.sampled_from([b'\0', b'\0a', bytes(range(256))]))
    data = st.lists(st.sampled_from(letters), max_size=200).map(bytes)
    block = draw(BLOCK_SIZES)
    old = draw(data)
    new = bytearray(old)
    for _ in range(draw(st.integers(0, 4))):
        low = draw(st.integers(0, len(new)))
        high = draw(st.integers(low, len(new)))
        match draw(st.sampled_from(['insert', 'delete', 'repeat', 'change'])):
            case 'insert':
                new[low:low] = draw(data)
            case 'delete':
                del new[low:high]
            case 'repeat':
                new[low:low] = old[low:high]
            case 'change':
                new[low:high] = draw(st.binary(min_size=high - low,
                                               max_size=high - low))
    return old, bytes(new), block


def encode(old, new, block, cuts=(), zeros=False):
    """The operations, with the new version given in pieces."""
    encoder = delta.DeltaEncoder(signature(old, block), zeros)
    ops = []
    low = 0
    for cut in sorted({min(cut, len(new)) for cut in cuts} | {len(new)}):
        ops += encoder.update(new[low:cut])
        low = cut
    return ops + encoder.finish(), encoder.signature


def signature(data, block):
    builder = delta.SignatureBuilder(block, SEED)
    builder.update(data)
    return builder.finish()


def patched(old, ops, new_signature):
    written = []
    delta.patch(ops, io.BytesIO(old), written.append,
                length=new_signature.length, digest=new_signature.digest)
    return b''.join(written)


def literal_bytes(ops):
    return sum(op.length for op in ops if isinstance(op, delta.Literal))


def greedy_literal_bytes(old, new, block):
    """What a search that compares bytes at each offset cannot find."""
    blocks = {old[low:low + block]
              for low in range(0, len(old) - block + 1, block)}
    missed = place = 0
    while place < len(new):
        if new[place:place + block] in blocks:
            place += block
        else:
            place += 1
            missed += 1
    return missed


@given(versions(), st.booleans())
def test_old_version_and_delta_make_the_new_version(case, zeros):
    old, new, block = case
    ops, new_signature = encode(old, new, block, zeros=zeros)
    assert patched(old, ops, new_signature) == new


@given(versions())
def test_the_new_signature_comes_from_the_same_pass(case):
    old, new, block = case
    assert encode(old, new, block)[1] == signature(new, block)


@given(versions(), st.sets(st.integers(0, 600), max_size=30), st.booleans())
def test_the_pieces_do_not_matter(case, cuts, zeros):
    old, new, block = case
    assert encode(old, new, block, cuts, zeros) == encode(
        old, new, block, zeros=zeros)


@given(versions())
def test_all_pieces_of_one_byte(case):
    old, new, block = case
    assert encode(old, new, block, range(len(new))) == encode(
        old, new, block)


@given(versions())
def test_little_is_literal_that_a_plain_search_finds(case):
    """A block changed in place may be passed over for the one behind it."""
    old, new, block = case
    ops, _ = encode(old, new, block)
    skipped = sum(isinstance(op, delta.Literal) for op in ops) * block
    assert literal_bytes(ops) <= greedy_literal_bytes(
        old, new, block) + skipped


@given(st.binary(max_size=300), BLOCK_SIZES)
def test_what_has_not_changed_is_one_copy(data, block):
    ops, _ = encode(data, data, block)
    assert ops == ([delta.Copy(0, len(data))] if data else [])


@given(st.binary(max_size=300), st.binary(max_size=60), BLOCK_SIZES)
def test_what_is_inserted_costs_two_blocks_at_most(data, inserted, block):
    """Random data: where it repeats, other copies may be as good."""
    ops, _ = encode(data, inserted + data, block)
    assert literal_bytes(ops) <= len(inserted) + 2 * block


@given(versions())
def test_operations_are_coalesced(case):
    old, new, block = case
    ops, _ = encode(old, new, block, zeros=True)
    for one, other in zip(ops, ops[1:]):
        assert not (isinstance(one, delta.Zero)
                    and isinstance(other, delta.Zero))
        assert not (isinstance(one, delta.Copy)
                    and isinstance(other, delta.Copy)
                    and one.offset + one.length == other.offset)


@given(versions())
def test_signatures_against_a_comparison_of_each_block(case):
    old, new, block = case
    ranges = list(delta.diff_signatures(signature(old, block),
                                        signature(new, block)))
    assert sum(each.length for each in ranges) == len(new)
    known = {old[low:low + block] for low in range(0, len(old), block)}
    place = 0
    for each in ranges:
        assert each.offset == place
        place += each.length
        if each.old_offset is not None:
            assert new[each.offset:place] == old[
                each.old_offset:each.old_offset + each.length]
        else:
            assert not known & {new[low:min(low + block, place)]
                                for low in range(each.offset, place, block)}


@given(st.binary(max_size=300), BLOCK_SIZES)
def test_a_signature_comes_back(data, block):
    whole = signature(data, block)
    assert delta.Signature.from_bytes(whole.to_bytes()) == whole


@given(versions(), st.data())
def test_a_damaged_signature_is_refused(case, data):
    whole = signature(case[0], case[2]).to_bytes()
    with pytest.raises(errors.SignatureError):
        delta.Signature.from_bytes(damaged(data, whole))


@given(versions(), st.data())
def test_a_damaged_delta_is_refused(case, data):
    old, new, block = case
    whole = delta.gen_sig_from_stream(new, signature(old, block)).read()
    written = io.BytesIO()
    with pytest.raises((errors.DeltaError, errors.PatchError)):
        delta.patch_from_file(old, written, damaged(data, whole))


@given(st.binary(max_size=400), st.booleans())
def test_a_delta_of_anything_is_refused(data, begins_well):
    if begins_well:
        data = delta.gen_sig_from_stream(b'', signature(b'', 4)).read(
            HEADER_BYTES) + data
    with pytest.raises((errors.DeltaError, errors.PatchError)):
        delta.patch_from_file(b'', io.BytesIO(), data)


def damaged(data, whole):
    """The bytes with one of them changed, cut off, or too many."""
    place = data.draw(st.integers(0, len(whole) - 1))
    match data.draw(st.sampled_from(['flip', 'cut', 'more', 'drop'])):
        case 'flip':
            flipped = bytearray(whole)
            flipped[place] ^= 1 << data.draw(st.integers(0, 7))
            return bytes(flipped)
        case 'cut':
            return whole[:place]
        case 'more':
            return whole + b'\0'
        case 'drop':
            return whole[:place] + whole[place + 1:]
