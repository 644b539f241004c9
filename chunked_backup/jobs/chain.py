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

"""A chain of backups, opened: its manifests and the digests of its newest."""

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.blocks import digests
from chunked_backup.formats import Manifest
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.model import BackupRecord
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.place import prefix_of
from chunked_backup.store.reader import Reader

Result = TypeVar('Result')


@dataclasses.dataclass(slots=True)
class Level:
    """One backup of a chain; ``store`` counts what is read of its data."""

    record: BackupRecord
    store: ObjectStore
    manifest: Manifest


@dataclasses.dataclass(slots=True)
class Chain:
    """A restore point.

    :param levels: the backup asked for first, the full backup last.
    :param digests: of the volume as it was at the backup asked for; empty in
        a salvage without a digest table, which has blocks of one byte.
    """

    levels: list[Level]
    digests: DigestSpool
    block_size_bytes: int
    volume_bytes: int


def read_manifest(store: ObjectStore, record: BackupRecord,
                  strict: bool = True) -> Manifest:
    """The manifest of a backup, found by its record.

    :param strict: whether it has to be what it was when it was written.
    :raises CorruptBackup: it is missing or broken.
    """
    prefix = prefix_of(record)
    name = formats.names.manifest(prefix)
    try:
        with _unaltered(store, name, record,
                        record.manifest_sha256 if strict else None) as reader:
            manifest = formats.parse_manifest(reader, record.id, prefix,
                                              strict)
    except (errors.ObjectNotFound, errors.ContainerNotFound) as exc:
        raise errors.IncompleteChain(
            backup_id=record.id,
            reason=f'its manifest is missing: {exc}') from exc
    if manifest.record.volume_id != record.volume_id:
        raise errors.CorruptBackup(
            backup_id=record.id, reason='its manifest is of volume '
            f'{manifest.record.volume_id}, not {record.volume_id}')
    if manifest.record.parent_id != record.parent_id:
        raise errors.CorruptBackup(
            backup_id=record.id, reason='its manifest names the parent '
            f'{manifest.record.parent_id}, its record {record.parent_id}')
    return manifest


def read_digests(store: ObjectStore, record: BackupRecord,
                 manifest: Manifest, spool: DigestSpool,
                 strict: bool = True) -> int:
    """Fill a spool with the digest table of a backup, and nothing else.

    :param manifest: of the same backup.
    :param strict: whether it has to be what it was when it was written.
    :returns: the block size in bytes.
    :raises CorruptBackup: the table is missing or broken.
    """
    name = formats.names.digest_table(prefix_of(record))
    expected = ((record.digest_table_sha256 or manifest.digest_table_sha256)
                if strict else None)
    spool.close()
    try:
        block_size: int = formats.of(manifest.version).digest_table.parse(
            lambda: _unaltered(store, name, record, expected),
            record.id, _bounded(spool, record, manifest))
    except (errors.ObjectNotFound, errors.ContainerNotFound) as exc:
        raise errors.IncompleteChain(
            backup_id=record.id,
            reason=f'its digest table is missing: {exc}') from exc
    if not len(spool):
        raise errors.CorruptBackup(backup_id=record.id,
                                   reason='its digest table is empty')
    _check_against(block_size, spool, record, manifest)
    return block_size


