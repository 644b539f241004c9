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

import pytest

from chunked_backup.flow.buffers import BufferPool


def test_a_buffer_that_was_given_back_is_used_again():
    pool = BufferPool(16)
    with pool.borrow() as first:
        first[:4] = b'mark'
    with pool.borrow() as second:
        assert bytes(second[:4]) == b'mark' and len(second) == 16


def test_buffers_in_use_at_once_are_different():
    pool = BufferPool(16)
    with pool.borrow() as one, pool.borrow() as other:
        one[:4] = b'mark'
        assert bytes(other[:4]) == bytes(4)


def test_a_buffer_comes_back_after_an_error():
    pool = BufferPool(16)
    with pytest.raises(ZeroDivisionError), pool.borrow() as buffer:
        buffer[:4] = b'mark'
        1 / 0
    with pool.borrow() as buffer:
        assert bytes(buffer[:4]) == b'mark'
