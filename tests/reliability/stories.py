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

"""What is in a repository before something fails, what is done to it, and what
has to be true afterwards: of a volume, and of a file tree."""

import functools
import io
import itertools
import os
import pathlib
import random
import shutil
import subprocess

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.formats import tree_v1
from chunked_backup.hosts.standalone import check
from chunked_backup.hosts.standalone import garbage
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.rebuild import Outcome as Rebuilt
from chunked_backup.hosts.standalone.rebuild import rebuild
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.model import Status
from chunked_backup.trees.scan import TreeScanner
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.reliability import faults
from tests.trees import compare

BLOCK, CHUNK = support.BLOCK, support.CHUNK
_TARGET_BYTES = 20000

_RECORD = 'chunked_backup_record_'
#: What the records of trees are called.
TREE_RECORD = 'chunked_backup_tree_'


class Story:
    """A repository with backups.

    :ivar contents: what each available backup has to restore to.
    :ivar child: one on which none is built.
    """

    #: What can be done to it; each is a method, ``do_...``.
    operations = ()

    #: What is added to the name of a class in the table.
    suffix = ''

    def __init__(self, repository, directory):
        self.repository = repository
        self.directory = pathlib.Path(directory)
        self.contents = {}
        self.child = None
        self.prepare()

    def operation(self, name):
        return Operation(name, self)

    # Of each kind.

    def prepare(self):
        """Make the backups."""
        raise NotImplementedError()

    def service(self, made=None):
        """:param made: the faults of its driver."""
        return self.service_over(self.repository.driver(made))

    @staticmethod
    def service_over(driver):
        raise NotImplementedError()

    def source(self):
        """What a backup made now has to restore to."""
        raise NotImplementedError()

    def back_up(self, service, incremental=False):
        raise NotImplementedError()

    def difference(self, service, backup, expected):
        """What is wrong with what a backup restores to; None if nothing."""
        raise NotImplementedError()

    def belongs_to(self, backup, name):
        """Whether an object or a record is a part of a backup."""
        raise NotImplementedError()

    def half_done(self):
        """What is wrong with the target of a restore that has failed."""
        return ()

    # Operations; all may be tried again.

    def do_backup(self, service):
        return self.back_up(service).id

    def do_incremental(self, service):
        return self.back_up(service, incremental=True).id

    def do_verify(self, service):
        service.verify(service.find(self.child))

    def do_delete(self, service):
        # The record of one that is deleted already is gone, too.
        if self.child in [backup.id for backup in service.backups()]:
            service.delete(service.find(self.child))

    def do_gc(self, service):
        garbage.collect(service.driver, grace_s=0)

    def do_rebuild(self, service):
        """Make the records anew, of which one is missing."""
        for finding in rebuild(service.driver):
            if finding.outcome not in (Rebuilt.KEPT, Rebuilt.ADDED):
                raise errors.CorruptBackup(backup_id=finding.backup_id,
                                           reason=finding.reason)

    def do_check(self, service):
        for finding in check.check(service.driver, share=1.0):
            if finding.outcome != check.Outcome.SOUND:
                # What the command makes an exit code of.
                raise errors.CorruptBackup(backup_id=finding.what,
                                           reason=finding.problem)

    def doomed(self, name):
        """The backups that an operation deletes, or has to bring back."""
        return {self.child} if name in ('delete', 'rebuild') else set()

    # What has to be true.

    def problems(self, contents=None, changed=False):
        """What is wrong with the repository: nothing, as it should be.

        :param contents: what the backups have to restore to.
        :param changed: whether other backups may be there, which then have
            to be sound.
        """
        contents = self.contents if contents is None else contents
        service = self.service()
        found = {backup.id: backup for backup in service.backups()
                 if backup.status == Status.AVAILABLE}
        for backup_id, expected in contents.items():
            if backup_id not in found:
                yield f'{backup_id} is gone'
                continue
            try:
                wrong = self.difference(service, found[backup_id], expected)
            except errors.ChunkedBackupError as exc:
                wrong = exc
            if wrong:
                yield f'{backup_id}: {wrong}'
        for backup_id in found.keys() - contents.keys():
            if not changed:
                yield f'{backup_id} is more than there should be'
                continue
            try:
                done = service.verify(found[backup_id])
            except errors.ChunkedBackupError as exc:
                yield f'{backup_id} passes for available: {exc}'
            else:
                if getattr(done, 'damaged', 0):
                    yield f'{backup_id} passes for available: {done}'

    def leave_garbage(self):
        """What a killed writer leaves: objects, and a record."""
        service = self.service()
        backup = self.back_up(service)
        backup.status = Status.CREATING
        # No process began with the machine.
        backup.writer = writer.current().rpartition('/')[0] + '/0'
        self.catalogue(service).save(backup)
        service.driver.delete_object(
            backup.container, self.names.manifest(backup.service_metadata))
        return backup.id

    def lose_record(self):
        """Of the backup on which none is built."""
        self.catalogue(self.service()).remove(self.child)

    def mend(self):
        """Do what there is for a backup whose writer was killed; its new
        state, and what has gone wrong."""
        raise NotImplementedError()

    def collect(self):
        """Collect all garbage, nobody being at work; what is left of it."""
        service = self.service()
        garbage.collect(service.driver, grace_s=0)
        return self.leftovers(service)

    def leftovers(self, service=None):
        """Files that are no part of a backup that is available, has the
        status error, or cannot be deleted as another is built on it."""
        service = service or self.service()
        backups = service.backups()
        parents = {backup.parent_id for backup in backups}
        records = [backup for backup in backups
                   if backup.status in (Status.AVAILABLE, Status.ERROR)
                   or backup.id in parents]
        return [(container, name)
                for container, name in self.repository.files()
                if not any(self.belongs_to(backup, name)
                           for backup in records)]


