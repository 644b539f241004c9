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

"""File systems that fail where a tree is restored to."""

import functools
import gc
import os
import random
import shutil

import pytest

from chunked_backup import errors
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.trees import target as targets
from chunked_backup.trees.scan import TreeScanner
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.reliability import faults
from tests.reliability import stories
from tests.reliability.test_devices import CODES
from tests.reliability.test_devices import Calls
from tests.trees import compare
from tests.trees import zoo

#: What takes room, or is refused by what must not be written; of close only
#: that of a file that was written.
WRITES = ('pwrite', 'ftruncate', 'close', 'mkdir', 'symlink', 'mknod', 'link',
          'rename', 'chmod', 'chown', 'utime', 'setxattr')
#: What else is asked of a target.
OTHERS = ('open', 'listdir', 'stat', 'getxattr', 'listxattr', 'unlink',
          'rmdir', 'removexattr')
#: CI lets each so many calls fail, the long run all.
STEP = 5
#: The names of files that have several.
SEVERAL = [(b'file', b'other name'), (b'link', b'link too')]


def build(tree):
    """A little of everything that is made in its own way."""
    rng = random.Random(1)
    (tree / 'directory' / 'inner').mkdir(parents=True)
    (tree / 'directory' / 'inner' / 'file').write_bytes(rng.randbytes(5000))
    os.setxattr(tree / 'directory', 'user.name', b'value')
    (tree / 'bequeaths').mkdir()
    os.setxattr(tree / 'bequeaths', 'system.posix_acl_default',
                zoo.DEFAULT_ACL)
    (tree / 'bequeaths' / 'bare').touch()
    os.removexattr(tree / 'bequeaths' / 'bare', 'system.posix_acl_access')
    (tree / 'file').write_bytes(b'text')
    (tree / 'file').chmod(0o4711)
    os.setxattr(tree / 'file', 'user.name', b'value')
    os.link(tree / 'file', tree / 'other name')
    with (tree / 'holes').open('wb') as file:
        file.write(bytes(support.BLOCK) + b'middle')
        file.truncate(1 << 20)
    (tree / 'link').symlink_to('file')
    os.link(tree / 'link', tree / 'link too', follow_symlinks=False)
    os.mkfifo(tree / 'pipe')


def get_in_the_way(target):
    """What is there is of other kinds, or has what it is not to have."""
    (target / 'file' / 'was' / 'a').mkdir(parents=True)
    (target / 'file' / 'directory').touch()
    (target / 'other name').mkdir()
    (target / 'link').touch()
    (target / 'pipe').touch()
    (target / 'directory').touch()
    (target / 'bequeaths').mkdir(0o500)
    for name in ('user.other', 'user.more'):
        os.setxattr(target / 'bequeaths', name, b'value')
    os.setxattr(target / 'bequeaths', 'system.posix_acl_default',
                zoo.DEFAULT_ACL)


#: What the target is before a restore.
TARGETS = {'missing': lambda target: None,
           'empty': lambda target: target.mkdir(parents=True),
           'full': get_in_the_way}


class Tree:
    """A tree, the backup of it, and a target.

    :param large_files: how many files of a MiB are with it.
    :ivar named: the paths that the last restore has told of.
    """

    def __init__(self, directory, large_files=0):
        self.path = directory / 'tree'
        self.path.mkdir()
        build(self.path)
        for number in range(large_files):
            (self.path / f'large {number}').write_bytes(
                random.Random(number).randbytes(1 << 20))
        self._names = {name: names for names in SEVERAL for name in names}
        self.target = directory / 'above' / 'target'
        self.named = set()
        driver = faults.Repository('memory', directory).driver()
        self._service = TreeService(
            driver, report=lambda path, reason: self.named.add(path))
        self._backup = self._service.backup(
            str(self.path), functools.partial(TreeScanner, self.path),
            'a tree', load_engine('rsync', support.BLOCK), LevelPolicy(False))

    def clear(self, before):
        """Have the target be as before a restore."""
        shutil.rmtree(self.target.parent, ignore_errors=True)
        TARGETS[before](self.target)

    def restore(self, overwrite=True):
        self.named.clear()
        self._service.restore(self._backup, functools.partial(
            TreeTarget, self.target, overwrite=overwrite))

    def attempt(self, overwrite=True):
        """The kind of the error that a restore has ended with, or None."""
        try:
            self.restore(overwrite)
        except (errors.ChunkedBackupError, OSError) as exc:
            return type(exc)
        finally:
            gc.collect()  # the error would keep open what was written to
        return None

    def problems(self, error):
        """What is wrong with what it has come to."""
        if error is None:
            return self.unnamed()
        if issubclass(error, errors.ChunkedBackupError):
            return self.half_done()
        return [error.__name__]

    def problems_again(self):
        """What is wrong with what another try has come to."""
        self.restore()
        return [*self.named, *self.differences()]

    def differences(self):
        return compare.differences(self.path, self.target)

    def unnamed(self):
        """What a restore has not made as it was, and not told of; of a file
        with several names, by one of them."""
        told = {repr(name) for path in self.named
                for name in self._names.get(path, [path])}
        return [line for line in self.differences()
                if not any(path in line for path in told)]

    def half_done(self):
        """The files that are there and not whole."""
        for path in self.path.rglob('*'):
            found = self.target / path.relative_to(self.path)
            if (path.is_file() and found.is_file() and not path.is_symlink()
                    and path.read_bytes() != found.read_bytes()):
                yield f'{found.name} is there with wrong bytes'

    def parts(self):
        """What a restore has left under a name of its own."""
        return [path.name for path in self.target.rglob('.*.part')]


@pytest.fixture
def tree(tmp_path, conf):
    support.override(executor='serial', retry_wait_s=0.0)
    return Tree(tmp_path)


@pytest.mark.parametrize('lasting', [False, True])
@pytest.mark.parametrize('before', TARGETS)
@pytest.mark.parametrize('code', CODES)
def test_a_target_that_fails_at_every_call(tree, before, code, lasting,
                                           ledger, monkeypatch, scale):
    counted = ledger('ENOSPC, EIO, EDQUOT, EROFS, trees')
    names = WRITES if lasting else WRITES + OTHERS
    for number in stories.turns('tree', scale, STEP):
        tree.clear(before)
        with monkeypatch.context() as patch:
            calls = Calls(patch, names, code, number, lasting)
            patch.setattr(targets, 'flush',
                          calls.made('flush', targets.flush))
            error = tree.attempt(overwrite=before == 'full')
        if not calls.fired:
            break
        counted.point()
        where = f'{code} at call {number}'
        counted.silent += [f'{where}: {problem}'
                           for problem in tree.problems(error)]
        counted.left += [f'{where}: {part}' for part in tree.parts()]
        counted.silent += [f'{where}, again: {problem}'
                           for problem in tree.problems_again()]
    assert number > 50
    assert tree.differences() == []


def test_a_target_that_takes_some_bytes_at_a_time(tree, ledger, monkeypatch):
    counted = ledger('short reads and writes, trees')
    calls = Calls(monkeypatch, ('pwrite',), Calls.SHORT, None)
    for before in TARGETS:
        tree.clear(before)
        counted.silent += tree.problems_again()
    counted.point(calls.fired)
