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

"""What becomes of damage that a restore meets."""

import contextlib
from collections.abc import Callable, Iterator

from chunked_backup import errors
from chunked_backup.flow import native
from chunked_backup.model import BadRange


class Faults:
    """Decides what becomes of damage: the end, or an entry in a list."""

    def __init__(self, salvage: bool) -> None:
        self.salvage = salvage
        self._ranges: list[BadRange] = []
        self._lock = native.lock()

    @contextlib.contextmanager
    def of_object(self, corrupt: Callable[[str], errors.CorruptObject]
                  ) -> Iterator[None]:
        """Have what is wrong with a stored object be damage to the backup.

        A store that fails for now is not; one that cannot read an object is,
        in a salvage.

        :param corrupt: makes the error: why.
        """
        try:
            yield
        except (errors.ObjectNotFound, errors.ContainerNotFound) as exc:
            raise corrupt(f'it is missing: {exc}') from exc
        except errors.TransientDriverError:
            raise
        except errors.DriverError as exc:
            if not self.salvage:
                raise
            raise corrupt(f'it cannot be read: {exc}') from exc
        except errors.DecodeError as exc:
            raise corrupt(str(exc)) from exc

    def add(self, error: errors.CorruptBackup, start: int, end: int) -> None:
        """Damage to the bytes from ``start`` to ``end`` of the volume.

        :raises CorruptBackup: ``error``, unless this is a salvage.
        """
        if not self.salvage:
            raise error
        with self._lock:
            self._ranges.append(BadRange(start, end - start, str(error)))

    def ranges(self) -> tuple[BadRange, ...]:
        """Everything added, in volume order."""
        return tuple(sorted(self._ranges))
