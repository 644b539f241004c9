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

"""Promises about deleting, and about what broken-off runs have left."""

import contextlib

from chunked_backup import errors
from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.expect import require_raises
from chunked_backup.testing.contract.promise import NotPromised
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import Deliberate
from chunked_backup.testing.contract.scratch import Scratch


_JUST_NOW_S = 3600  # a store may be slow, or tell the hour only


@promise
def deleting_what_is_missing_succeeds(scratch: Scratch) -> None:
    """Deleting an object that does not exist succeeds, the first time and
    the second."""
    name = scratch.name('-00001')
    scratch.delete(name)
    scratch.write(name, b'there')
    scratch.delete(name)
    scratch.delete(name)


@promise
def a_deleted_object_is_gone(scratch: Scratch) -> None:
    """A deleted object is neither listed nor read; the others are as they
    were, and its name may be used again."""
    mine, other = scratch.name('-00001'), scratch.name('-000011')
    scratch.write(mine, b'mine')
    scratch.write(other, b'other')
    scratch.delete(mine)
    require_equal(scratch.names(), [other], 'the listing')
    require_raises(errors.ObjectNotFound, scratch.read, mine)
    require_equal(scratch.read(other), b'other', 'the other object')
    scratch.write(mine, b'new')
    require_equal(scratch.read(mine), b'new', 'the new object')


@promise
def several_objects_are_deleted_at_once(scratch: Scratch) -> None:
    """Deleting several objects by one call deletes each of them and no other;
    some of them, or all, may not exist."""
    names = [scratch.name(ending) for ending in (
        '-00001', '-00002', '-a b', '-a%20b', '-é', '-a?b=c#d', '-a+b')]
    other = scratch.name('-000021')
    for name in (*names, other):
        scratch.write(name, b'.')
    scratch.delete_several([scratch.name('-missing'), *names])
    require_equal(scratch.names(), [other], 'the listing')
    scratch.delete_several(names)
    scratch.delete_several([])
    require_equal(scratch.names(), [other], 'the listing')
    require_equal(scratch.read(other), b'.', 'the other object')


@promise
def ages_are_those_of_the_objects(scratch: Scratch) -> None:
    """The ages of the objects that begin with a prefix, where the store can
    tell them, are those of what a listing shows, and never below zero."""
    mine, other = scratch.name('-00001'), scratch.name('-00002')
    scratch.write(mine, b'mine')
    scratch.write(other, b'other')
    ages = scratch.driver.get_object_ages(scratch.container, mine)
    if ages is None:
        raise NotPromised()
    require_equal(list(ages), [mine], 'the objects that have an age')
    require(0 <= ages[mine] < _JUST_NOW_S,
            f'an object written just now is {ages[mine]} seconds old')
    scratch.write(mine, b'again')
    require(scratch.driver.get_object_ages(scratch.container, '').keys()
            == {mine, other}, 'not every object has an age')


@promise
def what_is_unfinished_is_no_object(scratch: Scratch) -> None:
    """What broken-off writes have left can be listed, and no whole object is
    among it."""
    mine, broken_off = scratch.name('-00001'), scratch.name('-00002')
    scratch.write(mine, b'mine')
    with (contextlib.suppress(Deliberate),
          scratch.driver.get_object_writer(scratch.container,
                                           broken_off) as writer):
        writer.write(b'never seen')
        raise Deliberate()
    # In this container may be what others are writing at this moment.
    found = list(scratch.driver.get_unfinished(scratch.container))
    require(all(each.age_s >= 0 for each in found), 'an age is below zero')
    require(mine not in [each.object_name for each in found],
            'an object that is whole is called unfinished')
    for each in found:
        if each.object_name == broken_off:
            scratch.driver.discard_unfinished(scratch.container, each)
            scratch.driver.discard_unfinished(scratch.container, each)
    require_equal(scratch.read(mine), b'mine', 'the object')
