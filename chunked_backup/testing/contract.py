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

"""The promises of a driver, each as a check that runs against any store.

In the tests of a driver::

    @pytest.mark.parametrize('promise', contract.PROMISES, ids=str)
    def test_my_driver_keeps_its_promises(promise):
        contract.check(MyDriver(None), promise)

Against a store in use, where nothing may be left behind::

    for verdict in contract.examine(driver):
        print(verdict.promise, verdict.outcome, verdict.reason)

Every check works under a prefix of its own in a container that the driver
gives to backups that ask for none. It deletes what it wrote and lets the
driver discard the container. It never creates a container of another name,
since there is no way to delete one.
"""

import concurrent.futures
import contextlib
import dataclasses
import enum
import functools
import hashlib
import itertools
import json
import threading
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from chunked_backup import errors

_MANY = 1100  # S3 lists 1,000 names at a time
_THREADS = 8
_OPEN_READERS = 16
_LARGE_BYTES = (5 << 20) + 7  # more than the least part of S3's uploads
_PIECE_BYTES = 1 << 20
_JUST_NOW_S = 3600  # a store may be slow, or tell the hour only


class BrokenPromise(AssertionError):
    """A driver does not do what every driver has to."""


class NotPromised(Exception):
    """A driver has not given the promise that a check is of."""


class Outcome(enum.StrEnum):
    """What a check has found."""

    KEPT = 'kept'
    BROKEN = 'broken'
    NOT_PROMISED = 'not promised'


