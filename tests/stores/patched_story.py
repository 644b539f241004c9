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

"""A volume's story in a process that eventlet has patched.

    python -m tests.stores.patched_story DRIVER OPTIONS DIRECTORY

OPTIONS is JSON: the options to set, by group. Prints how often a green thread
could run meanwhile and by how many milliseconds it was late at worst.
"""

import eventlet; eventlet.monkey_patch()  # noqa: before anything else

import json
import pathlib
import random
import sys
import time

from oslo_config import cfg

from chunked_backup import loader
from chunked_backup.hosts.standalone.service import VolumeService
from tests import support

_BEAT_S = 0.01


class Heart:
    """A green thread that wants to run every 10 ms."""

    def __init__(self):
        self.beats = 0
        self.latest_s = 0.0

    def watch(self, function, *args, **keywords):
        """Call a function and see how it lets others run."""
        thread = eventlet.spawn(self._beat)
        time.sleep(0)
        try:
            return function(*args, **keywords)
        finally:
            time.sleep(_BEAT_S)
            thread.kill()

    def _beat(self):
        while True:
            before_s = time.monotonic()
            time.sleep(_BEAT_S)
            late_s = time.monotonic() - before_s - _BEAT_S
            self.latest_s = max(self.latest_s, late_s)
            self.beats += 1


def tell(driver, directory):
    """A full backup and an incremental are made, restored and deleted."""
    service, heart = VolumeService(driver), Heart()
    volume, target = directory / 'volume', directory / 'target'
    chunk_bytes, source = driver.chunk_size_bytes, random.Random(3)
    content = bytearray(b''.join(source.randbytes(chunk_bytes)
                                 for _ in range(12)) + b'end')
    volume.write_bytes(content)
    full = heart.watch(service.backup, str(volume))
    content[chunk_bytes:2 * chunk_bytes] = bytes(chunk_bytes)
    volume.write_bytes(content)
    newest = heart.watch(service.backup, str(volume), incremental=True)
    heart.watch(service.restore, newest, str(target))
    assert target.read_bytes() == content
    heart.watch(service.verify, newest)
    heart.watch(service.delete, full, cascade=True)
    assert service.backups() == []
    return heart


def main():
    name, options, directory = sys.argv[1:]
    cfg.CONF([], project='patched_story', default_config_files=[])
    make = loader.load(loader.DRIVERS, name)
    make(None)  # registers its options
    for group, values in json.loads(options).items():
        support.override(group, **values)
    driver = make(None)
    driver.check_for_setup_error()
    heart = tell(driver, pathlib.Path(directory))
    print(heart.beats, round(1000 * heart.latest_s))


if __name__ == '__main__':
    main()
