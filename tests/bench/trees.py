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

"""Trees to measure with: like the sources of Linux in number and sizes."""

import os
import pathlib
import random

from tests.bench import images

_FILES_OF_A_DIRECTORY = 15
_DIRECTORIES_OF_A_DIRECTORY = 8
_MEDIAN_BYTES = 5_500
_SIGMA = 1.3  # of the logarithm: a mean of 2.3 medians, a few of 1 MB
_TEXT_BYTES = 16 << 20


class SourceTree:
    """A tree of text files; the same seed gives the same one.

    :param top: made, must not exist.
    """

    def __init__(self, top, files, seed=1):
        self.top = pathlib.Path(top)
        self._source = random.Random(seed)
        pieces = images._text(random.Random(seed))
        self._text = b''.join(
            next(pieces) for _ in range(_TEXT_BYTES // images._PIECE_BYTES))
        self.paths = []
        for number in range(files):
            directory = self._directory(number // _FILES_OF_A_DIRECTORY)
            if number % _FILES_OF_A_DIRECTORY == 0:
                directory.mkdir(parents=True, exist_ok=True)
            path = directory / f'file_{number}.c'
            self._write(path, number)
            self.paths.append(path)

    def change(self, share):
        """Edit some of the files: a few bytes put in, some replaced."""
        for path in self._source.sample(self.paths,
                                        int(share * len(self.paths))):
            data = path.read_bytes()
            place = self._source.randrange(len(data) + 1)
            path.write_bytes(data[:place] + b'/* changed */'
                             + data[place + 5:])

    def _directory(self, number):
        parts = []
        while number:
            number, digit = divmod(number, _DIRECTORIES_OF_A_DIRECTORY)
            parts.append(f'directory_{digit}')
        return self.top.joinpath(*reversed(parts))

    def _write(self, path, number):
        length = min(int(self._source.lognormvariate(0, _SIGMA)
                         * _MEDIAN_BYTES), _TEXT_BYTES // 2)
        start = self._source.randrange(_TEXT_BYTES - length)
        with open(path, 'wb') as file:
            file.write(b'/* %d */' % number + self._text[start:start + length])


def settle():
    """Have nothing of what was written still on its way to the disk."""
    os.sync()
