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

"""Promises about what a driver says of a backup."""

import itertools
import json
import uuid

from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import Scratch
from chunked_backup.testing.contract.scratch import new_backup


@promise
def a_prefix_belongs_to_one_backup(scratch: Scratch) -> None:
    """The beginning of a backup's object names is text that ends in
    something unique to it, so no backup's names begin with another's."""
    volume_id = str(uuid.uuid4())
    ids = [str(uuid.uuid4()) for _ in range(20)]
    ids += [f'{ids[0][:-1]}{digit}' for digit in '0123456789abcdef'
            if digit != ids[0][-1]]
    prefixes = [scratch.driver._generate_object_name_prefix(
        new_backup(id=backup_id, volume_id=volume_id)) for backup_id in ids]
    require(all(isinstance(prefix, str) and prefix for prefix in prefixes),
            f'{prefixes[0]!r} is no text')
    for one, other in itertools.permutations(prefixes, 2):
        require(not one.startswith(other),
                f'{one!r} begins with the prefix of another backup')


@promise
def the_container_of_a_backup_is_text(scratch: Scratch) -> None:
    """For a backup's container a driver gives text, or None to keep what was
    asked for, and the same one for the same backup."""
    backup = new_backup()
    for asked in (None, scratch.container):
        found = scratch.driver.update_container_name(backup, asked)
        require(found is None or isinstance(found, str) and found,
                f'for {asked!r} it gave {found!r}')
        require_equal(scratch.driver.update_container_name(backup, asked),
                      found, 'the second time')


@promise
def extra_metadata_survives_json(scratch: Scratch) -> None:
    """What a driver wants to keep with a backup is the same after it was
    written as JSON and read back, and its writers and readers take it."""
    backup = new_backup()
    extra = scratch.driver.get_extra_metadata(backup,
                                              {'id': backup.volume_id})
    require_equal(json.loads(json.dumps(extra)), extra, 'as JSON')
    name = scratch.name('-00001')
    with scratch.driver.get_object_writer(
            scratch.container, name, extra_metadata=extra) as writer:
        writer.write(b'with extra metadata')
    with scratch.driver.get_object_reader(
            scratch.container, name, extra_metadata=extra) as reader:
        require_equal(bytes(reader.read()), b'with extra metadata',
                      'the object')
