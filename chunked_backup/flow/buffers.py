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

"""Buffers that are used again."""

import contextlib
import mmap
from collections.abc import Iterator


class BufferPool:
    """Hands out equal buffers; as many exist as were ever used at once.

    Fresh memory of 1 MiB costs as much as reading into it, and keeping the
    same few buffers is what holds the memory of a job flat. They begin on
    pages, which writing past the page cache asks for.
    """

    def __init__(self, buffer_bytes: int) -> None:
        self.buffer_bytes = buffer_bytes
        self._free: list[mmap.mmap] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[memoryview]:
        """One buffer, with whatever it held before."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = mmap.mmap(-1, self.buffer_bytes, flags=(
                mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        try:
            yield memoryview(buffer)
        finally:
            self._free.append(buffer)