@dataclasses.dataclass(frozen=True)
class Promise:
    """One promise and how to check it.

    :param name: in the words of a test's name.
    :param statement: in one sentence.
    :param run: raises ``BrokenPromise``, or ``NotPromised``.
    """

    name: str
    statement: str
    run: Callable[['Scratch'], None]

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one promise; ``reason`` says more unless it was kept."""

    promise: Promise
    outcome: Outcome
    reason: str = ''


class Scratch:
    """A driver, a container, and names that nobody else uses.

    :param driver: the driver to check.
    :param container: one that may be written to; None for the one that the
        driver would give to a backup.
    """

    def __init__(self, driver: Any, container: str | None = None) -> None:
        self.driver = driver
        backup = new_backup()
        self.container = container or (
            driver.update_container_name(backup, None)
            or driver.backup_default_container)
        self.prefix = driver._generate_object_name_prefix(backup)

    def name(self, ending: str) -> str:
        """The name of an object that belongs to this check."""
        return f'{self.prefix}{ending}'

    def write(self, name: str, data: Any, *more: Any) -> None:
        """Store an object of one or more pieces."""
        with self.driver.get_object_writer(self.container, name) as writer:
            for piece in (data, *more):
                writer.write(piece)

    def read(self, name: str) -> bytes:
        """All of an object."""
        with self.driver.get_object_reader(self.container, name) as reader:
            return bytes(reader.read())

    def names(self, prefix: str | None = None) -> list[str]:
        """A sorted listing; of everything of this check unless told."""
        if prefix is None:
            prefix = self.prefix
        return sorted(self.driver.get_container_entries(self.container,
                                                        prefix))

    def delete(self, name: str) -> None:
        """Have no object of that name."""
        self.driver.delete_object(self.container, name)

    def clean(self) -> None:
        """Leave nothing of this check."""
        with contextlib.suppress(errors.ContainerNotFound,
                                 errors.RepositoryNotFound):
            with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(self.delete, self.names()))
            self.driver.discard_container(self.container)


PROMISES: list[Promise] = []


def check(driver: Any, promise: Promise,
          container: str | None = None) -> Outcome:
    """Check one promise, and leave nothing behind.

    :param container: see ``Scratch``.
    :raises BrokenPromise: the driver does not keep it.
    """
    try:
        scratch = Scratch(driver, container)
        driver.put_container(scratch.container)
        try:
            promise.run(scratch)
        finally:
            scratch.clean()
    except NotPromised:
        return Outcome.NOT_PROMISED
    except BrokenPromise:
        raise
    except Exception as exc:
        raise BrokenPromise(f'{promise.statement} But it raised '
                            f'{type(exc).__name__}: {exc}') from exc
    return Outcome.KEPT


def examine(driver: Any, container: str | None = None) -> Iterator[Verdict]:
    """Check all promises, one after the other, and leave nothing behind."""
    for promise in PROMISES:
        try:
            yield Verdict(promise, check(driver, promise, container))
        except BrokenPromise as exc:
            yield Verdict(promise, Outcome.BROKEN, str(exc))


def new_backup(**fields: Any) -> Any:
    """What a driver may look at of a backup, with a new id."""
    values: dict[str, Any] = {
        'id': str(uuid.uuid4()), 'volume_id': str(uuid.uuid4()),
        'parent_id': None, 'container': None, 'availability_zone': None}
    return types.SimpleNamespace(**(values | fields))


def promise(function: Callable[[Scratch], None]
            ) -> Callable[[Scratch], None]:
    """Put a check into ``PROMISES``; its docstring is the statement."""
    PROMISES.append(Promise(
        function.__name__, ' '.join((function.__doc__ or '').split()),
        function))
    return function


def _require(kept: object, message: str) -> None:
    if not kept:
        raise BrokenPromise(message)


def _require_equal(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise BrokenPromise(f'{what}: {_shown(found)} was found, '
                            f'{_shown(expected)} was expected')


def _require_raises(expected: type[Exception], function: Callable,
                    *arguments: Any) -> None:
    try:
        result = function(*arguments)
    except expected:
        return
    except Exception as exc:
        raise BrokenPromise(
            f'{expected.__name__} was expected, it raised '
            f'{type(exc).__name__}: {exc}') from exc
    raise BrokenPromise(f'{expected.__name__} was expected, it gave '
                        f'{_shown(result)}')


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)) and len(value) > 40:
        return f'{len(value)} bytes that begin with {bytes(value[:40])!r}'
    if isinstance(value, (list, set)) and len(value) > 5:
        return f'{len(value)} names'
    return repr(value)


class _Deliberate(Exception):
    """What a check leaves a writer by."""


# Containers.

@promise
def a_container_may_be_put_twice(scratch: Scratch) -> None:
    """Putting a container that exists succeeds and changes nothing in it."""
    name = scratch.name('-00001')
    scratch.write(name, b'before')
    scratch.driver.put_container(scratch.container)
    _require_equal(scratch.read(name), b'before', 'an object in it')


@promise
def a_missing_container_is_no_empty_one(scratch: Scratch) -> None:
    """Listing a container that does not exist raises ContainerNotFound; it
    never gives an empty list."""
    missing = f'contract-{uuid.uuid4().hex[:16]}-missing'

    def list_all() -> list[str]:
        return list(scratch.driver.get_container_entries(missing, ''))

    _require_raises(errors.ContainerNotFound, list_all)


@promise
def nothing_is_stored_in_a_missing_container(scratch: Scratch) -> None:
    """Writing to a container that does not exist raises ContainerNotFound
    and does not create it."""
    missing = f'contract-{uuid.uuid4().hex[:16]}-missing'

    def write() -> None:
        with scratch.driver.get_object_writer(
                missing, scratch.name('-00001')) as writer:
            writer.write(b'lost')

    def list_all() -> list[str]:
        return list(scratch.driver.get_container_entries(missing, ''))

    _require_raises(errors.ContainerNotFound, write)
    _require_raises(errors.ContainerNotFound, list_all)


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
            _require(name not in found,
                     f'{other!r} leads to the objects of {container!r}')
            _require(other, 'the empty name was taken for a container')
        with contextlib.suppress(errors.InvalidName, errors.DriverError):
            with scratch.driver.get_object_reader(other, name) as reader:
                _require(reader.read() != b'within',
                         f'{other!r} leads to the objects of {container!r}')


@promise
def the_catalogue_container_is_usable(scratch: Scratch) -> None:
    """Objects can be stored, listed, read and deleted in the container that
    a stand-alone host keeps its records in."""
    driver = scratch.driver
    catalogue = driver.catalogue_container
    _require(isinstance(catalogue, str) and catalogue,
             f'the catalogue container is {catalogue!r}')
    other = Scratch(driver, catalogue)
    try:
        driver.put_container(catalogue)
        # Records have a name of their own kind, without the driver's prefix.
        other.prefix = f'contract_{uuid.uuid4()}'
        other.write(other.prefix, b'a record')
        _require_equal(other.names(), [other.prefix], 'its listing')
        _require_equal(other.read(other.prefix), b'a record', 'the record')
        other.delete(other.prefix)
        _require_equal(other.names(), [], 'its listing after deleting')
    finally:
        other.clean()


# Writing and reading.

@promise
def an_object_is_what_was_written(scratch: Scratch) -> None:
    """An object has exactly the bytes written: none, one, all 256 values, or
    many small pieces."""
    contents = [(b'',), (b'\0',), (b'a',), (bytes(range(256)),),
                tuple(b'%d,' % number for number in range(2000))]
    for number, pieces in enumerate(contents):
        name = scratch.name(f'-{number:05d}')
        scratch.write(name, *pieces)
        _require_equal(scratch.read(name), b''.join(pieces),
                       f'an object of {len(pieces)} pieces')


@promise
def an_object_may_get_no_write_at_all(scratch: Scratch) -> None:
    """A writer that is left without any write makes an empty object."""
    name = scratch.name('-00001')
    with scratch.driver.get_object_writer(scratch.container, name):
        pass
    _require_equal(scratch.read(name), b'', 'an object without writes')
    _require_equal(scratch.names(), [name], 'the listing')


@promise
def a_large_object_is_what_was_written(scratch: Scratch) -> None:
    """An object of several MiB, in one piece or in pieces of uneven size, has
    exactly the bytes written."""
    data = _noise(_LARGE_BYTES)
    whole, pieces = scratch.name('-00001'), scratch.name('-00002')
    scratch.write(whole, data)
    _require(scratch.read(whole) == data, 'one large piece came back altered')
    cuts = [0, 1, 70_000, 70_001, 3_000_000, 4_500_000, len(data)]
    scratch.write(pieces, *(data[low:high]
                            for low, high in itertools.pairwise(cuts)))
    _require(scratch.read(pieces) == data,
             'pieces of uneven size came back altered')


@promise
def writers_take_memoryviews(scratch: Scratch) -> None:
    """A driver that sets ``takes_memoryviews`` takes bytes, bytearrays and
    memoryviews, whole or sliced."""
    if not scratch.driver.takes_memoryviews:
        raise NotPromised()
    name = scratch.name('-00001')
    scratch.write(name, b'ab', bytearray(b'cd'), memoryview(b'ef'),
                  memoryview(bytearray(b'0gh0'))[1:3])
    _require_equal(scratch.read(name), b'abcdefgh', 'the object')


@promise
def writers_keep_no_buffer(scratch: Scratch) -> None:
    """A driver that sets ``takes_memoryviews`` is done with a buffer when
    ``write`` returns, and leaves it as it is."""
    if not scratch.driver.takes_memoryviews:
        raise NotPromised()
    name = scratch.name('-00001')
    buffer = bytearray(_PIECE_BYTES)
    expected = hashlib.sha256()
    with scratch.driver.get_object_writer(scratch.container, name) as writer:
        for number in range(6):
            piece = bytes([number + 1]) * len(buffer)
            buffer[:] = piece
            expected.update(piece)
            writer.write(memoryview(buffer))
            _require(buffer == piece, 'write has altered its buffer')
            buffer[:] = bytes([255]) * len(buffer)
    _require_equal(hashlib.sha256(scratch.read(name)).hexdigest(),
                   expected.hexdigest(), 'after reusing the buffer, sha256')


@promise
def an_object_appears_when_its_writer_is_left(scratch: Scratch) -> None:
    """While an object is being written it can be neither listed nor read;
    when its writer is left it can."""
    name = scratch.name('-00001')
    with scratch.driver.get_object_writer(scratch.container, name) as writer:
        for _ in range(6):
            writer.write(bytes(_PIECE_BYTES))
        _require_equal(scratch.names(), [], 'the listing while writing')
        _require_raises(errors.ObjectNotFound, scratch.read, name)
    _require_equal(scratch.names(), [name], 'the listing after writing')
    _require_equal(len(scratch.read(name)), 6 * _PIECE_BYTES, 'its length')


@promise
def an_exception_leaves_no_object(scratch: Scratch) -> None:
    """Leaving a writer by an exception, even by KeyboardInterrupt, hands the
    exception on and makes no object."""
    for error in (_Deliberate, KeyboardInterrupt, GeneratorExit):
        for size in (0, 10, _LARGE_BYTES):
            name = scratch.name(f'-{error.__name__}-{size}')
            _broken_off_write(scratch, name, bytes(size), error)
            _require_raises(errors.ObjectNotFound, scratch.read, name)
    _require_equal(scratch.names(), [], 'the listing')


@promise
def an_exception_keeps_the_older_object(scratch: Scratch) -> None:
    """Leaving a writer by an exception leaves an older object of that name as
    it was."""
    name = scratch.name('-00001')
    scratch.write(name, b'the older object')
    for size in (10, _LARGE_BYTES):
        _broken_off_write(scratch, name, bytes(size), _Deliberate)
        _require_equal(scratch.read(name), b'the older object',
                       'the older object')
    _require_equal(scratch.names(), [name], 'the listing')


def _broken_off_write(scratch: Scratch, name: str, data: bytes,
                      error: type[BaseException]) -> None:
    try:
        with scratch.driver.get_object_writer(scratch.container,
                                              name) as writer:
            writer.write(data)
            raise error()
    except error:
        return
    raise BrokenPromise(f'the writer has swallowed {error.__name__}')


@promise
def overwriting_replaces_the_whole(scratch: Scratch) -> None:
    """Writing to a name that is taken replaces the whole object, by a longer,
    a shorter or an empty one."""
    name = scratch.name('-00001')
    for data in (b'first', b'the second is longer', b'third', b'', b'fifth'):
        scratch.write(name, data)
        _require_equal(scratch.read(name), data, 'after overwriting')
    _require_equal(scratch.names(), [name], 'the listing')


@promise
def an_overwritten_object_is_whole_until_then(scratch: Scratch) -> None:
    """Until the writer is left, readers get the whole older object."""
    name = scratch.name('-00001')
    scratch.write(name, b'the older object')
    with scratch.driver.get_object_writer(scratch.container, name) as writer:
        writer.write(bytes(_LARGE_BYTES))
        _require_equal(scratch.read(name), b'the older object',
                       'while it is being overwritten')
        writer.write(b'.')
    _require_equal(len(scratch.read(name)), _LARGE_BYTES + 1, 'its length')


@promise
def objects_are_read_in_pieces(scratch: Scratch) -> None:
    """Where ``read`` takes a size it gives at most so many bytes, in order,
    and ``b''`` at the end, however often it is asked."""
    data = _noise(_LARGE_BYTES)
    name = scratch.name('-00001')
    scratch.write(name, data)
    _require_sizes(scratch, name)
    sizes = itertools.cycle((1, 7, 65536, 3, _PIECE_BYTES))
    found = bytearray()
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        while piece := reader.read(size := next(sizes)):
            _require(len(piece) <= size, f'read({size}) gave {len(piece)}')
            found += piece
            _require(len(found) <= len(data), 'the pieces do not end')
        _require(found == data, 'the pieces are not the object')
        _require_equal(reader.read(10), b'', 'a second read at the end')


@promise
def an_empty_object_ends_at_once(scratch: Scratch) -> None:
    """Reading an object without bytes gives ``b''``."""
    name = scratch.name('-00001')
    scratch.write(name, b'')
    _require_equal(scratch.read(name), b'', 'read()')
    _require_sizes(scratch, name)
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        _require_equal(bytes(reader.read(10)), b'', 'read(10)')


def _require_sizes(scratch: Scratch, name: str) -> None:
    """Leave the check of a driver whose readers know no sizes."""
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        try:
            reader.read(1)
        except TypeError:
            raise NotPromised() from None


@promise
def skipping_is_reading_without_the_bytes(scratch: Scratch) -> None:
    """Where a reader has ``skip``, it leaves out exactly so many bytes, and
    beyond the end there is nothing."""
    data = _noise(300_000)
    name = scratch.name('-00001')
    scratch.write(name, data)
    with scratch.driver.get_object_reader(scratch.container, name) as reader:
        if not hasattr(reader, 'skip'):
            raise NotPromised()
        reader.skip(1000)
        _require(_read_exactly(reader, 500) == data[1000:1500],
                 'after the first skip')
        reader.skip(100_000)
        reader.skip(0)
        _require(_read_exactly(reader, 500) == data[101_500:102_000],
                 'after another skip')
        reader.skip(len(data))
        _require_equal(bytes(reader.read(10)), b'', 'beyond the end')


@promise
def a_reader_may_be_left_early(scratch: Scratch) -> None:
    """Leaving a reader before the end of its object, normally or by an
    exception, does no harm to later ones."""
    data = _noise(_LARGE_BYTES)
    name = scratch.name('-00001')
    scratch.write(name, data)
    for _ in range(2 * _OPEN_READERS):
        with scratch.driver.get_object_reader(scratch.container, name):
            pass
        with contextlib.suppress(_Deliberate):
            with scratch.driver.get_object_reader(scratch.container, name):
                raise _Deliberate()
    _require(scratch.read(name) == data, 'the object came back altered')


@promise
def many_objects_are_open_at_once(scratch: Scratch) -> None:
    """A reader gives its own object although others were opened since."""
    names = [scratch.name(f'-{number:05d}')
             for number in range(_OPEN_READERS)]
    for name in names:
        scratch.write(name, name.encode())
    with contextlib.ExitStack() as stack:
        readers = {name: stack.enter_context(
            scratch.driver.get_object_reader(scratch.container, name))
            for name in names}
        for name in reversed(names):
            _require_equal(bytes(readers[name].read()), name.encode(),
                           'one of many open objects')


@promise
def a_missing_object_is_not_found(scratch: Scratch) -> None:
    """Reading an object that does not exist raises ObjectNotFound, from
    opening it or from ``read``."""
    scratch.write(scratch.name('-00001'), b'another')
    for ending in ('-00002', '-0000', '-000011', ''):
        _require_raises(errors.ObjectNotFound, scratch.read,
                        scratch.name(ending))


# Committing.

@promise
def an_exclusive_writer_replaces_all_or_nothing(scratch: Scratch) -> None:
    """An exclusive writer makes a new object, and none when it is left by an
    exception; where the name is taken it raises ObjectExists and leaves the
    older object as it was, or it replaces the whole."""
    name = scratch.name('_metadata')
    with contextlib.suppress(_Deliberate):
        with _exclusive(scratch, name) as writer:
            writer.write(b'broken off')
            raise _Deliberate()
    _require_equal(scratch.names(), [], 'the listing after an exception')
    expected = None
    for data in (b'first', b'the second is longer', b''):
        try:
            with _exclusive(scratch, name) as writer:
                writer.write(data)
            expected = data
        except errors.ObjectExists:
            _require(expected is not None, 'a new object is refused')
        _require_equal(scratch.read(name), expected, 'the object')
    _require_equal(scratch.names(), [name], 'the listing')


@promise
def exclusive_writers_are_told_who_has_won(scratch: Scratch) -> None:
    """When several exclusive writers store a new name at the same time, the
    object is the whole of one that was not refused."""
    for turn in range(6):
        name = scratch.name(f'_metadata{turn}')
        not_refused: list[bytes] = []

        def work(number: int, name: str = name,
                 not_refused: list[bytes] = not_refused) -> None:
            data = bytes([number]) * (50_000 + number)
            try:
                with _exclusive(scratch, name) as writer:
                    writer.write(data)
            except errors.ObjectExists:
                return
            except errors.TransientDriverError:
                pass  # a store in a hurry; nobody knows what has arrived
            not_refused.append(data)

        _in_threads(work)
        _require(scratch.read(name) in not_refused,
                 'the object is of a writer that was refused')


def _exclusive(scratch: Scratch,
               name: str) -> contextlib.AbstractContextManager:
    return scratch.driver.get_exclusive_writer(scratch.container, name)


# Deleting.

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
    _require_equal(scratch.names(), [other], 'the listing')
    _require_raises(errors.ObjectNotFound, scratch.read, mine)
    _require_equal(scratch.read(other), b'other', 'the other object')
    scratch.write(mine, b'new')
    _require_equal(scratch.read(mine), b'new', 'the new object')


# What is left of broken runs.

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
    _require_equal(list(ages), [mine], 'the objects that have an age')
    _require(0 <= ages[mine] < _JUST_NOW_S,
             f'an object written just now is {ages[mine]} seconds old')
    scratch.write(mine, b'again')
    _require(scratch.driver.get_object_ages(scratch.container, '').keys()
             == {mine, other}, 'not every object has an age')


@promise
def what_is_unfinished_is_no_object(scratch: Scratch) -> None:
    """What broken-off writes have left can be listed, and no whole object is
    among it."""
    mine, broken_off = scratch.name('-00001'), scratch.name('-00002')
    scratch.write(mine, b'mine')
    with (contextlib.suppress(_Deliberate),
          scratch.driver.get_object_writer(scratch.container,
                                           broken_off) as writer):
        writer.write(b'never seen')
        raise _Deliberate()
    # In this container may be what others are writing at this moment.
    found = list(scratch.driver.get_unfinished(scratch.container))
    _require(all(each.age_s >= 0 for each in found), 'an age is below zero')
    _require(mine not in [each.object_name for each in found],
             'an object that is whole is called unfinished')
    for each in found:
        if each.object_name == broken_off:
            scratch.driver.discard_unfinished(scratch.container, each)
            scratch.driver.discard_unfinished(scratch.container, each)
    _require_equal(scratch.read(mine), b'mine', 'the object')


# Listing.

@promise
def a_listing_is_exact(scratch: Scratch) -> None:
    """A listing has every name that begins with the prefix, once, and no
    other; a prefix is text and no pattern."""
    names = sorted(scratch.name(ending) for ending in (
        '-00001', '-00002', '-000021', '_metadata', '_sha256file', '-x*',
        '-x?', '-x[1]', '-x1', '-X1', '-x'))
    for name in names:
        scratch.write(name, b'')
    for ending in ('', '-', '-0000', '-00002', '-x', '-x*', '-x[', '_',
                   '-00003', '-X'):
        prefix = scratch.name(ending)
        _require_equal(
            scratch.names(prefix),
            [name for name in names if name.startswith(prefix)],
            f'the names that begin with ...{ending}')


@promise
def a_listing_of_many_is_complete(scratch: Scratch) -> None:
    """A listing of more objects than a store gives at a time has them all."""
    names = [scratch.name(f'-{number:05d}') for number in range(_MANY)]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda name: scratch.write(name, b'.'), names))
    _require_equal(scratch.names(), names, f'of {_MANY} objects')
    _require_equal(scratch.names(scratch.name('-0109')), names[1090:],
                   'of the last ten')


# Names.

@promise
def names_are_kept_exactly(scratch: Scratch) -> None:
    """Names in any script, with blanks and with characters that mean
    something in a URL, are stored, listed, read and deleted exactly."""
    names = sorted(scratch.name(ending) for ending in (
        '-é', '-e\u0301', '-日本語', '-😀', '-a b', '-a+b', '-a%20b',
        '-%2e%2e', '-a?b=c', '-a#b', '-a&b', '-a=b', '-"q\'', '-<x>',
        '-a\\b', '-~', '-A', '-a', '-a:b;c,d@e$f!'))
    for name in names:
        scratch.write(name, name.encode())
    _require_equal(scratch.names(), names, 'the listing')
    for name in names:
        _require_equal(scratch.read(name), name.encode(), f'object {name!r}')
        scratch.delete(name)
        _require(name not in scratch.names(), f'{name!r} is not deleted')


@promise
def an_unsafe_name_leads_nowhere(scratch: Scratch) -> None:
    """An object name that could lead elsewhere is refused, or it is stored,
    listed and read under exactly that name; an empty one is refused."""
    canary = scratch.name('-canary')
    scratch.write(canary, b'canary')
    container = scratch.container
    for name in ('', '/', '.', '..', '../', f'../{container}/{canary}',
                 f'./{canary}', f'/{canary}', f'//{canary}', f'{canary}/',
                 f'{canary}/.', f'{canary}/../{canary}', f'{canary}\0',
                 f'{canary}\0.x', f'x/../{canary}', scratch.name('/../x'),
                 scratch.name('\n'), scratch.name('\ud800'),
                 scratch.name('x' * 5000)):
        _check_unsafe_name(scratch, name)
        _require_equal(scratch.read(canary), b'canary',
                       f'after use of {name!r}, another object')
    _require_equal(scratch.names(), [canary], 'the listing at the end')


def _check_unsafe_name(scratch: Scratch, name: str) -> None:
    refused = (errors.InvalidName, errors.DriverError)
    with contextlib.suppress(*refused):
        _require(scratch.read(name) != b'canary',
                 f'{name!r} leads to another object')
    try:
        scratch.write(name, b'unsafe')
    except refused:
        return
    try:
        _require(name, 'the empty name was taken')
        _require(name in scratch.names(name), f'{name!r} is not listed')
        _require_equal(scratch.read(name), b'unsafe', f'object {name!r}')
    finally:
        scratch.delete(name)
    _require_raises(errors.ObjectNotFound, scratch.read, name)


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
    _require(all(isinstance(prefix, str) and prefix for prefix in prefixes),
             f'{prefixes[0]!r} is no text')
    for one, other in itertools.permutations(prefixes, 2):
        _require(not one.startswith(other),
                 f'{one!r} begins with the prefix of another backup')


# What a driver says about a backup.

@promise
def the_container_of_a_backup_is_text(scratch: Scratch) -> None:
    """For a backup's container a driver gives text, or None to keep what was
    asked for, and the same one for the same backup."""
    backup = new_backup()
    for asked in (None, scratch.container):
        found = scratch.driver.update_container_name(backup, asked)
        _require(found is None or isinstance(found, str) and found,
                 f'for {asked!r} it gave {found!r}')
        _require_equal(scratch.driver.update_container_name(backup, asked),
                       found, 'the second time')


@promise
def extra_metadata_survives_json(scratch: Scratch) -> None:
    """What a driver wants to keep with a backup is the same after it was
    written as JSON and read back, and its writers and readers take it."""
    backup = new_backup()
    extra = scratch.driver.get_extra_metadata(backup,
                                              {'id': backup.volume_id})
    _require_equal(json.loads(json.dumps(extra)), extra, 'as JSON')
    name = scratch.name('-00001')
    with scratch.driver.get_object_writer(
            scratch.container, name, extra_metadata=extra) as writer:
        writer.write(b'with extra metadata')
    with scratch.driver.get_object_reader(
            scratch.container, name, extra_metadata=extra) as reader:
        _require_equal(bytes(reader.read()), b'with extra metadata',
                       'the object')


# Threads.

@promise
def threads_share_a_driver(scratch: Scratch) -> None:
    """Any number of threads write, read, list and delete at the same time
    and do not see each other's objects in their own."""
    def work(number: int) -> None:
        mine = scratch.name(f'-thread{number}-')
        data = bytes([number]) * (100_000 + number)
        for turn in range(6):
            scratch.write(f'{mine}{turn}', data, b'%d' % turn)
            _require(scratch.read(f'{mine}{turn}') == data + b'%d' % turn,
                     'an object came back altered')
            if turn % 2:
                scratch.delete(f'{mine}{turn}')
            _require(set(scratch.names(mine)) == {
                f'{mine}{each}' for each in range(turn + 1)
                if each % 2 == 0}, 'a listing is not what the thread wrote')

    _in_threads(work)


