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

"""Every error of ours is one that Cinder's service and its users know."""

import inspect

import pytest
from cinder import exception
from cinder import objects

from chunked_backup import errors

objects.register_all()  # as a service does before it loads its driver
from chunked_backup.hosts import cinder as cinder_host  # noqa: E402

EXPECTED = {
    'InvalidVolume': exception.InvalidVolume,
    'BackupNotFound': exception.BackupNotFound,
    'RestoreCancelled': exception.BackupRestoreCancel,
    'BackupCancelled': type(None),
    # No user has done anything wrong, and no store.
    'ChunkedBackupError': exception.BackupOperationError,
    'VolumeIOError': exception.BackupOperationError,
    'TargetIncomplete': exception.BackupOperationError,
    'TreeTargetFailed': exception.BackupOperationError,
    'Cancelled': exception.BackupOperationError,
    **dict.fromkeys(
        ('InvalidInput', 'InvalidName', 'InvalidTree', 'InvalidEntry',
         'TargetNotEmpty', 'TreeNotEmpty',
         'SignatureError', 'DeltaError', 'PatchError',
         'DecodeError', 'StreamCutShort',
         'FullBackupRequired', 'RecordError', 'AmbiguousBackup',
         'BackupInUse', 'BackupNotResumable', 'BackupNotRestorable',
         'CorruptBackup',
         'CorruptObject', 'IncompleteChain', 'UnknownFormat'),
        exception.InvalidBackup),
    **dict.fromkeys(
        ('ConfigurationError', 'PluginNotFound', 'PluginNotLoadable',
         'DriverError', 'ObjectNotFound', 'ObjectExists',
         'ContainerNotFound', 'RepositoryNotFound', 'AccessDenied',
         'OutOfSpace', 'TransientDriverError', 'Stalled'),
        exception.BackupDriverException),
}

ERRORS = {name: kind for name, kind in vars(errors).items()
          if inspect.isclass(kind)
          and issubclass(kind, errors.ChunkedBackupError)}


class _Fields(dict):
    """Every field that a message may name."""

    def __missing__(self, name):
        return f'the {name}'


def error_of(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, kind.template % _Fields())
    for name in ('backup_id', 'volume_id', 'name'):
        setattr(error, name, f'the {name}')
    return error


def translate(error):
    return cinder_host.CinderHost.translate(None, error)


@pytest.mark.parametrize('name', ERRORS)
def test_every_error_has_an_exception_of_cinder(name):
    error = error_of(ERRORS[name])
    translated = translate(error)
    assert type(translated) is EXPECTED[name]
    if name not in ('BackupCancelled', 'RestoreCancelled',
                    'BackupNotFound'):
        assert str(translated) == str(error)


def test_what_could_not_be_cleaned_up_is_told():
    error = errors.DriverError(container='c', object_name='o', reason='r')
    error.add_note('objects are left')
    assert str(translate(error)).endswith('; objects are left')


def test_a_backup_that_is_not_known_is_named():
    translated = translate(errors.BackupNotFound(name='an id'))
    assert 'an id' in str(translated)


def test_a_cancelled_restore_names_backup_and_volume():
    translated = translate(errors.RestoreCancelled(backup_id='one',
                                                   volume_id='two'))
    assert 'one' in str(translated) and 'two' in str(translated)
