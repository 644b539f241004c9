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

"""Everything public says what it means.

Public is what has no name that begins with an underscore, nor is within
something that has: modules, classes, functions, methods and properties. What
overrides a method of a base class need say nothing when the base class says
it, and of a protocol its docstring may say it for all methods. Methods with
two underscores mean what the language says.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1] / 'chunked_backup'

#: What bases from elsewhere say themselves.
ELSEWHERE = {
    'App': {'initialize_app', 'build_option_parser', 'run_subcommand'},
    'Command': {'get_parser', 'run', 'take_action'},
    'FormattableColumn': {'human_readable', 'machine_readable'},
    'Lister': {'get_parser', 'take_action'},
    'ShowOne': {'get_parser', 'take_action'},
}


def _trees():
    for path in sorted(ROOT.rglob('*.py')):
        yield path.relative_to(ROOT.parent), ast.parse(path.read_text())


TREES = dict(_trees())


def is_public(name):
    return not name.startswith('_')


def functions_in(node):
    return [each for each in node.body
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]


CLASSES = {node.name: node for tree in TREES.values()
           for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def bases_of(node):
    for base in node.bases:
        if isinstance(base, ast.Subscript):
            base = base.value
        yield base.attr if isinstance(base, ast.Attribute) else base.id


def is_said_above(node, method):
    """Whether a base class, or one of its own, documents a method."""
    return any(
        method in ELSEWHERE.get(base, ())
        or base in CLASSES and CLASSES[base] is not node and (
            any(each.name == method and ast.get_docstring(each)
                for each in functions_in(CLASSES[base]))
            or is_said_above(CLASSES[base], method))
        for base in bases_of(node))


def is_setter(function):
    return any(isinstance(each, ast.Attribute) and each.attr == 'setter'
               for each in function.decorator_list)


def is_declaration(function):
    """Whether it has no body: of a protocol or an overload."""
    return [ast.unparse(each) for each in function.body] == ['...']


def silent(tree):
    """The public things of a module that say nothing."""
    if tree.body and not ast.get_docstring(tree):
        yield 'the module'
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            if not ast.get_docstring(node):
                yield node.name
            for function in functions_in(node):
                if (is_public(function.name) and not is_setter(function)
                        and not is_declaration(function)
                        and not ast.get_docstring(function)
                        and not is_said_above(node, function.name)):
                    yield f'{node.name}.{function.name}'
    for function in functions_in(tree):
        if (is_public(function.name) and not is_declaration(function)
                and not ast.get_docstring(function)):
            yield function.name


@pytest.mark.parametrize('path', TREES, ids=str)
def test_everything_public_says_what_it_means(path):
    assert list(silent(TREES[path])) == []


def test_the_test_sees_what_says_nothing():
    tree = ast.parse('class Loud:\n    def silent(self): pass\n'
                     'def quiet(): pass\ndef _private(): pass')
    assert list(silent(tree)) == ['the module', 'Loud', 'Loud.silent',
                                  'quiet']
