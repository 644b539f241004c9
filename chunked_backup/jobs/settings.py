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

"""What a job may be told."""

import dataclasses

from chunked_backup import errors
from chunked_backup.formats import VERSIONS
from chunked_backup.formats.fields import LARGEST_BLOCK_BYTES

#: Volumes are read, hashed and written in pieces of about this size.
PIECE_BYTES = 1 << 20
# What a codec keeps for one object; bz2 needs the most.
_CODEC_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """:param chunk_size_bytes: no object holds more of the volume.
    :param block_size_bytes: what one digest covers.
    :param compression: a canonical spelling.
    :param merge_gap_bytes: changed ranges this near become one object, in
        format 1.0.0.
    :param parallelism: objects in work at once.
    :param executor: ``threads`` or ``serial``.
    :param write_md5: whether the md5 of each object is recorded, in format
        1.0.0.
    :param format_version: what is written; see ``formats``.
    """

    chunk_size_bytes: int
    block_size_bytes: int
    compression: str = 'zlib'
    merge_gap_bytes: int = 0
    parallelism: int = 4
    executor: str = 'threads'
    write_md5: bool = True
    format_version: str = VERSIONS[-1]

    def __post_init__(self) -> None:
        if self.block_size_bytes <= 0 or self.chunk_size_bytes <= 0:
            raise errors.ConfigurationError(
                reason='the chunk size and the block size must be above 0')
        if self.block_size_bytes > LARGEST_BLOCK_BYTES:
            raise errors.ConfigurationError(
                reason=f'the block size ({self.block_size_bytes} bytes) is '
                       f'above {LARGEST_BLOCK_BYTES} bytes, which no restore '
                       'would take')
        if self.chunk_size_bytes % self.block_size_bytes:
            raise errors.ConfigurationError(
                reason=f'the chunk size ({self.chunk_size_bytes} bytes) is '
                       'no multiple of the block size '
                       f'({self.block_size_bytes} bytes)')


def objects_in_work(parallelism: int, memory_limit_bytes: int,
                    block_size_bytes: int, driver_bytes: int) -> int:
    """How many objects may be transferred at once.

    :param memory_limit_bytes: what all of them together may take.
    :param driver_bytes: what the driver itself keeps of one.
    """
    one_bytes = (2 * piece_bytes(block_size_bytes) + _CODEC_BYTES
                 + driver_bytes)
    return max(1, min(parallelism, memory_limit_bytes // one_bytes))


def piece_bytes(block_size_bytes: int, count: int = 1) -> int:
    """Whole blocks, about ``count`` times ``PIECE_BYTES``."""
    return (max(1, count * PIECE_BYTES // block_size_bytes)
            * block_size_bytes)
