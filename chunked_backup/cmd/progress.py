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

"""How far a command is: a bar for people, lines of JSON for programs."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from typing import BinaryIO

from chunked_backup import errors

BAR, JSON, NONE = FORMATS = ('bar', 'json', 'none')


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


class JsonLines:
    """Writes an object a line: how far it is, and at last what came of it.

    :param command: such as ``volume backup``.
    :param stream: takes the lines, unbuffered; when it takes no more, they
        end.
    """

    def __init__(self, command: str, stream: BinaryIO) -> None:
        self._command = command
        self._stream: BinaryIO | None = stream
        self._began_s = time.monotonic()
        #: Gives the tally of what runs; set once there is a driver.
        self.tally: Callable[[], Any] = lambda: None

    def __call__(self, backup: Any, done_bytes: int,
                 total_bytes: int | None) -> None:
        tally = self.tally()
        self._write(
            'progress', id=backup.id, stage=tally.stage,
            percent=(None if total_bytes is None else 100.0
                     if not total_bytes
                     else round(100 * done_bytes / total_bytes, 2)),
            done_bytes=done_bytes, total_bytes=total_bytes,
            written_bytes=tally.written_bytes, read_bytes=tally.read_bytes,
            retries=tally.retries)

    def close(self) -> None:
        """Nothing is on the screen."""

    def finish(self, exit_code: int, result: Any, error: str | None) -> None:
        """The last line.

        :param result: what the command answers, as JSON has it; None if it
            has failed.
        """
        self._write('result', exit_code=exit_code, error=error,
                    result=result)

    def _write(self, event: str, **fields: Any) -> None:
        if self._stream is None:
            return
        line = json.dumps({
            'event': event, 'command': self._command,
            'elapsed_s': round(time.monotonic() - self._began_s, 3),
            **fields}, default=str)
        try:
            self._stream.write(line.encode() + b'\n')
        except OSError:  # nobody reads any more; the work goes on
            self._stream = None


def open_json_lines(command: str, path: str | None) -> JsonLines:
    """Lines of JSON to standard error, or to the end of a file.

    :param path: a file; ``/dev/fd/3`` is a descriptor that the caller has
        opened.
    :raises InvalidInput: it cannot be written.
    """
    if path is None:
        path = '/dev/fd/2'
    directory, name = os.path.split(path)
    try:
        # The descriptor itself: a socket, such as that of the journal, cannot
        # be opened by its path.
        stream = (open(int(name), 'wb', buffering=0, closefd=False)
                  if directory == '/dev/fd' and name.isdecimal()
                  else open(path, 'ab', buffering=0))
        return JsonLines(command, stream)
    except OSError as exc:
        raise errors.InvalidInput(
            reason=f'progress cannot be written to {path}: '
                   f'{exc.strerror}') from exc
