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

"""A restore of a tree: one pass over the index of the restore point.

Each file is put together from the ranges that its record names, in whichever
backups of the chain they are, written once, and compared with the digest of
the whole file before it appears under its name. A file that cannot be had is
named and left out; the others come back.

A verification is the same walk into a target that keeps nothing; see
``tree_verify``.
"""

import collections
import dataclasses
import errno
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import blake3

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.failure import reason_of
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.native import Future
from chunked_backup.formats import tree_v1
from chunked_backup.formats.tree_v1 import Content
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.store.stream_reader import SegmentCache
from chunked_backup.store.stream_reader import StreamReader
from chunked_backup.trees.entry import DIRECTORY
from chunked_backup.trees.entry import Entry

#: Files with more extents, or longer ones, are written by the coordinator.
_FEW_EXTENTS = 64
_SHORT_BYTES = 8 << 20
#: Files go to the workers by so many or so much: handing over one by one
#: costs as much as writing a small file does.
_BATCH_FILES = 64
_BATCH_BYTES = 1 << 20
_BATCHES_AHEAD = 4
_ZEROS = bytes(1 << 20)
# After these no other file can be written either.
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclasses.dataclass(slots=True)
class RestoreTotals:
    """What a restore has done.

    :param damaged: files left out because what is stored of them is missing
        or not what was recorded.
    :param problems: what could not be made as it was.
    """

    entries: int = 0
    files: int = 0
    bytes: int = 0
    damaged: int = 0
    problems: int = 0


class _Part(NamedTuple):
    """A range of a segment, or zeros."""

    reader: StreamReader | None
    number: int
    start: int
    end: int


class _File(NamedTuple):
    """A file to be written, and where its bytes will come from."""

    entry: Entry
    content: Content
    writer: Any
    parts: list[_Part]
    futures: list[Future[bytes] | None]


#: Makes a ``TreeTarget`` that reports to the function given.
OpenTarget = Callable[[Callable[[bytes, str], None]], Any]


