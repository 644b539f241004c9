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

"""Where zstd frames end (RFC 8878), without decoding them."""

from collections.abc import Generator

from chunked_backup import errors


class Frames:
    """Follows a stream of frames, whose bytes come in pieces of any length.

    :ivar is_within: whether the last byte was not the last of a frame; true
        as long as there was none.
    """

    def __init__(self) -> None:
        self._field = bytearray()
        self._begin()

    def follow(self, data: memoryview) -> None:
        """Take note of the bytes that come next.

        :raises DecodeError: a frame should begin there, and does not.
        """
        while data:
            if not self.is_within:
                self._begin()
            self._field += data[:self._missing]
            taken = min(len(data), self._missing)
            self._missing -= taken
            data = data[taken:]
            if not self._missing:
                self._next_field()

    def _begin(self) -> None:
        self._fields = _fields_of_frame()
        self._missing = next(self._fields)
        self.is_within = True

    def _next_field(self) -> None:
        field = bytes(self._field)
        self._field.clear()
        try:
            self._missing = self._fields.send(field)
        except StopIteration:
            self.is_within = False


def first_frame_bytes(stored: bytes) -> int:
    """How many of the bytes are the first frame.

    :raises DecodeError: they are none, or not all of it.
    """
    fields = _fields_of_frame()
    end, size = 0, next(fields)
    try:
        while True:
            end += size
            if end > len(stored):
                raise errors.StreamCutShort()
            size = fields.send(stored[end - size:end])
    except StopIteration:
        return end


def _fields_of_frame() -> Generator[int, bytes, None]:
    """Gives how many bytes each field has, never 0, and is sent them."""
    if (yield 4) != b'\x28\xb5\x2f\xfd':
        raise errors.DecodeError(reason='the stored stream is no zstd frame')
    descriptor = (yield 1)[0]
    single_segment = descriptor >> 5 & 1
    yield (1 - single_segment + (0, 1, 2, 4)[descriptor & 3]
           + (single_segment, 2, 4, 8)[descriptor >> 6])
    last_block = False
    while not last_block:
        block = int.from_bytes((yield 3), 'little')
        last_block = bool(block & 1)
        repeats_one_byte = block >> 1 & 3 == 1
        length = 1 if repeats_one_byte else block >> 3
        if length:
            yield length
    if descriptor & 4:
        yield 4  # a checksum
