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

import contextlib
import hashlib
import io
import json

import pytest

from chunked_backup import errors
from chunked_backup.formats.cinder_v1 import digest_table
from tests.unit import harness


def digest(number):
    return hashlib.sha256(b'%d' % number).digest()


def digests(count):
    return b''.join(digest(number) for number in range(count))


def document(count=3, **changes):
    values = {
        'version': '1.0.0', 'backup_id': 'backup', 'volume_id': 'volume',
        'backup_name': 'a name', 'backup_description': None,
        'created_at': '2026-01-02', 'chunk_size': 512,
        'sha256s': [digest(number).hex() for number in range(count)]}
    values.update(changes)
    return {key: value for key, value in values.items()
            if value is not ...}


def as_cinder(values):
    return json.dumps(values, sort_keys=True, indent=2).encode()


def parse(text, backup_id='backup'):
    """The block size and all digests."""
    kept = bytearray()
    block_size = digest_table.parse(
        lambda: contextlib.nullcontext(io.BytesIO(text)), backup_id,
        kept.extend)
    return block_size, bytes(kept)


@pytest.mark.parametrize('count', [0, 1, 2, 5])
def test_the_bytes_are_those_of_cinder(count):
    record = harness.record(description='"sha256s": [\n')
    written = b''.join(digest_table.serialize(record, 512,
                                              [digests(count)]))
    assert written == as_cinder(document(
        count, backup_description='"sha256s": [\n'))


def test_batches_make_no_difference():
    record = harness.record()
    written = {b''.join(digest_table.serialize(record, 512, batches))
               for batches in ([digests(5)],
                               [digests(5)[:32], digests(5)[32:]],
                               [digests(5)[:128], b'', digests(5)[128:]])}
    assert len(written) == 1


@pytest.mark.parametrize('count', [1, 2, 16383, 16384, 16385, 40000])
def test_a_table_comes_back(count):
    written = b''.join(digest_table.serialize(harness.record(), 4096,
                                              [digests(count)]))
    assert parse(written) == (4096, digests(count))


@pytest.mark.parametrize('layout', [
    {}, {'indent': 4}, {'indent': 2}, {'separators': (',', ':')},
    {'sort_keys': True, 'indent': 1}], ids=str)
@pytest.mark.parametrize('count', [0, 1, 3, 20000])
def test_another_layout_reads_the_same(count, layout):
    values = document(count)
    assert parse(json.dumps(values, **layout).encode()) == parse(
        as_cinder(values))


@pytest.mark.parametrize('layout', [{'sort_keys': True, 'indent': 2}, {}],
                         ids=str)
def test_many_digests_are_kept_in_parts(layout):
    text = json.dumps(document(40000), **layout).encode()
    kept = []
    digest_table.parse(lambda: contextlib.nullcontext(io.BytesIO(text)),
                       'backup', kept.append)
    assert b''.join(kept) == digests(40000)
    assert 1 < len(kept) < 10
    assert max(map(len, kept)) <= 1 << 20


def test_a_header_longer_than_is_looked_at_reads_the_same():
    block_size, kept = parse(as_cinder(document(
        backup_description='x' * (5 << 20))))
    assert kept == digests(3) and block_size == 512


def test_upper_case_digits_read_the_same():
    upper = [digest(number).hex().upper() for number in range(3)]
    assert parse(as_cinder(document(sha256s=upper)))[1] == digests(3)


def broken_lists():
    sound = [digest(number).hex() for number in range(3)]
    for bad in ('', 'x', 'g' * 64, 'a' * 63, 'a' * 65, 'a' * 66, 'a' * 128,
                'a' * 64 + '\n', ' ' * 64, 'aa ' * 32, None, 5, [], {},
                '\u00e9' * 32):
        for position in range(3):
            yield sound[:position] + [bad] + sound[position + 1:]


@pytest.mark.parametrize('values', list(broken_lists()),
                         ids=lambda values: '')
def test_a_malformed_digest_is_corrupt_in_any_layout(values):
    for text in (as_cinder(document(sha256s=values)),
                 json.dumps(document(sha256s=values)).encode()):
        with pytest.raises(errors.CorruptBackup):
            parse(text)


@pytest.mark.parametrize('changes', [
    {'version': '2.0.0'}, {'version': ...}, {'version': None},
    {'backup_id': 'other'}, {'backup_id': ...}, {'chunk_size': ...},
    {'chunk_size': 0}, {'chunk_size': -512}, {'chunk_size': 512.0},
    {'chunk_size': True}, {'chunk_size': '512'}, {'chunk_size': 10 ** 12},
    {'chunk_size': 1 << 70}, {'sha256s': ...}, {'sha256s': {}},
    {'sha256s': None}, {'sha256s': 'a' * 64}], ids=str)
def test_a_table_that_lacks_or_confuses_something_is_corrupt(changes):
    for text in (as_cinder(document(**changes)),
                 json.dumps(document(**changes)).encode()):
        with pytest.raises(errors.CorruptBackup) as caught:
            parse(text)
        assert caught.value.backup_id == 'backup'


@pytest.mark.parametrize('layout', [{'sort_keys': True, 'indent': 2}, {}],
                         ids=str)
def test_a_table_cut_short_anywhere_is_corrupt(layout):
    whole = json.dumps(document(), **layout).encode()
    for end in range(len(whole)):
        with pytest.raises(errors.CorruptBackup):
            parse(whole[:end])


@pytest.mark.parametrize('junk', [b'x', b'{}', b'\0', b',', b']', b'}'])
def test_bytes_behind_a_table_are_corrupt(junk):
    for text in (as_cinder(document()), json.dumps(document()).encode()):
        with pytest.raises(errors.CorruptBackup):
            parse(text + junk)


def test_a_list_that_stands_twice_is_corrupt():
    text = as_cinder(document())
    twice = text.removesuffix(b'\n}').replace(
        b'"version"', b'"sha256s": [], "version"') + b'\n}'
    with pytest.raises(errors.CorruptBackup, match='twice'):
        parse(twice)


def test_a_separator_where_a_batch_ends_is_looked_at():
    text = as_cinder(document(60000))
    first = text.index(digest(0).hex().encode())
    # Two reads of a MiB, of which one digest stays behind, and a part of one.
    last = ((2 << 20) - first) // 72 - 1
    for number in range(last - 2, last + 3):
        at = first + 72 * number - 8
        assert text[at:at + 8] == b'",\n    "'
        with pytest.raises(errors.CorruptBackup):
            parse(text[:at + 1] + b';' + text[at + 2:])


def test_a_separator_at_the_wrong_place_is_corrupt():
    text = as_cinder(document(20000))
    at = text.index(b'",\n    "', len(text) // 2)
    with pytest.raises(errors.CorruptBackup):
        parse(text[:at] + b'"\n,    "' + text[at + 8:])
