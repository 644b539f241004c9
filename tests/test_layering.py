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

"""Who may import whom.

Every module of the package has a place in MAY_IMPORT, the rule itself; a new
package fails here until it has been given one.
"""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

PACKAGE = 'chunked_backup'
ROOT = pathlib.Path(__file__).parents[1] / PACKAGE

VALUES = {'errors', 'model'}
BLOCKS = VALUES | {'blocks', 'delta'}
FLOW = BLOCKS | {'flow'}
MIDDLE = FLOW | {'store', 'formats', 'endpoints', 'trees'}
JOBS = MIDDLE | {'jobs'}
SEAMS = JOBS | {'driver', 'engine', 'host', 'loader', 'metrics', 'opts',
                'base_driver'}

#: What each part of the package may import of the others. Where a part is a
#: package, its modules may import each other.
MAY_IMPORT = {
    'errors': set(),
    'model': set(),
    'blocks': VALUES,
    'delta': VALUES,
    'flow': BLOCKS,
    'store': FLOW,
    'formats': FLOW | {'trees'},
    'endpoints': FLOW,
    'trees': FLOW,
    'jobs': MIDDLE,
    'host': VALUES,
    'loader': {'errors'},
    'metrics': {'errors', 'flow'},
    'opts': BLOCKS,
    'base_driver': FLOW | {'store', 'opts'},
    'driver': SEAMS,
    'drivers': SEAMS,
    'engine': JOBS,
    'engines': SEAMS | {'delta'},
    'hosts': SEAMS | {'engines'},
    'testing': SEAMS,
    'cmd': SEAMS | {'engines', 'hosts', 'testing'},
    '__main__': {'cmd'},
}

PLUGINS = {'__main__', 'drivers', 'engines', 'hosts', 'cmd', 'testing'}

#: The only modules that may import a library.
ONLY_IN = {
    'cinder': {'hosts.cinder'},
    'eventlet': {'flow.native'},
    'stevedore': {'loader'},
}

LIBRARIES_OF_THE_CONFIGURATION = {'oslo_config'}
LIBRARIES_FOR_LOGGING = {'logging', 'oslo_log'}
#: What would let the outside world into a pure function.
NOT_PURE = {'asyncio', 'concurrent', 'datetime', 'multiprocessing', 'os',
            'pathlib', 'random', 'secrets', 'shutil', 'socket', 'subprocess',
            'tempfile', 'threading', 'time'}

#: What costs time to import and few commands need.
LAZY = {'blake3', 'boto3', 'botocore', 'eventlet', 'keystoneauth1', 'numpy',
        'swiftclient', 'tqdm', 'zstandard'}


def _modules():
    for path in sorted(ROOT.rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        name = '.'.join(part for part in parts if part != '__init__')
        if name:
            yield name, path


MODULES = dict(_modules())


def part_of(module):
    return module.split('.')[0]


def imports(path):
    """All names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def inner_imports(path):
    """The parts of our own package that a file imports."""
    return {name.split('.')[1] for name in imports(path)
            if name.startswith(PACKAGE + '.')}


def libraries(path):
    return {name.split('.')[0] for name in imports(path)}


def test_every_part_has_a_place():
    assert {part_of(module) for module in MODULES} <= set(MAY_IMPORT)


@pytest.mark.parametrize('module', MODULES)
def test_a_module_imports_only_what_its_place_allows(module):
    part = part_of(module)

    assert inner_imports(MODULES[module]) <= MAY_IMPORT[part] | {part}


@pytest.mark.parametrize('part', sorted(set(MAY_IMPORT) - PLUGINS))
def test_nobody_but_plugins_may_import_a_plugin(part):
    assert not MAY_IMPORT[part] & PLUGINS


@pytest.mark.parametrize('module', MODULES)
def test_a_library_with_one_user_has_one_user(module):
    for library in libraries(MODULES[module]) & set(ONLY_IN):
        assert module in ONLY_IN[library]


@pytest.mark.parametrize('module', [
    module for module in MODULES if part_of(module) in JOBS])
def test_jobs_and_below_know_no_configuration_and_never_log(module):
    assert not libraries(MODULES[module]) & (
        LIBRARIES_OF_THE_CONFIGURATION | LIBRARIES_FOR_LOGGING)


@pytest.mark.parametrize('module', [
    module for module in MODULES
    if part_of(module) in ('errors', 'model', 'blocks')])
def test_blocks_are_pure(module):
    assert not libraries(MODULES[module]) & NOT_PURE


@pytest.mark.parametrize('module', [
    module for module in MODULES if part_of(module) == 'delta'])
def test_deltas_are_pure_but_for_a_random_seed_and_a_rename(module):
    assert libraries(MODULES[module]) & NOT_PURE <= {
        'delta.signature': {'secrets'}, 'delta.api': {'os'}}.get(
            module, set())


def test_the_test_sees_the_package():
    """Nothing above would fail if it looked at nothing."""
    assert {'driver', 'blocks.codecs', 'jobs.backup', 'cmd.app'} <= set(
        MODULES)
    assert 'stevedore' in libraries(MODULES['loader'])
    assert 'blocks' in inner_imports(MODULES['jobs.backup'])


def test_the_program_starts_without_the_libraries_of_drivers():
    done = subprocess.run(
        [sys.executable, '-c', 'import sys, chunked_backup.cmd.app\n'
         'print(*sys.modules, sep="\\n")'],
        text=True, capture_output=True, check=True, env=dict(os.environ))

    loaded = {name.split('.')[0] for name in done.stdout.split()}
    assert 'cliff' in loaded
    assert not loaded & LAZY
