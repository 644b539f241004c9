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

"""The seam for file trees: subclass this to write an engine.

An engine decides what a backup of a tree keeps of the contents of its files,
and what the stream that keeps it looks like. Where it is stored is the other
axis: any engine works on any driver. Walking the tree, finding out what has
not changed, levels, the index, digests and restoring are done here and below,
and are the same for all.

Names of Freezer's engine that say the same here have been kept:
``BackupEngine``, ``backup``, ``backup_stream``, ``backup_data``, ``restore``,
``metadata``, ``max_level``, ``always_level``, ``restart_always_level``. Not
kept: ``read_blocks`` and ``restore_level``, which replay a chain level by
level, because a restore reads one index and writes each file once; the queue
between the two sides is the bounded window of ``StreamWriter``, and an
exception on either side ends both.
"""

import abc
from collections.abc import Callable
from typing import Any

from chunked_backup.flow.executors import Workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.formats.tree_v1 import Record
from chunked_backup.jobs.tree_backup import OpenTree
from chunked_backup.jobs.tree_backup import Totals
from chunked_backup.jobs.tree_backup import TreeBackupJob
from chunked_backup.jobs.tree_file import SourceFile
from chunked_backup.jobs.tree_level import NewLevel
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.jobs.tree_restore import OpenTarget
from chunked_backup.jobs.tree_restore import RestoreTotals
from chunked_backup.jobs.tree_restore import TreeRestoreJob
from chunked_backup.trees.entry import Entry

DEFAULT_BLOCK_SIZE_BYTES = 65536
#: Segments that a restore keeps in case they are needed again.
_CACHE_BYTES = 96 << 20


class BackupEngine(abc.ABC):
    """Turns what is new in a tree into a stream.

    An engine is made for one backup or one restore.

    :param block_size_bytes: for engines that look at blocks: what one
        signature covers.
    """

    #: What the backups of an engine are recorded with; its entry point.
    name: str

    def __init__(self, block_size_bytes: int = DEFAULT_BLOCK_SIZE_BYTES
                 ) -> None:
        self.block_size_bytes = block_size_bytes
        self.level: NewLevel
        self.level_number = 0

    # What an engine has to do.

    @abc.abstractmethod
    def backup_data(self, entry: Entry, file: SourceFile,
                    old: Content | None) -> tuple[Content, int]:
        """Read a file to its end, and write to the streams of ``self.level``
        what has to be kept of it.

        :param entry: what the walk has found; the file may be longer or
            shorter by now.
        :param old: where its bytes at the parent are, if it was there.
        :returns: where its bytes are now, and how many there were.
        :raises Unreadable: ``file`` says so; whatever was written by then is
            dead weight, and must not mislead a reader of the stream.
        """

    # What an engine may do.

    def backup_entry(self, entry: Entry, old: Record | None) -> None:
        """Take note of an entry without contents of its own: anything but a
        file, and a further name of one.

        :param old: what it was at the parent, if it was there.
        """

    def backup_end(self) -> None:
        """The tree has ended; end the stream."""

    def metadata(self) -> dict[str, Any]:
        """What the manifest keeps of the engine's settings, as JSON."""
        return {'block_size_bytes': self.block_size_bytes}

    # How it is used.

    def backup_stream(self, open_tree: OpenTree, level: NewLevel,
                      parent: StoredChain | None, workers: Workers,
                      monitor: Monitor,
                      report: Callable[[bytes, str], None]) -> Totals:
        """Write one level of a tree; it still has to be committed.

        :param open_tree: makes a ``TreeScanner``, given its report.
        :param level: takes the streams.
        :param parent: what it is built on, or None for a full backup.
        :param report: told of problems: (path, reason).
        """
        self.level = level
        self.parent = parent
        self.monitor = monitor
        if parent is not None:
            self.level_number = parent.newest.manifest.level + 1
        self.open(workers)
        job = TreeBackupJob(self, open_tree, level, monitor, workers, parent,
                            report)
        job.run()
        return job.totals

    def open(self, workers: Workers) -> None:
        """A backup begins; ``level``, ``parent`` and ``monitor`` are set."""

    @staticmethod
    def restore(chain: StoredChain, open_target: OpenTarget,
                workers: Workers, monitor: Monitor, ahead: int,
                wanted: Callable[[Entry], bool],
                report: Callable[[bytes, str], None]) -> RestoreTotals:
        """Bring a restore point back, whichever engine has made it.

        :param open_target: makes what takes it, given its report.
        :param wanted: whether an entry is to be restored.
        """
        job = TreeRestoreJob(chain, open_target, workers, monitor,
                             _CACHE_BYTES, ahead, wanted, report)
        job.run()
        return job.totals
