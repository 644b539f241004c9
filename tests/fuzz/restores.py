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

"""Whole restores from repositories in which one object is another.

What comes of one is right, or it is refused by an error of ours.
"""

import atexit
import contextlib
import functools
import hashlib
import io
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

import blake3

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.formats import tree_v1
from chunked_backup.hosts.standalone.record import require_available
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.fuzz import repositories
from tests.trees import compare

_VERSIONS = {'volume_v1': '1.0.0', 'volume_v2': '2.0.0'}
#: A file that is longer takes its time.
_LONGEST_FILE_BYTES = 1 << 20
_MEMORY = '/dev/shm'


def volume(kind, data):
    """Restore an incremental; whether that was not refused.

    A manifest of which the record says that it is right changes nothing: the
    digest table tells. Such a digest table says what is right.
    """
    repositories.configure()
    repository = repositories.load(kind)
    name, is_fitted, content = repository.changed(data)
    objects = repository.objects | {name: content}
    newest = repository.ids[-1]
    is_told = False
    if is_fitted and name.endswith(formats.names.DIGEST_TABLE_SUFFIX):
        repository.vouch(objects, name, 'digest_table_sha256')
        is_told = newest in name
    elif is_fitted and name.endswith(formats.names.MANIFEST_SUFFIX):
        repository.vouch(objects, name, 'manifest_sha256')
    restored = _restored_volume(objects, newest, len(repository.expected))
    if restored is None:
        return False
    if is_told:
        assert _digests(restored) == _table(kind, content, newest)
    else:
        assert restored == repository.expected, 'wrong bytes'
    return True


def _restored_volume(objects, backup_id, size_bytes):
    service = VolumeService(support.memory_driver(
        stores={repositories.CONTAINER: objects}))
    try:
        backup = service.find(backup_id)
        require_available(backup, 'restored')
        return support.restored(service, backup, False,
                                b'\xa5' * (size_bytes + support.CHUNK))
    except errors.ChunkedBackupError:
        return None


def _digests(plain):
    return b''.join(
        hashlib.sha256(plain[start:start + support.BLOCK]).digest()
        for start in range(0, len(plain), support.BLOCK))


def _table(kind, content, backup_id):
    found = bytearray()
    formats.of(_VERSIONS[kind]).digest_table.parse(
        lambda: contextlib.nullcontext(io.BytesIO(content)), backup_id,
        found.extend)
    return bytes(found)


def tree(data):
    """Restore an incremental; whether that was not refused.

    What comes back is right, or named. Where an index and all that vouches
    for it was written by somebody, each file is what that says, and there is
    nothing outside of the target.
    """
    repositories.configure()
    repository = repositories.load('tree')
    name, is_fitted, content = repository.changed(data)
    objects = repository.objects | {name: content}
    stream = repositories.stream_of(name)
    if is_fitted and stream:
        repository.fit_segment(objects, name, content)
    elif is_fitted and name.endswith('_manifest'):
        repository.vouch(objects, name, 'manifest_sha256')
    told = None
    if is_fitted and stream == 'index' and repository.ids[-1] in name:
        told = list(_records(content))
        if any(entry.size > _LONGEST_FILE_BYTES for entry, _ in told):
            return False
    with tempfile.TemporaryDirectory(
            dir=_MEMORY if os.path.isdir(_MEMORY) else None) as top:
        return _restored_tree(pathlib.Path(top), objects, repository, told)


def _records(index):
    """The records of an index up to where it is broken."""
    with contextlib.suppress(errors.CorruptBackup):
        yield from tree_v1.index.unpack([index], '')


def _restored_tree(top, objects, repository, told):
    """:param told: the records of an index that was made to fit."""
    target = top / 'above' / 'target'
    target.parent.mkdir()
    named = set()
    service = TreeService(
        support.memory_driver(stores={repositories.CONTAINER: objects}),
        report=lambda path, reason: named.add(path))
    totals = None
    with contextlib.suppress(errors.ChunkedBackupError):
        totals = service.restore(service.find(repository.ids[-1]),
                                 functools.partial(TreeTarget, target))
    try:
        assert os.listdir(top) == ['above']
        assert os.listdir(target.parent) in ([], ['target'])
        if told is not None:
            _check_files(told, target, named, is_whole=totals is not None)
        elif totals is not None:
            _check_tree(totals, target, named)
    finally:
        # It may be too deep for Python.
        subprocess.run(['rm', '-rf', target], check=True)
    return totals is not None


def _check_files(told, target, named, is_whole):
    """Each that is there is what the index says, and each is there or is
    named."""
    for entry, content in told:
        if content is None or entry.hardlink is not None:
            continue
        path = os.path.join(os.fsencode(target), entry.path)
        try:
            status = os.lstat(path)
        except OSError:
            assert not is_whole or entry.path in named, entry
            continue
        assert stat.S_ISREG(status.st_mode)
        with open(path, 'rb') as file:
            assert blake3.blake3(file.read()).digest() == content.digest, entry


def _check_tree(totals, target, named):
    """What was not named is as it should be."""
    lines = compare.differences(_whole_tree(), target)
    if totals.damaged:
        left = {repr(path) for path in named}
        lines = [line for line in lines if line.split(': ')[0] not in left
                 and 'is the same as' not in line and 'mtime' not in line]
    assert not lines, lines


@functools.cache
def _whole_tree():
    """A directory with what the repository restores to."""
    repository = repositories.load('tree')
    target = pathlib.Path(tempfile.mkdtemp()) / 'whole'
    service = TreeService(support.memory_driver(
        stores={repositories.CONTAINER: dict(repository.objects)}))
    service.restore(service.find(repository.ids[-1]),
                    functools.partial(TreeTarget, target))
    atexit.register(shutil.rmtree, target.parent)
    assert repository.expected == {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob('*')
        if path.is_file() and not path.is_symlink()}
    return target
