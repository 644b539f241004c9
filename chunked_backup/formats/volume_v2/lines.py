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

"""Reading the lines of an object that is longer than memory should be."""

from collections.abc import Iterator
from typing import Any

from chunked_backup.formats.fields import InvalidDocument

_READ_BYTES = 256 << 10
#: The first line of a manifest holds the metadata of a volume.
_LONGEST_LINE_BYTES = 16 << 20


def read_lines(stream: Any) -> Iterator[bytes]:
    """Each line of a stream, without its end.

    :param stream: has ``read(size)``.
    :raises InvalidDocument: a line has no end, or is too long.
    """
    rest = b''
    while data := stream.read(_READ_BYTES):
        *lines, rest = (rest + data).split(b'\n')
        yield from lines
        if len(rest) > _LONGEST_LINE_BYTES:
            raise InvalidDocument('a line of it is too long')
    if rest:
        raise InvalidDocument('it ends early')
