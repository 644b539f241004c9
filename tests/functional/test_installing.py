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

"""What an installation takes from the command: version and completion."""

import importlib.metadata
import subprocess

from chunked_backup import loader


def test_the_version_is_that_of_the_package(command):
    done = command.run('--version')

    assert done.stdout.split() == [
        'chunked-backup', importlib.metadata.version('chunked_backup')]


def test_bash_completes_every_command(command):
    script = command.run('complete').stdout

    subprocess.run(['bash', '-n'], input=script, text=True, check=True)
    for entry_point in loader.entry_points('chunked_backup.cli'):
        noun, verb = entry_point.name.split('_', 1)
        verbs = script.partition(f"cmds_{noun}='")[2].partition("'")[0]
        assert verb in verbs.split()
    assert '--salvage' in script
