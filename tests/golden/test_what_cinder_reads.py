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

"""What the project writes is what stock Cinder 29.0.0 expects to read."""

import hashlib
import json
import os
import random
import re
import stat

import pytest
import zstandard

from tests import support
from tests.golden import stock_reader

BLOCK, CHUNK = support.BLOCK, support.CHUNK
CODECS = ['none', 'zlib', 'gzip', 'bz2', 'bzip2', 'zstd']
MANIFEST_KEYS = ['backup_description', 'backup_id', 'backup_name',
                 'created_at', 'objects', 'parent_id', 'version',
                 'volume_id', 'volume_meta']
TABLE_KEYS = ['backup_description', 'backup_id', 'backup_name', 'chunk_size',
              'created_at', 'sha256s', 'version', 'volume_id']


@pytest.fixture(autouse=True)
def format_of_cinder(conf):
    support.override(format_version='1.0.0')


def write_generation(path, number, rng):
    """Change the volume; each generation is another kind of change."""
    with open(path, 'r+b' if number else 'w+b') as file:
        def put(block, data):
            file.seek(block * BLOCK)
            file.write(data)

        size = os.fstat(file.fileno()).st_size
        if number == 0:  # noise, text, written zeros, a hole, a partial block
            put(0, rng.randbytes(20 * BLOCK))
            put(20, b'a line of text\n' * 800)
            put(60, bytes(30 * BLOCK))
            put(160, rng.randbytes(7 * BLOCK + 123))
        elif number == 1:  # near changes that merge, far ones that do not
            for block in (1, 3, 4, 7, 30, 44, 45, 100, 120):
                put(block, rng.randbytes(BLOCK))
        elif number == 2:  # data becomes zeros, some of it whole chunks
            put(2, bytes(3 * BLOCK))
            put(16, bytes(24 * BLOCK))
        elif number == 4:  # zeros become data; the last block changes
            put(70, rng.randbytes(5 * BLOCK))
            file.seek(size - 3)
            file.write(b'end')
        elif number == 5:  # growth by data and by a hole
            file.seek(size)
            file.write(rng.randbytes(3000))
            file.truncate(size + 50 * BLOCK + 17)
        elif number == 6:  # everything
            put(0, rng.randbytes(size))
        # 3: nothing


class History:
    """A chain, and the volume as it was at each of its backups."""

    def __init__(self, path, codec, gap, write_md5=True):
        support.override(compression_algorithm=codec, merge_gap_bytes=gap,
                         write_md5=write_md5)
        self.repository = path / 'repository'
        self.service = support.service(support.posix_driver(self.repository))
        self.states, self.backups = [], []
        rng = random.Random(codec)
        volume = path / 'volume'
        for number in range(7):
            write_generation(volume, number, rng)
            self.states.append(volume.read_bytes())
            self.backups.append(self.service.backup(
                str(volume), name=f'number {number}',
                description='ünï "quoted" \\ \n' if number % 2 else None,
                incremental=number > 0))

    def documents(self, suffix):
        for backup in self.backups:
            path = os.path.join(self.repository, backup.container,
                                backup.service_metadata + suffix)
            with open(path, 'rb') as file:
                yield backup, file.read()


@pytest.fixture(params=[(codec, 1024) for codec in CODECS] + [('zlib', 0)],
                ids=lambda parameters: '-'.join(map(str, parameters)))
def history(request, tmp_path, conf):
    return History(tmp_path, *request.param)


@pytest.mark.parametrize('is_new', [True, False])
def test_cinder_restores_every_point_of_our_chains(history, is_new):
    for backup, state in zip(history.backups, history.states):
        target = bytearray(len(state) if is_new
                           else b'\xa5' * len(state))
        assert stock_reader.restore(
            history.repository, stock_reader.chain(history.service, backup),
            target, is_new) == state


def test_cinder_restores_what_has_no_md5(tmp_path, conf):
    history = History(tmp_path, 'zlib', 1024, write_md5=False)
    assert not any(b'"md5"' in data
                   for _, data in history.documents('_metadata'))
    test_cinder_restores_every_point_of_our_chains(history, True)
    test_we_restore_every_point_of_our_chains(history)


def test_cinder_sees_that_it_does_not_know_the_other_format(tmp_path, conf):
    support.override(format_version='2.0.0')
    service = support.service(support.posix_driver(tmp_path / 'repository'))
    volume = tmp_path / 'volume'
    volume.write_bytes(b'text ' * 1000)
    backup = service.backup(str(volume))
    with pytest.raises(ValueError, match='the version is unknown'):
        stock_reader.restore(tmp_path / 'repository', stock_reader.chain(
            service, backup), bytearray(5000))


def test_we_restore_every_point_of_our_chains(history):
    for backup, state in zip(history.backups, history.states):
        assert support.restored(history.service, backup) == state
        assert support.restored(history.service, backup, False,
                                b'\xa5' * 200_000) == state


