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

"""A real block device that fails where and when it is told to.

It is a loop device over a file of a small file system of our own, which
answers the kernel through /dev/fuse: reads and writes of the file may fail,
and those of the device with them. It needs root, loop devices and FUSE, and
no library.

::

    with BadDisk(directory, 64 << 20) as disk:
        disk.format()  # ext4, mounted at disk.mount
        disk.fail(reads=True, start=1 << 20, end=2 << 20)

The file system runs in a process of its own: one that waits for a disk must
not be the one that answers for it.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import pathlib
import signal
import struct
import subprocess
import traceback

_BLOCK = 4096
_FIBMAP = 1
_DISK = 2  # the inode of the file; 1 is the directory
_NAME = 'disk'
_LARGEST_WRITE = 128 << 10

# Operations of the protocol: linux/fuse.h, version 7.
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _WRITE = 1, 2, 3, 14, 15, 16
_STATFS, _RELEASE, _FSYNC, _FLUSH, _INIT = 17, 18, 20, 25, 26
_INTERRUPT, _DESTROY, _BATCH_FORGET = 36, 38, 42
_NO_REPLY = (_FORGET, _INTERRUPT, _BATCH_FORGET)
_UNCACHED = 1  # FOPEN_DIRECT_IO

_HEAD_IN = struct.Struct('<IIQQIIIHH')
_HEAD_OUT = struct.Struct('<IiQ')
_ATTRIBUTES = struct.Struct('<QQQQQQIIIIIIIIII')
_PLACE = struct.Struct('<QQI')

# What the two processes share: which range fails, of reads and of writes, and
# how many calls have failed.
_CONTROL = struct.Struct('<QQQQQQ')
_NEVER = (1 << 63, 1 << 63)


class BadDisk:
    """:param directory: for what it needs.

    :ivar device: the path of the block device.
    :ivar mount: where ``format`` has mounted it.
    """

    def __init__(self, directory, size_bytes):
        self._directory = pathlib.Path(directory)
        self._size_bytes = size_bytes
        self._image = self._directory / 'image'
        self._point = self._directory / 'fuse'
        self._cleanup = contextlib.ExitStack()
        self._control = mmap.mmap(-1, mmap.PAGESIZE)  # shared with a child
        self._is_mounted = False
        self.mount = self._directory / 'mount'
        self.heal()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._point.mkdir()
            self.mount.mkdir()
            with open(self._image, 'wb') as image:
                image.truncate(self._size_bytes)
            channel = os.open('/dev/fuse', os.O_RDWR)
            _mount(channel, self._point)
            child = os.fork()
            if not child:
                _serve(channel, self._image, self._size_bytes, self._control)
            # The child alone has it now: nobody waits for one that is dead.
            os.close(channel)
            stack.callback(os.waitpid, child, 0)
            stack.callback(os.kill, child, signal.SIGKILL)
            stack.callback(_run, 'umount', '--lazy', self._point)
            self.device = _run('losetup', '--find', '--show',
                               self._point / _NAME).strip()
            stack.callback(_run, 'losetup', '--detach', self.device)
            self._limit_requests(stack)
            stack.callback(self.unmount)
            stack.callback(self.heal)
            self._cleanup = stack.pop_all()
        return self

    def _limit_requests(self, stack):
        """Have each request of the device be one write of the file.

        Of a longer one, the kernel tells the loop device how much it has
        written before a write failed, and that takes it for all (Linux
        6.18).
        """
        limit = pathlib.Path('/sys/block', os.path.basename(self.device),
                             'queue', 'max_sectors_kb')
        stack.callback(limit.write_text, limit.read_text())
        limit.write_text(str(_LARGEST_WRITE >> 10))

    def __exit__(self, *_):
        self._cleanup.close()

    def format(self):
        """Have a file system on it, and mount that."""
        _run('mke2fs', '-q', '-t', 'ext4', '-b', _BLOCK, self.device)
        self._mount_it()

    def repair(self):
        """Have the file system be whole again after errors."""
        self.heal()
        self.unmount()
        # 1: errors were corrected.
        _run('e2fsck', '-f', '-y', self.device, codes=(0, 1))
        self._mount_it()

    def forget(self):
        """Have what is read next come from the disk, not from memory."""
        if self._is_mounted:
            self.unmount()
            self._mount_it()
        else:
            _run('blockdev', '--flushbufs', self.device)

    def _mount_it(self):
        _run('mount', self.device, self.mount)
        self._is_mounted = True

    def unmount(self):
        if self._is_mounted:
            self._is_mounted = False
            _run('umount', self.mount)

    def place(self, path):
        """Where the first block of a file is on the device: from, to."""
        with open(path, 'rb') as file:
            os.fsync(file.fileno())
            answer = fcntl.ioctl(file, _FIBMAP, struct.pack('i', 0))
        start = struct.unpack('i', answer)[0] * _BLOCK
        return start, start + _BLOCK

    def fail(self, reads=False, writes=False, start=0, end=1 << 62):
        """Have what touches a range of the device fail from now on."""
        here = start, end
        self._set(here if reads else _NEVER, here if writes else _NEVER)

    def heal(self):
        self._set(_NEVER, _NEVER)

    def _set(self, reads, writes):
        _CONTROL.pack_into(self._control, 0, *reads, *writes, *self.failed())

    def failed(self):
        """How many reads, and how many writes, have failed so far."""
        return _CONTROL.unpack_from(self._control)[4:]


def _run(*command, codes=(0,)):
    done = subprocess.run([str(word) for word in command], check=False,
                          capture_output=True, text=True)
    if done.returncode not in codes:
        raise OSError(f'{command}: {done.stderr}')
    return done.stdout


def _mount(channel, point):
    libc = ctypes.CDLL(None, use_errno=True)
    options = f'fd={channel},rootmode=40000,user_id=0,group_id=0'
    if libc.mount(b'bad_disk', os.fsencode(point), b'fuse', 0,
                  options.encode()):
        code = ctypes.get_errno()
        raise OSError(code, f'mount: {os.strerror(code)}')


def _serve(channel, image, size_bytes, control):
    """The process that answers; does not return."""
    code = 1
    try:
        os.setsid()
        _Server(channel, os.open(image, os.O_RDWR), size_bytes, control).run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class _Server:
    """Answers what the kernel asks, one question after the other."""

    def __init__(self, channel, image, size_bytes, control):
        self._channel = channel
        self._image = image
        self._size_bytes = size_bytes
        self._control = control
        self._answers = {
            _INIT: self._init, _LOOKUP: self._lookup,
            _GETATTR: self._getattr, _OPEN: self._open, _READ: self._read,
            _WRITE: self._write, _STATFS: lambda *_: bytes(80),
            _RELEASE: lambda *_: b'', _FLUSH: lambda *_: b'',
            _FSYNC: lambda *_: b'', _DESTROY: lambda *_: b''}

    def run(self):
        while True:
            try:
                request = os.read(self._channel, _LARGEST_WRITE + 4096)
            except FileNotFoundError:
                continue  # a question that was taken back
            except OSError as exc:
                if exc.errno == errno.ENODEV:
                    return  # unmounted
                raise
            _, operation, unique, node, *_ = _HEAD_IN.unpack_from(request)
            if operation in _NO_REPLY:
                continue
            try:
                answer, code = self._answers.get(operation, _unknown)(
                    node, request[_HEAD_IN.size:]), 0
            except OSError as exc:
                answer, code = b'', -exc.errno
            with contextlib.suppress(FileNotFoundError):
                os.write(self._channel, _HEAD_OUT.pack(
                    _HEAD_OUT.size + len(answer), code, unique) + answer)

    def _init(self, node, data):
        minor = struct.unpack_from('<I', data, 4)[0]
        return struct.pack('<IIIIHHIIHHIIIIIIII', 7, min(minor, 31), 0, 0, 0,
                           0, _LARGEST_WRITE, 1, 0, 0, *[0] * 8)[:64]

    def _attributes(self, node):
        is_disk = node == _DISK
        return _ATTRIBUTES.pack(
            node, self._size_bytes if is_disk else 0, 0, 0, 0, 0, 0, 0, 0,
            0o100600 if is_disk else 0o040700, 1, 0, 0, 0, 4096, 0)

    def _lookup(self, node, data):
        if data.rstrip(b'\0') != _NAME.encode():
            raise OSError(errno.ENOENT, 'no such file')
        return struct.pack('<QQQQII', _DISK, 0, 3600, 3600, 0, 0) + (
            self._attributes(_DISK))

    def _getattr(self, node, data):
        return struct.pack('<QII', 3600, 0, 0) + self._attributes(node)

    def _open(self, node, data):
        return struct.pack('<QII', 0, _UNCACHED, 0)

    def _read(self, node, data):
        _, offset, size = _PLACE.unpack_from(data)
        self._may_fail(0, offset, size)
        return os.pread(self._image, size, offset)

    def _write(self, node, data):
        _, offset, size = _PLACE.unpack_from(data)
        self._may_fail(1, offset, size)
        return struct.pack('<II', os.pwrite(
            self._image, data[40:40 + size], offset), 0)

    def _may_fail(self, kind, offset, size):
        values = list(_CONTROL.unpack_from(self._control))
        start, end = values[2 * kind:2 * kind + 2]
        if offset < end and offset + size > start:
            struct.pack_into('<Q', self._control, 8 * (4 + kind),
                             values[4 + kind] + 1)
            raise OSError(errno.EIO, 'made to fail')


def _unknown(node, data):
    raise OSError(errno.ENOSYS, 'not implemented')
