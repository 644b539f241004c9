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

"""Where a tree is restored to when it is only to be checked."""

from collections.abc import Callable
from typing import Self

from chunked_backup.trees.entry import FILE
from chunked_backup.trees.entry import Entry


class VerifyTarget:
    """A target that keeps nothing: its files are compared with their digests,
    and that is all."""

    def __init__(self, report: Callable[[bytes, str], None]) -> None:
        """There is nothing that it could report."""

    def add(self, entry: Entry) -> '_NoFile | None':
        """As a ``TreeTarget`` does: something to write to, of a file."""
        is_file = entry.kind == FILE and entry.hardlink is None
        return _NoFile() if is_file else None

    def finish(self) -> None:
        """Nothing is open."""

    def flush(self) -> None:
        """Nothing was kept."""


class _NoFile:
    """What is written to a file of a ``VerifyTarget``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """What has failed is the caller's."""

    def write(self, data: memoryview) -> None:
        """The caller has it hashed."""

    def skip(self, count: int) -> None:
        """The caller has it hashed."""

    def discard(self) -> None:
        """Nothing was kept."""
