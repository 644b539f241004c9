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

"""One backup of a tree, checked by itself: what it has stored, each once.

Its index is read, and every range that it names is looked for in the backups
of its chain. What the objects hold is read only as far as is asked for; those
of its ancestors answer for themselves.
"""

import operator
from collections.abc import Callable, Iterator

from chunked_backup import errors
from chunked_backup.flow.executors import Workers
from chunked_backup.flow.monitor import Monitor
from chunked_backup.flow.window import ordered
from chunked_backup.formats.tree_v1.index import ZEROS
from chunked_backup.formats.tree_v1.index import extents_of
from chunked_backup.jobs.tree_level import StoredChain
from chunked_backup.model import CheckSummary
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.stream_reader import StreamReader

_DATA = operator.attrgetter('data')
_SIGNATURES = operator.attrgetter('signatures')


def check_tree(chain: StoredChain, store: ObjectStore, prefix: str,
               wanted: Callable[[], bool], workers: Workers,
               monitor: Monitor, ahead: int) -> CheckSummary:
    """Check the newest backup of a chain.

    :param store: where it is.
    :param prefix: of its objects.
    :param wanted: asked for each object whether to read it.
    :returns: what is damaged is listed, not raised.
    """
    newest = chain.newest
    objects = [(reader, index)
               for reader in (newest.data, newest.index, newest.signatures)
               for index in range(len(reader.segments))]
    missing = workers.io.result(workers.io.submit(
        store.missing, [reader.name_of(index) for reader, index in objects],
        prefix), monitor.tick)
    problems = []
    read = []
    for reader, index in objects:
        if reader.name_of(index) in missing:
            problems.append(f'object {reader.name_of(index)} is missing')
        elif wanted():
            read.append((reader, index))
    fetched_bytes = 0
    for size, problem in ordered(workers.io, _fetch, read, ahead,
                                 monitor.tick):
        fetched_bytes += size
        problems += [problem] if problem else []
    problems += dict.fromkeys(_index_problems(chain, workers))
    return CheckSummary(len(objects), len(read), fetched_bytes,
                        tuple(problems))


def _fetch(reader: StreamReader, index: int) -> tuple[int, str | None]:
    try:
        reader.fetch(index)
    except errors.CorruptBackup as exc:
        return 0, str(exc)
    return reader.segments[index].stored_bytes, None


def _index_problems(chain: StoredChain, workers: Workers) -> Iterator[str]:
    try:
        for entry, content in chain.newest.records(workers):
            if content is None:
                continue
            length = 0
            for place in extents_of(content):
                length += place.length
                if place.level != ZEROS:
                    for _ in chain.segments(_DATA, place):
                        pass
            if length != entry.size:
                yield (f'{entry.path!r} has {entry.size} bytes, and ranges '
                       f'of {length}')
            if content.signature is not None:
                for _ in chain.segments(_SIGNATURES, content.signature):
                    pass
    except errors.CorruptBackup as exc:
        yield str(exc)
