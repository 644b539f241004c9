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

"""The figures of doc/source/figures.rst, as the code is by now.

::

    python -m tests.figures

prints how large modules and functions are and how many tests there are. What
the tests reach is added where ``tox -e cover`` has left its data, the time of
a whole run where tox was told to write it down::

    tools/test run-parallel --parallel 2 --result-json .tox/result.json
"""

import ast
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULT = ROOT / '.tox' / 'result.json'


def lengths():
    """The lines of each module of the package, and of each function."""
    modules, functions = [], []
    for path in sorted((ROOT / 'chunked_backup').rglob('*.py')):
        text = path.read_text()
        tree = ast.parse(text)
        functions += [node.end_lineno - node.lineno + 1
                      for node in ast.walk(tree)
                      if isinstance(node, ast.FunctionDef)]
        if tree.body[1:]:  # more than a docstring
            modules.append(len(text.splitlines()))
    return sorted(modules), sorted(functions)


def part(values, percent):
    """The value that so many of a hundred do not exceed."""
    return values[min(len(values) - 1, len(values) * percent // 100)]


def test_counts():
    """How many tests pytest finds, by directory."""
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-qq', 'tests'],
        cwd=ROOT, text=True, capture_output=True, check=False)
    counts = {}
    for line in done.stdout.splitlines():
        path, _, count = line.partition(': ')
        if count.isdigit():
            parts = path.split('/')
            suite = parts[1] if len(parts) > 2 else 'of the whole'
            counts[suite] = counts.get(suite, 0) + int(count)
    return counts


def covered():
    """What ``coverage report`` says of all, or None without its data."""
    if not (ROOT / '.coverage').exists():
        return None
    done = subprocess.run(
        [sys.executable, '-m', 'coverage', 'report', '--format=total',
         '--precision=1', '--fail-under=0'],
        cwd=ROOT, text=True, capture_output=True, check=True)
    return done.stdout.strip()


def seconds_of_tests():
    """How long each environment of tox ran its tests, if it was noted."""
    if not RESULT.exists():
        return {}
    environments = json.loads(RESULT.read_text())['testenvs']
    return {name: sum(each['elapsed'] for each in found.get('test', []))
            for name, found in environments.items() if 'test' in found}


def main():
    modules, functions = lengths()
    print(f'modules            {len(modules)}, lines {sum(modules)}')
    print(f'lines of a module  median {statistics.median(modules):.0f}, '
          f'longest {modules[-1]}')
    print(f'functions          {len(functions)}')
    print(f'lines of a function  median {statistics.median(functions):.0f}, '
          f'90 % at most {part(functions, 90)}, '
          f'99 % at most {part(functions, 99)}, longest {functions[-1]}')
    counts = test_counts()
    print(f'tests              {sum(counts.values())}: ' + ', '.join(
        f'{count} {suite}' for suite, count in sorted(counts.items())))
    percent = covered()
    if percent is not None:
        print(f'branch coverage    {percent} %')
    for name, elapsed_s in seconds_of_tests().items():
        print(f'tox -e {name:12}{elapsed_s:7.0f} s')


if __name__ == '__main__':
    main()
