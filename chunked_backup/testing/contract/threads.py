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

"""Promises to threads that share a driver."""

from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import THREADS
from chunked_backup.testing.contract.scratch import Scratch
from chunked_backup.testing.contract.scratch import in_threads


@promise
def threads_share_a_driver(scratch: Scratch) -> None:
    """Any number of threads write, read, list and delete at the same time
    and do not see each other's objects in their own."""
    def work(number: int) -> None:
        mine = scratch.name(f'-thread{number}-')
        data = bytes([number]) * (100_000 + number)
        for turn in range(6):
            scratch.write(f'{mine}{turn}', data, b'%d' % turn)
            require(scratch.read(f'{mine}{turn}') == data + b'%d' % turn,
                    'an object came back altered')
            if turn % 2:
                scratch.delete(f'{mine}{turn}')
            require(set(scratch.names(mine)) == {
                f'{mine}{each}' for each in range(turn + 1)
                if each % 2 == 0}, 'a listing is not what the thread wrote')

    in_threads(work)


@promise
def threads_overwrite_one_object(scratch: Scratch) -> None:
    """When several threads write the same name at the same time, the object
    is at any time the whole of one that was written."""
    name = scratch.name('-00001')
    contents = [bytes([number]) * (50_000 + number)
                for number in range(THREADS)]
    scratch.write(name, contents[0])

    def work(number: int) -> None:
        for _ in range(6):
            scratch.write(name, contents[number][:20_000],
                          contents[number][20_000:])
            require(scratch.read(name) in contents,
                    'the object is a mixture of several')

    in_threads(work)
