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

"""A disk that fails, below a real file system and as a volume."""

import gc
import os
import random
import shutil

import pytest

from chunked_backup import errors
from chunked_backup.endpoints import sink
from chunked_backup.flow import write_back
from chunked_backup.flow.buffers import BufferPool
from chunked_backup.model import Status
from tests import support
from tests.reliability import bad_disk
from tests.reliability import faults
from tests.reliability import stories
from tests.reliability.test_tree_targets import Tree

SIZE_BYTES = 64 << 20
WINDOW_BYTES = 4 << 20
CLASS = 'erroring disk'


@pytest.fixture
def disk(tmp_path, conf, monkeypatch):
    support.override(executor='serial', retry_wait_s=0.0)
    faults.no_writer_is_alive(monkeypatch)
    directory = tmp_path / 'disk'
    directory.mkdir()
    with bad_disk.BadDisk(directory, SIZE_BYTES) as disk:
        yield disk


@pytest.fixture(params=stories.KINDS)
def story(request, disk, tmp_path):
    """Its repository is on the disk, what it backs up is elsewhere."""
    disk.format()
    return stories.KINDS[request.param](
        faults.Repository('posix', disk.mount), tmp_path)


@pytest.mark.parametrize('start', range(0, 1 << 20, 128 << 10))
def test_a_write_that_fails_in_part_has_failed(disk, start):
    disk.fail(writes=True, start=start, end=start + 1)
    number = os.open(disk.device, os.O_WRONLY | os.O_DIRECT)
    try:
        with (BufferPool(1 << 20).borrow() as data,
              pytest.raises(OSError, match='Input/output error')):
            os.pwrite(number, data, 0)
    finally:
        os.close(number)


def outcome(operation):
    """The error that an operation has ended with."""
    try:
        operation.run(operation.story.service())
    except errors.ChunkedBackupError as exc:
        return exc
    return None


def exit_code(function, *arguments, **keywords):
    """What the command returns; no error is kept, which would keep the
    descriptors of its device open."""
    try:
        function(*arguments, **keywords)
    except errors.ChunkedBackupError as exc:
        return exc.exit_code
    return 0


def test_what_cannot_be_read_of_a_repository(disk, story, ledger):
    """Each file of it: restores fail or are right, checks always tell."""
    counted = ledger(CLASS + story.suffix)
    root = story.repository.path
    for container, name in sorted(story.repository.files()):
        path = root / container / name
        start, end = disk.place(path)
        disk.forget()
        disk.fail(reads=True, start=start, end=end)
        for verb in ('restore', 'verify', 'check'):
            counted.point()
            operation = story.operation(verb)
            error = outcome(operation)
            if error is None and (verb == 'check' or operation.result):
                counted.silent.append(f'{verb} without {name}: '
                                      f'{operation.result}')
        disk.heal()
    disk.forget()
    counted.silent += story.problems()
    assert disk.failed()[0] > 0


def test_what_cannot_be_written_to_a_repository(disk, story, ledger):
    """Wherever it would be: what was committed stays."""
    counted = ledger(CLASS + story.suffix)
    for verb in ('backup', 'incremental', 'delete'):
        for start in [None, *range(0, SIZE_BYTES, WINDOW_BYTES)]:
            before = disk.failed()[1]
            if start is None:
                disk.fail(writes=True)
            else:
                disk.fail(writes=True, start=start,
                          end=start + WINDOW_BYTES)
            operation = story.operation(verb)
            error = outcome(operation)
            disk.repair()
            if disk.failed()[1] == before:
                continue  # nothing had to be there
            counted.point()
            where = f'{verb}, from {start}'
            contents = operation.kept()
            if error is None:
                contents = operation.expected()
            counted.silent += [f'{where}: {problem}' for problem
                               in story.problems(contents, changed=True)]
            counted.left += [f'{where}: {left}' for left in story.collect()]
            if verb == 'delete':
                assert error is not None  # or there is nothing to delete
    assert counted.points > 5


