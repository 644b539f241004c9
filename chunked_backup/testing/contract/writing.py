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

"""Promises about objects that are being written."""

import hashlib
import itertools

from chunked_backup import errors
from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.expect import require_raises
from chunked_backup.testing.contract.promise import BrokenPromise
from chunked_backup.testing.contract.promise import NotPromised
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import LARGE_BYTES
from chunked_backup.testing.contract.scratch import PIECE_BYTES
from chunked_backup.testing.contract.scratch import Deliberate
from chunked_backup.testing.contract.scratch import Scratch
from chunked_backup.testing.contract.scratch import noise


@promise
def an_object_is_what_was_written(scratch: Scratch) -> None:
    """An object has exactly the bytes written: none, one, all 256 values, or
    many small pieces."""
    contents = [(b'',), (b'\0',), (b'a',), (bytes(range(256)),),
                tuple(b'%d,' % number for number in range(2000))]
    for number, pieces in enumerate(contents):
        name = scratch.name(f'-{number:05d}')
        scratch.write(name, *pieces)
        require_equal(scratch.read(name), b''.join(pieces),
                      f'an object of {len(pieces)} pieces')


@promise
def an_object_may_get_no_write_at_all(scratch: Scratch) -> None:
    """A writer that is left without any write makes an empty object."""
    name = scratch.name('-00001')
    with scratch.driver.get_object_writer(scratch.container, name):
        pass
    require_equal(scratch.read(name), b'', 'an object without writes')
    require_equal(scratch.names(), [name], 'the listing')


@promise
def a_large_object_is_what_was_written(scratch: Scratch) -> None:
    """An object of several MiB, in one piece or in pieces of uneven size, has
    exactly the bytes written."""
    data = noise(LARGE_BYTES)
    whole, pieces = scratch.name('-00001'), scratch.name('-00002')
    scratch.write(whole, data)
    require(scratch.read(whole) == data, 'one large piece came back altered')
    cuts = [0, 1, 70_000, 70_001, 3_000_000, 4_500_000, len(data)]
    scratch.write(pieces, *(data[low:high]
                            for low, high in itertools.pairwise(cuts)))
    require(scratch.read(pieces) == data,
            'pieces of uneven size came back altered')


@promise
def writers_take_memoryviews(scratch: Scratch) -> None:
    """A driver that sets ``takes_memoryviews`` takes bytes, bytearrays and
    memoryviews, whole or sliced."""
    if not scratch.driver.takes_memoryviews:
        raise NotPromised()
    name = scratch.name('-00001')
    scratch.write(name, b'ab', bytearray(b'cd'), memoryview(b'ef'),
                  memoryview(bytearray(b'0gh0'))[1:3])
    require_equal(scratch.read(name), b'abcdefgh', 'the object')


@promise
def writers_keep_no_buffer(scratch: Scratch) -> None:
    """A driver that sets ``takes_memoryviews`` is done with a buffer when
    ``write`` returns, and leaves it as it is."""
    if not scratch.driver.takes_memoryviews:
        raise NotPromised()
    name = scratch.name('-00001')
    buffer = bytearray(PIECE_BYTES)
    expected = hashlib.sha256()
    with scratch.driver.get_object_writer(scratch.container, name) as writer:
        for number in range(6):
            piece = bytes([number + 1]) * len(buffer)
            buffer[:] = piece
            expected.update(piece)
            writer.write(memoryview(buffer))
            require(buffer == piece, 'write has altered its buffer')
            buffer[:] = bytes([255]) * len(buffer)
    require_equal(hashlib.sha256(scratch.read(name)).hexdigest(),
                  expected.hexdigest(), 'after reusing the buffer, sha256')


@promise
def an_object_appears_when_its_writer_is_left(scratch: Scratch) -> None:
    """While an object is being written it can be neither listed nor read;
    when its writer is left it can."""
    name = scratch.name('-00001')
    with scratch.driver.get_object_writer(scratch.container, name) as writer:
        for _ in range(6):
            writer.write(bytes(PIECE_BYTES))
        require_equal(scratch.names(), [], 'the listing while writing')
        require_raises(errors.ObjectNotFound, scratch.read, name)
    require_equal(scratch.names(), [name], 'the listing after writing')
    require_equal(len(scratch.read(name)), 6 * PIECE_BYTES, 'its length')


@promise
def an_exception_leaves_no_object(scratch: Scratch) -> None:
    """Leaving a writer by an exception, even by KeyboardInterrupt, hands the
    exception on and makes no object."""
    for error in (Deliberate, KeyboardInterrupt, GeneratorExit):
        for size in (0, 10, LARGE_BYTES):
            name = scratch.name(f'-{error.__name__}-{size}')
            _broken_off_write(scratch, name, bytes(size), error)
            require_raises(errors.ObjectNotFound, scratch.read, name)
    require_equal(scratch.names(), [], 'the listing')


@promise
def an_exception_keeps_the_older_object(scratch: Scratch) -> None:
    """Leaving a writer by an exception leaves an older object of that name as
    it was."""
    name = scratch.name('-00001')
    scratch.write(name, b'the older object')
    for size in (10, LARGE_BYTES):
        _broken_off_write(scratch, name, bytes(size), Deliberate)
        require_equal(scratch.read(name), b'the older object',
                      'the older object')
    require_equal(scratch.names(), [name], 'the listing')


def _broken_off_write(scratch: Scratch, name: str, data: bytes,
                      error: type[BaseException]) -> None:
    try:
        with scratch.driver.get_object_writer(scratch.container,
                                              name) as writer:
            writer.write(data)
            raise error()
    except error:
        return
    raise BrokenPromise(f'the writer has swallowed {error.__name__}')


@promise
def overwriting_replaces_the_whole(scratch: Scratch) -> None:
    """Writing to a name that is taken replaces the whole object, by a longer,
    a shorter or an empty one."""
    name = scratch.name('-00001')
    for data in (b'first', b'the second is longer', b'third', b'', b'fifth'):
        scratch.write(name, data)
        require_equal(scratch.read(name), data, 'after overwriting')
    require_equal(scratch.names(), [name], 'the listing')


@promise
def an_overwritten_object_is_whole_until_then(scratch: Scratch) -> None:
    """Until the writer is left, readers get the whole older object."""
    name = scratch.name('-00001')
    scratch.write(name, b'the older object')
    with scratch.driver.get_object_writer(scratch.container, name) as writer:
        writer.write(bytes(LARGE_BYTES))
        require_equal(scratch.read(name), b'the older object',
                      'while it is being overwritten')
        writer.write(b'.')
    require_equal(len(scratch.read(name)), LARGE_BYTES + 1, 'its length')
