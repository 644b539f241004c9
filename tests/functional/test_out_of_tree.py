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
"""A driver from outside of the project, installed for real."""

import json
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

SOURCE = pathlib.Path(__file__).parent.parent / 'out_of_tree'


@pytest.fixture(scope='module')
def python(tmp_path_factory):
    """The interpreter of a scratch environment that has the project as this
    one has it, and the outsiders' package installed by pip."""
    directory = tmp_path_factory.mktemp('environment')
    venv.create(directory, with_pip=True)
    interpreter = directory / 'bin' / 'python'
    purelib = subprocess.run(
        [interpreter, '-c',
         'import sysconfig; print(sysconfig.get_path("purelib"))'],
        check=True, capture_output=True, text=True).stdout.strip()
    (pathlib.Path(purelib) / 'project.pth').write_text(
        'import site; site.addsitedir('
        f'{sysconfig.get_path("purelib")!r})\n')
    package = directory / 'package'
    shutil.copytree(SOURCE, package)
    subprocess.run([interpreter, '-m', 'pip', 'install', '-q', '--no-deps',
                    package], check=True)
    return interpreter


@pytest.fixture
def run(python, tmp_path):
    """Runs the command in the scratch environment, with the driver."""
    configuration = tmp_path / 'sqlite.conf'
    configuration.write_text(
        '[chunked_backup]\ndriver = sqlite\n'
        f'[chunked_backup_sqlite]\npath = {tmp_path}/backups.sqlite\n')

    def run(*arguments):
        return json.loads(subprocess.run(
            [python, '-m', 'chunked_backup', *map(str, arguments),
             '--config-file', configuration, '-f', 'json'], check=True,
            capture_output=True, text=True).stdout)

    return run


def test_it_is_not_installed_here(command):
    assert 'sqlite' not in {each['name'] for each in command.json(
        'driver', 'list')}
    assert 'chunked_backup_sqlite' not in sys.modules


def test_it_is_found_by_entry_point(run):
    drivers = {each['name']: each for each in run('driver', 'list')}
    assert drivers['sqlite']['usable'] == 'yes'
    assert drivers['sqlite']['configured'] is True


def test_it_keeps_its_promises(run):
    verdicts = run('driver', 'check')
    assert not [each for each in verdicts if each['outcome'] == 'broken']
    assert sum(each['outcome'] == 'kept' for each in verdicts) > 25


def test_it_keeps_backups(run, volume, target):
    run('volume', 'backup', volume)
    data = bytearray(volume.read_bytes())
    data[100_000:200_000] = bytes(100_000)
    volume.write_bytes(data)
    run('volume', 'backup', volume, '--incremental')
    assert {each['result'] for each in run('volume', 'verify', '--all')} == {
        'sound'}
    run('volume', 'restore', 'latest', target)
    assert target.read_bytes() == bytes(data)
    first = run('volume', 'list')[0]['id']
    assert len(run('volume', 'delete', first, '--cascade')) == 2
    assert run('volume', 'list') == []
