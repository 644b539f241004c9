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

"""The installed command, run as a user runs it: as a process."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

PROGRAM = os.path.join(os.path.dirname(sys.executable), 'chunked-backup')


class Command:
    """``chunked-backup`` with a home and a data directory of its own.

    :param directory: an empty one.
    """

    def __init__(self, directory):
        self.data = pathlib.Path(directory) / 'data'
        home = pathlib.Path(directory) / 'home'
        home.mkdir()
        self.environment = {
            'PATH': os.environ['PATH'], 'HOME': str(home),
            'XDG_DATA_HOME': str(self.data), 'LC_ALL': 'C.UTF-8',
            # What has tox -e cover measure the process, too.
            **{name: value for name, value in os.environ.items()
               if name.startswith('COVERAGE_')}}

    @property
    def repository(self):
        return self.data / 'chunked-backup'

    def run(self, *arguments, exit_code=0, **keywords):
        """Run it, and see that it ends with the exit code given, or with any
        for None."""
        done = subprocess.run(
            self.words(arguments), env=self.environment, text=True,
            capture_output=True, check=False, **keywords)
        assert exit_code in (done.returncode, None), (
            done.stdout + done.stderr)
        return done

    def start(self, *arguments):
        return subprocess.Popen(
            self.words(arguments), env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def json(self, *arguments, **keywords):
        """Run it; what its standard output says as JSON."""
        return json.loads(
            self.run(*arguments, '-f', 'json', **keywords).stdout)

    def backup(self, path, *arguments):
        """Back a volume up; the id."""
        return self.json('volume', 'backup', path, *arguments)['id']

    def objects(self):
        """All data objects in the repository, sorted."""
        return sorted(path for path in self.repository.rglob('volume_*')
                      if path.name[-5:].isdigit())

    def files(self):
        """Whatever there is in the repository but directories."""
        return sorted(path for path in self.repository.rglob('*')
                      if not path.is_dir())

    def half_written(self):
        """Objects of backups that are not complete, but begun."""
        found = []
        for path in self.repository.rglob('*.tmp'):
            with contextlib.suppress(FileNotFoundError):
                if path.parent.name != 'catalogue' and path.stat().st_size:
                    found.append(path)
        return found

    @staticmethod
    def words(arguments):
        return [PROGRAM, *map(str, arguments)]


def wait_for(process, happened):
    """Return once something has happened, before the process has ended."""
    while not happened():
        assert process.poll() is None, process.communicate()
