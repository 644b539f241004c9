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

from chunked_backup import errors
from chunked_backup.jobs import settings


@pytest.mark.parametrize('chunk, block', [(0, 512), (-512, 512), (512, 0),
                                          (512, -1)])
def test_sizes_must_be_above_zero(chunk, block):
    with pytest.raises(errors.ConfigurationError, match='above 0'):
        settings.Settings(chunk, block)


@pytest.mark.parametrize('chunk, block', [(1000, 512), (256, 512)])
def test_a_chunk_is_whole_blocks(chunk, block):
    with pytest.raises(errors.ConfigurationError, match='no multiple'):
        settings.Settings(chunk, block)


def test_no_backup_is_written_that_no_restore_takes():
    settings.Settings(2 << 30, 2 << 30)
    with pytest.raises(errors.ConfigurationError, match='above 2147483648'):
        settings.Settings(4 << 30, 4 << 30)


@pytest.mark.parametrize('block, piece', [
    (32768, 1 << 20), (300000, 900000), (1 << 20, 1 << 20),
    (3 << 20, 3 << 20)])
def test_a_piece_is_whole_blocks_and_about_a_mebibyte(block, piece):
    assert settings.piece_bytes(block) == piece


MIB = 1 << 20


@pytest.mark.parametrize('parallelism, limit, block, driver, expected', [
    (4, 256 * MIB, 32768, 0, 4),
    (100, 256 * MIB, 32768, 0, 25),
    (100, 256 * MIB, 32768, 8 * MIB, 14),
    (100, 256 * MIB, 32 * MIB, 0, 3),
    (4, 1, 32768, 0, 1),
])
def test_as_many_objects_are_in_work_as_fit_into_the_memory(
        parallelism, limit, block, driver, expected):
    assert settings.objects_in_work(parallelism, limit, block,
                                    driver) == expected
