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

"""What the tests of the command share."""

import pytest

from tests.functional import images
from tests.functional.command import Command


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


@pytest.fixture
def configured(tmp_path, command):
    """Has the command read a configuration file with the lines given."""
    def configure(*lines):
        path = tmp_path / 'home' / 'chunked_backup.conf'
        path.write_text('\n'.join(lines) + '\n')

    return configure


@pytest.fixture
def small_chunks(configured):
    """Objects of 256 KiB and blocks of 4 KiB."""
    configured('[chunked_backup_posix]', 'chunk_size_bytes = 262144',
               'sha_block_size_bytes = 4096')


@pytest.fixture
def volume(tmp_path):
    """A volume of 1 MiB and a bit."""
    path = tmp_path / 'volume'
    path.write_bytes(images.random_bytes(1_050_000))
    return path


@pytest.fixture
def target(tmp_path):
    """Where restores go; nothing is there yet."""
    return tmp_path / 'restored' / 'target'


@pytest.fixture(autouse=True)
def _directory_of_the_target(tmp_path):
    (tmp_path / 'restored').mkdir()
