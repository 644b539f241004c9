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

"""Promises about containers."""

import contextlib
import uuid

from chunked_backup import errors
from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.expect import require_raises
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import Scratch


@promise
def a_container_may_be_put_twice(scratch: Scratch) -> None:
    """Putting a container that exists succeeds and changes nothing in it."""
    name = scratch.name('-00001')
    scratch.write(name, b'before')
    scratch.driver.put_container(scratch.container)
    require_equal(scratch.read(name), b'before', 'an object in it')


@promise
def a_missing_container_is_no_empty_one(scratch: Scratch) -> None:
    """Listing a container that does not exist raises ContainerNotFound; it
    never gives an empty list."""
    require_raises(errors.ContainerNotFound, _missing(scratch).names, '')


@promise
def nothing_is_stored_in_a_missing_container(scratch: Scratch) -> None:
    """Writing to a container that does not exist raises ContainerNotFound
    and does not create it."""
    missing = _missing(scratch)
    require_raises(errors.ContainerNotFound, missing.write,
                   missing.name('-00001'), b'lost')
    require_raises(errors.ContainerNotFound, missing.names, '')


def _missing(scratch: Scratch) -> Scratch:
    """A container that does not exist."""
    return Scratch(scratch.driver,
                   f'contract-{uuid.uuid4().hex[:16]}-missing')


@promise
def a_container_name_leads_nowhere_else(scratch: Scratch) -> None:
    """A container's name is never an empty one, a relative path or another
    spelling by which the objects of a container can be reached."""
    name = scratch.name('-00001')
    scratch.write(name, b'within')
    container = scratch.container
    for other in ('', '.', '..', '/', f'{container}/', f'/{container}',
                  f'./{container}', f'../{container}', f'{container}/.',
                  f'{container}/../{container}', f'{container}\0',
                  f'{container}/x/..'):
        with contextlib.suppress(errors.InvalidName, errors.DriverError):
            found = list(scratch.driver.get_container_entries(
                other, scratch.prefix))
            require(name not in found,
                    f'{other!r} leads to the objects of {container!r}')
            require(other, 'the empty name was taken for a container')
        with contextlib.suppress(errors.InvalidName, errors.DriverError):
            with scratch.driver.get_object_reader(other, name) as reader:
                require(reader.read() != b'within',
                        f'{other!r} leads to the objects of {container!r}')


@promise
def the_catalogue_container_is_usable(scratch: Scratch) -> None:
    """Objects can be stored, listed, read and deleted in the container that
    a stand-alone host keeps its records in."""
    driver = scratch.driver
    catalogue = driver.catalogue_container
    require(isinstance(catalogue, str) and catalogue,
            f'the catalogue container is {catalogue!r}')
    other = Scratch(driver, catalogue)
    try:
        driver.put_container(catalogue)
        # Records have a name of their own kind, without the driver's prefix.
        other.prefix = f'contract_{uuid.uuid4()}'
        other.write(other.prefix, b'a record')
        require_equal(other.names(), [other.prefix], 'its listing')
        require_equal(other.read(other.prefix), b'a record', 'the record')
        other.delete(other.prefix)
        require_equal(other.names(), [], 'its listing after deleting')
    finally:
        other.clean()
