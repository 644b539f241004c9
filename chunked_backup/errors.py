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
    │   ├── UnknownFormat             as that of a later release
    │   ├── InvalidEntry              an entry that no file tree can have
    │   ├── SignatureError            what is no signature of a file
    │   ├── DeltaError                what is no delta of a file
    │   ├── PatchError                the delta and the old version disagree
    │   ├── DecodeError               what is no stream of its codec
    │   │   └── StreamCutShort
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


# Where in the store an error is.
_CONTAINER = ' (container %(container)s)'
_PLACE = ' (container %(container)s, object %(object_name)s)'


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
        super().__init__(self._message())

    def _message(self) -> str:
        return self.template % self.fields


class ConfigurationError(ChunkedBackupError):
    """An option, or several together, cannot work; nothing has been done."""

    template = '%(reason)s'
    exit_code = 2


class PluginNotFound(ConfigurationError):
    """No driver, host or engine is installed under the name.

    ``installed`` names those that are.
    """

    template = ('no %(kind)s is called "%(name)s"; installed are: '
                '%(installed)s')


class PluginNotLoadable(ConfigurationError):
    """A driver, host or engine is installed, but a library of it is not."""

    template = ('the %(kind)s "%(name)s" cannot be loaded: %(reason)s; '
                'its libraries come with: pip install '
                '"chunked_backup[%(name)s]"')


class InvalidInput(ChunkedBackupError):
    """What the caller has asked for cannot be done as asked."""

    template = '%(reason)s'
    exit_code = 2


class InvalidName(InvalidInput):
    """A container or object name that would reach where it must not.

    ``kind`` says which of the two it is.
    """

    template = 'the %(kind)s name %(name)r is refused: %(reason)s'


class InvalidVolume(InvalidInput):
    """A source or target that cannot be opened, or does not fit."""

    template = 'the volume %(volume)s cannot be used: %(reason)s'


class InvalidTree(InvalidInput):
    """A directory that cannot be backed up, or restored to."""

    template = 'the file tree %(path)s cannot be used: %(reason)s'


class TargetNotEmpty(InvalidInput):
    """A restore would overwrite something, and was not told to."""

    template = ('%(path)s exists and is not empty; use --force to overwrite '
                'it')


class TreeNotEmpty(TargetNotEmpty):
    """A restore of a tree would mix with files that are there."""

    template = ('%(path)s exists and is not empty; use --overwrite to restore '
                'into it')


class FullBackupRequired(InvalidInput):
    """The parent cannot carry an incremental; a full backup works."""

    template = ('an incremental backup of volume %(volume_id)s is not '
                'possible: %(reason)s; do a full backup')


class RecordError(ChunkedBackupError):
    """The records of backups do not allow what was asked for."""

    template = '%(reason)s'
    exit_code = 4


class BackupNotFound(RecordError):
    """No backup has the id or name."""

    name: str
    template = 'no backup matches "%(name)s"'


class AmbiguousBackup(RecordError):
    """A beginning of an id that several backups have."""

    template = '"%(name)s" matches more than one backup: %(matches)s'


class BackupInUse(RecordError):
    """A backup that others depend on, or that is not finished."""

    template = 'backup %(backup_id)s cannot be deleted: %(reason)s'


class BackupNotResumable(RecordError):
    """A backup that was not broken off, or cannot be gone on with."""

    template = 'backup %(backup_id)s cannot be resumed: %(reason)s'


class BackupNotRestorable(RecordError):
    """A backup whose status forbids what was ``wanted`` of it."""

    template = ('backup %(backup_id)s has the status "%(status)s"; only an '
                'available one can be %(wanted)s')


class CorruptBackup(ChunkedBackupError):
    """What is stored contradicts itself, or what was recorded of it.

    ``backup_id`` is None to those who see a part and do not know whose it is.
    """

    backup_id: str | None = None
    template = 'backup %(backup_id)s is damaged: %(reason)s'
    exit_code = 5


class CorruptObject(CorruptBackup):
    """Bytes that do not match what was recorded for them.

    ``offset`` is the position in the volume, in bytes.
    """

    template = ('backup %(backup_id)s is damaged: object %(object_name)s at '
                'volume offset %(offset)s: %(reason)s')


class UnknownFormat(CorruptBackup):
    """A backup of a later release, or a manifest whose version is damaged."""

    template = ('backup %(backup_id)s cannot be read: its format is '
                '%(version)s, this release reads %(known)s; a later one may '
                'read it')


