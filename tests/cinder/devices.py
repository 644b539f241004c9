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

"""Devices that are objects and not paths, as os-brick has them for RBD."""

import io
import os
import threading

from os_brick.initiator.connectors import local

from chunked_backup.flow import native

if native.is_patched():
    from eventlet import patcher
    # A slow device keeps its native thread, not a green one, waiting.
    time = patcher.original('time')
else:
    import time


#: What was called on the thread that runs all green threads: while such a call
#: waits for a device, nobody in the whole service gets on.
CALLS_ON_THE_HUB = []


class FileLikeDevice(io.RawIOBase):
    """A device with one position and without a descriptor.

    :param path: what stands behind it.
    :param delay_s: what each read, write and flush takes.
    :param fails_at: reading or writing beyond this offset fails.
    """

    def __init__(self, path, delay_s=0, fails_at=None):
        super().__init__()
        self._file = open(path, 'r+b', buffering=0)
        self._delay_s = delay_s
        self._fails_at = fails_at

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True

    def read(self, size=-1):
        self._work('read', max(size, 0))
        return self._file.read(size)

    def write(self, data):
        self._work('write', len(data))
        return self._file.write(data)

    def seek(self, offset, whence=os.SEEK_SET):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def flush(self):
        self._wait('flush')
        os.fsync(self._file.fileno())

    def fileno(self):
        raise io.UnsupportedOperation('fileno')

    def close(self):
        if not self.closed:
            self._wait = lambda name: None
            super().close()  # which flushes
            self._file.close()

    def _work(self, name, count):
        self._wait(name)
        end = self.tell() + count
        if self._fails_at is not None and end > self._fails_at:
            raise OSError(5, 'Input/output error')

    def _wait(self, name):
        if native.is_patched() and (
                threading.get_native_id() == os.getpid()):
            CALLS_ON_THE_HUB.append(name)
        time.sleep(self._delay_s)


class FileLikeConnector(local.LocalConnector):
    """Attaches a volume as a ``FileLikeDevice``."""

    def connect_volume(self, connection_properties):
        properties = dict(connection_properties)
        del properties['kind']
        return {'type': 'local', 'path': FileLikeDevice(
            properties['path'], properties.get('delay_s', 0),
            properties.get('fails_at'))}

    def disconnect_volume(self, connection_properties, device_info,
                          force=False, ignore_errors=False):
        device_info['path'].close()
