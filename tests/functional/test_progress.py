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
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios

import pytest

from tests.functional import images
from tests.functional.command import wait_for

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


def lines_of(text):
    """The objects in lines of JSON; the last is the result."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line['event'] for line in lines] == (
        ['progress'] * (len(lines) - 1) + ['result'])
    return lines


def test_lines_of_json_say_how_far_it_is_and_what_came_of_it(command, slow):
    done = command.run('volume', 'backup', slow, '--progress', 'json',
                       '-f', 'json')

    *lines, result = lines_of(done.stderr)
    assert len(lines) >= 3
    percents = [line['percent'] for line in lines]
    assert percents == sorted(percents)
    assert any(0 < percent < 100 for percent in percents)
    assert percents[-1] == 100
    assert lines[-1]['done_bytes'] == lines[-1]['total_bytes'] == (
        slow.stat().st_size)
    assert lines[-1]['written_bytes'] > 0
    assert {line['stage'] for line in lines} == {'store', 'commit'}
    for line in [*lines, result]:
        assert line['command'] == 'volume backup'
    assert (result['exit_code'], result['error']) == (0, None)
    assert result['result'] == json.loads(done.stdout)
    assert {line['id'] for line in lines} == {result['result']['id']}


def test_lines_go_to_a_descriptor_of_the_caller(command, volume):
    """A line is there before the next; nothing else is."""
    ours, its_own = os.pipe()
    with open(ours) as lines:
        command.run('--progress', 'json',
                    '--progress-file', f'/dev/fd/{its_own}',
                    'volume', 'backup', volume, pass_fds=[its_own])
        os.close(its_own)
        assert lines_of(lines.read())[-1]['result']['status'] == 'available'


@pytest.mark.parametrize('is_stderr', [True, False])
def test_lines_go_to_a_socket(command, volume, is_stderr):
    """As standard error is one under systemd."""
    ours, its_own = socket.socketpair()
    where = ([] if is_stderr else
             ['--progress-file', f'/dev/fd/{its_own.fileno()}'])
    with ours, its_own:
        done = subprocess.run(
            command.words(['volume', 'backup', volume, '--progress', 'json',
                           *where]),
            env=command.environment, pass_fds=[its_own.fileno()],
            stdout=subprocess.DEVNULL, check=False,
            stderr=its_own if is_stderr else subprocess.PIPE)
        its_own.close()
        with ours.makefile() as lines:
            assert lines_of(lines.read())[-1]['exit_code'] == 0
    assert (done.returncode, done.stderr or b'') == (0, b'')


def test_a_descriptor_that_is_none_is_refused(command, volume):
    done = command.run('volume', 'backup', volume, '--progress', 'json',
                       '--progress-file', '/dev/fd/77', exit_code=2)
    assert 'cannot be written to /dev/fd/77' in done.stderr


def test_a_reader_that_leaves_does_not_end_the_backup(command, volume):
    ours, its_own = os.pipe()
    os.close(ours)
    done = command.run('--progress', 'json',
                       '--progress-file', f'/dev/fd/{its_own}',
                       'volume', 'backup', volume, pass_fds=[its_own])
    os.close(its_own)

    assert done.stderr == ''


def test_lines_are_added_to_a_file(command, volume, target, tmp_path):
    file = tmp_path / 'lines'
    options = ['--progress', 'json', '--progress-file', file]
    command.run('volume', 'backup', volume, *options)
    command.run('volume', 'restore', 'latest', target, *options)
    command.run('volume', 'verify', '--all', *options)

    results = [line for line in map(json.loads, file.open())
               if line['event'] == 'result']
    assert [line['command'] for line in results] == [
        'volume backup', 'volume restore', 'volume verify']
    assert results[2]['result'][0]['result'] == 'sound'
    command.run('volume', 'verify', '--all', '--progress', 'json',
                '--progress-file', tmp_path / 'none' / 'lines', exit_code=2)


def test_lines_for_a_tree(command, tmp_path):
    tree = tmp_path / 'tree'
    tree.mkdir()
    (tree / 'file').write_bytes(images.random_bytes(100_000))
    for words in (['backup', tree, '--name', 'tree'], ['verify', 'tree'],
                  ['restore', 'tree', tmp_path / 'again']):
        done = command.run('tree', *words, '--progress', 'json')
        *lines, result = lines_of(done.stderr)
        assert result['exit_code'] == 0
        assert result['result']
        assert all(line['percent'] is None for line in lines)


@pytest.mark.parametrize('words, exit_code, error', [
    (['volume', 'verify', 'latest'], 4, 'latest'),
    (['volume', 'backup', '/nowhere'], 2, '/nowhere'),
    (['tree', 'backup', '/nowhere', '--name', 'none'], 2, '/nowhere')])
def test_the_last_line_says_what_went_wrong(command, words, exit_code,
                                            error):
    done = command.run(*words, '--progress', 'json', exit_code=exit_code)

    result = json.loads(done.stderr.splitlines()[-1])
    assert (result['event'], result['exit_code']) == ('result', exit_code)
    assert error in result['error']
    assert result['result'] is None


def test_the_last_line_says_that_it_was_interrupted(command, slow):
    process = command.start('volume', 'backup', slow, '--progress', 'json')
    wait_for(process, command.half_written)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate()

    result = json.loads(shown.splitlines()[-1])
    assert result['exit_code'] == process.returncode == 130
    assert result['error'] == 'interrupted'


def test_metrics_of_the_command(command, volume, tmp_path):
    """Of all its runs together."""
    file = tmp_path / 'backups.prom'
    for _ in range(2):
        command.run('volume', 'backup', volume, '--volume-id', 'data',
                    '--metrics-file', file)
    command.run('--metrics-file', file, 'volume', 'backup', '/nowhere',
                exit_code=2)
    damaged = command.objects()[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    command.run('volume', 'verify', '--all', '--metrics-file', file,
                exit_code=5)

    values = dict(line.rsplit(' ', 1) for line in file.open()
                  if not line.startswith('#'))
    for sample, value in (
            ('operations_total{name="data",operation="volume_backup",'
             'outcome="success"}', 2),
            ('done_bytes_total{name="data",operation="volume_backup"}',
             2 * volume.stat().st_size),
            ('operations_total{name="data",operation="volume_verify",'
             'outcome="failure"}', 1),
            ('operations_total{name="data",operation="volume_verify",'
             'outcome="success"}', 1)):
        assert float(values[f'chunked_backup_{sample}']) == value


def test_a_log_of_json(command, configured, volume, tmp_path):
    """oslo.log's formatter, by its own option."""
    log = tmp_path / 'log'
    configured('[DEFAULT]', f'log_file = {log}', 'use_json = true')
    backup_id = command.backup(volume)

    lines = [json.loads(line) for line in log.open()]
    [stored] = [line for line in lines if 'is stored' in line['message']]
    assert backup_id in stored['message']
    assert (stored['levelname'], stored['name']) == (
        'INFO', 'chunked_backup.driver')


