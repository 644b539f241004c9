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

"""The digests of a whole volume, at hand in any order."""

import os
import tempfile
from collections.abc import Iterator

from chunked_backup import errors
from chunked_backup.blocks.digests import DIGEST_BYTES
from chunked_backup.flow import native
from chunked_backup.flow.descriptor import Descriptor
from chunked_backup.flow.failure import reason_of

#: 64 MiB hold the digests of 64 GiB at 32 KiB a block; more go to a file.
LARGEST_IN_MEMORY_BYTES = 64 << 20
_BATCH_DIGESTS = 32768


class DigestSpool:
    """A growing array of digests, in memory or in an unlinked file.

    Workers finish in any order, and a chain is restored in the order of its
    objects, so digests are written and read by block index. ``write`` and
    ``read`` may be called from any thread.

    :param largest_in_memory_bytes: beyond it a temporary file takes over
        (1 GiB for a volume of 1 TiB), in the directory that TMPDIR names.
    """

    def __init__(self,
                 largest_in_memory_bytes: int = LARGEST_IN_MEMORY_BYTES
                 ) -> None:
        self._limit = largest_in_memory_bytes
        # As long as there is no file, they are in memory.
        self._memory = bytearray()
        self._file: Descriptor | None = None
        self._size = 0
        self._lock = native.lock()

    def __len__(self) -> int:
        """How many digests there are."""
        return self._size // DIGEST_BYTES

    def append(self, digests: bytes) -> None:
        """Add digests behind the last."""
        self.write(len(self), digests)

    def write(self, index: int, digests: bytes) -> None:
        """Put digests at ``index`` and behind it, over any there.

        :raises ChunkedBackupError: there is no room for the file.
        """
        try:
            self._write(index, digests)
        except OSError as exc:
            raise errors.ChunkedBackupError(
                reason='the digests of the volume cannot be kept in a '
                       f'temporary file (see TMPDIR): {reason_of(exc)}'
            ) from exc

    def read(self, index: int, count: int) -> bytes:
        """At most ``count`` digests from ``index``; fewer at the end."""
        start = index * DIGEST_BYTES
        end = min(start + count * DIGEST_BYTES, self._size)
        with self._lock:
            file = self._file
            if file is None:
                return bytes(self._memory[start:end])
        with file as number:
            return _read_all(number, max(0, end - start), start)

    def batches(self) -> Iterator[bytes]:
        """All digests in order, some at a time."""
        for index in range(0, len(self), _BATCH_DIGESTS):
            yield self.read(index, _BATCH_DIGESTS)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._file = None
            self._memory = bytearray()
            self._size = 0

    def __enter__(self) -> 'DigestSpool':
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _write(self, index: int, digests: bytes) -> None:
        start = index * DIGEST_BYTES
        end = start + len(digests)
        with self._lock:
            self._size = max(self._size, end)
            if self._file is None and self._size > self._limit:
                self._spill()
            file = self._file
            if file is None:
                if start > len(self._memory):
                    self._memory.extend(bytes(start - len(self._memory)))
                self._memory[start:end] = digests
                return
        with file as number:
            _write_all(number, digests, start)

    def _spill(self) -> None:
        descriptor, path = tempfile.mkstemp(prefix='chunked_backup-digests-')
        os.unlink(path)
        file = Descriptor(descriptor)
        os.close(descriptor)
        with file as number:
            _write_all(number, self._memory, 0)
        self._file, self._memory = file, bytearray()


def _write_all(descriptor: int, data: bytes | bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view = view[count:]
        offset += count


def _read_all(descriptor: int, count: int, offset: int) -> bytes:
    data = os.pread(descriptor, count, offset)
    while len(data) < count:
        more = os.pread(descriptor, count - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
