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

"""A program: whatever the S3 driver does, once, with the boto3 that it finds.

The options of the driver are its argument, as JSON; it prints boto3's version.
"""

import json
import os
import sys

import boto3
from oslo_config import cfg

from chunked_backup import errors
from chunked_backup.drivers import s3
from chunked_backup.drivers.s3 import upload

NAME = 'volume_1/2026/az_nova_backup_1-0000'


def main(options):
    conf = cfg.CONF
    conf([], project='chunked_backup', default_config_files=[])
    conf.register_group(s3.GROUP)
    conf.register_opts(s3.OPTS, group=s3.GROUP)
    for name, value in options.items():
        conf.set_override(name, value, group=s3.GROUP.name)
    upload.PART_BYTES = 5 << 20
    driver = s3.S3BackupDriver(None)
    driver.check_for_setup_error()
    container = options['bucket']
    driver.put_container(container)
    contents = {f'{NAME}{number}': os.urandom(length)
                for number, length in enumerate((0, 1, 100_000, 6 << 20))}
    for name, data in contents.items():
        with driver.get_object_writer(container, name) as writer:
            writer.write(data)
    assert sorted(driver.get_container_entries(
        container, NAME)) == sorted(contents)
    for name, data in contents.items():
        with driver.get_object_reader(container, name) as reader:
            reader.skip(len(data) // 2)
            assert reader.read(len(data)) == data[len(data) // 2:]
    try:
        with driver.get_exclusive_writer(container, f'{NAME}3'):
            pass
    except errors.ObjectExists:
        driver.delete_object(container, f'{NAME}3')
    with driver.get_exclusive_writer(container, f'{NAME}3'):
        pass
    with driver.get_object_reader(container, f'{NAME}3') as reader:
        assert reader.read() == b''
    driver.delete_object(container, f'{NAME}0')
    driver.delete_objects(container, list(contents))
    assert not list(driver.get_container_entries(container, ''))
    print(boto3.__version__, *upload.refusing.values())


if __name__ == '__main__':
    main(json.loads(sys.argv[1]))