def test_manifests_have_the_layout_of_cinder(history):
    for backup, data in history.documents('_metadata'):
        document = json.loads(data)
        assert list(document) == MANIFEST_KEYS
        assert json.dumps(document, sort_keys=True,
                          indent=2).encode() == data
        assert document['version'] == '1.0.0'
        assert (document['backup_id'], document['volume_id'],
                document['parent_id'], document['backup_name'],
                document['backup_description'], document['created_at']) == (
            backup.id, backup.volume_id, backup.parent_id,
            backup.display_name, backup.display_description,
            backup.created_at)
        assert re.fullmatch(
            r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00',
            document['created_at'])


def test_manifests_describe_their_objects_in_the_words_of_cinder(history):
    for (backup, data), state in zip(history.documents('_metadata'),
                                     history.states):
        end = 0
        for number, entry in enumerate(json.loads(data)['objects'], start=1):
            [(name, fields)] = entry.items()
            assert name == f'{backup.service_metadata}-{number:05d}'
            assert list(fields) == ['compression', 'length', 'md5', 'offset']
            offset, length = fields['offset'], fields['length']
            assert offset % BLOCK == 0 and offset >= end
            assert 0 < length <= CHUNK
            end = offset + length
            assert end <= len(state)
            assert fields['md5'] == hashlib.md5(
                state[offset:end]).hexdigest()
            assert fields['compression'] in ('none', 'zlib', 'gzip', 'bz2',
                                             'bzip2', 'zstd')
        assert number == backup.object_count if end else (
            backup.object_count == 0)


def test_objects_are_stored_in_the_spelling_that_was_configured(history,
                                                                conf):
    spelling = conf.chunked_backup.compression_algorithm
    found = {fields['compression']
             for _, data in history.documents('_metadata')
             for entry in json.loads(data)['objects']
             for fields in entry.values()}
    # Noise does not get smaller; zeros are compressed in any case.
    assert found == ({'none', 'zlib'} if spelling == 'none'
                     else {'none', spelling})


def test_zstd_frames_carry_their_content_size(tmp_path, conf):
    history = History(tmp_path, 'zstd', 1024)
    seen = 0
    for backup, data in history.documents('_metadata'):
        for entry in json.loads(data)['objects']:
            [(name, fields)] = entry.items()
            if fields['compression'] != 'zstd':
                continue
            path = os.path.join(history.repository, backup.container, name)
            with open(path, 'rb') as file:
                assert zstandard.get_frame_parameters(
                    file.read()).content_size == fields['length']
            seen += 1
    assert seen > 10


def test_digest_tables_have_the_layout_of_cinder(history):
    for (backup, data), state in zip(history.documents('_sha256file'),
                                     history.states):
        document = json.loads(data)
        assert list(document) == TABLE_KEYS
        assert json.dumps(document, sort_keys=True,
                          indent=2).encode() == data
        assert (document['version'], document['backup_id'],
                document['volume_id'], document['chunk_size']) == (
            '1.0.0', backup.id, backup.volume_id, BLOCK)
        assert document['sha256s'] == [
            hashlib.sha256(state[start:start + BLOCK]).hexdigest()
            for start in range(0, len(state), BLOCK)]


def test_near_changes_are_merged_and_far_ones_are_not(tmp_path, conf):
    for gap, expected in ((0, 7), (1024, 5)):
        path = tmp_path / str(gap)
        path.mkdir()
        history = History(path, 'zlib', gap)
        # Blocks 1, 3, 4, 7, 30, 44, 45, 100 and 120 have changed.
        assert history.backups[1].object_count == expected


def test_names_places_and_modes_are_those_of_cinder(history):
    for backup in history.backups:
        assert backup.container == (
            f'{backup.id[0:2]}/{backup.id[2:4]}/{backup.id}')
        assert re.fullmatch(
            rf'volume_{backup.volume_id}_\d{{14}}_backup_{backup.id}',
            backup.service_metadata)
        directory = history.repository / backup.container
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o770
        for name in os.listdir(directory):
            assert stat.S_IMODE(os.stat(directory / name).st_mode) == 0o660
            assert re.fullmatch(
                re.escape(backup.service_metadata)
                + r'(-\d{5}|_metadata|_sha256file)', name)


def test_a_stray_file_under_the_prefix_would_stop_cinder(tmp_path, conf):
    """The model is strict: so nothing of ours may be left there."""
    history = History(tmp_path, 'none', 0)
    levels = stock_reader.chain(history.service, history.backups[0])
    container, prefix = levels[0]
    (history.repository / container / f'{prefix}-00099').write_bytes(b'')
    with pytest.raises(ValueError, match='are stored'):
        stock_reader.restore(history.repository, levels, bytearray(200_000))
