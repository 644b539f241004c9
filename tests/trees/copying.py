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

"""The plainest use of a scanner and a target: one tree becomes another."""

import concurrent.futures
import contextlib

from chunked_backup.endpoints.source import data_ranges
from chunked_backup.trees.scan import TreeScanner
from chunked_backup.trees.target import TreeTarget


def copy(source, target, scan=None, restore=None, workers=0, change=None):
    """Copy a tree.

    :param scan: options of the scanner; restore: those of the target.
    :param workers: how many threads write files; 0 is the caller's own.
    :param change: called with each entry before it is restored; gives the
        one that is.
    :returns: what was reported, as pairs of path and reason.
    """
    reported = []
    scanner = TreeScanner(source, lambda *report: reported.append(report),
                          **scan or {})
    tree = TreeTarget(target, lambda *report: reported.append(report),
                      **restore or {})
    with contextlib.ExitStack() as stack:
        submit = _at_once
        if workers:
            submit = stack.enter_context(
                concurrent.futures.ThreadPoolExecutor(workers)).submit
        done = []
        for entry in scanner:
            writer = tree.add(change(entry) if change else entry)
            if writer is not None:
                done.append(submit(_copy_file, scanner, entry, writer,
                                   reported))
        tree.finish()
        for future in done:
            if future is not None:
                future.result()
    return reported


def _at_once(function, *arguments):
    function(*arguments)


def _copy_file(scanner, entry, writer, reported):
    try:
        file = scanner.open_file(entry)
    except OSError as exc:
        writer.discard()
        reported.append((entry.path, exc.strerror))
        return
    try:
        with file, writer:
            copy_contents(file, writer, entry.size)
    except OSError as exc:
        reported.append((entry.path, exc.strerror))


def copy_contents(file, writer, size):
    position = 0
    for start, end in data_ranges(file.fileno(), size):
        writer.skip(start - position)
        file.seek(start)
        position = start
        while position < end:
            piece = file.read(min(100000, end - position))
            if not piece:
                return
            writer.write(piece)
            position += len(piece)
    writer.skip(size - position)