@promise
def threads_overwrite_one_object(scratch: Scratch) -> None:
    """When several threads write the same name at the same time, the object
    is at any time the whole of one that was written."""
    name = scratch.name('-00001')
    contents = [bytes([number]) * (50_000 + number)
                for number in range(_THREADS)]
    scratch.write(name, contents[0])

    def work(number: int) -> None:
        for _ in range(6):
            # A store in a hurry may fail for now; it may not mix.
            with contextlib.suppress(errors.TransientDriverError):
                scratch.write(name, contents[number][:20_000],
                              contents[number][20_000:])
                _require(scratch.read(name) in contents,
                         'the object is a mixture of several')

    _in_threads(work)


def _in_threads(work: Callable[[int], None]) -> None:
    together = threading.Barrier(_THREADS)

    def run(number: int) -> None:
        together.wait()
        work(number)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for future in [pool.submit(run, number)
                       for number in range(_THREADS)]:
            future.result()


@functools.cache
def _noise(count: int) -> bytes:
    """Bytes without a pattern, the same ones every time."""
    return hashlib.shake_256(b'contract').digest(count)


def _read_exactly(reader: Any, count: int) -> bytes:
    data = b''
    while len(data) < count and (piece := reader.read(count - len(data))):
        data += bytes(piece)
    return data
