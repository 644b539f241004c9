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

"""The progress bar."""

import sys
from typing import Any


class ProgressBar:
    """Shows bytes done, the rate and the time left on standard error.

    :param text: what stands before the bar.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._bar: Any = None
        self._backup_id: str | None = None

    def __call__(self, backup: Any, done_bytes: int,
                 total_bytes: int | None) -> None:
        if backup.id != self._backup_id:
            self.close()
            self._backup_id = backup.id
            self._bar = self._new_bar(total_bytes)
        self._bar.update(done_bytes - self._bar.n)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()

    def _new_bar(self, total_bytes: int | None) -> Any:
        import tqdm  # 0.1 s that only a terminal needs
        return tqdm.tqdm(
            desc=self._text, total=total_bytes, unit='B', unit_scale=True,
            unit_divisor=1024, file=sys.stderr, leave=False,
            mininterval=0, miniters=1, dynamic_ncols=True)
