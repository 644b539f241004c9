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

"""The documents name what there is: files, tests, commands and options."""

import ast
import pathlib
import re
import shlex

import pytest

from chunked_backup.cmd.app import ChunkedBackupApp

ROOT = pathlib.Path(__file__).parents[1]
PAGES = {str(path.relative_to(ROOT)): path.read_text()
         for path in [*ROOT.glob('*.rst'), *(ROOT / 'doc').rglob('*.rst'),
                      ROOT / 'tests' / 'golden' / 'README.rst']}

#: What stands where a user's own words would.
LITERAL = re.compile(r'``([^`]+)``')
PATH = re.compile(
    r'(?:tests|chunked_backup|doc|etc|tools)/[\w./-]*\w(?:::[\w:]+)?')
#: A command ends where the shell would end it.
COMMAND = re.compile(
    r'(?:^|[\s$/])chunked-backup(?= +[a-z-])'
    r'((?: +(?:"[^"]*"|\'[^\']*\'|[^\s|;>&)]+))+)')


def paths():
    """Pairs of page and path, each once."""
    return sorted({(page, found) for page, text in PAGES.items()
                   for literal in LITERAL.findall(text)
                   for found in PATH.findall(literal)
                   if literal.startswith(found)
                   and not found.startswith('doc/build/')})  # not yet made


def commands():
    """Pairs of page and the words behind the name of the program."""
    found = set()
    for page, text in PAGES.items():
        text = text.replace('\\\n', ' ')
        blocks = [line for line in text.splitlines() if line[:1] == ' ']
        inline = [' '.join(literal.split())
                  for literal in LITERAL.findall(text)]
        for line in blocks + inline:
            if '``' not in line:
                found |= {(page, words.strip())
                          for words in COMMAND.findall(line)}
    return sorted(found)


def names(tree, prefix=''):
    """All classes and functions of a module, those within a class behind its
    name."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from names(node, f'{node.name}::')


@pytest.mark.parametrize('page, path', paths())
def test_what_is_named_is_there(page, path):
    file, _, name = path.partition('::')

    assert (ROOT / file).exists()
    if name:
        assert name in names(ast.parse((ROOT / file).read_text()))


@pytest.mark.parametrize('page, words', commands())
def test_a_command_is_one_that_the_program_takes(page, words):
    app = ChunkedBackupApp()
    app.options, rest = app.parser.parse_known_args(shlex.split(words))
    if any(name.startswith(f'{words} ')
           for name, _ in app.command_manager):
        return  # the name of a group
    factory, name, rest = app.command_manager.find_command(rest)
    parser = factory(app, None).get_parser(name)
    if rest:  # otherwise it is only the name of a command
        parser.parse_args(rest)


def test_the_reference_of_commands_is_made_from_the_program():
    """All of it: what all commands share, and each that there is."""
    page = PAGES['doc/source/commands.rst']
    app = ChunkedBackupApp

    assert f'autoprogram-cliff:: {app.__module__}.{app.__name__}\n' in page
    assert (f'autoprogram-cliff:: {app().command_manager.namespace}\n'
            in page)


def test_the_test_sees_the_documents():
    """Nothing above would fail if it looked at nothing."""
    assert ('doc/source/security.rst',
            'tests/stores/test_secrets.py') in paths()
    assert ('doc/source/operations.rst',
            'volume prune --keep-daily 7 --keep-weekly 5 --yes') in commands()
    assert ('README.rst', 'volume verify --all -c id -c result') in commands()
    assert len(commands()) > 30
    with pytest.raises(SystemExit):
        test_a_command_is_one_that_the_program_takes(
            'page', 'volume delete BACKUP --no-such-option')
    with pytest.raises(AssertionError):
        test_what_is_named_is_there('page', 'tests/test_documents.py::no')
