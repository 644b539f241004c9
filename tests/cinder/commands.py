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

"""What a test may ask of the service; each command answers at once.

Backups, restores and deletions run on after the answer; ``operations`` tells
when they have ended, and how.
"""

import json
import sys

from castellan import key_manager
from cinder import objects
from cinder.backup import api
from cinder.backup import rpcapi
from cinder.db import api as db
from oslo_config import cfg
from oslo_messaging.notify import _impl_test as notified

from tests.cinder import devices
from tests.cinder import neighbours

USER_ID = '11111111-1111-4111-8111-111111111111'
PROJECT_ID = '22222222-2222-4222-8222-222222222222'


class Commands:
    """:param manager: the running service's.
    :param make_context: the class of a request's context.
    """

    def __init__(self, manager, make_context):
        self._manager = manager
        self._api = api.API()
        self._make_context = make_context
        self._token = None
        self._catalogue = []

    @property
    def _context(self):
        return self._make_context(
            USER_ID, PROJECT_ID, is_admin=True, overwrite=False,
            roles=['admin'], auth_token=self._token,
            service_catalog=self._catalogue)

    # Volumes.

    def create_volume(self, device, size=1, metadata=None, **fields):
        """The id of a new volume.

        :param device: see neighbours.py.
        :param size: as its record has it, in GiB.
        """
        volume = objects.Volume(
            self._context, status='available', size=size, user_id=USER_ID,
            project_id=PROJECT_ID, host=neighbours.VOLUME_HOST,
            availability_zone='nova', attach_status='detached',
            metadata=metadata or {}, provider_location=json.dumps(device),
            **{'display_name': 'a volume', **fields})
        volume.create()
        return volume.id

    def update_volume(self, volume_id, device=None, **fields):
        if device is not None:
            fields['provider_location'] = json.dumps(device)
        db.volume_update(self._context, volume_id, fields)

    def add_glance_metadata(self, volume_id, key, value):
        db.volume_glance_metadata_create(self._context, volume_id, key, value)

    def create_key(self):
        """The id of a new key in the key manager."""
        return key_manager.API(cfg.CONF).create_key(
            self._context, algorithm='AES', length=256)

    def create_snapshot(self, volume_id, device):
        snapshot = objects.Snapshot(
            self._context, volume_id=volume_id, status='available',
            user_id=USER_ID, project_id=PROJECT_ID, volume_size=1,
            metadata={}, provider_location=json.dumps(device))
        snapshot.create()
        return snapshot.id

    # Operations of the API.

    def create_backup(self, volume_id, incremental=False, name=None,
                      description=None, container=None, snapshot_id=None):
        return self._api.create(
            self._context, name, description, volume_id, container,
            incremental=incremental, snapshot_id=snapshot_id).id

    def restore(self, backup_id, volume_id):
        return self._api.restore(self._context, backup_id, volume_id)

    def restore_to_new(self, backup_id, volume_id):
        """As the API does once it has made a volume for a restore."""
        backup = self._backup(backup_id)
        backup.status = 'restoring'
        backup.restore_volume_id = volume_id
        backup.save()
        db.volume_update(self._context, volume_id,
                         {'status': 'restoring-backup'})
        rpcapi.BackupAPI().restore_backup(
            self._context, backup.host, backup, volume_id,
            volume_is_new=True)

    def delete(self, backup_id, force=False):
        self._api.delete(self._context, self._backup(backup_id), force)

    def export_record(self, backup_id):
        return self._api.export_record(self._context, backup_id)

    def import_record(self, backup_service, backup_url):
        return self._api.import_record(self._context, backup_service,
                                       backup_url).id

    def reset_status(self, backup_id, status):
        self._api.reset_status(self._context, backup_id, status)

    # The service, seen from inside.

    def reload(self):
        """Read cinder.conf again."""
        cfg.CONF.reload_config_files()

    def check_driver(self):
        """As the service does when it starts, and is told nothing of."""
        self._manager.service(context=self._context).check_for_setup_error()

    def is_working(self):
        return self._manager.is_working()

    def operations(self):
        """The account of all operations that have ended, oldest first."""
        return self._manager.operations

    def calls_on_the_hub(self):
        """What devices were asked since the last call; see devices.py."""
        found = list(devices.CALLS_ON_THE_HUB)
        devices.CALLS_ON_THE_HUB.clear()
        return found

    def notifications(self):
        """All that were emitted since the last call, oldest first."""
        found, notified.NOTIFICATIONS[:] = list(notified.NOTIFICATIONS), []
        return [message for _, message, _, _ in found]

    def sign_in(self, token, catalogue):
        """Have the following requests come with a token."""
        self._token = token
        self._catalogue = catalogue

    def modules(self):
        """The names of all modules that are imported."""
        return sorted(sys.modules)

    def _backup(self, backup_id):
        return objects.Backup.get_by_id(self._context, backup_id)
