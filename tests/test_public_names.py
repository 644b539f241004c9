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

"""What an author of a driver, an engine or a host outside of here imports.

Names, parameters and defaults stand in public_names.txt. Whoever changes one
of them sees here that others go by it. A change that is meant is written by::

    python -m tests.test_public_names > tests/public_names.txt
"""

import dataclasses
import importlib
import inspect
import pathlib
import re

import pytest

LISTING = pathlib.Path(__file__).with_name('public_names.txt')

#: The modules that are meant for others, and what of them; None for all that
#: they define themselves.
MODULES = {
    'chunked_backup.driver': ['ChunkedBackupDriver'],
    'chunked_backup.engine': ['BackupEngine', 'DEFAULT_BLOCK_SIZE_BYTES'],
    'chunked_backup.host': ['Host'],
    'chunked_backup.errors': None,
    'chunked_backup.model': None,
    'chunked_backup.opts': ['GROUP', 'cinder_option', 'register'],
    'chunked_backup.store.seam': None,
    # What an engine is given and gives.
    'chunked_backup.formats.tree_v1': ['Content', 'Record'],
    'chunked_backup.formats.tree_v1.index': ['Extents', 'Place', 'ZEROS',
                                             'extents_of'],
    'chunked_backup.jobs.tree_file': ['SourceFile', 'Unreadable'],
    'chunked_backup.trees.entry': ['Entry'],
    'chunked_backup.delta': None,
    'chunked_backup.testing.bench': None,
    'chunked_backup.testing.contract': None,
}


def names_of(module, wanted):
    if wanted is not None:
        return wanted
    if hasattr(module, '__all__'):
        return sorted(module.__all__)
    return sorted(name for name, value in vars(module).items()
                  if not name.startswith('_')
                  and getattr(value, '__module__', '') == module.__name__)


def parameters(function):
    """As in a definition, without types; mypy watches over those."""
    signature = inspect.signature(function)
    return str(signature.replace(
        return_annotation=signature.empty,
        parameters=[each.replace(annotation=each.empty,
                                 default=shown_default(each.default))
                    for each in signature.parameters.values()]))


class Shown:
    """A value that is shown as some text."""

    def __init__(self, text):
        self._text = text

    def __repr__(self):
        return self._text


def shown_default(value):
    if value is inspect.Parameter.empty or isinstance(
            value, str | int | float | bytes | tuple | None):
        return value
    return Shown('...')  # a function, which has no lasting name


def fields(error):
    """The keywords of an error: what its message speaks of."""
    return sorted(set(re.findall(r'%\((\w+)\)', error.template)))


def members(kind):
    """The public methods, properties and values of a class, its bases'
    among them."""
    for name in sorted(dir(kind)):
        value = inspect.getattr_static(kind, name)
        if name.startswith('_') or hasattr(object, name):
            continue
        if isinstance(value, staticmethod | classmethod):
            yield f'{name}{parameters(getattr(kind, name))}'
        elif callable(value):
            abstract = getattr(value, '__isabstractmethod__', False)
            yield (f'{name}{parameters(value)}'
                   + (', to be defined' if abstract else ''))
        else:
            yield name


def is_namedtuple(kind):
    return issubclass(kind, tuple) and hasattr(kind, '_fields')


def described(name, value):
    if not inspect.isclass(value):
        yield f'{name}{parameters(value)}' if callable(value) else name
        return
    if issubclass(value, Exception):
        known = fields(value) if hasattr(value, 'template') else []
        yield f'class {name}({value.__base__.__name__})' + (
            ': ' + ', '.join(known) if known else '')
        return
    if getattr(value, '_is_protocol', False):
        yield f'protocol {name}'
    elif issubclass(value, str):
        yield f'class {name}: ' + ', '.join(value)
        return
    else:
        yield f'class {name}{parameters(value)}'
    inherited = dir(tuple) if is_namedtuple(value) else ()
    known = ([field.name for field in dataclasses.fields(value)]
             if dataclasses.is_dataclass(value)
             else getattr(value, '_fields', []))
    yield from (f'    {member}' for member in members(value)
                if member.split('(')[0] not in inherited
                and member not in known)


def listing():
    for path, wanted in MODULES.items():
        module = importlib.import_module(path)
        yield path
        for name in names_of(module, wanted):
            yield from (f'    {line}'
                        for line in described(name, getattr(module, name)))
        yield ''


def test_public_names_are_as_they_are_listed():
    assert list(listing()) == LISTING.read_text().splitlines()


@pytest.mark.parametrize('function, shown', [
    (lambda one, *, two=3: None, '(one, *, two=3)'),
    (lambda call=print: None, '(call=...)')])
def test_a_change_of_parameters_would_be_seen(function, shown):
    assert parameters(function) == shown


if __name__ == '__main__':
    print('\n'.join(listing()))
