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

from chunked_backup.formats import fields


@pytest.mark.parametrize('size', [1, 32768, 2 << 30])
def test_a_block_size_comes_back(size):
    assert fields.block_size_of({'size': size}, 'size') == size


@pytest.mark.parametrize('header', [
    {}, *({'size': size} for size in (
        None, 0, -1, (2 << 30) + 1, True, 512.0, '512'))], ids=str)
def test_what_is_no_block_size_is_refused(header):
    with pytest.raises(fields.InvalidDocument, match='no block size'):
        fields.block_size_of(header, 'size')
