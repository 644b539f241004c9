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

import errno
import io
import os

import pytest

from chunked_backup import errors
from chunked_backup.endpoints import source
from chunked_backup.model import Region
from tests.unit import harness

MIB = 1 << 20


@pytest.fixture
def sparse(tmp_path):
    """Data in the second and the sixth MiB of eight, holes elsewhere."""
    path = tmp_path / 'volume'
    with open(path, 'w+b') as file:
        file.truncate(8 * MIB)
        os.pwrite(file.fileno(), b'd' * MIB, MIB)
        os.pwrite(file.fileno(), b'd' * 100, 5 * MIB + 4096)
        yield file


def read(opened, offset, count):
    buffer = bytearray(count)
    opened.read_into(offset, memoryview(buffer))
    return bytes(buffer)


def test_a_file_is_read_by_position_and_keeps_its_own(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(b'0123456789')
    with open(path, 'rb', buffering=0) as file:
        file.seek(3)
        opened = source.open_source(file)
        assert opened.size_bytes == 10
        assert read(opened, 6, 4) == b'6789'
        assert file.tell() == 3


def test_a_file_like_object_needs_no_descriptor():
    opened = source.open_source(harness.ShortFile(b'0123456789'))
    assert isinstance(opened, source.SeekSource)
    assert opened.size_bytes == 10
    assert read(opened, 2, 3) == b'234'


def test_short_reads_are_joined():
    data = bytes(range(256))
    opened = source.open_source(harness.ShortFile(data, most=7))
    assert read(opened, 3, 250) == data[3:253]


def test_short_reads_of_a_descriptor_are_joined(tmp_path, monkeypatch):
    path = tmp_path / 'volume'
    path.write_bytes(bytes(range(256)))
    preadv = os.preadv
    monkeypatch.setattr(
        source.os, 'preadv', lambda descriptor, buffers, offset: preadv(
            descriptor, [buffers[0][:7]], offset))
    with open(path, 'rb') as file:
        assert read(source.open_source(file), 3, 250) == bytes(
            range(3, 253))


def test_a_proxy_is_unwrapped():
    class Proxy:
        def __init__(self, inner):
            self._obj = inner

    inner = io.BytesIO(b'data')
    assert source.unwrap(Proxy(inner)) is inner
    assert read(source.open_source(Proxy(inner)), 0, 4) == b'data'


@pytest.mark.parametrize('number', [None, 'five', 5])
def test_only_a_number_is_a_descriptor(number):
    class File:
        def fileno(self):
            return number

    assert source.descriptor_of(File()) == (5 if number == 5 else None)


def test_a_volume_that_ends_early_is_an_error(tmp_path):
    path = tmp_path / 'volume'
    path.write_bytes(bytes(100))
    with open(path, 'r+b') as file:
        opened = source.open_source(file)
        file.truncate(60)
        assert read(opened, 0, 60) == bytes(60)
        with pytest.raises(errors.VolumeIOError, match='ended early') as info:
            read(opened, 50, 50)
    assert info.value.offset == 60


def test_a_file_like_volume_that_ends_early_is_an_error():
    volume_file = io.BytesIO(bytes(100))
    opened = source.open_source(volume_file)
    volume_file.truncate(60)
    with pytest.raises(errors.VolumeIOError, match='ended early'):
        read(opened, 0, 100)


@pytest.mark.parametrize('error, text', [
    (OSError(errno.EIO, 'whatever'), os.strerror(errno.EIO)),
    (OSError('a text of its own'), 'a text of its own')])
def test_a_device_that_fails_is_an_error_with_offset(error, text):
    class Failing(harness.ShortFile):
        def read(self, size):
            if self.tell() >= 14:
                raise error
            return super().read(size)

    with pytest.raises(errors.VolumeIOError, match=text) as info:
        read(source.open_source(Failing(bytes(100))), 0, 100)
    assert info.value.offset == 14


def test_holes_are_found(sparse):
    regions = list(source.open_source(sparse).regions(4096))
    assert regions == [
        Region(0, MIB, True), Region(MIB, 2 * MIB),
        Region(2 * MIB, 5 * MIB + 4096, True),
        Region(5 * MIB + 4096, 5 * MIB + 8192),
        Region(5 * MIB + 8192, 8 * MIB, True)]


def test_regions_begin_on_block_boundaries(sparse):
    block = 3 * 32768
    regions = list(source.open_source(sparse).regions(block))
    assert all(region.start % block == 0 for region in regions)
    assert regions[0].start == 0 and regions[-1].end == 8 * MIB
    assert all(one.end == other.start
               for one, other in zip(regions, regions[1:]))
    assert any(region.zero for region in regions)


def test_a_file_system_that_knows_no_holes_is_all_data(sparse, monkeypatch):
    opened = source.open_source(sparse)

    def lseek(descriptor, offset, whence):
        raise OSError(errno.EINVAL, 'no')

    monkeypatch.setattr(source.os, 'lseek', lseek)
    assert list(opened.regions(4096)) == [Region(0, 8 * MIB)]


@pytest.mark.parametrize('whence', [os.SEEK_DATA, os.SEEK_HOLE])
def test_an_error_while_finding_holes_is_typed(sparse, monkeypatch, whence):
    opened = source.open_source(sparse)
    lseek = os.lseek

    def failing(descriptor, offset, how):
        if how == whence:
            raise OSError(errno.EIO, 'no')
        return lseek(descriptor, offset, how)

    monkeypatch.setattr(source.os, 'lseek', failing)
    with pytest.raises(errors.VolumeIOError, match='holes'):
        list(opened.regions(4096))


def test_a_file_like_object_has_no_known_holes():
    opened = source.open_source(harness.ShortFile(bytes(8192)))
    assert list(opened.regions(4096)) == [Region(0, 8192)]


def test_what_grows_after_the_opening_is_left_out(sparse):
    opened = source.open_source(sparse)
    sparse.truncate(32 * MIB)
    os.pwrite(sparse.fileno(), b'later', 20 * MIB)
    regions = list(opened.regions(4096))
    assert regions[-1] == Region(5 * MIB + 8192, 8 * MIB, True)
    assert all(one.end == other.start
               for one, other in zip(regions, regions[1:]))


def test_what_is_cut_off_after_the_opening_is_no_hole(sparse):
    opened = source.open_source(sparse)
    sparse.truncate(3 * MIB)
    with pytest.raises(errors.VolumeIOError, match='ended early'):
        list(opened.regions(4096))


def test_the_size_of_a_device_leaves_its_position(tmp_path):
    descriptor = os.open('/dev/zero', os.O_RDONLY)
    try:
        assert source.device_size_bytes(descriptor) == 0
    finally:
        os.close(descriptor)
