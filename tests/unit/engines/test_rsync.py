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

from unittest import mock

import pytest

from chunked_backup import delta
from chunked_backup import errors
from chunked_backup.engines.rsync import RsyncEngine
from chunked_backup.engines.rsync import _long_enough
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1.index import Extents
from chunked_backup.formats.tree_v1.index import Place

_TIB = 1 << 40


@pytest.mark.parametrize('size, block_size', [
    (0, 65536), (65536 << 20, 65536), ((65536 << 20) + 1, 131072),
    (_TIB, 1 << 20), (4 * _TIB, 4 << 20), (99 * _TIB, 4 << 20)])
def test_long_files_have_longer_blocks(size, block_size):
    assert _long_enough(65536, size) == block_size


def test_blocks_never_get_longer_than_a_signature_takes():
    for block_size in (1, 1000, 65536, 3 << 20, delta.MAX_BLOCK_SIZE_BYTES):
        assert block_size <= _long_enough(block_size, 999 * _TIB) <= (
            delta.MAX_BLOCK_SIZE_BYTES)


@pytest.mark.parametrize('block_size', [
    0, -1, delta.MAX_BLOCK_SIZE_BYTES + 1])
def test_blocks_that_no_signature_takes_are_refused(block_size):
    with pytest.raises(errors.InvalidInput, match='block size'):
        RsyncEngine(block_size)


@pytest.mark.parametrize('places', [
    [], [(0, 0, 299)], [(0, 0, 300), (0, 0, 1)], [(0, 2 ** 64 - 300, 300)]])
def test_a_signature_of_another_file_than_the_extents_is_damage(places):
    """Of a parent that somebody has altered, and all digests with it."""
    engine = RsyncEngine(64)
    extents = Extents()
    for place in places:
        extents.add(*place)
    data = delta.gen_sig_from_stream(b'x' * 300, block_size_bytes=64)
    engine.parent = mock.Mock(**{'read.return_value': data.to_bytes(),
                                 'newest.manifest.id': 'parent'})
    engine.monitor = engine._cache = mock.Mock()
    old = Content(bytes(32), extents.pack(), Place(0, 0, 1))
    with pytest.raises(errors.CorruptBackup, match='signature'):
        engine._encoder(old, 300)
