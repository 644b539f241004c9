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

"""Many volumes, two hosts: the ``cinder-backup`` program as it is installed.

Two of them, one on eventlet, one on native threads, and ``cinder-scheduler``
share a broker, a database and a repository, as in a cloud. Only cinder-volume
and the users of the API are ours.
"""

import contextlib
import dataclasses
import os
import time

import pytest

from tests.cinder import cloud as clouds
from tests.cinder import databases
from tests.cinder import images
from tests.cinder import servers
from tests.cinder.cloud import VOLUME_BYTES
from tests.stores.servers import base

HOSTS = {'one': 'eventlet', 'two': 'threads'}
VOLUMES = 20

#: Six seconds for a volume, so that there is a middle to be killed in: with
#: two, all backups had ended on a fast machine before the restores began.
_BYTES_PER_S = VOLUME_BYTES // 6
_SECTIONS = {
    'oslo_messaging_notifications': {'driver': 'noop'},
    'key_manager': {},
    'chunked_backup': {'backup_bytes_per_s': _BYTES_PER_S,
                       'restore_bytes_per_s': _BYTES_PER_S}}
_DEADLINE_S = 120
_POLL_S = 0.05


@dataclasses.dataclass
class Region:
    """The whole of it.

    :param api: what a user or an administrator can ask for.
    """

    cloud: clouds.Cloud
    options: dict
    programs: dict = dataclasses.field(default_factory=dict)
    api: clouds.Service | None = None

    def start(self, program, host, mode='threads'):
        conf = self.cloud.write_conf(
            self.cloud.directory / f'{program}-{host}.conf',
            clouds.OUR_POSIX, {
                **self.options, 'host': host, 'log_file':
                    self.cloud.directory / f'{program}-{host}.log'},
            _SECTIONS)
        self.programs[host] = base.Process(
            f'{program}-{host}', [clouds.BIN / program, '--config-file', conf],
            self.cloud.directory, env={
                **os.environ, 'OS_CINDER_DISABLE_EVENTLET_PATCHING':
                    'true' if mode == 'threads' else ''})

    def kill(self, host):
        """End a program as ``kill -9`` does, and all that it has started."""
        self.programs.pop(host).kill()

    def until(self, what, happened):
        deadline_s = time.monotonic() + _DEADLINE_S
        while not happened():
            for program in self.programs.values():
                program.require_alive()
            assert time.monotonic() < deadline_s, (
                f'not within {_DEADLINE_S} s: {what}\n'
                f'{self.cloud.rows("backups", deleted=0)}\n{self.tails()}')
            time.sleep(_POLL_S)

    def tails(self):
        return '\n'.join(
            f'{path}: ...{path.read_text(errors="replace")[-3000:]}'
            for path in sorted(self.cloud.directory.glob('*.log')))

    def until_up(self, hosts):
        """Messages to who has not yet reported himself would be lost."""
        self.until(f'{", ".join(hosts)} are up', lambda: {
            row['host'] for row in self.cloud.rows('services')
            if row['report_count']} >= set(hosts))

    # What the database says, in one query each.

    def backups(self, backup_ids):
        """The records of some backups, by their ids."""
        return {row['id']: row for row in self.cloud.rows('backups')
                if row['id'] in backup_ids}

    def statuses(self, table, ids):
        return [row['status'] for row in self.cloud.rows(table)
                if row['id'] in ids]

    # Many at the same time.

    def back_up(self, volumes, incremental=False):
        """Begin a backup of each; the ids."""
        return [self.api.create_backup(volume_id=volume.id,
                                       incremental=incremental)
                for volume in volumes]

    def bring_back(self, backup_ids):
        """Begin to restore each to a volume full of old data; the volumes."""
        targets = [self.api.volume(images.dirt()) for _ in backup_ids]
        for backup_id, target in zip(backup_ids, targets, strict=True):
            self.api.restore(backup_id=backup_id, volume_id=target.id)
        return targets

    def until_settled(self, table, ids):
        self.until(f'{table} are settled', lambda: not {
            'creating', 'backing-up', 'restoring', 'restoring-backup',
            'deleting'} & set(self.statuses(table, ids)))

    def restored(self, backup_ids):
        """What volumes hold after restores that succeed."""
        targets = self.bring_back(backup_ids)
        ids = {target.id for target in targets}
        self.until_settled('volumes', ids)
        self.until_settled('backups', set(backup_ids))
        assert set(self.statuses('volumes', ids)) == {'available'}
        return [target.read(VOLUME_BYTES) for target in targets]

    def available(self, backup_ids):
        """Whether all backups are, once they are settled."""
        self.until_settled('backups', set(backup_ids))
        return set(self.statuses('backups', set(backup_ids))) == {'available'}


