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

import inspect

import pytest

from chunked_backup import errors

CLASSES = [value for value in vars(errors).values()
           if inspect.isclass(value)
           and issubclass(value, errors.ChunkedBackupError)]


@pytest.mark.parametrize('error', CLASSES)
def test_every_class_stands_in_the_tree(error):
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize('error', CLASSES)
def test_fields_fill_the_message_and_are_attributes(error):
    names = []

    class Recorder(dict):
        def __missing__(self, key):
            names.append(key)
            return ''

    error.template % Recorder()
    fields = {name: f'<{name}>' for name in names}
    raised = error(**fields)
    for name, value in fields.items():
        assert value in str(raised)
        assert getattr(raised, name) == value
    assert raised.fields == fields


@pytest.mark.parametrize('error', CLASSES)
def test_a_failure_has_an_exit_code(error):
    assert 0 < error.exit_code < 256


def test_a_message_about_a_container_names_no_object():
    raised = errors.AccessDenied(container='c', object_name=None, reason='r')
    assert str(raised) == 'the store refuses access (container c): r'


def test_a_message_about_neither_names_neither():
    raised = errors.DriverError(container=None, object_name=None, reason='r')
    assert str(raised) == 'the store failed: r'


def test_full_backup_required_says_what_to_do():
    raised = errors.FullBackupRequired(volume_id='v', reason='r')
    assert 'do a full backup' in str(raised)
