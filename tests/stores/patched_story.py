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
        eventlet.spawn(self._beat)

    def _beat(self):
        while True:
            before_s = time.monotonic()
            time.sleep(_BEAT_S)
            late_s = time.monotonic() - before_s - _BEAT_S
            self.latest_s = max(self.latest_s, late_s)
            self.beats += 1


def tell(service, directory, chunk_bytes):
    """A full backup and an incremental are made, restored and deleted."""
    volume, target = directory / 'volume', directory / 'target'
    content = bytearray(random.Random(3).randbytes(12 * chunk_bytes + 5))
    volume.write_bytes(content)
    full = service.backup(str(volume))
    content[chunk_bytes:2 * chunk_bytes] = bytes(chunk_bytes)
    volume.write_bytes(content)
    service.backup(str(volume), incremental=True)
    newest = service.find('latest')
    service.restore(newest, str(target))
    assert target.read_bytes() == content
    service.verify(newest)
    service.delete(full, cascade=True)
    assert service.backups() == []


def main():
    name, options, directory = sys.argv[1:]
    cfg.CONF([], project='patched_story', default_config_files=[])
    make = loader.load(loader.DRIVERS, name)
    make(None)  # registers its options
    for group, values in json.loads(options).items():
        support.override(group, **values)
    driver = make(None)
    heart = Heart()
    tell(VolumeService(driver), pathlib.Path(directory),
         driver.chunk_size_bytes)
    print(heart.beats, round(1000 * heart.latest_s))


if __name__ == '__main__':
    main()
