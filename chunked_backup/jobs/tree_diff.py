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

"""What differs between two backups of a tree, by their indexes alone."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from chunked_backup.formats.tree_v1 import Record

ADDED = 'added'
REMOVED = 'removed'
CHANGED = 'changed'

#: What of an entry is looked at; how many names it has, where, and when its
#: inode was last touched say nothing about the tree.
_FIELDS = ('kind', 'mode', 'uid', 'gid', 'user', 'group', 'mtime_ns', 'rdev',
           'target', 'xattrs', 'hardlink', 'size')


class Difference(NamedTuple):
    """:param what: of a changed entry, which fields; ``content`` among them
    if its bytes differ."""

    change: str
    path: bytes
    what: tuple[str, ...] = ()


def differences(old: Iterable[Record],
                new: Iterable[Record]) -> Iterator[Difference]:
    """In the order of a walk; both have to be in it."""
    old_records, new_records = iter(old), iter(new)
    then, now = next(old_records, None), next(new_records, None)
    while then is not None and now is not None:
        if then.entry.sort_key < now.entry.sort_key:
            yield Difference(REMOVED, then.entry.path)
            then = next(old_records, None)
        elif now.entry.sort_key < then.entry.sort_key:
            yield Difference(ADDED, now.entry.path)
            now = next(new_records, None)
        else:
            what = tuple(_what(then, now))
            if what:
                yield Difference(CHANGED, now.entry.path, what)
            then, now = next(old_records, None), next(new_records, None)
    while then is not None:
        yield Difference(REMOVED, then.entry.path)
        then = next(old_records, None)
    while now is not None:
        yield Difference(ADDED, now.entry.path)
        now = next(new_records, None)


def _what(then: Record, now: Record) -> Iterator[str]:
    if (then.content and then.content.digest) != (
            now.content and now.content.digest):
        yield 'content'
    for field in _FIELDS:
        if getattr(then.entry, field) != getattr(now.entry, field):
            yield field