def _bounded(spool: DigestSpool, record: BackupRecord,
             manifest: Manifest) -> Callable[[bytes], None]:
    """Adds digests to a spool, but no more than the manifest has blocks.

    In format 2.0.0 five broken bytes can claim 4 billion blocks of zeros; with
    what is seen at the end alone, 128 GiB would go to a temporary file first.
    """
    most = _block_count(manifest)

    def append(batch: bytes) -> None:
        if (most is not None
                and len(spool) + len(batch) // digests.DIGEST_BYTES > most):
            raise errors.CorruptBackup(
                backup_id=record.id, reason='its digest table has more than '
                f'the {most} blocks of its manifest')
        spool.append(batch)
    return append


def _check_against(block_size_bytes: int, spool: DigestSpool,
                   record: BackupRecord, manifest: Manifest) -> None:
    """See that a digest table fits its manifest, where that tells."""
    expected = _block_count(manifest)
    if expected is not None and (
            (block_size_bytes, len(spool))
            != (manifest.block_size_bytes, expected)):
        raise errors.CorruptBackup(
            backup_id=record.id, reason='its digest table has '
            f'{len(spool)} blocks of {block_size_bytes} bytes, its '
            f'manifest {expected} of {manifest.block_size_bytes}')


def _block_count(manifest: Manifest) -> int | None:
    """How many blocks the volume has, where the manifest tells."""
    if manifest.volume_bytes is None or manifest.block_size_bytes is None:
        return None
    return digests.block_count(manifest.volume_bytes,
                               manifest.block_size_bytes)


def open_chain(records: Sequence[BackupRecord],
               open_store: Callable[[BackupRecord], ObjectStore],
               spool: DigestSpool) -> Chain:
    """Read what a restore needs to know of a chain.

    :param records: the backup asked for first, the full backup last.
    :param spool: takes the digests; the caller closes it.
    :raises CorruptBackup: something is missing or contradicts itself.
    """
    levels = [_open_level(open_store(record), record) for record in records]
    newest = records[0]
    block_size = read_digests(open_store(newest), newest, levels[0].manifest,
                              spool)
    for level in levels:
        _check_alignment(level, block_size)
    return Chain(levels, spool, block_size,
                 _volume_bytes(levels, spool, block_size))


def open_damaged_chain(records: Sequence[BackupRecord],
                       open_store: Callable[[BackupRecord], ObjectStore],
                       spool: DigestSpool,
                       report: Callable[[errors.CorruptBackup], None]
                       ) -> Chain:
    """Read what can be read of a chain, for a salvage.

    A manifest or digest table that is not the one that was written may still
    be of use: every byte is checked against it before it counts. Ancestors
    that cannot be read are left out. Without a digest table, objects are
    checked by their md5.

    :param report: told of everything that is wrong.
    :raises CorruptBackup: the manifest of the backup asked for is of no use.
    """
    levels: list[Level] = []
    for record in records:
        try:
            levels.append(_lenient(report, functools.partial(
                _open_level, open_store(record), record)))
        except errors.CorruptBackup as exc:
            if not levels:
                raise
            report(exc)
    try:
        block_size = _lenient(report, functools.partial(
            read_digests, open_store(records[0]), records[0],
            levels[0].manifest, spool))
        for level in levels:
            _check_alignment(level, block_size)
        volume_bytes = _volume_bytes(levels, spool, block_size)
    except errors.CorruptBackup as exc:
        report(exc)
        spool.close()
        block_size = 1
        volume_bytes = levels[0].manifest.volume_bytes or max(
            (stored.end for level in levels
             for stored in level.manifest.objects), default=0)
    return Chain(levels, spool, block_size, volume_bytes)


def _lenient(report: Callable[[errors.CorruptBackup], None],
             read: Callable[..., Result]) -> Result:
    """Read something as it should be, or else as it is.

    :param read: takes ``strict``.
    """
    try:
        return read(strict=True)
    except errors.CorruptObject as exc:
        report(exc)
        return read(strict=False)


def _open_level(store: ObjectStore, record: BackupRecord,
                strict: bool = True) -> Level:
    manifest = read_manifest(store, record, strict)
    return Level(record, store.with_extra_metadata(manifest.extra_metadata),
                 manifest)


@contextlib.contextmanager
def _unaltered(store: ObjectStore, name: str, record: BackupRecord,
               sha256: str | None) -> Iterator['_HashingReader']:
    """Read an object that should be what it was when it was written.

    :param sha256: of the whole object, where the host has kept it.
    :raises CorruptObject: it was read to its end and is something else.
    """
    with store.reader(name) as reader:
        hashing = _HashingReader(reader)
        yield hashing
    if sha256 is not None and hashing.ended and hashing.sha256() != sha256:
        raise errors.CorruptObject(
            backup_id=record.id, object_name=name, offset=0,
            reason=f'its sha256 is {hashing.sha256()}, recorded is {sha256}')


class _HashingReader:
    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._sha256 = hashlib.sha256()
        self.ended = False

    def read(self, size: int) -> bytes:
        data = self._inner.read(size)
        self._sha256.update(data)
        self.ended = self.ended or (size > 0 and not data)
        return data

    def sha256(self) -> str:
        return self._sha256.hexdigest()


def _check_alignment(level: Level, block_size_bytes: int) -> None:
    for stored in level.manifest.objects:
        if stored.offset % block_size_bytes:
            raise errors.CorruptObject(
                backup_id=level.record.id, object_name=stored.name,
                offset=stored.offset,
                reason='it does not begin on a boundary of the blocks of '
                       f'{block_size_bytes} bytes')


def _volume_bytes(levels: Sequence[Level], spool: DigestSpool,
                  block_size_bytes: int) -> int:
    """The exact size of the volume. Format 1.0.0 does not record it.

    The digest table gives the number of blocks. The last may be short; the
    newest object that holds it was written when it was as it is now, and
    ends where the volume ends or beyond the block.

    :raises CorruptObject: the newest manifest says otherwise.
    """
    end = len(spool) * block_size_bytes
    for stored in levels[0].manifest.objects:
        if stored.end > end:
            raise errors.CorruptObject(
                backup_id=levels[0].record.id, object_name=stored.name,
                offset=stored.offset, reason=f'it ends at {stored.end}, the '
                f'volume has {len(spool)} blocks of {block_size_bytes} bytes')
    if levels[0].manifest.volume_bytes is not None:
        return levels[0].manifest.volume_bytes
    last = end - block_size_bytes
    if spool.read(len(spool) - 1, 1) == digests.zero_digest(block_size_bytes):
        return end  # of a whole block; it is not fetched, so not checked
    for level in levels:
        for stored in level.manifest.objects:
            if stored.offset <= last < stored.end:
                return min(stored.end, end)
    return end
