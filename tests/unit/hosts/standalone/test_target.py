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
import os

import pytest

from chunked_backup import errors
from chunked_backup.endpoints.marked import NOTE
from chunked_backup.hosts.standalone.target import open_target


def fill(path, force=False, data=b'restored', volume_bytes=None):
    with open_target(str(path), force, 'a backup') as target:
        target.sink.prepare(len(data))
        target.sink.write(0, memoryview(data))
        target.sink.flush()
        if volume_bytes is not None:
            target.finish(volume_bytes)
        return target.is_new


def test_a_new_file_appears_when_the_restore_has_succeeded(tmp_path):
    path = tmp_path / 'target'
    with open_target(str(path), False, 'a backup') as target:
        target.sink.write(0, memoryview(b'restored'))
        assert target.is_new and not path.exists()
    assert path.read_bytes() == b'restored'
    assert os.listdir(tmp_path) == ['target']


@pytest.mark.parametrize('error', [ZeroDivisionError, KeyboardInterrupt])
def test_a_new_file_of_a_restore_that_failed_is_gone(tmp_path, error):
    with (pytest.raises(error),
          open_target(str(tmp_path / 'target'), False, 'a backup')):
        raise error
    assert os.listdir(tmp_path) == []


def test_what_has_appeared_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / 'target'
    with pytest.raises(errors.TargetNotEmpty):
        with open_target(str(path), False, 'a backup'):
            path.write_bytes(b'somebody else\'s')
    assert path.read_bytes() == b'somebody else\'s'
    assert os.listdir(tmp_path) == ['target']


def test_an_empty_file_is_filled_in_place(tmp_path):
    path = tmp_path / 'target'
    path.touch()
    inode = path.stat().st_ino
    assert fill(path)
    assert path.read_bytes() == b'restored' and path.stat().st_ino == inode


def test_a_file_with_content_needs_force(tmp_path):
    path = tmp_path / 'target'
    path.write_bytes(b'old')
    with pytest.raises(errors.TargetNotEmpty):
        fill(path)
    assert path.read_bytes() == b'old'


def test_a_file_that_is_overwritten_is_cut_to_the_volume(tmp_path):
    path = tmp_path / 'target'
    path.write_bytes(b'old content that is longer')
    inode = path.stat().st_ino
    assert not fill(path, force=True, volume_bytes=8)
    assert path.read_bytes() == b'restored' and path.stat().st_ino == inode


def test_a_file_whose_restore_fails_says_that_it_is_incomplete(tmp_path):
    path = tmp_path / 'target'
    path.write_bytes(bytes(3 << 20))
    with pytest.raises(errors.TargetIncomplete) as caught:
        with open_target(str(path), True, 'a backup') as target:
            target.sink.prepare(2 << 20)
            target.sink.write(1 << 20, memoryview(b'new'))
            target.sink.write(0, memoryview(b'new'))
            raise errors.OutOfSpace(container='c', object_name='o',
                                    reason='the disk is full')
    assert path.read_bytes().startswith(NOTE + b'of backup a backup\n\0')
    assert path.stat().st_size == 3 << 20
    for word in ('a backup', str(path), 'the disk is full'):
        assert word in str(caught.value)


@pytest.mark.parametrize('error', [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_tells_of_an_incomplete_target(tmp_path, error):
    path = tmp_path / 'target'
    path.write_bytes(b'old')
    with pytest.raises(errors.TargetIncomplete, match='interrupted'):
        with open_target(str(path), True, 'a backup') as target:
            target.sink.prepare(3)
            raise error()


def test_a_file_that_was_not_touched_is_not_incomplete(tmp_path):
    path = tmp_path / 'target'
    path.write_bytes(b'old')
    with pytest.raises(ZeroDivisionError):
        with open_target(str(path), True, 'a backup'):
            1 / 0
    assert path.read_bytes() == b'old'


def test_an_empty_file_is_empty_again_when_the_restore_fails(tmp_path):
    path = tmp_path / 'target'
    path.touch()
    with pytest.raises(ZeroDivisionError):
        with open_target(str(path), False, 'a backup') as target:
            target.sink.prepare(2 << 20)
            target.sink.write(1 << 20, memoryview(b'new'))
            assert path.read_bytes().startswith(NOTE)
            1 / 0
    assert path.read_bytes() == b''


@pytest.mark.parametrize('force', [True, False])
def test_what_is_no_file_and_no_device_is_refused(tmp_path, force):
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path, tmp_path / 'pipe', '/dev/null'):
        with pytest.raises(errors.InvalidVolume, match='neither'):
            fill(path, force)


def test_a_directory_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(errors.InvalidVolume, match='No such file'):
        fill(tmp_path / 'missing' / 'target')


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(errors.InvalidVolume, match='Not a directory'):
        fill(tmp_path / 'file' / 'target')


def test_a_link_to_nowhere_is_left_alone(tmp_path):
    path = tmp_path / 'link'
    path.symlink_to(tmp_path / 'nowhere')
    with pytest.raises(errors.TargetNotEmpty):
        fill(path)
    assert path.is_symlink() and os.listdir(tmp_path) == ['link']


@pytest.mark.parametrize('call', ['ftruncate', 'fsync'])
def test_a_file_that_cannot_be_cut_is_an_error_of_the_volume(
        tmp_path, monkeypatch, call):
    path = tmp_path / 'target'
    path.write_bytes(b'old content that is longer')

    def fail(*_):
        raise OSError(errno.ENOSPC, 'the disk is full')

    with pytest.raises(errors.VolumeIOError, match='No space left'):
        with open_target(str(path), True, 'a backup') as target:
            target.sink.prepare(8)
            target.sink.write(0, memoryview(b'restored'))
            target.sink.flush()
            monkeypatch.setattr(os, call, fail)
            target.finish(8)
