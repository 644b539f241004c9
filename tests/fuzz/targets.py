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

"""What reads bytes that somebody else may have written, each to be fuzzed.

A target is a function from bytes to whether they were taken. It refuses by an
error of ours alone, and sees to more where they are taken: what was read
comes back when it is written and read again, the common library of the codec
gives the same, and so on. Whatever else it raises is a finding.
"""

import bz2
import functools
import io
import json
import pathlib
import re
import zlib

import blake3
import msgpack
import zstandard

from chunked_backup import delta
from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.blocks import codecs
from chunked_backup.delta.patch import apply
from chunked_backup.formats import cinder_v1
from chunked_backup.formats import json_stream
from chunked_backup.formats import volume_v2
from chunked_backup.formats.fields import InvalidDocument
from chunked_backup.formats.tree_v1 import index
from chunked_backup.formats.tree_v1 import manifest as tree_manifests
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.hosts.standalone.record import InvalidRecord
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.model import BackupRecord
from chunked_backup.trees import entry as entries
from tests.fuzz import restores

#: The inputs that are kept, in a directory for each target.
CORPUS = pathlib.Path(__file__).parent / 'corpus'
PREFIX = 'prefix'
#: What a stream is read to, and what the length of a file or a number of
#: digests may ask for, in bytes.
MOST_BYTES = 1 << 16
_REFUSALS = (errors.ChunkedBackupError, InvalidDocument, InvalidRecord)

#: The targets by name.
TARGETS = {}


def target(function):
    """Have a function be a target: it refuses by raising."""
    @functools.wraps(function)
    def refusing(data):
        try:
            function(data)
        except _REFUSALS:
            return False
        return True

    TARGETS[function.__name__] = refusing
    return refusing


class Dripping:
    """A stream that gives at most so many bytes at a time."""

    def __init__(self, data, most):
        self._stream = io.BytesIO(data)
        self._most = most

    def read(self, size):
        return self._stream.read(min(size, self._most))


def _plain(codec, stored, most, step):
    """What a stream holds, but at most one byte above MOST_BYTES."""
    stream = codecs.decompressor(codec, Dripping(stored, most))
    plain = bytearray()
    while len(plain) <= MOST_BYTES and (
            piece := stream.read(min(step, MOST_BYTES + 1 - len(plain)))):
        assert len(piece) <= step
        plain += piece
    assert len(plain) <= MOST_BYTES + 1
    return bytes(plain)