class TreeRestoreJob:
    """Brings entries of one restore point into a target.

    :param open_target: makes a ``TreeTarget``, given its report, or something
        like it.
    :param cache_bytes: how much of segments is kept.
    :param wanted: whether an entry is to be restored.
    :param report: told of everything that is wrong: (path, reason).
    """

    def __init__(self, chain: StoredChain, open_target: OpenTarget,
                 workers: Workers, monitor: Monitor, cache_bytes: int,
                 ahead: int,
                 wanted: Callable[[Entry], bool] = lambda entry: True,
                 report: Callable[[bytes, str], None] = lambda *_: None
                 ) -> None:
        self._chain = chain
        self._workers = workers
        self._monitor = monitor
        self._ahead = ahead
        self._wanted = wanted
        self._report = report
        self._cache = SegmentCache(workers.io, cache_bytes)
        self._batch: list[_File] = []
        self._batch_bytes = 0
        self._pending: collections.deque[
            tuple[list[_File], Future[list[Exception | None]]]] = (
                collections.deque())
        #: First names of files with several: where each was restored.
        self._linked: dict[bytes, bytes] = {}
        self._lock = native.lock()
        self.totals = RestoreTotals()
        self._target = open_target(self.problem)

    def run(self) -> None:
        """Restore everything that is wanted.

        :raises CorruptBackup: the index is broken. Damage of single files is
            reported and counted instead.
        :raises VolumeIOError: the target is full or fails.
        """
        for record in self._chain.newest.records(self._workers):
            if self._wanted(record.entry):
                self.totals.entries += 1
                self._restore(*record)
        self._hand_over()
        self._drain(0)
        self._target.finish()
        self._flush()

    def problem(self, path: bytes, reason: str) -> None:
        """Report and count what could not be made as it was; from any
        thread."""
        with self._lock:
            self.totals.problems += 1
            self._report(path, reason)

    def _restore(self, entry: Entry, content: Content | None) -> None:
        if entry.links > 1 and entry.kind != DIRECTORY:
            entry = self._relinked(entry)
        try:
            writer = self._target.add(entry)
        except errors.InvalidEntry as exc:
            raise self._corrupt(str(exc)) from exc
        if content is None:
            return
        self.totals.files += 1
        if writer is None:
            return
        self.totals.bytes += entry.size
        if (entry.size > _SHORT_BYTES or
                len(content.extents) > _FEW_EXTENTS * tree_v1.index.EXTENT):
            self._restore_now(entry, content, writer)
        else:
            self._restore_aside(entry, content, writer)

    def _relinked(self, entry: Entry) -> Entry:
        """A name of a file with several, linked to the first that is
        restored; which need not be the first there was."""
        first = self._linked.setdefault(entry.hardlink or entry.path,
                                        entry.path)
        return dataclasses.replace(
            entry, hardlink=None if first == entry.path else first)

    def _restore_aside(self, entry: Entry, content: Content,
                       writer: Any) -> None:
        """Have a worker write a file."""
        try:
            parts = list(self._parts(entry, content))
        except errors.CorruptBackup as exc:
            writer.discard()
            self._damaged(entry.path, exc)
            return
        futures = [self._acquire(part) for part in parts]
        self._batch.append(_File(entry, content, writer, parts, futures))
        self._batch_bytes += entry.size
        if (len(self._batch) >= _BATCH_FILES
                or self._batch_bytes >= _BATCH_BYTES or self._cache.is_full):
            self._hand_over()
            self._drain(_BATCHES_AHEAD)

    def _hand_over(self) -> None:
        """Have a worker write the files that were gathered."""
        if self._batch:
            files, self._batch = self._batch, []
            self._batch_bytes = 0
            self._pending.append((files, self._workers.cpu.submit(
                self._write_batch, files)))

    def _restore_now(self, entry: Entry, content: Content,
                     writer: Any) -> None:
        """Write a file here, as its segments come."""
        self._hand_over()
        self._drain(0)
        error = self._write(entry, content, writer,
                            self._stream(self._parts(entry, content)))
        self._judge(entry.path, error)

    def _parts(self, entry: Entry, content: Content) -> Iterator[_Part]:
        """Where the bytes of a file are; never more than it has: an extent of
        zeros may claim to be of any length."""
        left = entry.size
        for place in tree_v1.index.extents_of(content):
            left -= place.length
            if left < 0:
                raise self._corrupt(f'its extents hold more than its '
                                    f'{entry.size} bytes')
            if place.level == tree_v1.index.ZEROS:
                yield _Part(None, 0, 0, place.length)
            else:
                yield from map(_Part._make, self._chain.segments(
                    operator.attrgetter('data'), place))

    def _stream(self, parts: Iterable[_Part]) -> Iterator[memoryview | int]:
        """The bytes of parts, with some segments fetched ahead."""
        ahead: collections.deque[
            tuple[_Part, Future[bytes] | None]] = collections.deque()
        try:
            for part in parts:
                ahead.append((part, self._acquire(part)))
                if len(ahead) > self._ahead or self._cache.is_full:
                    yield from self._next_of(ahead)
            while ahead:
                yield from self._next_of(ahead)
        finally:
            for part, _ in ahead:
                self._release([part])

    def _next_of(self, ahead: collections.deque[
            tuple[_Part, Future[bytes] | None]]) -> Iterator[memoryview | int]:
        part, future = ahead[0]
        if future is not None:
            self._cache.result(future, self._monitor.tick)
        yield _bytes_of(part, future)
        ahead.popleft()
        self._release([part])

    def _acquire(self, part: _Part) -> Future[bytes] | None:
        """What will be the segment of a part; nothing for zeros."""
        if part.reader is None:
            return None
        return self._cache.acquire(part.reader, part.number)

    def _release(self, parts: Iterable[_Part]) -> None:
        for part in parts:
            if part.reader is not None:
                self._cache.release(part.reader, part.number)

    def _write_batch(self, files: list[_File]
                     ) -> list[Exception | None]:
        return [self._write(file.entry, file.content, file.writer,
                            map(_bytes_of, file.parts, file.futures))
                for file in files]

    def _write(self, entry: Entry, content: Content, writer: Any,
               pieces: Iterable[memoryview | int]) -> Exception | None:
        """Write a file, and have it appear if it is as recorded.

        :param pieces: its bytes in order, a number for so many zeros.
        :returns: why it is not there, if it is not.
        """
        try:
            with writer as file:
                self._fill(entry, content, file, pieces)
        except (errors.CorruptBackup, OSError) as exc:
            return exc
        return None

    def _fill(self, entry: Entry, content: Content, file: Any,
              pieces: Iterable[memoryview | int]) -> None:
        digest = blake3.blake3()
        written = 0
        for piece in pieces:
            if isinstance(piece, int):
                file.skip(piece)
                _hash_zeros(digest, piece)
                written += piece
            else:
                file.write(piece)
                digest.update(piece)
                written += len(piece)
        if written != entry.size or digest.digest() != content.digest:
            raise self._corrupt(
                f'a file of {written} bytes with the blake3 '
                f'{digest.hexdigest()} came of it, recorded are '
                f'{entry.size} and {content.digest.hex()}')

    def _drain(self, limit: int) -> None:
        """Wait for the files begun first, until no more are under way."""
        while self._pending and (
                len(self._pending) > limit or self._cache.is_full
                or self._pending[0][1].done()):
            files, future = self._pending.popleft()
            problems = self._workers.cpu.result(future, self._monitor.tick)
            for file, error in zip(files, problems):
                self._release(file.parts)
                self._judge(file.entry.path, error)

    def _flush(self) -> None:
        """See that what was restored is on the disk.

        :raises TreeTargetFailed: that is not known.
        """
        io = self._workers.io
        try:
            io.result(io.submit(self._target.flush), self._monitor.tick)
        except OSError as exc:
            raise errors.TreeTargetFailed(
                path='its end', reason='what was written cannot be brought '
                f'to the disk: {reason_of(exc)}') from exc

    def _judge(self, path: bytes, error: Exception | None) -> None:
        """Report why a file is not there.

        :raises TreeTargetFailed: no other could be, either.
        """
        if isinstance(error, errors.CorruptBackup):
            self._damaged(path, error)
        elif isinstance(error, OSError):
            if error.errno in _FATAL:
                raise errors.TreeTargetFailed(
                    path=_text(path),
                    reason=reason_of(error)) from error
            self.problem(path, f'not restored: {reason_of(error)}')

    def _damaged(self, path: bytes, error: errors.CorruptBackup) -> None:
        self.totals.damaged += 1
        self._report(path, f'not restored: {error}')

    def _corrupt(self, reason: str) -> errors.CorruptBackup:
        return errors.CorruptBackup(
            backup_id=self._chain.newest.manifest.id, reason=reason)


def _bytes_of(part: _Part, future: Future[bytes] | None) -> memoryview | int:
    if future is None:
        return part.end
    return memoryview(future.result())[part.start:part.end]


def _hash_zeros(digest: Any, count: int) -> None:
    for start in range(0, count, len(_ZEROS)):
        digest.update(memoryview(_ZEROS)[:count - start])


def _text(path: bytes) -> str:
    return path.decode(errors='backslashreplace') or '.'
