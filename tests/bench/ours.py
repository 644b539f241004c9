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

"""One backup or restore by a driver of ours.

    python -m tests.bench.ours REQUEST

It is called as the command calls it, which keeps records in the repository.
"""

import json
import sys

from oslo_config import cfg

from chunked_backup import loader
from chunked_backup import opts
from chunked_backup.hosts.standalone.service import VolumeService
from tests.bench import costs


def main():
    request = json.loads(sys.argv[1])
    cfg.CONF([], project='chunked_backup',
             default_config_files=[request['configuration']])
    opts.register(cfg.CONF)
    service = VolumeService(loader.load(
        loader.DRIVERS, cfg.CONF.chunked_backup.driver)(None))

    def store():
        done = service.backup(request['volume'],
                              incremental=request['incremental'])
        return done.object_count, done.stored_bytes

    def restore():
        done = service.restore(service.find('latest'), request['volume'])
        return done.object_count, done.fetched_bytes

    costs.answer(None, costs.of_call({'backup': store, 'restore': restore}
                                     [request['verb']]))


if __name__ == '__main__':
    main()
