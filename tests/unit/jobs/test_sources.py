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

"""The map of a volume, against a model that knows who wrote each block."""

import dataclasses
import os
import random

import pytest

from chunked_backup import errors
from chunked_backup import formats
from tests import support
from tests.unit import harness

BLOCKS = 60


def owners(driver, backup):
    """The backup of each block, as the map has it."""
    ranges = driver.map_backup(backup)
    assert ranges[0].start == 0
    for left, right in zip(ranges, ranges[1:]):
        assert left.end == right.start
        assert left.backup_id != right.backup_id
    return [next(each.backup_id for each in ranges
                 if each.start <= block * support.BLOCK < each.end)
            for block in range(BLOCKS)]


@pytest.mark.parametrize('seed', range(2))
def test_each_block_is_of_the_last_that_has_written_it(each_format, seed):
    rng = random.Random(seed)
    support.override(merge_gap_bytes=0)  # otherwise one may store more
    driver = harness.attach(harness.CountingDriver(
        None, support.CHUNK, support.BLOCK))
    blocks = [rng.choice([bytes(support.BLOCK), os.urandom(support.BLOCK)])
              for _ in range(BLOCKS)]
    expected = ['0' if any(block) else None for block in blocks]
    backup = harness.back_up(driver, '0', b''.join(blocks))
    assert owners(driver, backup) == expected
    for level in range(1, 5):
        for block in rng.sample(range(BLOCKS), 9):
            blocks[block] = rng.choice([bytes(support.BLOCK),
                                        os.urandom(support.BLOCK)])
            expected[block] = str(level) if any(blocks[block]) else None
        backup = harness.back_up(driver, str(level), b''.join(blocks),
                                 str(level - 1))
        driver.opened.clear()
        assert owners(driver, backup) == expected
        assert not any(name[-5:].isdigit() for name in driver.opened)
    assert driver.opened


def test_a_chain_that_lacks_a_part_is_named(each_format):
    """The manifest of an incremental passes for that of a full backup."""
    driver = harness.memory_driver()
    volume = os.urandom(4 * support.CHUNK)
    harness.back_up(driver, 'parent', volume)
    full = harness.back_up(driver, 'full', bytes(support.BLOCK)
                           + volume[support.BLOCK:], 'parent')
    manifest = harness.manifest_of(driver, full)
    full.parent_id = None
    manifest.record = dataclasses.replace(manifest.record, parent_id=None)
    driver.stores['backups'][full.service_metadata + '_metadata'] = b''.join(
        formats.of(each_format).manifest.serialize(manifest))

    with pytest.raises(errors.CorruptBackup, match='no object holds'):
        driver.map_backup(full)
