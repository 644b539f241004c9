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

"""Every error the project raises on purpose, as one tree.

::

    ChunkedBackupError
    ├── ConfigurationError
    │   ├── PluginNotFound            an unknown driver, host or engine
    │   └── PluginNotLoadable         its library is not installed
    ├── InvalidInput
    │   ├── InvalidName               a container or object name
    │   ├── InvalidVolume             a source or target that cannot be used
    │   ├── InvalidTree               a file tree that cannot be used
    │   ├── TargetNotEmpty
    │   │   └── TreeNotEmpty
    │   └── FullBackupRequired        the parent cannot carry an incremental
    ├── RecordError
    │   ├── BackupNotFound
    │   ├── AmbiguousBackup
    │   ├── BackupInUse               others depend on it, or it is unfinished
    │   ├── BackupNotResumable
    │   └── BackupNotRestorable       its status says so
    ├── CorruptBackup                 what is stored contradicts itself
    │   ├── CorruptObject             ... at a known object and offset
    │   ├── InvalidEntry              an entry that no file tree can have
    │   ├── SignatureError            what is no signature of a file
    │   ├── DeltaError                what is no delta of a file
    │   ├── PatchError                the delta and the old version disagree
    │   └── IncompleteChain           a manifest or a range is missing
    ├── TargetIncomplete              a restore has ended in the middle
    ├── VolumeIOError                 the source or the target device failed
    ├── TreeTargetFailed              no file can be restored any more
    ├── DriverError                   the store failed
    │   ├── ObjectNotFound
    │   ├── ContainerNotFound
    │   ├── ObjectExists              and was not to be replaced
    │   ├── RepositoryNotFound        not created yet, or not mounted
    │   ├── AccessDenied
    │   ├── OutOfSpace
    │   ├── TransientDriverError      the only kind that is worth a retry
    │   └── Stalled                   nothing has moved for too long
    └── Cancelled
        ├── BackupCancelled
        └── RestoreCancelled

A message is the class's ``template`` filled with the keywords given; the same
keywords are attributes of the error. Nothing else is put into a message, so
that no secret can slip in. ``exit_code`` is what the command returns.
"""


class ChunkedBackupError(Exception):
    """The base of the tree.

    :param fields: values for the placeholders of ``template``; each becomes
        an attribute.
    """

    template = 'the backup service failed: %(reason)s'
    exit_code = 1

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        self.__dict__.update(fields)
        super().__init__(self.template % fields)


class ConfigurationError(ChunkedBackupError):
    template = '%(reason)s'
    exit_code = 2


class PluginNotFound(ConfigurationError):
    template = ('no %(kind)s is called "%(name)s"; installed are: '
                '%(installed)s')


class PluginNotLoadable(ConfigurationError):
    template = ('the %(kind)s "%(name)s" cannot be loaded: %(reason)s; '
                'its libraries come with: pip install '
                '"chunked_backup[%(name)s]"')


class InvalidInput(ChunkedBackupError):
    template = '%(reason)s'
    exit_code = 2


class InvalidName(InvalidInput):
    template = 'the %(kind)s name %(name)r is refused: %(reason)s'


class InvalidVolume(InvalidInput):
    template = 'the volume %(volume)s cannot be used: %(reason)s'


class InvalidTree(InvalidInput):
    template = 'the file tree %(path)s cannot be used: %(reason)s'


class TargetNotEmpty(InvalidInput):
    template = ('%(path)s exists and is not empty; use --force to overwrite '
                'it')


class TreeNotEmpty(TargetNotEmpty):
    template = ('%(path)s exists and is not empty; use --overwrite to restore '
                'into it')


class FullBackupRequired(InvalidInput):
    template = ('an incremental backup of volume %(volume_id)s is not '
                'possible: %(reason)s; do a full backup')


class RecordError(ChunkedBackupError):
    template = '%(reason)s'
    exit_code = 4


class BackupNotFound(RecordError):
    template = 'no backup matches "%(name)s"'


class AmbiguousBackup(RecordError):
    template = '"%(name)s" matches more than one backup: %(matches)s'


class BackupInUse(RecordError):
    template = 'backup %(backup_id)s cannot be deleted: %(reason)s'


class BackupNotResumable(RecordError):
    template = 'backup %(backup_id)s cannot be resumed: %(reason)s'


class BackupNotRestorable(RecordError):
    template = ('backup %(backup_id)s has the status "%(status)s"; only an '
                'available one can be %(wanted)s')


class CorruptBackup(ChunkedBackupError):
    template = 'backup %(backup_id)s is damaged: %(reason)s'
    exit_code = 5


class CorruptObject(CorruptBackup):
    """Bytes that do not match what was recorded for them.

    ``offset`` is the position in the volume, in bytes.
    """

    template = ('backup %(backup_id)s is damaged: object %(object_name)s at '
                'volume offset %(offset)s: %(reason)s')


class InvalidEntry(CorruptBackup):
    template = 'the entry %(path)r of a file tree is refused: %(reason)s'


class SignatureError(CorruptBackup):
    template = 'the signature %(name)s is refused: %(reason)s'


class DeltaError(CorruptBackup):
    """``offset`` is the position in the delta, in bytes."""

    template = ('the delta %(name)s is refused at offset %(offset)s: '
                '%(reason)s')


class PatchError(CorruptBackup):
    template = 'the new version of %(name)s cannot be made: %(reason)s'


class IncompleteChain(CorruptBackup):
    template = 'backup %(backup_id)s cannot be restored: %(reason)s'


class TargetIncomplete(ChunkedBackupError):
    template = ('%(path)s is incomplete, and begins with a note that says '
                'so: the restore of backup %(backup_id)s to it has failed '
                '(%(reason)s); what was there is lost, restore again with '
                '--force')
    exit_code = 7


class VolumeIOError(ChunkedBackupError):
    template = '%(operation)s at offset %(offset)s failed: %(reason)s'
    exit_code = 6


class TreeTargetFailed(ChunkedBackupError):
    template = 'the restore ended at %(path)s: %(reason)s'
    exit_code = 6


class DriverError(ChunkedBackupError):
    template = ('the store failed (container %(container)s, object '
                '%(object_name)s): %(reason)s')
    exit_code = 6


class ObjectNotFound(DriverError):
    template = ('object %(object_name)s is not in container %(container)s')


class ContainerNotFound(DriverError):
    template = 'container %(container)s does not exist: %(reason)s'


class ObjectExists(DriverError):
    template = ('object %(object_name)s is in container %(container)s '
                'already; another writer has stored it')


class RepositoryNotFound(DriverError):
    template = ('the repository %(repository)s does not exist; is it '
                'mounted?')


class AccessDenied(DriverError):
    template = ('the store refuses access (container %(container)s, object '
                '%(object_name)s): %(reason)s')


class OutOfSpace(DriverError):
    template = ('the store is full or over its quota (container '
                '%(container)s, object %(object_name)s): %(reason)s')


class TransientDriverError(DriverError):
    template = ('the store failed for now (container %(container)s, object '
                '%(object_name)s): %(reason)s')


class Stalled(DriverError):
    template = ('nothing has moved for %(seconds)s seconds: the store or the '
                'volume hangs; stall_timeout_s of [chunked_backup] is the '
                'limit')


class Cancelled(ChunkedBackupError):
    template = 'cancelled'
    exit_code = 130


class BackupCancelled(Cancelled):
    template = 'backup %(backup_id)s was cancelled; what it wrote is removed'


class RestoreCancelled(Cancelled):
    template = ('the restore of backup %(backup_id)s to volume %(volume_id)s '
                'was cancelled; the target is incomplete')