class VolumeStory(Story):
    """A full backup of a volume and an incremental."""

    operations = ('backup', 'incremental', 'resume', 'restore', 'verify',
                  'check', 'delete', 'gc', 'rebuild')
    names = formats.names

    def prepare(self):
        self.volume = self.directory / 'volume'
        rng = random.Random(1)
        data = bytearray(rng.randbytes(2 * CHUNK) + bytes(CHUNK)
                         + b'text ' * 400)
        self.volume.write_bytes(data)
        service = self.service()
        full = self.back_up(service)
        self.contents[full.id] = bytes(data)
        data[100:105] = b'other'
        data[CHUNK:CHUNK + BLOCK] = bytes(BLOCK)
        self.volume.write_bytes(data)
        self.child = self.back_up(service, incremental=True).id
        self.contents[self.child] = bytes(data)
        data[2 * CHUNK:2 * CHUNK + 7] = b'changed'
        self.volume.write_bytes(data)

    service_over = VolumeService

    @staticmethod
    def catalogue(service):
        return service.driver.host.catalogue

    def source(self):
        return self.volume.read_bytes()

    def back_up(self, service, incremental=False):
        return service.backup(str(self.volume), incremental=incremental)

    def difference(self, service, backup, expected):
        target = support.restored(service, backup, False,
                                  b'\xa5' * (len(expected) + 9))
        return None if target == expected else 'wrong bytes'

    def belongs_to(self, backup, name):
        return (name == _RECORD + backup.id
                or self.names.belongs_to(backup.service_metadata, name))

    def mend(self):
        """Go on with what was killed; what was stored has to be kept."""
        service = self.service()
        contents, problems = {}, []
        for backup in service.backups():
            if backup.status != Status.CREATING:
                continue
            before = (self._objects(backup) if backup.service_metadata
                      else {})
            done = service.resume(backup)
            after = self._objects(done)
            problems += [f'{name} was stored again' for name, found
                         in before.items() if after.get(name) != found]
            contents[done.id] = self.source()
        return contents, problems

    def _objects(self, backup):
        """name -> (inode, bytes) of the data objects of a backup."""
        directory = self.repository.path / backup.container
        return {path.name: (path.stat().st_ino, path.read_bytes())
                for path in directory.glob(f'{backup.service_metadata}-*')}

    def do_resume(self, service):
        """Of what ``leave_garbage`` has left, unless a failure of the resume
        has removed it."""
        for backup in service.backups():
            if backup.status == Status.CREATING:
                return service.resume(backup).id
        made = [backup.id for backup in service.backups()
                if backup.id not in self.contents]
        return made[0] if made else None

    def do_restore(self, service):
        backup = service.find(self.child)
        file = io.BytesIO(b'\xa5' * _TARGET_BYTES)
        backup.status = Status.RESTORING
        service.driver.restore(backup, 'target', file, False)
        data = self.contents[self.child]
        if file.getvalue() != data + b'\xa5' * (_TARGET_BYTES - len(data)):
            return 'wrong bytes'
        return None


class CinderFormatStory(VolumeStory):
    """The same in format 1.0.0."""

    def prepare(self):
        support.override(format_version='1.0.0')
        super().prepare()


