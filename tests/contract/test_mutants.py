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

"""The contract catches broken drivers: each mutant of the memory driver
breaks the promise that it should, and no other."""

import contextlib
import io
import itertools
import threading
import types

import pytest

from chunked_backup import errors
from chunked_backup import model
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.testing import contract
from chunked_backup.testing.contract import reading


class CommitsOnExceptions(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            try:
                yield writer
            except BaseException as exc:
                error = exc
            else:
                return
        raise error


class SwallowsExceptions(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with contextlib.suppress(_BrokenOff):
            with super().get_object_writer(container, object_name) as writer:
                try:
                    yield writer
                except BaseException as exc:
                    raise _BrokenOff() from exc


class _BrokenOff(Exception):
    pass


class GivesAgesOfAll(MemoryBackupDriver):
    def get_object_ages(self, container, prefix):
        return dict.fromkeys(self.get_container_entries(container, ''), 0.0)


class HasAClockOfItsOwn(MemoryBackupDriver):
    def get_object_ages(self, container, prefix):
        return dict.fromkeys(self.get_container_entries(container, prefix),
                             -3600.0)


class CallsObjectsUnfinished(MemoryBackupDriver):
    def get_unfinished(self, container):
        return [model.Unfinished(name, 0.0, name)
                for name in self.get_container_entries(container, '')]


class RemovesTheOlderOnExceptions(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        try:
            with super().get_object_writer(container, object_name) as writer:
                yield writer
        except BaseException:
            self.delete_object(container, object_name)
            raise


class _InPlace(io.BytesIO):
    """Lets everybody see each write."""

    def __init__(self, publish, data=b''):
        super().__init__()
        super().write(data)
        self.publish = publish

    def write(self, data):
        super().write(data)
        self.publish(self.getvalue())


class WritesInPlace(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        objects = self._objects(container)
        with super().get_object_writer(container, object_name) as writer:
            yield _InPlace(lambda data: (
                writer.seek(0), writer.truncate(), writer.write(data),
                objects.update({object_name: data})))


class AppendsToTheOlder(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            writer.write(self._objects(container).get(object_name, b''))
            yield writer


class StoresNoEmptyObjects(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            yield writer
        if not writer.getvalue():
            self.delete_object(container, object_name)


class _KeepsLast:
    """Stores a piece only when the next comes."""

    def __init__(self, inner):
        self.inner = inner
        self.last = b''

    def write(self, data):
        self.inner.write(self.last)
        self.last = data


class KeepsBuffers(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            keeper = _KeepsLast(writer)
            yield keeper
            writer.write(keeper.last)


class _OnlyBytes(io.BytesIO):
    def write(self, data):
        if not isinstance(data, bytes):
            raise TypeError('a bytes-like object is required')
        return super().write(data)


class TakesOnlyBytes(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            only = _OnlyBytes()
            yield only
            writer.write(only.getvalue())


class RefusesWhatItHasStored(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_exclusive_writer(self, container, object_name,
                             extra_metadata=None):
        with self.get_object_writer(container, object_name) as writer:
            yield writer
            is_taken = object_name in self._objects(container)
        if is_taken:
            raise errors.ObjectExists(container=container,
                                      object_name=object_name)


class KeepsQuietAboutWhatIsThere(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_exclusive_writer(self, container, object_name,
                             extra_metadata=None):
        with contextlib.suppress(errors.ObjectExists):
            with super().get_exclusive_writer(container,
                                              object_name) as writer:
                yield writer


class RefusesNewObjects(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_exclusive_writer(self, container, object_name,
                             extra_metadata=None):
        yield io.BytesIO()
        raise errors.ObjectExists(container=container,
                                  object_name=object_name)


class ListsNothingForAMissingContainer(MemoryBackupDriver):
    def get_container_entries(self, container, prefix):
        if container not in self.stores:
            return []
        return super().get_container_entries(container, prefix)


class CreatesAMissingContainer(MemoryBackupDriver):
    def get_object_writer(self, container, object_name, extra_metadata=None):
        self.put_container(container)
        return super().get_object_writer(container, object_name)


class EmptiesAContainerPutTwice(MemoryBackupDriver):
    def put_container(self, container):
        self.stores[container] = {}


class RefusesAContainerPutTwice(MemoryBackupDriver):
    def put_container(self, container):
        if container in self.stores:
            raise errors.DriverError(container=container, object_name=None,
                                     reason='it exists')
        super().put_container(container)


class ListsOnePage(MemoryBackupDriver):
    def get_container_entries(self, container, prefix):
        return sorted(super().get_container_entries(container, prefix))[
            :1000]


class ListsTheEndOfAPageTwice(MemoryBackupDriver):
    def get_container_entries(self, container, prefix):
        names = sorted(super().get_container_entries(container, prefix))
        return names + names[999:1000]


class TakesPrefixesForPatterns(MemoryBackupDriver):
    def get_container_entries(self, container, prefix):
        import fnmatch
        return fnmatch.filter(super().get_container_entries(container, ''),
                              prefix + '*')


class ListsWhatBeginsWithPartOfThePrefix(MemoryBackupDriver):
    def get_container_entries(self, container, prefix):
        return super().get_container_entries(container, prefix[:-1])


class DeleteRaisesForMissing(MemoryBackupDriver):
    def delete_object(self, container, object_name):
        if object_name not in self._objects(container):
            raise errors.ObjectNotFound(container=container,
                                        object_name=object_name)
        super().delete_object(container, object_name)


class LeavesTheLastOfSeveral(MemoryBackupDriver):
    def delete_objects(self, container, names):
        super().delete_objects(container, names[:-1])


class DeletesByPrefix(MemoryBackupDriver):
    def delete_object(self, container, object_name):
        for name in self.get_container_entries(container, object_name):
            super().delete_object(container, name)


class ReadsMissingAsEmpty(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        with contextlib.ExitStack() as stack:
            try:
                reader = stack.enter_context(super().get_object_reader(
                    container, object_name))
            except errors.ObjectNotFound:
                reader = io.BytesIO()
            yield reader


class RaisesKeyErrorForMissing(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        yield io.BytesIO(self._objects(container)[object_name])


class GivesTheStartToEachRead(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        with super().get_object_reader(container, object_name) as reader:
            yield types.SimpleNamespace(
                read=lambda size=None: reader.getvalue()[:size])


class IgnoresTheSize(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        with super().get_object_reader(container, object_name) as reader:
            yield types.SimpleNamespace(
                read=lambda size=-1: reader.read())


class SkipsTooFar(MemoryBackupDriver):
    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        with super().get_object_reader(container, object_name) as reader:
            yield types.SimpleNamespace(
                read=reader.read,
                skip=lambda count: reader.seek(count + 1, io.SEEK_CUR))


class GivesOneByteTooMany(MemoryBackupDriver):
    def get_range_reader(self, container, object_name, start, length,
                         extra_metadata=None):
        return super().get_range_reader(container, object_name, start,
                                        length + 1)


class RefusesRangesBeyondTheEnd(MemoryBackupDriver):
    def get_range_reader(self, container, object_name, start, length,
                         extra_metadata=None):
        if start >= len(self._objects(container).get(object_name, b'x')):
            raise errors.DriverError(container=container, reason='416',
                                     object_name=object_name)
        return super().get_range_reader(container, object_name, start,
                                        length)


class HasOneReader(MemoryBackupDriver):
    """Opening another object takes the open one away."""

    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        with super().get_object_reader(container, object_name) as reader:
            opened = {'by': threading.get_ident(), 'reader': reader}
            if not hasattr(self, 'opened'):
                self.opened = threading.local()
            self.opened.reader = reader
            yield types.SimpleNamespace(
                read=lambda size=-1: self.opened.reader.read(size), **opened)


class RunsOutOfReaders(MemoryBackupDriver):
    """Gives a reader back only when it was read to its end."""

    free = 3 * reading.OPEN_READERS

    @contextlib.contextmanager
    def get_object_reader(self, container, object_name, extra_metadata=None):
        with super().get_object_reader(container, object_name) as reader:
            if not self.free:
                raise errors.TransientDriverError(
                    container=container, object_name=object_name,
                    reason='no connection is left')
            self.free -= 1
            yield reader
            if reader.tell() == len(reader.getvalue()):
                self.free += 1


class MixesUpUnicode(MemoryBackupDriver):
    def get_object_writer(self, container, object_name, extra_metadata=None):
        import unicodedata
        return super().get_object_writer(
            container, unicodedata.normalize('NFC', object_name))


class TakesTheEmptyName(MemoryBackupDriver):
    def get_object_writer(self, container, object_name, extra_metadata=None):
        return super().get_object_writer(container,
                                         object_name or 'no name')


class FollowsPathsInNames(MemoryBackupDriver):
    """As HTTP libraries do with dots in an address."""

    @staticmethod
    def followed(name):
        import posixpath
        return posixpath.normpath(name).lstrip('/.') if name else name

    def get_object_writer(self, container, object_name, extra_metadata=None):
        return super().get_object_writer(container,
                                         self.followed(object_name))

    def get_object_reader(self, container, object_name, extra_metadata=None):
        return super().get_object_reader(container,
                                         self.followed(object_name))

    def delete_object(self, container, object_name):
        super().delete_object(container, self.followed(object_name))


class FollowsPathsInContainers(MemoryBackupDriver):
    def _objects(self, container):
        import posixpath
        return super()._objects(posixpath.normpath(container).lstrip('/'))


class NamesBackupsByVolume(MemoryBackupDriver):
    def _generate_object_name_prefix(self, backup):
        return f'volume_{backup.volume_id}'


class NamesAContainerForEachCall(MemoryBackupDriver):
    numbers = itertools.count()

    def update_container_name(self, backup, container):
        return f'container{next(self.numbers)}'


class KeepsWhatJsonCannot(MemoryBackupDriver):
    def get_extra_metadata(self, backup, volume):
        return {'pair': (1, 2)}


class HasNoPlaceForTheCatalogue(MemoryBackupDriver):
    @property
    def catalogue_container(self):
        return None


class MixesUpWriters(MemoryBackupDriver):
    """The end of an object comes from the last thread that wrote it."""

    def __init__(self):
        super().__init__()
        self.last = {}

    @contextlib.contextmanager
    def get_object_writer(self, container, object_name, extra_metadata=None):
        with super().get_object_writer(container, object_name) as writer:
            yield writer
            mine = (threading.get_ident(), writer.getvalue())
            owner, data = self.last.get(object_name, mine)
            self.last[object_name] = mine
            if owner != mine[0]:
                writer.seek(20_000)
                writer.write(data[20_000:])


class FailsInASecondThread(MemoryBackupDriver):
    owner = None

    def get_object_writer(self, container, object_name, extra_metadata=None):
        self.owner = self.owner or threading.get_ident()
        if self.owner != threading.get_ident():
            raise RuntimeError('it belongs to another thread')
        return super().get_object_writer(container, object_name)


MUTANTS = [
    (CommitsOnExceptions, 'an_exception_leaves_no_object',
     'an_exception_keeps_the_older_object',
     'an_exclusive_writer_replaces_all_or_nothing',
     'exclusive_writers_are_told_who_has_won'),
    (SwallowsExceptions, 'an_exception_leaves_no_object',
     'an_exception_keeps_the_older_object',
     'an_exclusive_writer_replaces_all_or_nothing'),
    (RemovesTheOlderOnExceptions, 'an_exception_keeps_the_older_object',
     'an_exclusive_writer_replaces_all_or_nothing',
     'exclusive_writers_are_told_who_has_won'),
    (WritesInPlace, 'an_object_appears_when_its_writer_is_left',
     'an_overwritten_object_is_whole_until_then',
     'an_exception_leaves_no_object', 'an_exception_keeps_the_older_object',
     'an_exclusive_writer_replaces_all_or_nothing',
     'exclusive_writers_are_told_who_has_won'),
    (AppendsToTheOlder, 'overwriting_replaces_the_whole',
     'an_overwritten_object_is_whole_until_then',
     'threads_overwrite_one_object'),
    (StoresNoEmptyObjects, 'an_object_is_what_was_written',
     'an_object_may_get_no_write_at_all', 'an_empty_object_ends_at_once',
     'overwriting_replaces_the_whole', 'a_listing_is_exact'),
    (KeepsBuffers, 'writers_keep_no_buffer'),
    (RefusesWhatItHasStored, 'an_exclusive_writer_replaces_all_or_nothing',
     'exclusive_writers_are_told_who_has_won'),
    (KeepsQuietAboutWhatIsThere,
     'an_exclusive_writer_replaces_all_or_nothing'),
    (RefusesNewObjects, 'an_exclusive_writer_replaces_all_or_nothing',
     'exclusive_writers_are_told_who_has_won'),
    (TakesOnlyBytes, 'writers_take_memoryviews', 'writers_keep_no_buffer'),
    (ListsNothingForAMissingContainer,
     'a_missing_container_is_no_empty_one',
     'nothing_is_stored_in_a_missing_container',
     'a_container_name_leads_nowhere_else'),
    (CreatesAMissingContainer, 'nothing_is_stored_in_a_missing_container'),
    (EmptiesAContainerPutTwice, 'a_container_may_be_put_twice'),
    (RefusesAContainerPutTwice, 'a_container_may_be_put_twice',
     'the_catalogue_container_is_usable'),
    (ListsOnePage, 'a_listing_of_many_is_complete'),
    (ListsTheEndOfAPageTwice, 'a_listing_of_many_is_complete'),
    (TakesPrefixesForPatterns, 'a_listing_is_exact'),
    (ListsWhatBeginsWithPartOfThePrefix, 'a_listing_is_exact',
     'a_listing_of_many_is_complete'),
    (GivesAgesOfAll, 'ages_are_those_of_the_objects'),
    (HasAClockOfItsOwn, 'ages_are_those_of_the_objects'),
    (CallsObjectsUnfinished, 'what_is_unfinished_is_no_object'),
    (DeleteRaisesForMissing, 'deleting_what_is_missing_succeeds',
     'several_objects_are_deleted_at_once'),
    (LeavesTheLastOfSeveral, 'several_objects_are_deleted_at_once'),
    (DeletesByPrefix, 'a_deleted_object_is_gone', 'names_are_kept_exactly',
     'several_objects_are_deleted_at_once'),
    (ReadsMissingAsEmpty, 'a_missing_object_is_not_found',
     'a_deleted_object_is_gone', 'an_exception_leaves_no_object',
     'an_object_appears_when_its_writer_is_left',
     'an_unsafe_name_leads_nowhere',
     'a_range_is_that_part_of_the_object'),
    (RaisesKeyErrorForMissing, 'a_missing_object_is_not_found',
     'a_deleted_object_is_gone', 'an_exception_leaves_no_object',
     'an_object_appears_when_its_writer_is_left',
     'an_unsafe_name_leads_nowhere',
     'a_range_is_that_part_of_the_object'),
    (GivesTheStartToEachRead, 'objects_are_read_in_pieces',
     'a_range_is_that_part_of_the_object'),
    (IgnoresTheSize, 'objects_are_read_in_pieces',
     'a_range_is_that_part_of_the_object'),
    (SkipsTooFar, 'skipping_is_reading_without_the_bytes',
     'a_range_is_that_part_of_the_object'),
    (GivesOneByteTooMany, 'a_range_is_that_part_of_the_object'),
    (RefusesRangesBeyondTheEnd, 'a_range_is_that_part_of_the_object'),
    (HasOneReader, 'many_objects_are_open_at_once'),
    (RunsOutOfReaders, 'a_reader_may_be_left_early'),
    (MixesUpUnicode, 'names_are_kept_exactly'),
    (TakesTheEmptyName, 'an_unsafe_name_leads_nowhere'),
    (FollowsPathsInNames, 'an_unsafe_name_leads_nowhere'),
    (FollowsPathsInContainers, 'a_container_name_leads_nowhere_else'),
    (NamesBackupsByVolume, 'a_prefix_belongs_to_one_backup'),
    (NamesAContainerForEachCall, 'the_container_of_a_backup_is_text'),
    (KeepsWhatJsonCannot, 'extra_metadata_survives_json'),
    (HasNoPlaceForTheCatalogue, 'the_catalogue_container_is_usable'),
    (MixesUpWriters, 'threads_overwrite_one_object'),
    (FailsInASecondThread, 'threads_share_a_driver',
     'threads_overwrite_one_object', 'a_listing_of_many_is_complete',
     'exclusive_writers_are_told_who_has_won'),
]


@pytest.mark.parametrize(
    'mutant, expected', [(mutant, set(names)) for mutant, *names in MUTANTS],
    ids=[mutant.__name__ for mutant, *_ in MUTANTS])
def test_mutant_breaks_just_the_promise_that_it_should(mutant, expected):
    broken = set()
    for promise in contract.PROMISES:
        try:
            contract.check(mutant(), promise)
        except contract.BrokenPromise:
            broken.add(promise.name)
    assert broken == expected


def test_every_promise_is_broken_by_some_mutant():
    caught = {name for _, *names in MUTANTS for name in names}
    expected = {promise.name for promise in contract.PROMISES}
    assert expected - caught == {'a_large_object_is_what_was_written'}


def test_a_broken_promise_says_what_was_promised_and_what_happened():
    verdicts = {str(verdict.promise): verdict
                for verdict in contract.examine(RaisesKeyErrorForMissing())}
    verdict = verdicts['a_missing_object_is_not_found']
    assert verdict.outcome == contract.Outcome.BROKEN
    assert 'ObjectNotFound was expected, it raised KeyError' in verdict.reason


def test_an_error_that_is_no_answer_breaks_the_promise():
    class Unreachable(MemoryBackupDriver):
        def put_container(self, container):
            raise errors.TransientDriverError(
                container=container, object_name=None, reason='no route')

    for verdict in contract.examine(Unreachable()):
        assert verdict.outcome == contract.Outcome.BROKEN
        assert 'no route' in verdict.reason
