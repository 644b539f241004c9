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

"""The drivers in a process that eventlet has patched, as Cinder's is."""

import json
import pathlib
import subprocess
import sys

from tests import support

_ROOT = pathlib.Path(__file__).parents[2]


def tell(name, group, options, directory):
    """Run patched_story.py; how often others could run meanwhile."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tests.stores.patched_story',
         name, json.dumps({group: options, 'chunked_backup':
                           {'parallelism': 8}}), directory],
        cwd=_ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return int(done.stdout.split()[0])


def test_the_story_of_a_volume_on_patched_sockets(store, tmp_path):
    # The driver is made for what it leaves in the configuration.
    options = store.driver()._options
    values = {name: options[name] for name in options
              if options[name] is not None}
    group = f'chunked_backup_{store.interface}'
    assert tell(store.interface, group, values, tmp_path) > 5


def test_the_story_of_a_volume_on_real_files(tmp_path):
    tell('posix', 'chunked_backup_posix', {
        'path': str(tmp_path / 'repository'),
        'chunk_size_bytes': support.CHUNK,
        'sha_block_size_bytes': support.BLOCK}, tmp_path)
