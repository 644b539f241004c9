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

"""Brings a volume back from a directory by what doc/source/formats.rst says,
without chunked_backup:

    python3 restore_by_hand.py REPOSITORY BACKUP_ID TARGET

It holds one object at a time in memory.
"""

import base64
import bz2
import hashlib
import json
import pathlib
import struct
import sys
import zlib

EXTENT = struct.Struct('<QQIB16s')
RUN = struct.Struct('<BI')
COMPRESSIONS = ['zeros', 'none', 'zlib', 'bz2', 'zstd']


def decode(data, compression):
    if compression == 'none':
        return data
    if compression in ('zlib', 'gzip'):
        return zlib.decompress(data)
    if compression in ('bz2', 'bzip2'):
        return bz2.decompress(data)
    import zstandard  # part of Python from 3.14 on, as compression.zstd
    return zstandard.ZstdDecompressor().decompress(data)


def chain(repository, backup_id):
    """The manifest of each backup and the beginning of its objects' paths,
    the full backup first."""
    levels = []
    while backup_id is not None:
        [path] = repository.glob(f'**/*backup_{backup_id}_metadata')
        manifest = json.loads(path.read_bytes())
        levels.insert(0, (manifest, str(path).removesuffix('_metadata')))
        backup_id = manifest['parent_id']
    return levels


def pieces_of_1_0_0(manifest, prefix):
    """Pairs of an offset in the volume and what is there."""
    directory = pathlib.Path(prefix).parent
    for entry in manifest['objects']:
        for name, fields in entry.items():
            data = decode((directory / name).read_bytes(),
                          fields['compression'])
            yield fields['offset'], data


def pieces_of_2_0_0(manifest, prefix):
    number, data, position = None, b'', 0
    extents = [(own, *extent) for own, records in manifest['extents']
               for extent in EXTENT.iter_unpack(base64.b64decode(records))]
    extents.sort(key=lambda extent: extent[0])  # keeps the order within one
    for own, offset, length, stored, compression, _ in extents:
        if COMPRESSIONS[compression] == 'zeros':
            for start in range(offset, offset + length, 1 << 20):
                yield start, bytes(min(1 << 20, offset + length - start))
            continue
        if own != number:
            number, position = own, 0
            data = pathlib.Path(f'{prefix}-{own:05d}').read_bytes()
        yield offset, decode(data[position:position + stored],
                             COMPRESSIONS[compression])
        position += stored


def digests_of_1_0_0(table):
    """The bytes of a block, and the digest of each."""
    fields = json.loads(table)
    return fields['chunk_size'], [bytes.fromhex(digest)
                                  for digest in fields['sha256s']]


def digests_of_2_0_0(table):
    header, _, runs = table.partition(b'\n')
    block_bytes = json.loads(header)['block_bytes']
    zeros = hashlib.sha256(bytes(block_bytes)).digest()
    digests, position = [], 0
    while position < len(runs):
        kind, count = RUN.unpack_from(runs, position)
        position += RUN.size
        if kind == 0:
            digests += [zeros] * count
        else:
            digests += [runs[start:start + 32] for start in range(
                position, position + 32 * count, 32)]
            position += 32 * count
    return block_bytes, digests


FORMATS = {'1.0.0': (pieces_of_1_0_0, digests_of_1_0_0),
           '2.0.0': (pieces_of_2_0_0, digests_of_2_0_0)}


def main(repository, backup_id, target):
    levels = chain(pathlib.Path(repository), backup_id)
    newest, prefix = levels[-1]
    block_bytes, digests = FORMATS[newest['version']][1](
        pathlib.Path(prefix + '_sha256file').read_bytes())
    last_block = block_bytes * (len(digests) - 1)
    volume_bytes = 0
    with open(target, 'xb+') as volume:
        for manifest, prefix in levels:
            ends = [0]
            pieces, _ = FORMATS[manifest['version']]
            for offset, data in pieces(manifest, prefix):
                volume.seek(offset)
                volume.write(data)
                ends.append(offset + len(data))
            if max(ends) > last_block:
                volume_bytes = min(max(ends), last_block + block_bytes)
        volume.truncate(newest.get('volume_bytes', volume_bytes))
        volume.seek(0)
        for index, digest in enumerate(digests):
            block = volume.read(block_bytes)
            if hashlib.sha256(block).digest() != digest:
                sys.exit(f'block {index} is not what was backed up')


if __name__ == '__main__':
    main(*sys.argv[1:])
