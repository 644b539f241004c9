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


"""A volume that says of itself that it is incomplete, until it is not.

A restore over a disk that ends in the middle, by an error, a kill or a power
failure, leaves old and new bytes side by side. So that nobody takes such a
disk for a whole one, its beginning, where partition tables and most file
systems have their labels, holds a note until all the rest is on the disk.
"""

from chunked_backup.endpoints.sink import VolumeSink

#: What an incomplete volume begins with.
NOTE = b'chunked-backup: a restore to this volume has not ended\n'
_HEAD_BYTES = 1 << 20
# Written at last, and small enough that disks write it at once.
_NOTE_BYTES = 4096


class MarkedSink(VolumeSink):
    """Keeps the first MiB of a volume in memory until the end.

    :param inner: takes all the rest.
    :param details: ASCII text that follows the note.
    """

    def __init__(self, inner: VolumeSink, details: str) -> None:
        super().__init__(is_new=False)
        self._inner = inner
        self._details = details.encode()
        self._head = bytearray()
        #: Whether the volume has been touched and is not whole yet.
        self.is_incomplete = False

    def prepare(self, volume_bytes: int) -> None:
        self._inner.prepare(volume_bytes)
        self._head = bytearray(min(_HEAD_BYTES, volume_bytes))
        note = (NOTE + self._details + b'\n').ljust(
            len(self._head), b'\0')[:len(self._head)]
        self.is_incomplete = True
        self._inner.write(0, memoryview(note))
        self._inner.flush()

    def write(self, offset: int, data: memoryview) -> None:
        kept = max(0, min(len(self._head) - offset, len(data)))
        self._head[offset:offset + kept] = data[:kept]
        if kept < len(data):
            self._inner.write(offset + kept, data[kept:])

    def zero(self, start: int, end: int) -> None:
        kept = min(end, len(self._head))
        if start < kept:
            self._head[start:kept] = bytes(kept - start)
        self._inner.zero(max(start, kept), end)

    def flush(self) -> None:
        self._inner.flush()
        head = memoryview(self._head)
        self._inner.write(_NOTE_BYTES, head[_NOTE_BYTES:])
        self._inner.flush()
        self._inner.write(0, head[:_NOTE_BYTES])
        self._inner.flush()
        self.is_incomplete = False

    def close(self) -> None:
        self._inner.close()
