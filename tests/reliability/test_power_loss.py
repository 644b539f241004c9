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


"""Power loss: what was not synced is gone.

The file system is followed through its calls. After each of them the power
may fail; then of a file there is what was synced, and of a directory what was
synced, or, as file systems with a journal often do it, all that was changed,
which shows whether a name ever came before its bytes.
"""

import os
import pathlib
import shutil

import pytest

from chunked_backup.model import Status
from tests import support
from tests.reliability import faults
from tests.reliability import stories
from tests.reliability.test_kill import mend


class Disk:
    """Follows the changes below a directory by what ``os`` is asked.

    ``moments`` are the states that a power failure leaves: dictionaries of
    path -> bytes, of the two kinds above.
    """

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.bytes = {}  # inode -> what was synced
        self.moments = []
        self._calls = {name: getattr(os, name) for name in (
            'fsync', 'rename', 'link', 'unlink', 'mkdir', 'rmdir')}
        for path in self._files():
            self.bytes[path.stat().st_ino] = path.read_bytes()
        self.synced = {path: path.stat().st_ino for path in self._files()}

    def _files(self):
        return [path for path in self.root.rglob('*') if path.is_file()]

    def __enter__(self):
        for name, call in self._calls.items():
            setattr(os, name, self._followed(name, call))
        return self

    def __exit__(self, *_):
        for name, call in self._calls.items():
            setattr(os, name, call)

    def _followed(self, name, call):
        def followed(*arguments, **keywords):
            result = call(*arguments, **keywords)
            if name == 'fsync':
                self._sync(pathlib.Path(os.readlink(
                    f'/proc/self/fd/{arguments[0]}')))
            self.moments += [self._dropped(), self._journalled()]
            return result
        return followed

    def _sync(self, path):
        if path.is_dir():
            for other in list(self.synced):
                if other.parent == path:
                    del self.synced[other]
            self.synced |= {other: other.stat().st_ino
                            for other in path.iterdir() if other.is_file()}
        elif path.exists():
            self.bytes[path.stat().st_ino] = path.read_bytes()

    def _dropped(self):
        return {path: self.bytes.get(inode, b'')
                for path, inode in self.synced.items()}

    def _journalled(self):
        return {path: self.bytes.get(path.stat().st_ino, b'')
                for path in self._files()}


def lay_out(state, root):
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, data in state.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize(('what', 'name'), stories.cases(
    'backup', 'incremental', 'resume', 'delete', 'prune', 'gc',
    kinds=stories.KINDS))
def test_the_power_fails_at_every_moment(what, name, tmp_path, conf, ledger,
                                         monkeypatch):
    support.override(executor='serial')
    faults.no_writer_is_alive(monkeypatch)
    story = stories.tell(what, 'posix', tmp_path)
    counted = ledger('power loss' + story.suffix)
    operation = story.operation(name)
    operation.prepare()
    service = story.service()
    with Disk(story.repository.path) as disk:
        operation.run(service)
    assert disk.moments
    for number, state in enumerate(disk.moments):
        counted.point()
        lay_out(state, story.repository.path)
        counted.silent += [
            f'{name}, moment {number}: {problem}' for problem
            in story.problems(operation.kept(), changed=True)]
        if name in ('delete', 'prune'):  # which may have been broken off
            continue
        mended = operation.kept()
        mended |= mend(story, counted, f'{name}, moment {number}')
        counted.left += [f'{name}, moment {number}: {left}'
                         for left in story.collect()]
        counted.silent += [
            f'{name}, moment {number}, mended: {problem}' for problem
            in story.problems(mended, changed=True)]
    # Nothing is lost once the operation has said that it is done.
    lay_out(disk.moments[-2], story.repository.path)
    counted.silent += [f'{name}, done: {problem}'
                       for problem in operation.problems()]


def test_the_test_notices_a_file_that_is_not_synced(tmp_path, conf):
    """A rename without fsync leaves an empty record in some moment."""
    support.override(executor='serial')
    story = stories.tell('volume', 'posix', tmp_path)
    with (Disk(story.repository.path) as disk,
          pytest.MonkeyPatch.context() as patch):
        followed = os.fsync
        patch.setattr(os, 'fsync', lambda descriptor: (
            followed(descriptor) if os.path.isdir(
                f'/proc/self/fd/{descriptor}') else None))
        backup = story.back_up(story.service())
    assert backup.status == Status.AVAILABLE
    assert any(data == b'' for state in disk.moments
               for path, data in state.items() if backup.id in path.name)
