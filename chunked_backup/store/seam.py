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

"""What a driver looks like from inside, and what its streams are."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from chunked_backup.flow.tally import Tally
from chunked_backup.model import Unfinished


class ObjectWriter(Protocol):
    """Takes the bytes of one object.

    One that promises to keep no buffer (``takes_memoryviews``) is given
    memoryviews, too.
    """

    def write(self, data: bytes, /) -> object:
        """Append all of ``data``."""


class SizedReader(Protocol):
    """Gives the bytes of one object, some at a time.

    One that also has ``skip(count)`` is spared from reading what is not
    wanted.
    """

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; ``b''`` at the end."""


class WholeReader(Protocol):
    """Gives one object at once, as the drivers of Cinder do."""

    def read(self) -> bytes:
        """All of it."""


ObjectReader = SizedReader | WholeReader


class StoreDriver(Protocol):
    """What is used of a driver below the seam; ``base_driver`` says
    what each promises.

    :ivar activity: changes while one long request makes headway.
    :ivar tally: counts what is moved, and each retry.
    """

    takes_memoryviews: bool
    activity: int
    tally: Tally

    @property
    def retry_attempts(self) -> int: ...

    @property
    def retry_wait_s(self) -> float: ...

    def put_container(self, container: str) -> None: ...

    def get_container_entries(self, container: str,
                              prefix: str) -> Iterable[str]: ...

    def get_object_writer(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> AbstractContextManager[ObjectWriter]: ...

    def get_exclusive_writer(self, container: str, object_name: str,
                             extra_metadata: Any = None
                             ) -> AbstractContextManager[ObjectWriter]: ...

    def get_object_reader(self, container: str, object_name: str,
                          extra_metadata: Any = None
                          ) -> AbstractContextManager[ObjectReader]: ...

    def get_range_reader(self, container: str, object_name: str, start: int,
                         length: int, extra_metadata: Any = None
                         ) -> AbstractContextManager[ObjectReader]: ...

    def delete_objects(self, container: str, names: list[str]) -> None: ...

    def discard_container(self, container: str) -> None: ...

    def get_object_ages(self, container: str, prefix: str
                        ) -> dict[str, float] | None: ...

    def get_unfinished(self, container: str) -> Iterable[Unfinished]: ...

    def discard_unfinished(self, container: str,
                           unfinished: Unfinished) -> None: ...
