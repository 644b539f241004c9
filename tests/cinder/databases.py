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

"""The databases of the tests; ``execute`` looks into one from outside."""

import contextlib
import pathlib
import shutil
import sqlite3
import subprocess
import sys

_ROOT = pathlib.Path(__file__).parents[2]


def make_tables(url):
    """Have Cinder's migrations make its tables."""
    subprocess.run([sys.executable, '-m', 'tests.cinder.database', url],
                   check=True, capture_output=True, cwd=_ROOT)


class Sqlite:
    """A database in a file."""

    def __init__(self, path):
        self.path = path
        self.url = f'sqlite:///{path}'

    def make(self):
        make_tables(self.url)
        # Several services share one database in some tests.
        self.execute('PRAGMA journal_mode = WAL')
        return self

    def copy(self, path):
        """Another one that has the same in it."""
        shutil.copy(self.path, path)
        return Sqlite(path)

    def execute(self, statement, values=()):
        """The rows that a statement gives, as dictionaries.

        :param statement: with a question mark for each of the values.
        """
        with contextlib.closing(sqlite3.connect(
                self.path, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row)
                    for row in connection.execute(statement, values)]
