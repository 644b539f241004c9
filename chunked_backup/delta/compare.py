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


"""Two signatures, and neither of the files."""

import dataclasses
from collections.abc import Iterator

from chunked_backup import errors
from chunked_backup.delta.index import BlockIndex
from chunked_backup.delta.signature import Signature


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """A range of the new version, in bytes.

    ``old_offset`` is where the old version has the same bytes, or None where
    no block of it is known to have them.
    """

    offset: int
    length: int
    old_offset: int | None


def diff_signatures(old: Signature, new: Signature) -> Iterator[Range]:
    """What of a new version is a copy of the old one, in whole blocks.

    The ranges follow each other and cover the new version. An insertion makes
    all blocks behind it differ, unless it is whole blocks itself: only the
    data can show more.

    :raises InvalidInput: the signatures have different block sizes or seeds.
    """
    if (old.block_size_bytes, old.seed) != (new.block_size_bytes, new.seed):
        raise errors.InvalidInput(
            reason='only signatures with the same block size and the same '
            'seed can be compared; make both with those of one of them')
    return _joined(_ranges(old, new))


def _ranges(old: Signature, new: Signature) -> Iterator[Range]:
    block = new.block_size_bytes
    for index, here in enumerate(_old_blocks(old, new)):
        offset = index * block
        length = min(block, new.length - offset)
        yield Range(offset, length, None if here is None else here * block)


def _old_blocks(old: Signature, new: Signature) -> Iterator[int | None]:
    """For each block of the new version one of the old one.

    The one at the same place if it is the same, then the one behind the last.
    """
    index = BlockIndex(old)
    last: int | None
    behind = 0  # the block of the old version behind the last
    for block in range(new.whole_blocks):
        strong = new.strong_of(block)
        for guess in (block, behind):
            if (guess < old.whole_blocks
                    and old.strong_of(guess) == strong):
                last = guess
                break
        else:
            last = index.find(int(new.weak[block]), strong)
        yield last
        behind = (block if last is None else last) + 1
    if new.length % new.block_size_bytes:
        yield _old_short_block(old, new)


def _old_short_block(old: Signature, new: Signature) -> int | None:
    size = new.block_size_bytes
    same = (old.length % size == new.length % size
            and old.strong_of(old.whole_blocks)
            == new.strong_of(new.whole_blocks))
    return old.whole_blocks if same else None


def _joined(ranges: Iterator[Range]) -> Iterator[Range]:
    before = None
    for each in ranges:
        if before and _continues(before, each):
            before = Range(before.offset, before.length + each.length,
                           before.old_offset)
            continue
        if before:
            yield before
        before = each
    if before:
        yield before


def _continues(one: Range, other: Range) -> bool:
    if one.old_offset is None or other.old_offset is None:
        return one.old_offset is other.old_offset
    return one.old_offset + one.length == other.old_offset
