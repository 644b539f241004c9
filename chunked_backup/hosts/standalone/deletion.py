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

"""How a backup of either kind goes, and leaves nothing.

A deletion says so in the record first, then looks for children; a new backup
has saved its record before it looks at its parent. Of two that come at the
same time, at least one sees the other, and that one gives up. What a deletion
has said it never takes back: another may be deleting the same backup, and
would be taken back with it.
"""

from collections.abc import Callable
from typing import Generic

from chunked_backup import errors
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.catalogue import Kept
from chunked_backup.hosts.standalone.retention import Decision
from chunked_backup.hosts.standalone.retention import decide
from chunked_backup.jobs.clean_up import clean_up
from chunked_backup.model import Status


class Deletion(Generic[Kept]):
    """Deletes backups of one kind.

    :param catalogue: of that kind.
    :param remove: deletes the objects of a backup, and calls what it is
        given whenever the store has answered.
    :param command: the command that deletes such a backup, for messages.
    :param executor: the mode of what tidies up, as of ``run_one``.
    """

    def __init__(self, catalogue: Catalogue[Kept],
                 remove: Callable[[Kept, Callable[[], None]], None],
                 command: str, executor: str) -> None:
        self._catalogue = catalogue
        self._remove = remove
        self._command = command
        self._executor = executor

    def delete(self, backup: Kept, cascade: bool, force: bool) -> list[Kept]:
        """Delete a backup.

        :param cascade: and all that are built on it, those first.
        :param force: even one that is being written; its writer stops.
        :returns: what was deleted.
        :raises BackupInUse: others are built on it, or it is being written;
            where one of them has begun this very moment, it stays
            "deleting".
        """
        doomed = self._with_dependents(backup)
        if len(doomed) > 1 and not cascade:
            raise errors.BackupInUse(
                backup_id=backup.id,
                reason=f'{len(doomed) - 1} other backups are built on it; '
                       '--cascade deletes them, too')
        for each in doomed:
            if each.status == Status.CREATING and not force:
                raise errors.BackupInUse(
                    backup_id=each.id, reason='it is being written, or its '
                    'writer was killed; --force deletes it')
        ids = {each.id for each in doomed}
        for each in doomed:
            self._delete_one(each, ids)
        return doomed

    def prune(self, keep: dict[str, int], group_of: Callable[[Kept], str],
              group: str | None, delete: bool) -> list[Decision[Kept]]:
        """Apply rules of retention.

        :param keep: see ``retention.decide``, as for ``group_of``.
        :param group: the only one whose backups may go.
        :param delete: delete what nothing keeps; otherwise only tell.
        :returns: what is, or would be, done, oldest first.
        :raises BackupInUse: a backup that is built on one of them has begun
            meanwhile.
        """
        decisions = [each for each
                     in decide(self._catalogue.backups(), keep, group_of)
                     if group in (None, group_of(each.backup))]
        if delete:
            for backup in _children_first(
                    [each.backup for each in decisions if not each.reasons]):
                self.delete(backup, cascade=False, force=False)
        return decisions

    def discard(self, backup: Kept, cause: BaseException) -> None:
        """Leave nothing of a backup that did not come to be.

        :param cause: why; it gets a note where something is left.
        """
        if getattr(cause, '__notes__', None):
            return  # the job could not clean up; the record shows it

        def remove(answered: Callable[[], None]) -> None:
            self._remove(backup, answered)
            answered()
            self._catalogue.remove(backup.id)

        try:
            clean_up(self._executor, backup.container, cause, remove)
        except errors.ChunkedBackupError as exc:
            cause.add_note(f'what it wrote could not be removed: {exc}; '
                           f'chunked-backup {self._command} {backup.id} '
                           '--force removes it')

    def status_of_parent(self, backup: Kept) -> str:
        """What has become of a new backup's parent by now; of a full backup,
        which has none, that it is available."""
        if backup.parent_id is None:
            return Status.AVAILABLE
        try:
            return self._catalogue.load(backup.parent_id).status
        except errors.BackupNotFound:
            return Status.DELETED

    def _with_dependents(self, backup: Kept) -> list[Kept]:
        """A backup behind all that are built on it."""
        children: dict[str | None, list[Kept]] = {}
        for each in self._catalogue.backups():
            children.setdefault(each.parent_id, []).append(each)
        found = {backup.id: backup}
        pending = [backup.id]
        while pending:
            for child in children.get(pending.pop(), []):
                if child.id not in found:
                    found[child.id] = child
                    pending.append(child.id)
        return list(reversed(found.values()))

    def _delete_one(self, backup: Kept, doomed: set[str]) -> None:
        backup.status = Status.DELETING
        self._catalogue.save(backup)
        if any(each.parent_id == backup.id and each.id not in doomed
               for each in self._catalogue.backups()):
            raise errors.BackupInUse(
                backup_id=backup.id,
                reason='a backup that is built on it has just begun; delete '
                       'it when that is gone, or have chunked-backup '
                       'repository rebuild make it available again')
        try:
            self._remove(backup, lambda: None)
        except errors.ChunkedBackupError as exc:
            # It stays "deleting": who collects garbage or prunes goes on.
            backup.fail_reason = str(exc)
            self._catalogue.save(backup)
            raise
        self._catalogue.remove(backup.id)


def _children_first(backups: list[Kept]) -> list[Kept]:
    """Each before what it is built on. Their times do not tell: they are of
    the clocks of several machines."""
    by_id = {each.id: each for each in backups}

    def ancestors(backup: Kept) -> int:
        seen: set[str] = set()
        parent = by_id.get(backup.parent_id or '')
        while parent is not None and parent.id not in seen:
            seen.add(parent.id)
            parent = by_id.get(parent.parent_id or '')
        return len(seen)

    return sorted(backups, key=ancestors, reverse=True)