def test_a_log_as_a_file_of_its_own_says(command, configured, volume,
                                         tmp_path):
    """Python's configuration of loggers, which oslo.log takes as it is."""
    log = tmp_path / 'log'
    ini = tmp_path / 'logging.ini'
    ini.write_text(f'''
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys = json
[logger_root]
level = INFO
handlers = file
[handler_file]
class = FileHandler
args = ({str(log)!r}, )
formatter = json
[formatter_json]
class = oslo_log.formatters.JSONFormatter
''')
    configured('[DEFAULT]', f'log_config_append = {ini}')
    backup_id = command.backup(volume)

    assert any(backup_id in json.loads(line)['message'] for line in log.open())


def test_metrics_of_trees(command, tmp_path):
    tree, file = tmp_path / 'tree', tmp_path / 'trees.prom'
    tree.mkdir()
    (tree / 'file').write_bytes(images.random_bytes(100_000))
    for words in (['backup', tree, '--name', 'data'], ['verify', 'data'],
                  ['restore', 'data', tmp_path / 'again'],
                  ['delete', 'latest']):
        command.run('tree', *words, '--metrics-file', file)

    lines = file.read_text().splitlines()
    for operation in ('backup', 'verify', 'restore', 'delete'):
        assert ('chunked_backup_operations_total{name="data",operation='
                f'"tree_{operation}",outcome="success"}} 1.0') in lines
    for stage in ('prepare', 'store', 'commit'):
        assert any(f'stage="{stage}"' in line and 'tree_backup' in line
                   for line in lines)
