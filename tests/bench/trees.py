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

"""A tree of many files, backed up and restored beside borg and restic.

The one command, from the top of the source tree::

    python -m tests.bench.trees [--help]

It wants borg and restic (on Debian: apt-get install borgbackup restic), and
room in TMPDIR for four times the tree, which is like the sources of Linux in
number and sizes. All run with their defaults, borg without encryption, as
whole processes, and take turns; the medians of all rounds are compared. What
is restored is compared with the tree.
"""

import argparse
import itertools
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from tests.bench import costs
from tests.bench import images

_PROGRAM = os.path.join(os.path.dirname(sys.executable), 'chunked-backup')
_FILES_OF_A_DIRECTORY = 15
_DIRECTORIES_OF_A_DIRECTORY = 8
_SIGMA = 1.3  # of the logarithm: a mean of 2.3 medians, a few of 1 MB
_TEXT_PIECES = 16
_CHANGED = 0.01
#: Files that have changed so shortly before a backup are read again by the
#: next, see jobs/tree_backup.py; nobody's tree is as young as this one.
_AGE_S = 3


def main():
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.trees', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--files', type=int, default=50_000)
    parser.add_argument('--median-bytes', type=int, default=5_500,
                        help='half of the files are shorter')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--without', action='append', default=[],
                        metavar='NAME', help='borg or restic')
    arguments = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(
            prefix='chunked_backup-bench-') as directory:
        directory = pathlib.Path(directory)
        tree = SourceTree(directory / 'tree', arguments.files,
                          arguments.median_bytes)
        time.sleep(_AGE_S)
        for _ in range(arguments.rounds):
            _round(directory, tree, arguments.without, figures)
    _summarize(figures)


def _round(directory, tree, without, figures):
    everybody = [kind(directory / kind.name) for kind in (Ours, Borg, Restic)
                 if kind.name not in without]
    for what, change in (('first', 0), ('unchanged', 0),
                         ('1 % changed', _CHANGED)):
        tree.change(change)
        time.sleep(_AGE_S)
        for each in everybody:
            os.sync()
            _note(figures, what, each, each.back_up(tree.top))
    for each in everybody:
        os.sync()
        _note(figures, 'restore', each, each.restore())
        subprocess.run(['diff', '-r', tree.top, each.restored(tree.top)],
                       check=True)
        shutil.rmtree(each.directory)


def _note(figures, what, each, cost):
    figures.setdefault((what, each.name), []).append(cost)
    print(f'{what:12} {each.name:16} {cost.elapsed_s:7.2f} s, CPU '
          f'{cost.cpu_s:7.2f} s, peak {cost.peak_bytes >> 20} MiB',
          flush=True)


def _summarize(figures):
    bare_bytes = costs.interpreter_bytes()
    medians = {key: statistics.median(cost.elapsed_s for cost in found)
               for key, found in figures.items()}
    for (what, name), elapsed_s in medians.items():
        ratio = elapsed_s / medians[what, Ours.name]
        peak = max(cost.peak_bytes for cost in figures[what, name])
        print(f'{what:12} {name:16} median {elapsed_s:7.2f} s, {ratio:.2f} '
              f'times ours, {(peak - bare_bytes) >> 20} MiB above a bare '
              'interpreter')


class _Contender:
    """:param directory: of its own, for a repository and what it restores."""

    def __init__(self, directory):
        self.directory = directory
        self.target = directory / 'target'
        self.repository = directory / 'repository'
        directory.mkdir()
        self.begin()

    def begin(self):
        """Make a repository."""

    def run(self, *words, directory=None):
        _, cost = costs.of_process(
            [*map(str, words)], {
                **os.environ, 'HOME': str(self.directory),
                'RESTIC_PASSWORD': 'bench',
                'RESTIC_REPOSITORY': str(self.repository)}, directory)
        return cost


class Ours(_Contender):
    name = 'chunked-backup'

    def begin(self):
        self._configuration = self.directory / 'bench.conf'
        self._configuration.write_text(
            f'[chunked_backup_posix]\npath = {self.repository}\n')

    def back_up(self, tree):
        return self._run('backup', tree, '--name', 'tree', '--incremental')

    def restore(self):
        return self._run('restore', 'tree', self.target)

    def restored(self, tree):
        return self.target

    def _run(self, *words):
        return self.run(_PROGRAM, '--config-file', self._configuration,
                        'tree', *words)


class Borg(_Contender):
    name = 'borg'
    _number = 0

    def begin(self):
        self.run('borg', 'init', '--encryption', 'none', self.repository)

    def back_up(self, tree):
        self._number += 1
        return self.run('borg', 'create',
                        f'{self.repository}::{self._number}', tree.name,
                        directory=tree.parent)

    def restore(self):
        self.target.mkdir()
        return self.run('borg', 'extract',
                        f'{self.repository}::{self._number}',
                        directory=self.target)

    def restored(self, tree):
        return self.target / tree.name


class Restic(_Contender):
    name = 'restic'

    def begin(self):
        self.run('restic', 'init')

    def back_up(self, tree):
        return self.run('restic', 'backup', tree.name, directory=tree.parent)

    def restore(self):
        return self.run('restic', 'restore', 'latest', '--target',
                        self.target)

    def restored(self, tree):
        return self.target / tree.name


class SourceTree:
    """A tree of text files; the same seed gives the same one.

    :param top: made, must not exist.
    """

    def __init__(self, top, files, median_bytes, seed=1):
        self.top = pathlib.Path(top)
        self._median_bytes = median_bytes
        self._source = random.Random(seed)
        self._text = b''.join(itertools.islice(
            images.text(random.Random(seed)), _TEXT_PIECES))
        self.paths = []
        for number in range(files):
            directory = self._directory(number // _FILES_OF_A_DIRECTORY)
            if number % _FILES_OF_A_DIRECTORY == 0:
                directory.mkdir(parents=True, exist_ok=True)
            path = directory / f'file_{number}.c'
            self._write(path, number)
            self.paths.append(path)

    def change(self, share):
        """Edit some of the files: a few bytes put in, some replaced."""
        for path in self._source.sample(self.paths,
                                        int(share * len(self.paths))):
            data = path.read_bytes()
            place = self._source.randrange(len(data) + 1)
            path.write_bytes(data[:place] + b'/* changed */'
                             + data[place + 5:])

    def _directory(self, number):
        parts = []
        while number:
            number, digit = divmod(number, _DIRECTORIES_OF_A_DIRECTORY)
            parts.append(f'directory_{digit}')
        return self.top.joinpath(*reversed(parts))

    def _write(self, path, number):
        length = min(int(self._source.lognormvariate(0, _SIGMA)
                         * self._median_bytes), len(self._text) // 2)
        start = self._source.randrange(len(self._text) - length)
        with open(path, 'wb') as file:
            file.write(b'/* %d */' % number + self._text[start:start + length])


if __name__ == '__main__':
    main()
