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

"""doc/source/formats.rst is enough to bring a volume back."""

import hashlib
import importlib.util
import json
import pathlib

import pytest

from tests.functional import images

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / 'tests' / 'golden' / 'cinder-29.0.0'
PROGRAM = ROOT / 'doc' / 'source' / 'restore_by_hand.py'
specification = importlib.util.spec_from_file_location('by_hand', PROGRAM)
by_hand = importlib.util.module_from_spec(specification)
specification.loader.exec_module(by_hand)


@pytest.fixture(params=['none', 'zlib', 'bz2', 'zstd'])
def codec(request):
    return request.param


@pytest.fixture(params=['1.0.0', '2.0.0'])
def version(request):
    return request.param


@pytest.fixture
def backups(command, volume, configured, codec, version):
    """A chain over a volume with zeros and text, that grows and shrinks; what
    the volume was at each backup."""
    configured('[chunked_backup]', f'compression_algorithm = {codec}',
               f'format_version = {version}', '[chunked_backup_posix]',
               'chunk_size_bytes = 262144', 'sha_block_size_bytes = 4096')
    content = bytearray(volume.read_bytes())
    content[300_000:500_000] = bytes(200_000)
    content[600_000:800_000] = b'text' * 50_000
    contents = {}
    for change in (lambda: None, lambda: _scatter(content),
                   lambda: content.extend(images.random_bytes(150_001)),
                   lambda: content.__delitem__(slice(900_500, None)),
                   lambda: None):
        change()
        volume.write_bytes(content)
        contents[command.backup(
            volume, *(['--incremental'] if contents else []))] = bytes(content)
    return contents


def _scatter(content):
    for start in range(0, len(content), 40_000):
        content[start] ^= 1
    content[700_000:720_000] = bytes(20_000)


def test_each_point_comes_back(command, backups, tmp_path):
    for backup_id, content in backups.items():
        target = tmp_path / backup_id

        by_hand.main(command.repository, backup_id, target)

        assert target.read_bytes() == content


@pytest.mark.parametrize('codec', ['none'], indirect=True)
def test_damage_is_seen(command, backups, tmp_path):
    damaged = command.objects()[0]
    data = bytearray(damaged.read_bytes())
    data[10] ^= 1
    damaged.write_bytes(data)

    with pytest.raises(SystemExit, match='is not what was backed up'):
        for backup_id in backups:
            by_hand.main(command.repository, backup_id, tmp_path / backup_id)


def test_what_cinder_has_written_comes_back(codec, tmp_path):
    golden = GOLDEN / codec
    facts = json.loads((golden / 'backups.json').read_bytes())
    for fact in facts['backups']:
        target = tmp_path / fact['id']

        by_hand.main(golden / 'repository', fact['id'], target)

        assert hashlib.sha256(target.read_bytes()).hexdigest() == (
            fact['volume_sha256'])
