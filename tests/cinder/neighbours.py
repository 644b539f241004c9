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

"""The services beside cinder-backup, as far as it calls them.

A volume service that attaches what the test has made, and a scheduler that
knows one backup service. Both are reached by RPC, as the real ones are.

A volume's (or a snapshot's) ``provider_location`` holds its device as JSON:
``{"kind": "path", "path": ...}`` is opened by Cinder itself; for
``{"kind": "file-like", ...}`` see devices.py.
"""

import json
import time
import types

import oslo_messaging as messaging
import sqlalchemy.engine
from cinder import context
from cinder import objects
from cinder import rpc
from cinder.backup import rpcapi as backup_rpcapi
from cinder.objects import base as objects_base
from cinder.scheduler import rpcapi as scheduler_rpcapi
from cinder.volume import rpcapi as volume_rpcapi
from os_brick import initiator
from os_brick.initiator import connector
from oslo_config import cfg
from oslo_messaging._drivers import impl_fake

#: Where all volumes are: host, then back end.
VOLUME_HOST = 'volumes@files'
FILE_LIKE = 'FILE-LIKE'

_LONGEST_WAIT_S = 0.005


class VolumeService:
    """cinder-volume: says where the device of a volume is."""

    target = messaging.Target(version=volume_rpcapi.VolumeAPI.RPC_API_VERSION)

    def get_backup_device(self, ctxt, backup, want_objects=False,
                          async_call=False):
        if backup.snapshot_id:
            device = objects.Snapshot.get_by_id(ctxt, backup.snapshot_id)
        else:
            device = objects.Volume.get_by_id(ctxt, backup.volume_id)
        backup_rpcapi.BackupAPI().continue_backup(
            ctxt, backup, objects.BackupDeviceInfo.from_primitive(
                {'backup_device': device, 'secure_enabled': False,
                 'is_snapshot': bool(backup.snapshot_id)}, ctxt))

    def secure_file_operations_enabled(self, ctxt, volume):
        return False

    def initialize_connection(self, ctxt, connector, volume):
        return _connection(volume)

    def terminate_connection(self, ctxt, volume_id, connector, force=False,
                             volume=None):
        pass

    def remove_export(self, ctxt, volume_id):
        pass

    def initialize_connection_snapshot(self, ctxt, snapshot_id, connector):
        return _connection(objects.Snapshot.get_by_id(ctxt, snapshot_id))

    def terminate_connection_snapshot(self, ctxt, snapshot_id, connector,
                                      force=False):
        pass

    def remove_export_snapshot(self, ctxt, snapshot_id):
        pass


class Scheduler:
    """cinder-scheduler: there is one backup service to choose."""

    target = messaging.Target(
        version=scheduler_rpcapi.SchedulerAPI.RPC_API_VERSION)

    def create_backup(self, ctxt, backup):
        backup.host = backup.host or cfg.CONF.host
        backup.save()
        backup_rpcapi.BackupAPI().create_backup(ctxt, backup)

    def update_service_capabilities(self, ctxt, **_):
        pass

    def notify_service_capabilities(self, ctxt, **_):
        pass


def start(with_scheduler=True):
    """Start them; they end with the process."""
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, 'before_cursor_execute',
                            _lock_at_once, retval=True)
    # A message is looked for every 50 ms otherwise, and a backup has seven.
    impl_fake.time = types.SimpleNamespace(
        time=time.time,
        sleep=lambda wait_s: time.sleep(min(wait_s, _LONGEST_WAIT_S)))
    # Asking the host for adapters of other kinds takes root and time.
    connector.unix_connector_list[:] = [
        connector.get_connector_mapping()[initiator.LOCAL]]
    connector.get_connector_mapping()[FILE_LIKE] = (
        'tests.cinder.devices.FileLikeConnector')
    _serve(messaging.Target(topic=f'cinder-volume.{VOLUME_HOST}',
                            server=VOLUME_HOST.split('@')[0]),
           VolumeService())
    if with_scheduler:
        _serve(messaging.Target(topic='cinder-scheduler',
                                server='scheduler'), Scheduler())


def _serve(target, endpoint):
    serializer = objects_base.CinderObjectSerializer(
        objects.Service.get_minimum_obj_version(context.get_admin_context()))
    rpc.get_server(target, [endpoint], serializer).start()


def _lock_at_once(connection, cursor, statement, parameters, *_):
    """Have transactions wait for each other, as on a database server.

    In SQLite one that has begun with reading fails where it wants to write
    and another one has written meanwhile.
    """
    if statement == 'BEGIN':
        statement = 'BEGIN IMMEDIATE'
    return statement, parameters


def _connection(resource):
    device = json.loads(resource.provider_location)
    if device['kind'] == 'path':
        return {'driver_volume_type': initiator.LOCAL,
                'data': {'device_path': device['path']}}
    return {'driver_volume_type': FILE_LIKE, 'data': device}
