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

"""The cinder.conf that an operator already has."""

import json
import subprocess
import sys

import pytest

from tests.cinder import images
from tests.cinder.cloud import OUR_POSIX
from tests.cinder.cloud import VOLUME_BYTES

STORES = ('posix', 'nfs', 's3', 'swift')


def manifest(cloud, backup_id):
    path, = [path for path in cloud.objects(backup_id)
             if path.name.endswith('_metadata')]
    return json.loads(path.read_text())


def test_the_repository_is_below_state_path_by_default(threads, cloud):
    backup_id = threads.back_up(threads.volume(images.first()))

    assert cloud.repository == cloud.directory / 'state' / 'backup'
    assert len(cloud.objects(backup_id)) == (
        cloud.backup(backup_id)['object_count'] + 2)


def test_the_options_of_cinder_s_driver_are_obeyed(threads, cloud):
    with threads.configured(
            backup_posix_path='$state_path/elsewhere',
            backup_container='of-all', backup_file_size=524288,
            backup_sha_block_size_bytes=65536,
            backup_compression_algorithm='bz2'):
        backup_id = threads.back_up(threads.volume(images.first()))

    assert cloud.backup(backup_id)['container'] == 'of-all'
    directory = cloud.directory / 'state' / 'elsewhere' / 'of-all'
    path, = directory.glob(f'*{backup_id}_metadata')
    entries = [entry for each in json.loads(path.read_text())['objects']
               for entry in each.values()]
    assert 'bz2' in {entry['compression'] for entry in entries}
    assert max(entry['length'] for entry in entries) == 524288
    path, = directory.glob(f'*{backup_id}_sha256file')
    assert json.loads(path.read_text())['chunk_size'] == 65536


def test_an_option_of_ours_wins(threads, cloud):
    with threads.configured(
            backup_compression_algorithm='bz2', sections={
                'chunked_backup': {'compression_algorithm': 'zstd'}}):
        backup_id = threads.back_up(threads.volume(images.first()))

    assert 'zstd' in {
        entry['compression']
        for each in manifest(cloud, backup_id)['objects']
        for entry in each.values()}


def test_a_container_asked_for_is_the_backup_s(threads, cloud):
    backup_id = threads.back_up(threads.volume(images.first()),
                                container='asked-for')

    assert cloud.backup(backup_id)['container'] == 'asked-for'
    assert (cloud.repository / 'asked-for').is_dir()
    target = threads.volume(images.dirt(), 'block')
    threads.bring_back(backup_id, target)
    assert target.read(VOLUME_BYTES) == images.first()


def test_a_container_is_not_made_where_that_is_forbidden(threads, cloud):
    with threads.configured(backup_create_containers=False):
        backup_id, done = threads.try_to_back_up(
            threads.volume(images.first()))

    assert done['error'] == 'BackupDriverException'
    assert 'does not exist' in cloud.backup(backup_id)['fail_reason']


@pytest.mark.parametrize('first, second', [
    ('cinder.backup.drivers', 'chunked_backup.drivers'),
    ('chunked_backup.drivers', 'cinder.backup.drivers')],
    ids=('stock-first', 'ours-first'))
def test_the_options_of_both_get_on_with_each_other(tmp_path, first, second):
    """Registering one twice in two ways would be a DuplicateOptError."""
    (tmp_path / 'cinder.conf').write_text(
        '[DEFAULT]\n'
        f'state_path = {tmp_path}\n'
        'backup_posix_path = $state_path/repository\n'
        'backup_s3_endpoint_url = http://127.0.0.1:1\n'
        'backup_s3_store_access_key = key\n'
        'backup_s3_store_secret_key = secret\n'
        'backup_swift_url = http://127.0.0.1:1/v1/AUTH_\n')
    program = (
        'import importlib, sys\n'
        'from cinder import context, objects\n'
        'from oslo_config import cfg\n'
        'objects.register_all()\n'
        'import cinder.backup.manager\n'
        "cfg.CONF(['--config-file', sys.argv[1]], project='cinder')\n"
        f'for package in {(first, second)!r}:\n'
        f'    for store in {STORES!r}:\n'
        "        importlib.import_module(f'{package}.{store}')\n"
        'from chunked_backup.drivers import posix, s3, swift\n'
        'ctxt = context.get_admin_context()\n'
        'print(posix.PosixBackupDriver(ctxt).backup_path)\n'
        's3.S3BackupDriver(ctxt)\n'
        'swift.SwiftBackupDriver(ctxt)\n'
        'from cinder.backup.drivers import posix as stock\n'
        'print(stock.PosixBackupDriver(ctxt).backup_path)\n')

    done = subprocess.run(
        [sys.executable, '-c', program, tmp_path / 'cinder.conf'],
        text=True, capture_output=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / 'repository')] * 2


@pytest.mark.parametrize('name, store', [
    ('PosixBackupDriver', 'posix'), ('NfsBackupDriver', 'nfs'),
    ('S3BackupDriver', 's3'), ('SwiftBackupDriver', 'swift')])
def test_a_driver_is_loaded_before_anything_is_configured(store, name):
    """As the service loads it, and as tools for documents do."""
    program = (
        'import sys\n'
        'from cinder import interface, objects\n'
        'objects.register_all()\n'
        'import cinder.backup.manager\n'
        'from oslo_utils import importutils\n'
        f'driver = importutils.import_class('
        f"'chunked_backup.drivers.{store}.{name}')\n"
        'assert driver.get_driver_options()\n')

    subprocess.run([sys.executable, '-c', program], check=True)


def test_the_service_says_in_its_log_what_it_has_done(new_cloud):
    cloud = new_cloud()
    with cloud.service(OUR_POSIX) as service:
        backup_id = service.back_up(service.volume(images.first()))

    assert f'Backup {backup_id} of volume' in cloud.log.read_text()