def fill(filler, free_bytes):
    """Leave so much room."""
    with open(filler, 'wb', buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
        size_bytes = filler.stat().st_size
        file.truncate(max(0, size_bytes - free_bytes))


def test_a_file_system_that_is_full(disk, story, ledger):
    counted = ledger('full file system' + story.suffix)
    filler = disk.mount / 'filler'
    for free_bytes in range(0, 120 << 10, 12 << 10):
        fill(filler, free_bytes)
        for verb in ('backup', 'incremental'):
            operation = story.operation(verb)
            error = outcome(operation)
            where = f'{verb} with {free_bytes} free'
            if error is None:
                story.service().delete(
                    story.service().find(operation.result))
                continue
            counted.point()
            if not isinstance(error, errors.OutOfSpace):
                counted.silent.append(f'{where}: {error!r}')
            counted.silent += [f'{where}: {problem}'
                               for problem in story.problems()]
            counted.left += [f'{where}: {left}' for left in story.collect()
                             if left[1] != filler.name]
        filler.unlink()
    operation = story.operation('backup')
    assert outcome(operation) is None
    counted.silent += operation.problems()


@pytest.fixture
def tree(disk, tmp_path):
    """A tree that is restored to the disk."""
    disk.format()
    tree = Tree(tmp_path, large_files=12)
    tree.target = disk.mount / 'target'
    yield tree
    gc.collect()  # what a restore has left open would keep the disk busy


def test_a_tree_to_a_disk_that_cannot_be_written(disk, tree, ledger):
    """Wherever it would be: what was said to be done is on the disk."""
    counted = ledger(CLASS + ', trees')
    for start in [None, *range(0, SIZE_BYTES, WINDOW_BYTES)]:
        before = disk.failed()[1]
        if start is None:
            disk.fail(writes=True)
        else:
            disk.fail(writes=True, start=start, end=start + WINDOW_BYTES)
        error = tree.attempt()
        disk.repair()
        if disk.failed()[1] > before:
            counted.point()
            # What was written may be lost, once that was said.
            if error is not errors.TreeTargetFailed:
                counted.silent += [f'from {start}: {problem}'
                                   for problem in tree.problems(error)]
        shutil.rmtree(tree.target, ignore_errors=True)
        counted.silent += tree.problems_again()
        shutil.rmtree(tree.target)
    assert counted.points > 5


def test_a_tree_to_a_file_system_that_is_full(disk, tree, ledger):
    counted = ledger('full file system, trees')
    filler = disk.mount / 'filler'
    for free_bytes in range(0, 12 << 20, 2 << 20):
        fill(filler, free_bytes)
        error = tree.attempt()
        counted.point()
        where = f'{free_bytes} free'
        if error is not errors.TreeTargetFailed:
            counted.silent.append(f'{where}: {error}')
        counted.silent += [f'{where}: {problem}'
                           for problem in tree.half_done()]
        counted.left += [f'{where}: {part}' for part in tree.parts()]
        filler.unlink()
        counted.silent += [f'{where}, again: {problem}'
                           for problem in tree.problems_again()]
        shutil.rmtree(tree.target)


def test_a_volume_with_bad_sectors(disk, tmp_path, ledger):
    """A backup says where they are, and leaves nothing; one without comes to
    be when they are gone."""
    counted = ledger(CLASS)
    support.override('chunked_backup_posix', path=str(tmp_path / 'store'),
                     chunk_size_bytes=1 << 20, sha_block_size_bytes=32 << 10)
    data = random.Random(1).randbytes(8 << 20)
    with open(disk.device, 'r+b') as device:
        device.write(data)
    story_service = support.service(support.posix_driver(
        tmp_path / 'store', 1 << 20, 32 << 10))
    first = story_service.backup(disk.device)
    for incremental in (False, True):
        for start in range(0, len(data), 1 << 20):
            place = start + 4096 * (start >> 20)
            disk.forget()
            disk.fail(reads=True, start=place, end=place + 4096)
            counted.point()
            with pytest.raises((errors.VolumeIOError,
                                errors.InvalidVolume)) as caught:
                story_service.backup(disk.device, incremental=incremental)
            offset = getattr(caught.value, 'offset', place)
            if not place - (2 << 20) < offset <= place:
                counted.silent.append(f'{place}: {caught.value}')
            disk.heal()
            counted.left += [backup.id for backup in story_service.backups()
                             if backup.id != first.id]
    disk.forget()
    backup = story_service.backup(disk.device, incremental=True)
    assert support.restored(story_service, backup)[:len(data)] == data


@pytest.mark.parametrize('is_past_cache', [True, False])
def test_a_target_with_bad_sectors(disk, tmp_path, ledger, monkeypatch,
                                   is_past_cache):
    """What the system was told to write back early is found to have failed,
    too."""
    if not is_past_cache:
        monkeypatch.setattr(sink.direct, 'open_direct', lambda _: None)
        monkeypatch.setattr(write_back, '_WRITE_BACK_BYTES', 256 << 10)
    counted = ledger(CLASS)
    story = stories.tell('volume', 'posix', tmp_path)
    service = story.service()
    volume = tmp_path / 'large'
    volume.write_bytes(random.Random(2).randbytes(SIZE_BYTES // 16))
    backup = service.backup(str(volume))
    for start in range(0, SIZE_BYTES // 16, 512 << 10):
        disk.fail(writes=True, start=start, end=start + 4096)
        counted.point()
        code = exit_code(service.restore, backup, disk.device, force=True)
        if code not in (6, 7):
            counted.silent.append(f'{start}: exit code {code}')
        disk.heal()
    service.restore(backup, disk.device, force=True)
    assert backup.status == Status.AVAILABLE
    disk.forget()
    with open(disk.device, 'rb') as device:
        assert device.read(SIZE_BYTES // 16) == volume.read_bytes()
