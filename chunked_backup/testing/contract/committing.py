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

"""Promises of a writer that replaces nothing."""

import contextlib
from typing import Any

from chunked_backup import errors
from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import Deliberate
from chunked_backup.testing.contract.scratch import Scratch
from chunked_backup.testing.contract.scratch import in_threads


@promise
def an_exclusive_writer_replaces_all_or_nothing(scratch: Scratch) -> None:
    """An exclusive writer makes a new object, and none when it is left by an
    exception; where the name is taken it raises ObjectExists and leaves the
    older object as it was, or it replaces the whole."""
    name = scratch.name('_metadata')
    with contextlib.suppress(Deliberate):
        with _exclusive(scratch, name) as writer:
            writer.write(b'broken off')
            raise Deliberate()
    require_equal(scratch.names(), [], 'the listing after an exception')
    expected = None
    for data in (b'first', b'the second is longer', b''):
        try:
            with _exclusive(scratch, name) as writer:
                writer.write(data)
            expected = data
        except errors.ObjectExists:
            require(expected is not None, 'a new object is refused')
        require_equal(scratch.read(name), expected, 'the object')
    require_equal(scratch.names(), [name], 'the listing')


@promise
def exclusive_writers_are_told_who_has_won(scratch: Scratch) -> None:
    """When several exclusive writers store a new name at the same time, the
    object is the whole of one that was not refused."""
    for turn in range(6):
        name = scratch.name(f'_metadata{turn}')
        not_refused: list[bytes] = []

        def work(number: int, name: str = name,
                 not_refused: list[bytes] = not_refused) -> None:
            data = bytes([number]) * (50_000 + number)
            try:
                with _exclusive(scratch, name) as writer:
                    writer.write(data)
            except errors.ObjectExists:
                return
            except errors.TransientDriverError:
                pass  # a store in a hurry; nobody knows what has arrived
            not_refused.append(data)

        in_threads(work)
        require(scratch.read(name) in not_refused,
                'the object is of a writer that was refused')


def _exclusive(scratch: Scratch,
               name: str) -> contextlib.AbstractContextManager[Any]:
    writer: contextlib.AbstractContextManager[Any] = (
        scratch.driver.get_exclusive_writer(scratch.container, name))
    return writer
