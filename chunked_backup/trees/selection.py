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

"""Some paths of a tree, with all that is below them."""

from collections.abc import Iterable

from chunked_backup import errors
from chunked_backup.trees.entry import Entry


class Selection:
    """Which entries a user wants; all of them, if he names none.

    :param paths: relative to the top of the tree.
    :raises InvalidInput: a path cannot be in any tree.
    """

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._missed = {normal_path(path): path for path in paths}
        self._paths = tuple(self._missed)

    def wants(self, entry: Entry) -> bool:
        """Whether an entry is one of the paths, below one, or on the way to
        one."""
        if not self._paths:
            return True
        found = False
        for path in self._paths:
            if not path or entry.path == path or (
                    entry.path.startswith(path + b'/')):
                self._missed.pop(path, None)
                found = True
            elif not entry.path or path.startswith(entry.path + b'/'):
                found = True
        return found

    def missed(self) -> list[bytes]:
        """The paths that no entry was at, as they were given."""
        return list(self._missed.values())


def normal_path(path: bytes) -> bytes:
    """A path as the entries of a tree have it.

    :raises InvalidInput: it cannot be in any tree.
    """
    parts = [part for part in path.split(b'/') if part not in (b'', b'.')]
    if b'..' in parts or b'\0' in path:
        raise errors.InvalidInput(
            reason=f'{path.decode(errors="backslashreplace")}: a path in a '
                   'backup has no ".." and no NUL')
    return b'/'.join(parts)
