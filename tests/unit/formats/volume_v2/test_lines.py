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

import io

import pytest

from chunked_backup.formats.fields import InvalidDocument
from chunked_backup.formats.volume_v2.lines import read_lines

LONGEST = 16 << 20


class Stream(io.BytesIO):
    """Gives ``piece_bytes`` at most."""

    def __init__(self, text, piece_bytes):
        super().__init__(text)
        self._piece_bytes = piece_bytes

    def read(self, size):
        return super().read(min(size, self._piece_bytes))


@pytest.mark.parametrize('piece_bytes', [1, 2, 5, 1 << 20])
def test_each_line_comes_without_its_end(piece_bytes):
    stream = Stream(b'a\n\nlong\n', piece_bytes)
    assert list(read_lines(stream)) == [b'a', b'', b'long']


def test_nothing_has_no_lines():
    assert list(read_lines(io.BytesIO())) == []


def test_a_line_without_an_end_is_refused():
    lines = read_lines(io.BytesIO(b'a\nb'))
    assert next(lines) == b'a'
    with pytest.raises(InvalidDocument, match='ends early'):
        next(lines)


def test_the_longest_line_comes_and_a_longer_one_is_not_read_to_its_end():
    line = b'x' * LONGEST
    assert list(read_lines(Stream(line + b'\n', LONGEST))) == [line]
    stream = Stream(line * 2 + b'\n', LONGEST)
    with pytest.raises(InvalidDocument, match='too long'):
        list(read_lines(stream))
    assert stream.tell() < LONGEST + (1 << 20)
