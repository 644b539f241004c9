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

"""One backup or restore by the driver that Cinder comes with.

    python -m tests.bench.stock REQUEST

It is called as Cinder's backup manager calls it, in native threads. In place
of the database are the records of the request, which costs the driver less.
"""

import json
import os
import sys
import types
import warnings

from oslo_config import cfg

from tests.bench import costs

_GIB = 1 << 30


class Backup(types.SimpleNamespace):
    """As much of a record of Cinder as the driver asks for."""

    def __getitem__(self, key):
        return getattr(self, key)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass

    def as_read_deleted(self):
        return self

    def refresh(self):
        pass

    def save(self):
        pass


def main():
    request = json.loads(sys.argv[1])
    records = {record['id']: Backup(**record)
               for record in request['records']}
    backup = records[request['backup_id']]
    volume = request['volume']
    driver = _driver(request, records, volume)

    def store():
        with open(volume, 'rb') as file:
            driver.backup(backup, file, backup_metadata=False)
        return backup.object_count, None

    def restore():
        with open(volume, 'wb') as file:
            file.truncate(request['volume_bytes'])  # as a device would be
            driver.restore(backup, backup.volume_id, file, True)
        return None, None

    cost = costs.of_call({'backup': store, 'restore': restore}
                         [request['verb']])
    costs.answer(vars(backup), cost)


def _driver(request, records, volume):
    """The driver, with neither a database nor a message bus."""
    warnings.simplefilter('ignore')  # eventlet says that it is old
    os.environ['OS_CINDER_DISABLE_EVENTLET_PATCHING'] = 'true'
    from cinder import context
    from cinder import objects
    from cinder.volume import volume_utils
    from oslo_utils import importutils

    cfg.CONF([], project='cinder', default_config_files=[])
    driver_class = importutils.import_class(request['driver'])
    for name, value in request['options'].items():
        cfg.CONF.set_override(name, value)
    objects.register_all()
    objects.Backup.get_by_id = lambda _, backup_id: records[backup_id]
    volume_utils.notify_about_backup_usage = lambda *_, **__: None
    driver = driver_class(context.get_admin_context())
    driver.db = types.SimpleNamespace(volume_get=lambda *_: {
        'id': None, 'size': -(-os.stat(volume).st_size // _GIB)})
    return driver


if __name__ == '__main__':
    main()
