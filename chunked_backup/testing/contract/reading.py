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

"""Promises about reading objects."""

import contextlib
import itertools
from typing import Any

from chunked_backup import errors
from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.expect import require_raises
from chunked_backup.testing.contract.promise import NotPromised
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import LARGE_BYTES
from chunked_backup.testing.contract.scratch import PIECE_BYTES
from chunked_backup.testing.contract.scratch import Deliberate
from chunked_backup.testing.contract.scratch import Scratch
from chunked_backup.testing.contract.scratch import noise


OPEN_READERS = 16


@promise
def objects_are_read_in_pieces(scratch: Scratch) -> None:
    """Where ``read`` takes a size it gives at most so many bytes, in order,
    and ``b''`` at the end, however often it is asked."""
    data = noise(LARGE_BYTES)
    name = scratch.name('-00001')
    scratch.write(name, data)
    _require_sizes(scratch, name)
    sizes = itertools.cycle((1, 7, 65536, 3, PIECE_BYTES))
    found = bytearray()
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        while piece := reader.read(size := next(sizes)):
            require(len(piece) <= size, f'read({size}) gave {len(piece)}')
            found += piece
            require(len(found) <= len(data), 'the pieces do not end')
        require(found == data, 'the pieces are not the object')
        require_equal(reader.read(10), b'', 'a second read at the end')


@promise
def an_empty_object_ends_at_once(scratch: Scratch) -> None:
    """Reading an object without bytes gives ``b''``."""
    name = scratch.name('-00001')
    scratch.write(name, b'')
    require_equal(scratch.read(name), b'', 'read()')
    _require_sizes(scratch, name)
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        require_equal(bytes(reader.read(10)), b'', 'read(10)')


def _require_sizes(scratch: Scratch, name: str) -> None:
    """Leave the check of a driver whose readers know no sizes."""
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        try:
            reader.read(1)
        except TypeError:
            raise NotPromised() from None


@promise
def skipping_is_reading_without_the_bytes(scratch: Scratch) -> None:
    """Where a reader has ``skip``, it leaves out exactly so many bytes, and
    beyond the end there is nothing."""
    data = noise(300_000)
    name = scratch.name('-00001')
    scratch.write(name, data)
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        if not hasattr(reader, 'skip'):
            raise NotPromised()
        reader.skip(1000)
        require(_read_exactly(reader, 500) == data[1000:1500],
                'after the first skip')
        reader.skip(100_000)
        reader.skip(0)
        require(_read_exactly(reader, 500) == data[101_500:102_000],
                'after another skip')
        reader.skip(len(data))
        require_equal(bytes(reader.read(10)), b'', 'beyond the end')


@promise
def a_range_is_that_part_of_the_object(scratch: Scratch) -> None:
    """A reader of a range gives just those bytes, fewer or none where the
    object ends before, and may skip as any other; of an object that does not
    exist there is no range."""
    data = noise(600_000)
    name = scratch.name('-00001')
    scratch.write(name, data)
    for start, length in ((0, 1), (0, 1000), (7, 300_000), (599_990, 10),
                          (599_990, 11), (300_000, 1 << 40), (600_000, 5),
                          (700_000, 1)):
        with _range(scratch, name, start, length) as reader:
            require(_read_exactly(reader, 600_000)
                    == data[start:start + length],
                    f'{length} bytes from {start}')
    with _range(scratch, name, 1000, 500_000) as reader:
        if hasattr(reader, 'skip'):
            reader.skip(400_000)
            require(_read_exactly(reader, 200_000)
                    == data[401_000:501_000], 'after a skip')
    with _range(scratch, name, 10, 5) as reader:
        require(bytes(reader.read()) == data[10:15], 'read()')
    require_raises(errors.ObjectNotFound, lambda: _range(
        scratch, scratch.name('-00002'), 1, 1).__enter__().read(1))


def _range(scratch: Scratch, name: str, start: int, length: int
           ) -> contextlib.AbstractContextManager[Any]:
    opened: contextlib.AbstractContextManager[Any] = (
        scratch.driver.get_range_reader(scratch.container, name, start,
                                        length))
    return opened


@promise
def a_reader_may_be_left_early(scratch: Scratch) -> None:
    """Leaving a reader before the end of its object, normally or by an
    exception, does no harm to later ones."""
    data = noise(LARGE_BYTES)
    name = scratch.name('-00001')
    scratch.write(name, data)
    for _ in range(2 * OPEN_READERS):
        with scratch.driver.get_object_reader(scratch.container, name):
            pass
        with contextlib.suppress(Deliberate):
            with scratch.driver.get_object_reader(scratch.container, name):
                raise Deliberate()
    require(scratch.read(name) == data, 'the object came back altered')


@promise
def many_objects_are_open_at_once(scratch: Scratch) -> None:
    """A reader gives its own object although others were opened since."""
    names = [scratch.name(f'-{number:05d}')
             for number in range(OPEN_READERS)]
    for name in names:
        scratch.write(name, name.encode())
    with contextlib.ExitStack() as stack:
        readers = {name: stack.enter_context(
            scratch.driver.get_object_reader(scratch.container, name))
            for name in names}
        for name in reversed(names):
            require_equal(bytes(readers[name].read()), name.encode(),
                          'one of many open objects')


@promise
def a_missing_object_is_not_found(scratch: Scratch) -> None:
    """Reading an object that does not exist raises ObjectNotFound, from
    opening it or from ``read``."""
    scratch.write(scratch.name('-00001'), b'another')
    for ending in ('-00002', '-0000', '-000011', ''):
        require_raises(errors.ObjectNotFound, scratch.read,
                       scratch.name(ending))


def _read_exactly(reader: Any, count: int) -> bytes:
    data = b''
    while len(data) < count and (piece := reader.read(count - len(data))):
        data += bytes(piece)
    return data
