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

"""A chain of three backups in memory, made once, to be damaged many times."""

import base64
import bz2
import functools
import json
import pathlib
import random
import struct
import tempfile
import zlib

import zstandard

from chunked_backup import errors
from tests import support

CODECS = ['none', 'zlib', 'bz2', 'zstd']
#: In what is damaged: the format and the codec.
FORMATS = [('1.0.0', codec) for codec in CODECS] + [
    ('2.0.0', codec) for codec in CODECS]
KINDS = ['data', 'digest table', 'manifest', 'record']
BLOCK = support.BLOCK
VOLUME_BYTES = 40 * BLOCK

_DECOMPRESS = {'none': bytes, 'zlib': zlib.decompress, 'bz2': bz2.decompress,
               'zstd': lambda data: zstandard.ZstdDecompressor().decompress(
                   data)}


class Chain:
    """Objects by name, and the volume as it was at each backup.

    :param objects: name -> bytes, records included.
    """

    def __init__(self, objects, states, backups, version='2.0.0'):
        self.version = version
        self.objects = objects
        self.states = states
        self.backups = backups
        self.ids = [backup.id for backup in backups]

    def names(self, kind, level=None):
        """The names of one kind of object, of all levels or one."""
        ids = self.ids if level is None else [self.ids[level]]
        return sorted(name for name in self.objects
                      if kind_of(name) == kind
                      and any(each in name for each in ids))

    def level_of(self, name):
        return next(level for level, backup_id in enumerate(self.ids)
                    if backup_id in name)

    def with_changes(self, changes, keep_sha256=True):
        """A service over a copy; None removes an object.

        :param keep_sha256: whether the records know what manifests and
            digest tables were.
        """
        objects = self.objects | changes
        objects = {name: data for name, data in objects.items()
                   if data is not None}
        service = support.service(support.memory_driver(
            stores={'backups': objects}))
        if not keep_sha256:
            for backup_id in self.ids:
                backup = service.find(backup_id)
                backup.manifest_sha256 = backup.digest_table_sha256 = None
                service.driver.host.catalogue.save(backup)
        return service


def kind_of(name):
    if name.startswith('chunked_backup_record_'):
        return 'record'
    if name.endswith('_metadata'):
        return 'manifest'
    return 'digest table' if name.endswith('_sha256file') else 'data'


@functools.cache
def _made(version, codec, write_md5):
    rng = random.Random(codec)
    objects = {}
    service = support.service(support.memory_driver(
        stores={'backups': objects}))
    data = bytearray(VOLUME_BYTES)
    # Compressible and not, written zeros, and zeros at the very end.
    data[:12 * BLOCK] = rng.randbytes(3 * BLOCK) * 4
    data[12 * BLOCK:20 * BLOCK] = b'some text, ' * 372 + b'more'
    data[26 * BLOCK:36 * BLOCK] = rng.randbytes(10 * BLOCK)
    states, backups = [], []
    with tempfile.TemporaryDirectory() as directory:
        volume = pathlib.Path(directory, 'volume')
        for level in range(3):
            if level == 1:
                data[2 * BLOCK:4 * BLOCK] = b'second' * 170 + b'....'
                data[28 * BLOCK:29 * BLOCK] = bytes(BLOCK)
            elif level == 2:
                data[3 * BLOCK:3 * BLOCK + 10] = b'third data'
                data[20 * BLOCK:23 * BLOCK] = rng.randbytes(3 * BLOCK)
            volume.write_bytes(data)
            states.append(bytes(data))
            backups.append(service.backup(str(volume), name=f'level {level}',
                                          incremental=level > 0))
    return Chain(objects, states, backups, version)


def make(codec, write_md5=True, version='2.0.0'):
    """The chain in one codec; call it where ``conf`` is in use."""
    support.override(compression_algorithm=codec, merge_gap_bytes=BLOCK,
                     executor='serial', write_md5=write_md5,
                     format_version=version)
    return _made(version, codec, write_md5)


def extents_of(chain, level):
    """name -> [(offset, length, compression, start, stored bytes)] from the
    manifest, read anew; None as to the end."""
    [name] = chain.names('manifest', level)
    document = json.loads(chain.objects[name])
    found = {}
    for entry in document.get('objects', ()):
        for object_name, fields in entry.items():
            found[object_name] = [(fields['offset'], fields['length'],
                                   fields['compression'], 0, None)]
    starts = {}
    for number, text in document.get('extents', ()):
        object_name = name.removesuffix('_metadata') + f'-{number:05d}'
        for offset, length, stored, codec, _ in struct.iter_unpack(
                '<QQIB16s', base64.b64decode(text)):
            if codec:
                start = starts.get(number, 0)
                found.setdefault(object_name, []).append(
                    (offset, length, CODECS[codec - 1], start, stored))
                starts[number] = start + stored
    return found


def objects_of(chain, level):
    """name -> (offset, length, compression) of all that an object holds; the
    compression of several extents is ``several``."""
    return {
        name: (extents[0][0], extents[-1][0] + extents[-1][1]
               - extents[0][0],
               extents[0][2] if len(extents) == 1 else 'several')
        for name, extents in extents_of(chain, level).items()}


def still_decodes(chain, name, data):
    """Whether damaged bytes give, by the common libraries, the same plain
    bytes: then nothing was lost, and nothing could tell."""
    def plain(stored):
        return [_DECOMPRESS[compression](
            stored[start:None if count is None else start + count])
            for _, _, compression, start, count in extents_of(
                chain, chain.level_of(name))[name]]

    try:
        return plain(data) == plain(chain.objects[name])
    except Exception:
        return False


def attempt(function, *arguments, **keywords):
    """The result, or the error of ours that was raised; others go on."""
    try:
        return function(*arguments, **keywords)
    except errors.ChunkedBackupError as exc:
        return exc


def never_wrong(chain, service, level, size_is_known=True):
    """Verify and restore a point; what came of each.

    A restore that succeeds has to give the right bytes.

    :param size_is_known: False where the digest table is all that tells how
        many zeros the volume ends in: format 1.0.0 records no size.
    """
    try:
        backup = service.find(chain.ids[level])
    except errors.ChunkedBackupError as exc:
        return exc, exc
    verified = attempt(service.verify, backup)
    if isinstance(verified, errors.BackupNotRestorable):
        return verified, verified
    restored = attempt(support.restored, service, backup, False,
                       b'\xa5' * (VOLUME_BYTES + 100))
    if not isinstance(restored, Exception):
        expected = chain.states[level]
        if not size_is_known:
            expected, restored = expected.rstrip(b'\0'), restored.rstrip(
                b'\0')
        assert restored == expected, 'success with wrong bytes'
    if not isinstance(verified, Exception):
        assert not isinstance(restored, Exception), 'verify saw nothing'
    return verified, restored
