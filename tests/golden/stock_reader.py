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

"""A model of how stock Cinder 29.0.0 restores a chain from a repository.

It shares no code with the project on purpose, and is as strict as Cinder: the
listing has to equal the manifests, whole objects are decompressed by the
common libraries, and levels are applied from the full backup upwards.
"""

import bz2
import json
import os
import zlib

import zstandard

DECOMPRESS = {
    'none': bytes,
    'zlib': zlib.decompress, 'gzip': zlib.decompress,
    'bz2': bz2.decompress, 'bzip2': bz2.decompress,
    # Without the content size in the frame, this raises, as Cinder's does.
    'zstd': lambda data: zstandard.ZstdDecompressor().decompress(data),
}
MIB = 1 << 20


def chain(service, backup):
    """The places of a backup and its ancestors, the full backup first."""
    found = [service.find(backup_id) for backup_id in service.chain(backup)]
    return [(each.container, each.service_metadata)
            for each in reversed(found)]


def restore(repository, levels, target, is_new=True):
    """Apply a chain.

    :param levels: (container, prefix), the full backup first.
    :param target: a bytearray of the size of the volume.
    """
    for number, (container, prefix) in enumerate(levels):
        directory = os.path.join(repository, container)
        document = load(directory, prefix + '_metadata')
        if document['version'] != '1.0.0':
            raise ValueError('the version is unknown')
        check_names(directory, prefix, document)
        for entry in document['objects']:
            [(name, fields)] = entry.items()
            with open(os.path.join(directory, name), 'rb') as file:
                data = DECOMPRESS[fields['compression'].lower()](file.read())
            if len(data) != fields['length']:
                raise ValueError(f'{name} has {len(data)} bytes')
            put(target, fields['offset'], data,
                leave_out_zeros=is_new and number == 0)
    return bytes(target)


def load(directory, name):
    with open(os.path.join(directory, name), 'rb') as file:
        return json.loads(file.read().decode('utf-8'))


def check_names(directory, prefix, document):
    """The listing has to be what the manifest says, exactly."""
    listed = sorted(name for name in os.listdir(directory)
                    if name.startswith(prefix))
    data = [name for name in listed
            if name not in (prefix + '_metadata', prefix + '_sha256file')]
    named = sorted(name for entry in document['objects'] for name in entry)
    if data != named:
        raise ValueError(f'{data} are stored, {named} are recorded')


def put(target, offset, data, leave_out_zeros):
    for start in range(0, len(data), MIB):
        piece = data[start:start + MIB]
        if leave_out_zeros and not any(piece):
            continue
        if offset + start + len(piece) > len(target):
            raise ValueError('an object ends beyond the volume')
        target[offset + start:offset + start + len(piece)] = piece
