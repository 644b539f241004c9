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

"""How much memory the command takes, where it could be much.

The images are large, so these tests run one after the other (tox.ini has all
tests of a file run on one worker), and delete what they leave.
"""

import os
import subprocess
import sys

import pytest

from tests.functional import images
from tests.functional.command import Command

MIB = 1 << 20
LIMIT_BYTES = 256 * MIB

#: Runs a command; prints the most memory that it had, in KiB. A process of
#: its own, because what a process has before it becomes another one counts.
PEAK = '''
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
'''


def peak_bytes(environment, words):
    done = subprocess.run([sys.executable, '-c', PEAK, *words], text=True,
                          env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * 1024


@pytest.fixture
def above_the_interpreter(command, record_property):
    """Runs the command; how much memory it had above a bare interpreter."""
    bare = peak_bytes(command.environment, [sys.executable, '-c', ''])

    def run(*arguments):
        above = peak_bytes(command.environment,
                           Command.words(arguments)) - bare
        record_property(' '.join(arguments[:2]), above // MIB)
        return above

    return run


@pytest.fixture(scope='module')
def half_compressible(tmp_path_factory):
    """3 GiB: MiB for MiB, random bytes and one byte repeated."""
    path = tmp_path_factory.mktemp('large') / 'volume'
    with open(path, 'wb') as file:
        for number in range(3 * 1024 // 2):
            file.write(os.urandom(MIB))
            file.write(bytes([number % 255 + 1]) * MIB)
    yield path
    path.unlink()


@pytest.mark.parametrize('version, codec, parallelism, objects', [
    ('1.0.0', 'zlib', 1, 2),  # as long as a chunk may be
    ('2.0.0', 'zstd', 1, 10),  # the longest holds 885 MiB
    ('2.0.0', 'zlib', 8, 52),  # the last are short
])
def test_three_gibibytes_stay_below_the_limit(
        half_compressible, command, configured, above_the_interpreter,
        target, version, codec, parallelism, objects):
    configured('[chunked_backup]', f'format_version = {version}',
               f'compression_algorithm = {codec}',
               f'parallelism = {parallelism}')

    taken = {
        'backup': above_the_interpreter('volume', 'backup',
                                        str(half_compressible)),
        'restore': above_the_interpreter('volume', 'restore', 'latest',
                                         str(target))}
    stored = command.objects()
    equal = images.differing_ranges(half_compressible, target) == []
    _remove(target, *command.files())

    assert max(taken.values()) < LIMIT_BYTES, taken
    assert len(stored) == objects
    assert equal


def test_a_sparse_tebibyte_stays_below_the_limit(
        tmp_path, command, above_the_interpreter, target):
    path = tmp_path / 'volume'
    with open(path, 'wb') as file:
        for gibibyte in (0, 300, 1023):
            file.seek((gibibyte << 30) + 12345)
            file.write(b'here is something')
        file.truncate(1 << 40)

    taken = {'full': above_the_interpreter('volume', 'backup', str(path))}
    with open(path, 'r+b') as file:
        file.seek(777_777_777_777)
        file.write(b'and here')
    taken['incremental'] = above_the_interpreter('volume', 'backup',
                                                 str(path), '--incremental')
    taken['restore'] = above_the_interpreter('volume', 'restore', 'latest',
                                             str(target))
    equal = images.differing_ranges(path, target) == []
    allocated = images.allocated_bytes(target)
    _remove(target, *command.files())

    assert max(taken.values()) < LIMIT_BYTES, taken
    assert equal
    assert allocated < MIB


def _remove(*paths):
    for path in paths:
        path.unlink()
