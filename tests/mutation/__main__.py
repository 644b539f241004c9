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

"""Whether the tests of what decides about bytes would see it go wrong.

::

    tox -e mutation [-- MODULE ...]

changes one thing at a time in the modules of ``blocks`` and ``formats``, and
runs the tests of the module against each change. A change that no test sees
is printed. Those in ``EQUIVALENT``, which change nothing that a caller could
see, do not count; all others do. A test that does not end has seen it.
"""

import argparse
import importlib
import os
import pathlib
import resource
import sys
import tempfile

import pytest

from tests.mutation import changes
from tests.mutation.equivalent import EQUIVALENT

ROOT = pathlib.Path(__file__).parents[2]
_LONGEST_S = 10
#: What takes time to import and is not changed.
_LIBRARIES = ('blake3', 'hypothesis', 'ijson', 'isal.isal_zlib', 'msgpack',
              'numpy', 'oslo_config.cfg', 'oslo_log.log', 'stevedore',
              'tenacity', 'zstandard')
_UNIT = 'tests/unit'

#: Of each module the tests that are its own: the quickest first, the next
#: only when those have seen nothing.
TESTS = {
    'blocks/codecs': [f'{_UNIT}/blocks/test_codecs.py',
                      'tests/property/test_codecs.py'],
    'blocks/digests': [f'{_UNIT}/blocks/test_digests.py',
                       'tests/property/test_digests.py'],
    'blocks/extents': [f'{_UNIT}/blocks/test_extents.py',
                       'tests/property/test_extents.py'],
    'blocks/plan': [f'{_UNIT}/blocks/test_plan.py',
                    'tests/property/test_plan.py'],
    'blocks/samples': [f'{_UNIT}/blocks/test_samples.py'],
    'blocks/zlib_writer': [f'{_UNIT}/blocks/test_zlib_writer.py',
                           'tests/property/test_codecs.py'],
    'blocks/zstd_frames': [f'{_UNIT}/blocks/test_zstd_frames.py'],
    'formats/fields': [f'{_UNIT}/formats/test_fields.py',
                       f'{_UNIT}/formats/cinder_v1',
                       f'{_UNIT}/formats/volume_v2'],
    'formats/json_stream': [f'{_UNIT}/formats/test_json_stream.py',
                            f'{_UNIT}/formats/cinder_v1'],
    'formats/names': [f'{_UNIT}/formats/test_names.py'],
    'formats/cinder_v1/digest_table': [f'{_UNIT}/formats/cinder_v1',
                                       'tests/property/test_formats.py'],
    'formats/cinder_v1/manifest': [f'{_UNIT}/formats/cinder_v1',
                                   'tests/property/test_formats.py'],
    'formats/tree_v1/index': [f'{_UNIT}/formats/tree_v1',
                              'tests/property/test_tree_malice.py'],
    'formats/tree_v1/manifest': [f'{_UNIT}/formats/tree_v1',
                                 'tests/property/test_tree_malice.py'],
    'formats/tree_v1/names': [f'{_UNIT}/formats/tree_v1'],
    'formats/volume_v2/digest_table': [f'{_UNIT}/formats/volume_v2'],
    'formats/volume_v2/lines': [f'{_UNIT}/formats/volume_v2'],
    'formats/volume_v2/manifest': [f'{_UNIT}/formats/volume_v2'],
}


def is_seen(name, source, tests):
    """Whether a test fails when a module has another source."""
    return any(_fails(name, source, each) for each in tests)


def _fails(name, source, test):
    """In a process of its own, which has all libraries loaded already."""
    child = os.fork()
    if child == 0:
        _run(name, source, test)
    _, status = os.waitpid(child, 0)
    return status != 0


def _run(name, source, test):
    resource.setrlimit(resource.RLIMIT_CPU, (_LONGEST_S, _LONGEST_S))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    code = 1
    try:
        sys.meta_path.insert(0, changes.Finder(name, source))
        with tempfile.TemporaryDirectory() as directory:
            code = pytest.main(['-x', '-q', '-p', 'no:cacheprovider', '-p',
                                'no:xdist', '--basetemp', directory, test])
    finally:
        os._exit(int(code))


def examine(module):
    """Change a module in every way; gives (counted, unseen, left out)."""
    path = ROOT / 'chunked_backup' / f'{module}.py'
    name = 'chunked_backup.' + module.replace('/', '.')
    source = path.read_text()
    for test in TESTS[module]:
        if _fails(name, source, test):
            sys.exit(f'{test} fails without any change')
    made = list(changes.of(source))
    known = EQUIVALENT.get(module, ())
    counted = [each for each in made if each.where not in known]
    unseen = 0
    for each in counted:
        if not is_seen(name, each.source, TESTS[module]):
            unseen += 1
            print(f'    {module}.py:{each.line}: {each.where}', flush=True)
    return len(counted), unseen, len(made) - len(counted)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('modules', nargs='*', metavar='MODULE',
                        help='such as blocks/plan; all without')
    for library in _LIBRARIES:
        importlib.import_module(library)
    total = seen = left_out = 0
    for module in parser.parse_args().modules or TESTS:
        count, unseen, equivalent = examine(module)
        print(f'{module}: {count - unseen} of {count} changes seen, '
              f'{equivalent} left out as equivalent', flush=True)
        total += count
        seen += count - unseen
        left_out += equivalent
    print(f'mutation score: {100 * seen / total:.1f} % '
          f'({seen} of {total}, {left_out} left out as equivalent)')


if __name__ == '__main__':
    main()
