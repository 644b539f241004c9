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

"""The progress bar."""

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from tests.functional import images

#: 37%|###  | 1.0G/2.0G [00:01<00:02, 512MB/s]
BAR = re.compile(
    r'(?P<text>[A-Z][a-z ]+): +(?P<percent>\d+)%\|[^\r]*\| '
    r'[\d.]+[kMG]?/[\d.]+[kMG]? '
    r'\[\d\d:\d\d<(\d\d:\d\d|\?), +(?P<rate>[\d.]+ ?[kMG]?B/s|\?B/s)\]')


@pytest.fixture
def slow(tmp_path, configured):
    """A volume whose backup takes more than two seconds."""
    configured('[chunked_backup]', 'compression_algorithm = bz2',
               'executor = serial',
               '[chunked_backup_posix]', 'chunk_size_bytes = 1048576')
    return images.write_slow_to_compress(tmp_path / 'slow', 32 << 20)


def on_a_terminal(command, *arguments):
    """Run the command on a terminal of 100 columns; what it shows there."""
    ours, its_own = pty.openpty()
    fcntl.ioctl(its_own, termios.TIOCSWINSZ, struct.pack('4H', 40, 100, 0, 0))
    process = subprocess.Popen(
        command.words(arguments), env=command.environment, stdin=its_own,
        stdout=its_own, stderr=its_own)
    os.close(its_own)
    shown = b''.join(_pieces(ours))
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()


def _pieces(descriptor):
    try:
        while piece := os.read(descriptor, 65536):
            yield piece
    except OSError as exc:  # how a terminal says that the other end is gone
        assert exc.errno == errno.EIO


def test_a_bar_on_a_terminal(command, slow):
    shown = on_a_terminal(command, 'volume', 'backup', slow)

    bars = list(BAR.finditer(shown))
    percentages = [int(bar['percent']) for bar in bars]
    assert {bar['text'] for bar in bars} == {'Backing up'}
    assert percentages == sorted(percentages)
    assert percentages[0] == 0
    assert any(0 < percentage < 100 for percentage in percentages)
    assert percentages[-1] == 100
    assert any(bar['rate'][0].isdigit() for bar in bars)
    # The bar is gone when the table appears, and the id is the last line.
    assert '%|' not in shown.split('+---', 1)[1]
    assert shown.splitlines()[-2].split()[1] == 'id'


def test_a_bar_for_each_backup_that_is_verified(command, slow):
    command.backup(slow)
    command.backup(slow, '--incremental')

    shown = on_a_terminal(command, 'volume', 'verify', '--all')

    percentages = [int(bar['percent']) for bar in BAR.finditer(shown)
                   if bar['text'] == 'Verifying']
    assert percentages.count(0) == 2
    assert percentages.count(100) == 2


@pytest.mark.parametrize('arguments', [
    ['--no-progress', 'volume', 'backup'],
    ['volume', 'backup', '--no-progress'],
])
def test_no_bar_when_none_is_wanted(command, slow, arguments):
    shown = on_a_terminal(command, *arguments, slow)

    assert '%|' not in shown
    assert 'available' in shown


def test_no_bar_when_piped(command, slow):
    done = command.run('volume', 'backup', slow)

    assert done.stderr == ''
    assert '%|' not in done.stdout
