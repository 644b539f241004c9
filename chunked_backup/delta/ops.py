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


"""What a delta is made of."""

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True, slots=True)
class Copy:
    """Bytes that the old version has at ``offset``."""

    offset: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that it has not; up to 1 MiB of them."""

    data: bytes

    @property
    def length(self) -> int:
        """How many bytes they are."""
        return len(self.data)


@dataclasses.dataclass(frozen=True, slots=True)
class Zero:
    """Bytes that are zero, and may become a hole."""

    length: int


Op = Copy | Literal | Zero

#: The longest literal of one operation.
LITERAL_BYTES = 1 << 20

#: Zeros among literals are looked for in units of a file system's block.
ZERO_BYTES = 4096


def split_zeros(data: memoryview, offset: int) -> Iterator[Op]:
    """A literal as literals and zeros.

    :param offset: where in the new version it stands, for units that do not
        depend on how it was cut.
    """
    start = 0
    for low, high in _zero_runs(data, offset):
        if low > start:
            yield Literal(bytes(data[start:low]))
        yield Zero(high - low)
        start = high
    if start < len(data):
        yield Literal(bytes(data[start:]))


def _zero_runs(data: memoryview, offset: int) -> Iterator[tuple[int, int]]:
    zeros = bytes(ZERO_BYTES)
    begin = None
    first = -offset % ZERO_BYTES
    last = first
    for low in range(first, len(data) - ZERO_BYTES + 1, ZERO_BYTES):
        last = low + ZERO_BYTES
        if not data[low] and data[low:last].tobytes() == zeros:
            begin = low if begin is None else begin
        elif begin is not None:
            yield begin, low
            begin = None
    if begin is not None:
        yield begin, last


def join(one: Op, other: Op) -> Op | None:
    """Both as one, or None; literals are never joined."""
    if isinstance(one, Zero) and isinstance(other, Zero):
        return Zero(one.length + other.length)
    if (isinstance(one, Copy) and isinstance(other, Copy)
            and one.offset + one.length == other.offset):
        return Copy(one.offset, one.length + other.length)
    return None