class TreeStory(Story):
    """A full backup of a small tree, an incremental, and another full one."""

    operations = ('backup', 'incremental', 'restore', 'verify', 'check',
                  'delete', 'prune', 'gc', 'rebuild')
    suffix = ', trees'
    names = tree_v1.names
    engine = 'rsync'

    def prepare(self):
        self.tree = self.directory / 'tree'
        self.target = self.directory / 'target'  # of do_restore
        rng = random.Random(1)
        (self.tree / 'directory' / 'inner').mkdir(parents=True)
        (self.tree / 'empty').touch()
        (self.tree / 'blocks').write_bytes(rng.randbytes(20 * BLOCK + 7))
        (self.tree / 'directory' / 'text').write_bytes(b'text ' * 400)
        (self.tree / 'directory' / 'inner' / 'file').write_bytes(b'further')
        (self.tree / 'link').symlink_to('blocks')
        os.link(self.tree / 'empty', self.tree / 'directory' / 'other name')
        os.setxattr(self.tree / 'directory', 'user.name', b'value')
        service = self.service()
        for number, incremental in enumerate((False, True, False)):
            self._change(b'change %d' % number)
            backup = self.back_up(service, incremental)
            self.contents[backup.id] = self._copy(number)
        self.old, self.child, self.newest = self.contents
        self._change(b'change again')
        self._now = self._copy('now')

    def _change(self, text):
        with open(self.tree / 'blocks', 'r+b') as file:
            file.seek(5000)
            file.write(text)
        (self.tree / 'directory' / os.fsdecode(text)).write_bytes(text * 99)

    def _copy(self, name):
        """What the tree is now; cp is no code of ours."""
        path = self.directory / f'tree {name}'
        subprocess.run(['cp', '-a', self.tree, path], check=True)
        return path

    service_over = TreeService

    @staticmethod
    def catalogue(service):
        return service.catalogue

    def source(self):
        return self._now

    def back_up(self, service, incremental=False, name='a tree'):
        return service.backup(
            str(self.tree), functools.partial(TreeScanner, self.tree), name,
            load_engine(self.engine, BLOCK), LevelPolicy(incremental))

    def difference(self, service, backup, expected):
        return self._difference(service, backup, expected,
                                self.directory / 'restored')

    @staticmethod
    def _difference(service, backup, expected, target):
        shutil.rmtree(target, ignore_errors=True)
        totals = service.restore(backup, functools.partial(
            TreeTarget, target))
        if totals.damaged or totals.problems:
            return totals
        return compare.differences(expected, target)

    def belongs_to(self, backup, name):
        return (name == TREE_RECORD + backup.id
                or self.names.belongs_to(backup.prefix, name))

    def do_restore(self, service):
        return self._difference(service, service.find(self.child),
                                self.contents[self.child], self.target)

    def mend(self):
        """What was committed becomes available; the rest is garbage."""
        self.do_rebuild(self.service())
        return {}, []

    def half_done(self):
        expected = self.contents[self.child]
        for path in self.target.rglob('*'):
            whole = expected / path.relative_to(self.target)
            if path.is_file() and not path.name.endswith('.part') and (
                    path.read_bytes() != whole.read_bytes()):
                yield f'{path.name} is there with wrong bytes'

    def do_prune(self, service):
        service.prune({'last': 1}, delete=True)

    def doomed(self, name):
        if name == 'prune':
            return {self.old, self.child}
        return super().doomed(name)


#: What there are stories of.
KINDS = {'volume': VolumeStory, 'tree': TreeStory}
#: With those of another format, where it is the format that something is done
#: to.
FORMATS = {'volume 1.0.0': CinderFormatStory, **KINDS}
#: In CI the formats take turns: one does it at the first of three calls, the
#: other at the second and the third.
TURNS = {'volume 1.0.0': (0,), 'volume': (1, 2)}


def tell(what, kind, directory):
    """A story of a kind in a repository of another."""
    return FORMATS[what](faults.Repository(kind, directory), directory)


def cases(*names, kinds=FORMATS):
    """Each operation, of those named or of all, with what it is done to."""
    return [(what, name) for what, story in kinds.items()
            for name in story.operations if not names or name in names]


def turns(what, scale, step=1):
    """At which calls something is done: in CI at one, any one, of ``step``
    where it is their turn, in the long run at all."""
    step = scale(step, 1)
    mine = scale(TURNS.get(what, range(3)), range(3))
    rng = random.Random(what)
    return (step * turn + rng.randrange(step) for turn in itertools.count()
            if turn % 3 in mine)


class Operation:
    """One operation on a story, which may be tried again."""

    def __init__(self, name, story):
        self.name = name
        self.story = story
        self.result = None

    def prepare(self):
        """What has to be there first."""
        if self.name in ('gc', 'resume'):
            self.story.leave_garbage()
        elif self.name == 'rebuild':
            self.story.lose_record()

    def run(self, service):
        self.result = getattr(self.story, 'do_' + self.name)(service)

    def kept(self):
        """What the backups have to restore to, whatever becomes of it."""
        doomed = self.story.doomed(self.name)
        return {backup_id: expected for backup_id, expected
                in self.story.contents.items() if backup_id not in doomed}

    def expected(self):
        """The same when it has succeeded."""
        if self.name in ('backup', 'incremental', 'resume') and self.result:
            return self.kept() | {self.result: self.story.source()}
        if self.name == 'rebuild':
            return dict(self.story.contents)
        return self.kept()

    def problems(self):
        """What is wrong after it has succeeded."""
        yield from self.story.problems(self.expected())
        if self.name == 'restore' and self.result:
            yield f'the restore has succeeded: {self.result}'