@pytest.fixture(scope='module')
def region(tmp_path_factory):
    directory = tmp_path_factory.mktemp('region')
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(
            servers.RabbitMQ(directory / 'rabbitmq'))
        database = stack.enter_context(
            servers.MariaDB(directory / 'mariadb'))
        databases.make_tables(database.url)
        (directory / 'cloud').mkdir()
        cloud = stack.enter_context(
            clouds.Cloud(directory / 'cloud', database))
        region = Region(cloud, {
            'transport_url': broker.url, 'backup_manager': None,
            'report_interval': 1, 'scheduler_driver_init_wait_time': 1})
        stack.callback(lambda: [region.kill(host)
                                for host in list(region.programs)])
        for host, mode in HOSTS.items():
            region.start('cinder-backup', host, mode)
        region.until_up(HOSTS)
        region.start('cinder-scheduler', 'scheduler')
        region.until_up(['scheduler'])
        region.api = stack.enter_context(cloud.service(
            clouds.OUR_POSIX, options=region.options, sections=_SECTIONS,
            arguments=['--api-only'], is_up=False))
        _wait_for_the_scheduler(region)
        yield region


def _wait_for_the_scheduler(region):
    """It has been told of both hosts once it has chosen both."""
    chosen = set()

    def both():
        ids = region.back_up([region.api.volume(bytes(512))])
        region.until_settled('backups', set(ids))
        chosen.update(row['host'] for row in region.backups(ids).values())
        return chosen >= set(HOSTS)

    region.until('the scheduler has chosen both hosts', both)


def test_many_volumes_go_through_two_hosts(region):
    points = [images.first(seed) for seed in range(VOLUMES)]
    volumes = [region.api.volume(point) for point in points]

    full = region.back_up(volumes)
    assert region.available(full)
    assert {row['host'] for row in region.backups(full).values()} == set(HOSTS)
    later = [images.changed(point, 1, 20, 40) for point in points]
    for volume, point in zip(volumes, later, strict=True):
        volume.write(point)
    incremental = region.back_up(volumes, incremental=True)
    assert region.available(incremental)

    assert region.restored(incremental) == later
    assert region.restored(full) == points


@pytest.mark.parametrize('victim', HOSTS)
def test_what_a_killed_host_has_not_broken_off_is_there(region, victim):
    """An incremental of each of ten volumes and a restore of ten others are
    under way."""
    half = VOLUMES // 2
    points = [images.first(seed) for seed in range(100, 100 + VOLUMES)]
    volumes = [region.api.volume(point) for point in points]
    full = region.back_up(volumes)
    assert region.available(full)

    for seed, volume in enumerate(volumes[:half]):
        volume.write(images.first(200 + seed))
    incremental = region.back_up(volumes[:half], incremental=True)
    targets = region.bring_back(full[half:])
    region.until(f'host {victim} is in the middle of both', lambda: (
        _is_writing_backups(region, victim, incremental)
        and _is_restoring(region, victim, full[half:], targets)))
    region.kill(victim)
    region.start('cinder-backup', victim, HOSTS[victim])
    region.until_settled('backups', {*full, *incremental})
    region.until_settled('volumes', {each.id for each in targets})

    assert region.available(full)
    records = region.backups(incremental)
    broken = [each for each in incremental
              if records[each]['status'] == 'error']
    assert broken
    assert {records[each]['host'] for each in broken} == {victim}
    assert 'error_restoring' in region.statuses(
        'volumes', {each.id for each in targets})
    whole = [(backup_id, images.first(200 + seed))
             for seed, backup_id in enumerate(incremental)
             if backup_id not in broken]
    assert region.restored(full + [each for each, _ in whole]) == (
        points + [point for _, point in whole])

    assert any(region.cloud.objects(each) for each in broken)
    for backup_id in broken:
        region.api.delete(backup_id=backup_id)
    region.until_settled('backups', set(broken))
    assert all(row['deleted'] for row in region.backups(broken).values())
    assert not any(region.cloud.objects(each) for each in broken)
    again = region.back_up(
        [volumes[incremental.index(each)] for each in broken],
        incremental=True)
    assert region.available(again)


def _is_writing_backups(region, host, backup_ids):
    """Whether a host has begun all that it is to do, and ended not all."""
    rows = [row for row in region.backups(backup_ids).values()
            if row['host'] == host and row['status'] == 'creating']
    return (all(row['service_metadata'] for row in rows)
            and any(region.cloud.objects(row['id']) for row in rows))


def _is_restoring(region, host, backup_ids, targets):
    rows = region.backups(backup_ids)
    return any(rows[backup_id]['host'] == host
               and rows[backup_id]['status'] == 'restoring'
               and target.read() != images.dirt()
               for backup_id, target in zip(backup_ids, targets, strict=True))