class InvalidEntry(CorruptBackup):
    """An entry that no file tree can have, or that leads out of one."""

    template = 'the entry %(path)r of a file tree is refused: %(reason)s'


class SignatureError(CorruptBackup):
    """Bytes that are no whole signature of a file."""

    template = 'the signature %(name)s is refused: %(reason)s'


class DeltaError(CorruptBackup):
    """``offset`` is the position in the delta, in bytes."""

    template = ('the delta %(name)s is refused at offset %(offset)s: '
                '%(reason)s')


class PatchError(CorruptBackup):
    """A delta that is not of this old version of a file."""

    template = 'the new version of %(name)s cannot be made: %(reason)s'


class DecodeError(CorruptBackup):
    """Stored bytes that are no stream of their codec. Callers say whose."""

    template = '%(reason)s'


class StreamCutShort(DecodeError):
    """A stream that ends before its end."""

    template = 'the stored stream is cut short'


class IncompleteChain(CorruptBackup):
    """A manifest, a backup or a range of the volume is missing."""

    template = 'backup %(backup_id)s cannot be restored: %(reason)s'


class TargetIncomplete(ChunkedBackupError):
    """A restore has ended in the middle; its target is no volume."""

    template = ('%(path)s is incomplete, and begins with a note that says '
                'so: the restore of backup %(backup_id)s to it has failed '
                '(%(reason)s); what was there is lost, restore again with '
                '--force')
    exit_code = 7


class VolumeIOError(ChunkedBackupError):
    """The device that is backed up or restored to has failed.

    ``offset`` is the position in the volume, in bytes.
    """

    template = '%(operation)s at offset %(offset)s failed: %(reason)s'
    exit_code = 6


class TreeTargetFailed(ChunkedBackupError):
    """The file system restored to takes no more files at all."""

    template = 'the restore ended at %(path)s: %(reason)s'
    exit_code = 6


class DriverError(ChunkedBackupError):
    """The store failed.

    But for ``TransientDriverError`` another try would change nothing.
    ``object_name`` is None where it is about a container as a whole, and
    ``container``, too, where it is about none.
    """

    template = f'the store failed{_PLACE}: %(reason)s'
    exit_code = 6

    def _message(self) -> str:
        template = self.template
        if self.fields.get('container', '') is None:
            template = template.replace(_PLACE, '')
        elif self.fields.get('object_name', '') is None:
            template = template.replace(_PLACE, _CONTAINER)
        return template % self.fields


class ObjectNotFound(DriverError):
    """The store has no object of the name."""

    template = ('object %(object_name)s is not in container %(container)s')


class ContainerNotFound(DriverError):
    """The store has no container of the name."""

    template = 'container %(container)s does not exist: %(reason)s'


class ObjectExists(DriverError):
    """An object that was not to be replaced is there."""

    template = ('object %(object_name)s is in container %(container)s '
                'already; another writer has stored it')


class RepositoryNotFound(DriverError):
    """The place where the driver keeps everything is not there."""

    template = ('the repository %(repository)s does not exist; is it '
                'mounted?')


class AccessDenied(DriverError):
    """The credentials are wrong, or do not allow it."""

    template = f'the store refuses access{_PLACE}: %(reason)s'


class OutOfSpace(DriverError):
    """The store is full, or over a quota."""

    template = f'the store is full or over its quota{_PLACE}: %(reason)s'


class TransientDriverError(DriverError):
    """The store failed for now: the only kind that is worth a retry."""

    template = f'the store failed for now{_PLACE}: %(reason)s'


class Stalled(DriverError):
    """Nothing has moved for longer than ``stall_timeout_s``."""

    template = ('nothing has moved for %(seconds)s seconds: the store or the '
                'volume hangs; stall_timeout_s of [chunked_backup] is the '
                'limit')


class Cancelled(ChunkedBackupError):
    """The host or the user has ended a job."""

    template = 'cancelled'
    exit_code = 130


class BackupCancelled(Cancelled):
    """A backup was ended; none of its objects is left."""

    template = 'backup %(backup_id)s was cancelled; what it wrote is removed'


class RestoreCancelled(Cancelled):
    """A restore was ended; what it has written is left."""

    backup_id: str
    volume_id: str
    template = ('the restore of backup %(backup_id)s to volume %(volume_id)s '
                'was cancelled; the target is incomplete')
