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


"""Signatures and deltas of one large file, beside those of rdiff.

The one command, from the top of the source tree::

    python -m tests.bench.delta [--help]

It wants rdiff (on Debian: apt-get install rdiff), and room in TMPDIR for five
times the file. In each round both take their turns; the medians of all rounds
are compared. Ours is measured in a process of its own, from the first byte it
reads to the last it writes, without the start of the interpreter; its memory
is what it has above a bare one. Each new version is made again from the old
one and our delta, and compared, once.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from tests.bench import costs

_PIECE_BYTES = 1 << 20
#: What of it is to be how many times as fast as rdiff.
_WANTED = {'signature': 1.5, 'unchanged': 2, 'inserted': 1.5, 'edited': None,
           'different': 1}


def main():
    """Measure, and print the figures."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(
            prefix='chunked_backup-bench-') as name:
        bench = Bench(pathlib.Path(name), arguments.mib << 20)
        for number in range(arguments.rounds):
            for what in arguments.only or _WANTED:
                for who in ('rdiff', 'ours'):
                    bench.measure(what, who)
                if number == 0:
                    bench.compare(what)
        bench.summarize()


def _arguments():
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.delta', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--mib', type=int, default=1024,
                        help='the length of the file')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--only', action='append', choices=_WANTED,
                        metavar='WHAT', help=', '.join(_WANTED))
    return parser.parse_args()


class Bench:
    """:param directory: an empty one.
    :param length: of the file, in bytes.
    """

    def __init__(self, directory, length):
        self._directory = directory
        self._length = length
        self._costs = {}
        self._interpreter_bytes = costs.interpreter_bytes()
        self._make_versions()
        for who in ('rdiff', 'ours'):  # no delta without a signature
            self._run('signature', who)

    def measure(self, what, who):
        """One turn of ``who``."""
        cost = self._run(what, who)
        self._costs.setdefault((what, who), []).append(cost)
        print(f'{what:10} {who:6} {self._speed(cost.elapsed_s):7.0f} MB/s '
              f'{cost.cpu_s:7.2f} s of CPU time', flush=True)

    def compare(self, what):
        """Whether our delta makes the new version of the old one."""
        if what == 'signature':
            return
        made = self._directory / 'made'
        self._work('patch', self._path('unchanged'), made,
                   self._path(f'{what}.ours'))
        subprocess.run(['cmp', made, self._path(what)], check=True)
        made.unlink()

    def summarize(self):
        for what in dict.fromkeys(what for what, _ in self._costs):
            speed, literal, peak = self._medians(what, 'ours')
            base, base_literal, _ = self._medians(what, 'rdiff')
            wanted = (f' (wanted: {_WANTED[what]})' if _WANTED[what]
                      else '')
            print(f'{what:10} ours {speed:5.0f} MB/s, rdiff {base:5.0f} MB/s,'
                  f' {speed / base:.2f} times as fast{wanted}; '
                  f'{literal} and {base_literal} bytes written; '
                  f'{(peak - self._interpreter_bytes) / 2**20:.0f} MiB')

    def _medians(self, what, who):
        rounds = self._costs[what, who]
        return (self._speed(statistics.median(
            cost.elapsed_s for cost in rounds)),
            rounds[0].moved_bytes, max(cost.peak_bytes for cost in rounds))

    def _speed(self, elapsed_s):
        return self._length / elapsed_s / 1e6

    def _path(self, name):
        return self._directory / name

    def _run(self, what, who):
        source = self._path('unchanged' if what == 'signature' else what)
        target = self._path(f'{what}.{who}')
        target.unlink(missing_ok=True)
        known = self._path(f'signature.{who}')
        if who == 'ours':
            cost = self._work(what, source, target, known)
        elif what == 'signature':
            _, cost = costs.of_process(
                ['rdiff', '-b', '65536', 'signature', source,
                 target], dict(os.environ))
        else:
            _, cost = costs.of_process(
                ['rdiff', 'delta', known, source, target], dict(os.environ))
        return cost._replace(moved_bytes=target.stat().st_size)

    def _work(self, *request):
        return costs.of_worker('tests.bench.delta_worker',
                               list(map(str, request)))[1]

    def _make_versions(self):
        """Random data as it was, with a byte in front, edited, and other."""
        _write_random(self._path('unchanged'), self._length)
        with (open(self._path('unchanged'), 'rb') as source,
              open(self._path('inserted'), 'wb') as target):
            target.write(b'x')
            shutil.copyfileobj(source, target, _PIECE_BYTES)
        shutil.copyfile(self._path('unchanged'), self._path('edited'))
        with open(self._path('edited'), 'r+b') as target:
            for number in range(200):
                target.seek(self._length * number // 200)
                target.write(os.urandom(4096))
        _write_random(self._path('different'), self._length)


def _write_random(path, length):
    with open(path, 'wb') as target:
        for _ in range(0, length, _PIECE_BYTES):
            target.write(os.urandom(_PIECE_BYTES))


if __name__ == '__main__':
    main()
