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

"""Small changes of a module, one at a time."""

import ast
import copy
import importlib.abc
import importlib.machinery
from typing import NamedTuple

_OTHER = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}


class Change(NamedTuple):
    """:param where: the statement, and what becomes of a part of it.
    :param source: of the whole module.
    """

    line: int
    where: str
    source: str


def of(source):
    """All changes of a module: another operator, a number that is one more, a
    condition the other way round, a statement left out. Not of texts: what a
    message says is no decision; nor of types."""
    tree = ast.parse(source)
    for statement in _statements(tree):
        for index, node in enumerate(_parts(statement)):
            for what, changed in _changed(node):
                yield _with(tree, statement, index, what, changed)


def _statements(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(
                node, ast.FunctionDef | ast.ClassDef | ast.Import
                | ast.ImportFrom) and not _is_text(node):
            yield node


def _is_text(node):
    return isinstance(node, ast.Expr) and isinstance(
        node.value, ast.Constant)


def _parts(statement):
    """The statement and its expressions, not the statements within it, nor
    types."""
    yield statement
    for field, value in ast.iter_fields(statement):
        if field == 'annotation':
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.expr | ast.comprehension):
                yield from ast.walk(each)


def _changed(node):
    """What may become of a node: (in words, a function that does it)."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            yield _swap(node.ops, index, operator)
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        if type(node.op) in _OTHER and not _is_of_texts(node):
            other = _OTHER[type(node.op)]
            yield (f'{type(node.op).__name__} to {other.__name__}',
                   lambda node: setattr(node, 'op', other()))
    elif isinstance(node, ast.Constant):
        if type(node.value) is bool:
            yield ('the other truth', lambda node: setattr(
                node, 'value', not node.value))
        elif type(node.value) in (int, float):
            yield (f'{node.value} to {node.value + 1}', lambda node: setattr(
                node, 'value', node.value + 1))
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield ('the other way round', lambda node: setattr(
            node, 'test', ast.UnaryOp(ast.Not(), node.test)))
    elif isinstance(node, ast.Expr | ast.Raise) and not isinstance(
            getattr(node, 'value', None), ast.Yield | ast.YieldFrom):
        yield 'left out', None
    elif isinstance(node, ast.Break | ast.Continue):
        yield 'left out', None


def _swap(operators, index, operator):
    other = _OTHER[type(operator)]
    return (f'{type(operator).__name__} to {other.__name__}',
            lambda node: node.ops.__setitem__(index, other()))


def _is_of_texts(node):
    return any(isinstance(each, ast.JoinedStr) or isinstance(
        each, ast.Constant) and isinstance(each.value, str)
        for each in ast.walk(node))


def _with(tree, statement, index, what, change):
    changed = copy.deepcopy(tree)
    originals, copies = list(ast.walk(tree)), list(ast.walk(changed))
    theirs = copies[originals.index(statement)]
    if change is None:
        theirs = _left_out(changed, theirs)
    else:
        change(list(_parts(theirs))[index])
    shown = ast.unparse(statement).split('\n')[0]
    return Change(statement.lineno, f'{shown} ({what})',
                  ast.unparse(ast.fix_missing_locations(changed)))


def _left_out(tree, statement):
    for node in ast.walk(tree):
        for body in ('body', 'orelse', 'finalbody'):
            found = getattr(node, body, None)
            if isinstance(found, list) and statement in found:
                found[found.index(statement)] = ast.Pass()
    return statement


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Has a module be imported with another source."""

    def __init__(self, name, source):
        self._name = name
        self._source = source

    def find_spec(self, name, path, target=None):
        if name == self._name:
            return importlib.machinery.ModuleSpec(name, self)

    def exec_module(self, module):
        exec(compile(self._source, self._name, 'exec'), module.__dict__)
