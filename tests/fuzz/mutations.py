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

"""Documents that are nearly what they should be."""

import base64
import json
import struct

import msgpack

NASTY = [None, True, False, 0, 1, -1, 511, 512, 2 ** 31, 2 ** 62, 2 ** 63,
         10 ** 40, 0.5, 1e308, '', 'none', 'zlib', 'zstd', '..', '/', '\0',
         '\ud800', 'x' * 10_000, [], {}, [[]], [{}], {'a': {}}, '00' * 32,
         '0' * 32]
#: How long blocks are in tests, in bytes.
_BLOCK = 512
_JUNK = [b'[' * 200, b'{"a":' * 100, b'NaN', b'-1', b'1e999', b'\xff', b'"',
         b'\\u0000', b'9' * 400]
#: An extent of format 2.0.0.
_EXTENT = struct.Struct('<QQIB16s')


def mutated(rng, value):
    """The value with one part of it replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {other: part for other, part in value.items()
                    if other != key}
        return value | {key: mutated(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        index = rng.randrange(len(value))
        chance = rng.random()
        if chance < 0.1:
            return value[:index] + value[index + 1:]
        if chance < 0.2:
            return value[:index] + [value[index]] + value[index:]
        return (value[:index] + [mutated(rng, value[index])]
                + value[index + 1:])
    if isinstance(value, int) and rng.random() < 0.5:
        return value + rng.choice([-1, 1, -_BLOCK, _BLOCK, 8 * _BLOCK])
    return rng.choice(NASTY)


def several(rng, value):
    """The value with up to three changes."""
    for _ in range(rng.randrange(1, 4)):
        value = mutated(rng, value)
    return value


def fuzzed(rng, data):
    """A document changed as what it is made of, or as bytes."""
    if rng.random() < 0.6:
        for change in (_packed_manifest, _packed_table, _json, _message):
            try:
                return change(rng, data)
            except (ValueError, TypeError, OverflowError, RecursionError,
                    struct.error, msgpack.UnpackException):
                pass  # it is something else, or was made so before
    return bytes_changed(rng, data)


def _packed_manifest(rng, data):
    """Of format 2.0.0: JSON in lines that have to stay lines."""
    head, *lines, end, empty = data.split(b'\n')
    header = json.loads(head + b']}')
    batches = []
    for line in lines:
        number, text = json.loads(line.removeprefix(b','))
        batches.append([number, list(map(list, _EXTENT.iter_unpack(
            base64.b64decode(text))))])
    if rng.random() < 0.5:
        header = several(rng, header)
    else:
        batches = several(rng, batches)
    lines = [json.dumps([number, base64.b64encode(b''.join(
        map(_extent, extents))).decode()]).encode()
        for number, extents in batches]
    return b'\n'.join([
        json.dumps(header).encode().removesuffix(b']}'), b'\n,'.join(lines),
        end, empty])


def _extent(fields):
    offset, length, stored, compression, digest = fields
    return _EXTENT.pack(offset % 2 ** 64, length % 2 ** 64, stored % 2 ** 32,
                        compression % 256, digest)


def _packed_table(rng, data):
    """Of format 2.0.0: JSON in its first line alone."""
    line, newline, rest = data.partition(b'\n')
    document = json.loads(line)
    if not isinstance(document, dict) or 'block_bytes' not in document:
        raise ValueError('it is no digest table')
    return json.dumps(several(rng, document)).encode() + newline + rest


def _json(rng, data):
    return json.dumps(several(rng, json.loads(data))).encode()


def _message(rng, data):
    """MessagePack, one value or more."""
    unpacker = msgpack.Unpacker(unicode_errors='surrogateescape')
    unpacker.feed(data)
    values = several(rng, list(unpacker))
    return b''.join(msgpack.packb(value, unicode_errors='surrogatepass')
                    for value in values)


def bytes_changed(rng, data):
    """Some bytes replaced, removed or added."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 9)):
        at = rng.randrange(len(changed) + 1)
        chance = rng.random()
        if chance < 0.4 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif chance < 0.6:
            del changed[at:at + rng.randrange(1, 40)]
        elif chance < 0.8:
            changed[at:at] = rng.choice(_JUNK)
        else:
            changed[at:at] = changed[at:at + rng.randrange(1, 60)]
    return bytes(changed)
