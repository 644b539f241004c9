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

"""A backup of a tree: one walk over the tree and over its parent's index.

Both come in the same order, so each entry meets what it was at the parent
without either being held in memory. An entry that has not changed since keeps
its content, unread. The engine is handed each file that has.

Whatever is wrong with one file is reported, and harms no other.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chunked_backup.flow.executors import Workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats import tree_v1
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.jobs.tree_file import SourceFile
from chunked_backup.jobs.tree_file import Unreadable
from chunked_backup.jobs.tree_level import NewLevel
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.jobs.tree_renames import RenamedFiles
from chunked_backup.trees import entry as entries
from chunked_backup.trees.entry import Entry

# File systems count time in steps of up to 2 s: what changed so shortly
# before the parent was made could have changed again in the same step.
_COARSEST_CLOCK_NS = 2_000_000_000


@dataclasses.dataclass(slots=True)
class Totals:
    """What a backup has found and done.

    :param entries: of every kind.
    :param bytes: the lengths of all files, hardlinks counted once.
    :param changed_files: files that were read.
    :param new_bytes: what the data stream of this backup holds.
    :param stored_bytes: what its objects take.
    :param problems: what was left out, or may not be as it was at one moment.
    """

    entries: int = 0
    files: int = 0
    bytes: int = 0
    changed_files: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0
    problems: int = 0

    def as_numbers(self) -> dict[str, int]:
        """By name, as manifest and record keep them."""
        return dataclasses.asdict(self)


#: Makes a ``TreeScanner`` that reports to the function given.
OpenTree = Callable[[Callable[[bytes, str], None]], Any]


class TreeBackupJob:
    """Writes one level.

    :param engine: a ``BackupEngine``.
    :param open_tree: makes a ``TreeScanner``, given its report.
    :param parent: what it is built on, or None for a full backup.
    :param report: told of problems: (path, reason).
    """

    def __init__(self, engine: Any, open_tree: OpenTree, level: NewLevel,
                 monitor: Monitor, workers: Workers,
                 parent: StoredChain | None,
                 report: Callable[[bytes, str], None]) -> None:
        self._engine = engine
        self._scanner = open_tree(self.problem)
        self._level = level
        self._monitor = monitor
        self._records, self._parent_started_ns = _then(parent, workers)
        self._renamed = None if parent is None else RenamedFiles(
            parent, workers, monitor.tick)
        self._report = report
        self._linked: dict[bytes, Content] = {}
        self.totals = Totals()

    def run(self) -> None:
        """Walk and write; the streams still have to be finished."""
        for entry, old in merge(self._scanner, self._records):
            self._go_on()
            try:
                entry, content = self._content(entry, old)
            except (OSError, Unreadable) as exc:
                self.problem(entry.path, f'left out: {_reason(exc)}')
                continue
            self._level.index.write(tree_v1.index.pack(entry, content))
            self.totals.entries += 1
        self._level.index.write(tree_v1.index.pack_end(self.totals.entries))
        self._engine.backup_end()
        self.totals.new_bytes = self._level.data.position

    def problem(self, path: bytes, reason: str) -> None:
        """Report and count something that is not as it should be."""
        self.totals.problems += 1
        self._report(path, reason)

    def _content(self, entry: Entry,
                 old: Record | None) -> tuple[Entry, Content | None]:
        if entry.kind != entries.FILE:
            self._engine.backup_entry(entry, old)
            return entry, None
        self.totals.files += 1
        if entry.hardlink is not None and entry.hardlink in self._linked:
            self._engine.backup_entry(entry, old)
            return entry, self._linked[entry.hardlink]
        content = unchanged_content(entry, old, self._parent_started_ns)
        if content is None:
            entry, content = self._read(entry, self._old_content(entry, old))
        self.totals.bytes += entry.size
        if entry.links > 1:
            self._linked[entry.path] = content
        return entry, content

    def _old_content(self, entry: Entry,
                     old: Record | None) -> Content | None:
        """What the file had, by its inode or else by its name, in the
        parent."""
        if self._renamed is None or (
                old is not None and old.entry.inode == entry.inode):
            return old and old.content
        renamed = self._renamed.find(entry)
        if renamed is not None and (old is None or (
                renamed.entry.size == entry.size
                and renamed.entry.mtime_ns == entry.mtime_ns)):
            return renamed.content
        return old and old.content

    def _go_on(self) -> None:
        self._monitor.check()
        self._monitor.tick()

    def _read(self, entry: Entry,
              old: Content | None) -> tuple[Entry, Content]:
        with self._scanner.open_file(entry) as opened:
            file = SourceFile(opened.fileno(), self._go_on)
            if not file.is_as_in(entry):
                entry = self._scanner.reread(entry, opened)
            content, size = self._engine.backup_data(entry, file, old)
            if size != entry.size or file.has_changed():
                self.problem(entry.path, 'changed while it was read; what was '
                             'read may never have been its content at once')
        self.totals.changed_files += 1
        entry.size = size
        return entry, content


def unchanged_content(entry: Entry, old: Record | None,
                      parent_started_ns: int) -> Content | None:
    """What a file has that need not be read, because its parent has it."""
    if (old is not None and entries.same_content(entry, old.entry)
            and entry.ctime_ns < parent_started_ns - _COARSEST_CLOCK_NS):
        return old.content
    return None


def preview(open_tree: OpenTree, parent: StoredChain | None,
            workers: Workers, monitor: Monitor,
            report: Callable[[bytes, str], None]) -> Totals:
    """What a backup would find; ``new_bytes`` is what it would read."""
    def problem(path: bytes, reason: str) -> None:
        totals.problems += 1
        report(path, reason)

    records, started_ns = _then(parent, workers)
    totals = Totals()
    for entry, old in merge(open_tree(problem), records):
        monitor.tick()
        totals.entries += 1
        if entry.kind != entries.FILE or entry.hardlink is not None:
            continue
        totals.files += 1
        totals.bytes += entry.size
        if unchanged_content(entry, old, started_ns) is None:
            totals.changed_files += 1
            totals.new_bytes += entry.size
    return totals


def _then(parent: StoredChain | None,
          workers: Workers) -> tuple[Iterable[Record], int]:
    """The records of a parent, and when it was begun."""
    if parent is None:
        return (), 0
    return parent.newest.records(workers), parent.newest.manifest.started_ns


def merge(entries_now: Iterable[Entry], records_then: Iterable[Record]
          ) -> Iterator[tuple[Entry, Record | None]]:
    """Each entry of a tree with the record of the same path, if any.

    Both have to be in the order of a walk.
    """
    records = iter(records_then)
    record = next(records, None)
    for entry in entries_now:
        now = entry.sort_key
        while record is not None and record.entry.sort_key < now:
            record = next(records, None)
        is_there = record is not None and record.entry.sort_key == now
        yield entry, record if is_there else None


def _reason(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)