def _decoded(codec, data, reference):
    """The first byte says how the stream is cut."""
    cut, stored = (data[:1] or b'\0')[0], data[1:]
    try:
        plain = codecs.decompress(codec, stored, MOST_BYTES)
    except errors.DecodeError:
        assert reference(stored) is None, 'the common library takes it'
        raise
    most, step = 1 + cut % 16 ** 2, 1 + 61 * (cut // 16)
    assert _plain(codec, stored, most, step) == plain
    if len(plain) > MOST_BYTES:
        return
    expected = reference(stored)
    assert expected is None or expected == plain
    try:
        codecs.decompress(codec, stored[:-1], MOST_BYTES)
    except errors.DecodeError:
        return
    raise AssertionError('a stream that is cut short is taken')


@target
def zlib_stream(data):
    def reference(stored):
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(stored, MOST_BYTES + 1)
        except zlib.error:
            return None
        return plain if stream.eof and not stream.unused_data else None

    _decoded('zlib', data, reference)


@target
def bz2_stream(data):
    def reference(stored):
        """Of one or more streams."""
        plain, at_end = b'', False
        try:
            while stored and len(plain) <= MOST_BYTES:
                stream = bz2.BZ2Decompressor()
                plain += stream.decompress(stored, MOST_BYTES + 1)
                stored, at_end = stream.unused_data, stream.eof
        except (OSError, ValueError):
            return None
        return plain if at_end else None

    _decoded('bz2', data, reference)


@target
def zstd_stream(data):
    def reference(stored):
        """Of a single frame; of several the library knows no end."""
        stream = zstandard.ZstdDecompressor(
            max_window_size=16 << 20).decompressobj()
        try:
            plain = stream.decompress(stored)
        except zstandard.ZstdError:
            return None
        return plain if stream.eof and not stream.unused_data else None

    _decoded('zstd', data, reference)


def _read_by_python(data):
    """None for what it takes for no JSON; a form feed is no space to it."""
    try:
        return json.loads(data.decode())
    except ValueError:
        return None


def _shown(document):
    """Without lone surrogates, for which the parser has question marks."""
    return re.sub(r'\\ud[89a-f]..', '?', json.dumps(document))


@target
def json_document(data):
    """Both ways of reading one, and what Python reads."""
    events = json_stream.Events(io.BytesIO(data))
    document = {key: events.value() for key in events.keys()}
    expected = _read_by_python(data)
    assert expected is None or _shown(document) == _shown(expected)
    events = json_stream.Events(Dripping(data, 3))
    for key in events.keys():
        if isinstance(document[key], list):
            assert list(events.items()) == document[key]
        else:
            assert events.value() == document[key]


@target
def manifest(data):
    """Of a volume, of either format."""
    read = formats.parse_manifest(io.BytesIO(data), None, PREFIX, False)
    parts = list(read.objects.sorted())
    end = 0
    for part in parts:
        assert end <= part.offset < part.end
        end = part.end
    for name in read.objects.names():
        assert formats.names.belongs_to(PREFIX, name)
    read.extra_metadata = None  # of drivers of others it may be anything
    written = b''.join(formats.of(read.version).manifest.serialize(read))
    again = formats.parse_manifest(Dripping(written, 300), read.record.id,
                                   PREFIX)
    assert list(again.objects.sorted()) == parts
    assert again.record == read.record
    assert again.volume_meta == read.volume_meta


class Opened:
    """What opens a stream: again and again, each time at its beginning."""

    def __init__(self, data):
        self._data = data

    def __enter__(self):
        return Dripping(self._data, 1 << 20)

    def __exit__(self, *_):
        pass


def _digests(table, data):
    """The size of a block, and the digests, of which there is a limit as
    there is for who reads a chain."""
    kept = bytearray()

    def keep(batch):
        kept.extend(batch)
        if len(kept) > MOST_BYTES:
            raise errors.CorruptBackup(backup_id='backup', reason='too many')

    block_bytes = table.parse(lambda: Opened(data), 'backup', keep)
    assert len(kept) % 32 == 0
    return block_bytes, bytes(kept)


_RECORD = BackupRecord(id='backup', volume_id='volume')


@target
def digest_table_v1(data):
    table = cinder_v1.digest_table
    block_bytes, digests = _digests(table, data)
    document = _read_by_python(data)
    if document is not None:
        assert digests.hex() == ''.join(document['sha256s']).lower()
        assert block_bytes == document['chunk_size']
    written = b''.join(table.serialize(_RECORD, block_bytes, [digests]))
    assert _digests(table, written) == (block_bytes, digests)


@target
def digest_table_v2(data):
    table = volume_v2.digest_table
    if re.search(rb'"block_bytes": *[0-9]{8}', data):
        raise InvalidDocument('to hash that many zeros takes a second')
    block_bytes, digests = _digests(table, data)
    written = b''.join(table.serialize(_RECORD, block_bytes, [digests]))
    assert _digests(table, written) == (block_bytes, digests)


@target
def record(data):
    backup = Backup.from_json(data)
    assert Backup.from_json(backup.to_json()) == backup
    assert backup.to_record().id == backup.id


@target
def tree_record(data):
    backup = TreeBackup.from_json(data)
    assert TreeBackup.from_json(backup.to_json()) == backup
    backup.created.astimezone()


@target
def tree_manifest(data):
    read = tree_manifests.parse(data, 'backup')
    written = tree_manifests.serialize(read)
    assert tree_manifests.parse(written, 'backup') == read


@target
def tree_index(data):
    """The first byte says how the stream is cut."""
    step, data = 1 + (data[:1] or b'\0')[0], data[1:]
    pieces = [data[low:low + step] for low in range(0, len(data), step)]
    located = list(index.unpack_located(pieces, 'backup'))
    for read, offset, length in located:
        assert index.unpack_one(data[offset:offset + length],
                                'backup') == read
        assert entries.unpack(entries.pack(read.entry)) == read.entry
        if read.content:
            assert all(place.length >= 0
                       for place in index.extents_of(read.content))
    written = b''.join([index.pack(*read) for read, _, _ in located])
    assert list(index.unpack([written, index.pack_end(len(located))],
                             'backup')) == [read for read, _, _ in located]


@target
def tree_entry(data):
    try:
        fields = msgpack.unpackb(data, unicode_errors='surrogateescape')
    except (ValueError, msgpack.UnpackException) as exc:
        raise InvalidDocument('it is no MessagePack') from exc
    entry = entries.unpack(fields)
    assert entries.unpack(entries.pack(entry)) == entry


@target
def signature(data):
    """Its check is made to fit, as whoever alters it can."""
    data += blake3.blake3(data).digest(16)
    read = delta.Signature.from_bytes(data)
    assert delta.Signature.from_bytes(read.to_bytes()) == read
    # Whatever it says, a match finds no byte that is not there.
    new = data * 3
    encoder = delta.DeltaEncoder(read, zeros=True)
    found = 0
    for op in [*encoder.update(new), *encoder.finish()]:
        if isinstance(op, delta.Copy):
            assert 0 <= op.offset < op.offset + op.length <= read.length
        elif isinstance(op, delta.Literal):
            assert op.data == new[found:found + op.length]
        found += op.length
    assert found == len(new) == encoder.signature.length


class _Unchecked(delta.DeltaReader):
    """A delta whose checks fit, as those of whoever alters it can."""

    def _expect_check(self):
        pass


@target
def delta_stream(data):
    old = bytes(range(256)) * 16
    reader = _Unchecked(Dripping(data, 100))
    operations = list(reader)
    reader.expect_nothing_more()
    if reader.end.length > MOST_BYTES:
        raise InvalidDocument('to write that much takes a while')
    new = io.BytesIO()
    apply(operations, io.BytesIO(old), new.write)
    assert len(new.getvalue()) == reader.end.length


# These refuse by themselves: by errors of the hierarchy alone.
TARGETS |= {
    'restore_volume_v1': functools.partial(restores.volume, 'volume_v1'),
    'restore_volume_v2': functools.partial(restores.volume, 'volume_v2'),
    'restore_tree': restores.tree}
