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

"""Volumes to back up: real ext4 file systems, and files with known bytes."""

import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sysconfig

_SBIN = os.pathsep.join((os.environ['PATH'], '/usr/sbin', '/sbin'))
_PIECE_BYTES = 1 << 20


def system_command(name, *arguments):
    """Run a command of the system, which may be one for administrators."""
    program = shutil.which(name, path=_SBIN)
    assert program, f'{name} is not installed; see bindep.txt'
    return subprocess.run([program, *map(str, arguments)], check=True,
                          capture_output=True, text=True).stdout


class Ext4Image:
    """An ext4 file system in a file; nothing is ever mounted.

    :param path: where the image is.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    @classmethod
    def make(cls, path, size, files):
        """A new file system.

        :param size: as mkfs.ext4 takes it.
        :param files: the directory to fill it from.
        """
        system_command('mkfs.ext4', '-q', '-d', files, path, size)
        return cls(path)

    def put(self, file, name):
        """Copy a file into the file system, in place of one that is
        there."""
        if name in self.names():
            self.remove(name)
        self._debugfs(f'write {file} {name}')
        assert name in self.names()

    def remove(self, name):
        self._debugfs(f'rm {name}')
        assert name not in self.names()

    def names(self):
        """What is in the root directory."""
        listing = system_command('debugfs', '-R', 'ls -p /', self.path)
        return {line.split('/')[5] for line in listing.splitlines() if line}

    def check(self):
        """Have e2fsck find nothing wrong."""
        system_command('e2fsck', '-fn', self.path)

    def contents(self, directory):
        """The sha256 of each file in the file system by name.

        :param directory: an empty one for copies.
        """
        system_command('debugfs', '-R', f'rdump / {directory}', self.path)
        return digests_of_files(directory)

    def _debugfs(self, request):
        system_command('debugfs', '-w', '-R', request, self.path)


def real_files(directory):
    """Fill a directory with files that nobody made for a test."""
    library = pathlib.Path(sysconfig.get_path('stdlib'))
    for package in ('email', 'json', 'unittest', 'asyncio', 'xml'):
        shutil.copytree(library / package, directory / package)
    return directory


def digests_of_files(directory):
    """The sha256 of each file below a directory by its name there."""
    return {
        str(path.relative_to(directory)):
            hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob('*')) if path.is_file()}


def random_bytes(count, seed=1):
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(count)


def write_slow_to_compress(path, size_bytes):
    """A file that does compress, and costs a codec much work."""
    piece = b''.join(b'%x ' % random.Random(index).getrandbits(40)
                     for index in range(100_000))[:_PIECE_BYTES]
    with open(path, 'wb') as file:
        for _ in range(size_bytes // _PIECE_BYTES):
            file.write(piece.ljust(_PIECE_BYTES, b'.'))
    return path


def allocated_bytes(path):
    return os.stat(path).st_blocks * 512


def differing_ranges(one, other):
    """Where two files differ, in MiB steps, without reading common holes.

    The same answer as cmp gives, which needs a minute for 20 GiB of holes.
    """
    assert os.path.getsize(one) == os.path.getsize(other)
    steps = sorted(_steps_with_data(one) | _steps_with_data(other))
    with open(one, 'rb') as left, open(other, 'rb') as right:
        return [step for step in steps
                if _piece(left, step) != _piece(right, step)]


def _steps_with_data(path):
    steps = set()
    with open(path, 'rb') as file:
        position, end = 0, os.path.getsize(path)
        while position < end:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                break
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            steps.update(range(start // _PIECE_BYTES,
                               -(-position // _PIECE_BYTES)))
    return steps


def _piece(file, step):
    return os.pread(file.fileno(), _PIECE_BYTES, step * _PIECE_BYTES)
