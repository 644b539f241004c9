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

"""A store that is busy breaks no promise, one that stays busy does."""

import contextlib
import threading

import pytest

from chunked_backup import errors
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.testing import contract
from tests import support


class Busy(MemoryBackupDriver):
    """Does each request of a thread when it is asked again."""

    def __init__(self):
        super().__init__()
        self._mine = threading.local()

    def _turn_away(self):
        self._mine.was_asked = not getattr(self._mine, 'was_asked', False)
        if self._mine.was_asked:
            raise errors.TransientDriverError(
                container='any', object_name=None, reason='busy')

    def get_container_entries(self, container, prefix):
        self._turn_away()
        return super().get_container_entries(container, prefix)

    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            yield writer
            self._turn_away()

    def get_object_reader(self, container, object_name, extra_metadata=None):
        self._turn_away()
        return super().get_object_reader(container, object_name)

    def delete_objects(self, container, names):
        self._turn_away()
        for name in names:
            super().delete_object(container, name)

    def delete_object(self, container, object_name):
        self._turn_away()
        super().delete_object(container, object_name)


class AlwaysBusy(Busy):
    def _turn_away(self):
        self._mine.was_asked = False
        super()._turn_away()


#: Those that open no writer and no reader by themselves.
PROMISES = [promise for promise in contract.PROMISES if promise.name in (
    'a_missing_container_is_no_empty_one',
    'nothing_is_stored_in_a_missing_container',
    'a_deleted_object_is_gone', 'several_objects_are_deleted_at_once',
    'overwriting_replaces_the_whole', 'a_missing_object_is_not_found',
    'threads_share_a_driver', 'threads_overwrite_one_object')]


@pytest.fixture(autouse=True)
def no_waiting(conf):
    support.override(retry_wait_s=0.0)


@pytest.mark.parametrize('promise', PROMISES, ids=str)
def test_a_busy_store_is_asked_again(promise):
    assert contract.check(Busy(), promise) == contract.Outcome.KEPT


@pytest.mark.parametrize('promise', PROMISES, ids=str)
def test_a_store_that_stays_busy_keeps_nothing(promise):
    with pytest.raises(contract.BrokenPromise, match='busy'):
        contract.check(AlwaysBusy(), promise)
