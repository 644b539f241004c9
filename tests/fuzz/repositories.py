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

"""Repositories of which an input takes the place of one object.

Each is a full backup and an incremental. They are read from a file, so that
an input means the same tomorrow as today. ::

    python -m tests.fuzz.repositories

makes that file anew, and the inputs that change nothing; those that were found
before mean something else then, and have to be found again.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import random
import tempfile

import blake3
import msgpack
from oslo_config import cfg

from chunked_backup import opts
from chunked_backup.blocks import codecs
from chunked_backup.engines.levels import LevelPolicy
from chunked_backup.formats import tree_v1
from chunked_backup.hosts.standalone.service import VolumeService
from chunked_backup.hosts.standalone.tree_service import TreeService
from chunked_backup.hosts.standalone.tree_service import load_engine
from chunked_backup.model import Segment
from chunked_backup.trees.scan import TreeScanner
from tests import support

BLOCK, CHUNK = support.BLOCK, support.CHUNK
CONTAINER = 'backups'
_HERE = pathlib.Path(__file__).parent
_FILE = _HERE / 'repositories.msgpack'
_RECORDS = ('chunked_backup_record_', 'chunked_backup_tree_')
#: An input begins with the number of an object. From here on, what vouches
#: for that is made to fit.
FITTED = 128


@dataclasses.dataclass
class Repository:
    """:param objects: what is stored, by name, records included.
    :param ids: of the full backup, and of the incremental.
    :param expected: what the incremental restores to: the bytes of a volume,
        or those of each file by its path.
    """

    objects: dict[str, bytes]
    ids: list[str]
    expected: bytes | dict[str, bytes]

    def changed(self, data):
        """What an input says: the name of an object, whether what vouches for
        it is made to fit, and what it is now."""
        number = (data[:1] or b'\0')[0]
        names = sorted(self.objects)
        return names[number % FITTED % len(names)], number >= FITTED, data[1:]

    def plain(self, name):
        """An object, decoded if it is a segment of a tree's stream."""
        stored = self.objects[name]
        if stream_of(name) is None:
            return stored
        segment, = self.tree_manifest(self.objects, name).streams[
            stream_of(name)]
        return codecs.decompress(segment.compression, stored, segment.length)

    def tree_manifest(self, objects, name):
        """The manifest of the backup that an object is part of."""
        record = json.loads(objects[self.record_of(name)])
        return tree_v1.manifest.parse(
            objects[tree_v1.names.manifest(record['prefix'])], record['id'])

    def fit_segment(self, objects, name, plain):
        """Have an object be the only segment of its stream, with its digest
        in the manifest, and that of the manifest in the record."""
        objects[name] = codecs.compress('zlib', plain)
        manifest = self.tree_manifest(objects, name)
        manifest.streams[stream_of(name)] = [Segment(
            len(plain), len(objects[name]), 'zlib',
            blake3.blake3(objects[name]).digest())] if plain else []
        manifest_name, = (each for each in objects if each.endswith(
            tree_v1.names.manifest(manifest.id)))
        objects[manifest_name] = tree_v1.manifest.serialize(manifest)
        self.vouch(objects, manifest_name, 'manifest_sha256')

    def record_of(self, name):
        """The name of the record of the backup that an object is part of."""
        backup_id, = (each for each in self.ids if each in name)
        found, = (each for each in self.objects
                  if each.startswith(_RECORDS) and each.endswith(backup_id))
        return found

    def vouch(self, objects, name, field):
        """Have the record of an object say the sha256 that it has."""
        record = self.record_of(name)
        fields = json.loads(objects[record])
        fields[field] = hashlib.sha256(objects[name]).hexdigest()
        objects[record] = json.dumps(fields).encode()


def stream_of(name):
    """The stream of a tree that an object is a segment of, or None."""
    return next((stream for stream in tree_v1.names.STREAMS
                 if f'_{stream}_' in name), None)


@functools.cache
def load(kind):
    """The repository of a kind; see ``MAKERS``."""
    return Repository(**msgpack.unpackb(_FILE.read_bytes())[kind])


def configure():
    """Have the options that backups and restores need, within a test or
    without one."""
    if 'chunked_backup' not in cfg.CONF:
        cfg.CONF([], project='chunked_backup', default_config_files=[])
        opts.register(cfg.CONF)
    support.override(executor='serial', retry_wait_s=0.0)


# Making them.

def _volume(version, directory):
    """Compressible and not, zeros, and a block at the end that is short."""
    support.override(format_version=version, compression_algorithm='zlib')
    rng = random.Random(1)
    objects = {}
    service = VolumeService(support.memory_driver(
        stores={CONTAINER: objects}))
    data = bytearray(rng.randbytes(BLOCK) * 3 + bytes(3 * BLOCK)
                     + b'text ' * 400 + rng.randbytes(CHUNK + 100))
    volume = directory / 'volume'
    volume.write_bytes(data)
    full = service.backup(str(volume))
    data[100:105] = b'other'
    data[2 * BLOCK:3 * BLOCK] = bytes(BLOCK)
    data[4 * BLOCK:5 * BLOCK] = rng.randbytes(BLOCK)
    data += b'end'
    volume.write_bytes(data)
    incremental = service.backup(str(volume), incremental=True)
    return Repository(objects, [full.id, incremental.id], bytes(data))


def _tree(directory):
    objects = {}
    service = TreeService(support.memory_driver(stores={CONTAINER: objects}))
    tree = directory / 'tree'
    rng = random.Random(1)
    (tree / 'directory' / 'inner').mkdir(parents=True)
    (tree / 'blocks').write_bytes(rng.randbytes(3 * BLOCK + 7))
    (tree / 'directory' / 'inner' / 'file').write_bytes(b'text ' * 30)
    (tree / 'empty').touch()
    (tree / 'link').symlink_to('blocks')
    os.link(tree / 'empty', tree / 'other name')
    os.mkfifo(tree / 'queue')
    with open(tree / 'sparse', 'wb') as file:
        os.pwrite(file.fileno(), b'not a hole', 2 * CHUNK)
    ids = []
    for text in (b'first', b'second'):
        with open(tree / 'blocks', 'r+b') as file:
            os.pwrite(file.fileno(), text, BLOCK + 5)
        (tree / os.fsdecode(text)).write_bytes(text)
        ids.append(service.backup(
            '/tree', functools.partial(TreeScanner, tree), 'a tree',
            load_engine('rsync', BLOCK), LevelPolicy(True)).id)
    return Repository(objects, ids, {
        str(path.relative_to(tree)): path.read_bytes()
        for path in tree.rglob('*') if path.is_file()
        and not path.is_symlink()})


MAKERS = {'volume_v1': functools.partial(_volume, '1.0.0'),
          'volume_v2': functools.partial(_volume, '2.0.0'), 'tree': _tree}


def main():
    configure()
    made = {}
    for kind, make in MAKERS.items():
        with tempfile.TemporaryDirectory() as directory:
            repository = make(pathlib.Path(directory))
        made[kind] = vars(repository)
        corpus = _HERE / 'corpus' / f'restore_{kind}'
        corpus.mkdir(exist_ok=True)
        for number, name in enumerate(sorted(repository.objects)):
            stored = repository.objects[name]
            for first, content in ((number, stored), (
                    number + FITTED, repository.plain(name))):
                (corpus / f'nothing-is-changed-{first}').write_bytes(
                    bytes([first]) + content)
    _FILE.write_bytes(msgpack.packb(made))


if __name__ == '__main__':
    main()
