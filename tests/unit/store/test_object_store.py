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

import contextlib
import hashlib
import io

import pytest

from chunked_backup import errors
from chunked_backup.driver import ChunkedBackupDriver
from chunked_backup.flow.tally import Tally
from chunked_backup.store.object_store import ObjectStore, Writer
from tests import support
from tests.unit import harness


def store_of(driver, waits=None):
    store = ObjectStore(driver, 'backups',
                        sleep=[].append if waits is None else waits.append)
    store.create()
    return store


def test_what_is_written_is_read_and_counted():
    store = store_of(harness.memory_driver())

    def produce(writer):
        writer.write(b'some ')
        writer.write(memoryview(b'bytes'))
        return writer.written_bytes

    assert store.put('an object', produce) == 10
    with store.reader('an object') as reader:
        assert reader.read(4) == b'some'
        assert reader.read(100) == b' bytes'
        assert reader.read(1) == b''
    assert store.read_bytes == 10


def test_what_a_job_reads_is_activity_of_the_store():
    driver = harness.memory_driver()
    store_of(driver).put_bytes('an object', b'some bytes')
    work = ObjectStore(driver, 'backups', is_work=True)
    with work.with_extra_metadata('some').reader('an object') as reader:
        for activity in (4, 8, 10, 10):
            reader.read(4)
            assert driver.activity == activity


def test_what_a_host_reads_meanwhile_is_none():
    # It looks at its record every second, also while the job hangs.
    store = store_of(harness.memory_driver())
    store.put_bytes('a record', b'some bytes')
    with store.reader('a record') as reader:
        reader.read(100)
    assert store.driver.activity == 0


def test_an_error_makes_no_object():
    def produce(writer):
        writer.write(b'data')
        1 / 0

    store = store_of(harness.memory_driver())
    with pytest.raises(ZeroDivisionError):
        store.put('o', produce)
    assert store.names('') == []


def test_a_missing_object_is_not_found():
    with pytest.raises(errors.ObjectNotFound):
        with store_of(harness.memory_driver()).reader('o'):
            pass


def test_names_are_only_those_with_the_prefix():
    driver = harness.memory_driver()
    store = store_of(driver)
    for name in ('a-1', 'a-2', 'b-1'):
        store.put_bytes(name, b'data')
    driver.get_container_entries = lambda container, prefix: ['a-1', 'b-1']
    assert store.names('a') == ['a-1']


def test_deleting_twice_is_as_good_as_once():
    store = store_of(harness.memory_driver())
    store.put_bytes('o', b'data')
    store.delete(['o', 'never there'])
    store.delete(['o'])
    assert store.names('') == []


@pytest.mark.parametrize('fail_at', range(9))
def test_requests_and_bytes_are_counted_with_the_tries_that_fail(conf,
                                                                 fail_at):
    """Whichever call fails once: of two writes and two reads of 10 bytes,
    with what is opened and left around them."""
    driver = harness.FailingDriver(None, support.CHUNK, support.BLOCK)
    store = store_of(driver)
    driver.fail_at = fail_at
    store.put('o', lambda writer: (writer.write(b'0123456789'),
                                   writer.write(b'0123456789')))
    written = driver.tally.written_bytes
    with store.reader('o') as reader:
        assert [reader.read(10), reader.read(10), reader.read(10)] == [
            b'0123456789', b'0123456789', b'']

    assert driver.tally.retries == (fail_at < 8)
    assert written == 20 + {2: 10, 3: 20}.get(fail_at, 0)
    assert driver.tally.read_bytes == 20


def test_extra_metadata_goes_to_the_driver_with_each_object():
    seen = []

    class Driver:
        takes_memoryviews = True
        retry_attempts = 1
        retry_wait_s = 0
        tally = Tally()

        def get_object_writer(self, container, name, extra_metadata=None):
            seen.append(('write', container, name, extra_metadata))
            return contextlib.nullcontext(io.BytesIO())

        def get_object_reader(self, container, name, extra_metadata=None):
            seen.append(('read', container, name, extra_metadata))
            return contextlib.nullcontext(io.BytesIO())

    plain = ObjectStore(Driver(), 'c')
    for store in (plain, plain.with_extra_metadata({'key': 1})):
        store.put_bytes('o', b'data')
        with store.reader('o'):
            pass
    assert seen == [('write', 'c', 'o', None), ('read', 'c', 'o', None),
                    ('write', 'c', 'o', {'key': 1}),
                    ('read', 'c', 'o', {'key': 1})]


@pytest.mark.parametrize('takes_memoryviews', [True, False])
def test_a_driver_that_keeps_buffers_gets_copies(takes_memoryviews):
    kept = []
    inner = type('Inner', (), {'write': staticmethod(kept.append)})
    buffer = bytearray(b'data')
    Writer(inner, takes_memoryviews).write(memoryview(buffer))
    buffer[:] = b'else'
    assert bytes(kept[0]) == (b'else' if takes_memoryviews else b'data')


def test_nothing_is_not_written():
    kept = []
    inner = type('Inner', (), {'write': staticmethod(kept.append)})
    writer = Writer(inner, True)
    writer.write(b'')
    assert not kept and not writer.written_bytes


def test_many_objects_are_deleted_in_requests_of_some(monkeypatch):
    driver = harness.memory_driver()
    requests, ticks = [], []
    monkeypatch.setattr(driver, 'delete_objects', lambda container, names:
                        requests.append((container, len(names))))
    store_of(driver).delete((str(number) for number in range(250)),
                            lambda: ticks.append(1))
    assert requests == [('backups', 100), ('backups', 100), ('backups', 50)]
    assert len(ticks) == 3


def test_every_call_is_made_again_while_the_store_fails_for_now():
    driver = harness.FailingDriver(None, 4096, 512)
    for fail_at in range(3):
        driver.calls, driver.fail_at = 0, fail_at
        waits = []
        store_of(driver, waits).put_bytes(f'object {fail_at}', b'some bytes')
        assert len(waits) == 1
    for fail_at in range(4):
        driver.calls, driver.fail_at = 0, fail_at
        with store_of(driver).reader('object 0') as reader:
            assert (reader.read(5) + reader.read(9)
                    + reader.read(9)) == b'some bytes'


# Committing.

class Losing(harness.MemoryBackupDriver):
    """Commits, and its answers are lost; or fails before."""

    takes_memoryviews = False

    def __init__(self, *fates):
        super().__init__()
        self.fates = list(fates)

    @contextlib.contextmanager
    def get_exclusive_writer(self, container, name, extra_metadata=None):
        fate = self.fates.pop(0) if self.fates else None
        if fate == 'refuse':
            raise self.error()
        with super().get_exclusive_writer(container, name) as writer:
            yield writer
            if fate == 'overtake':
                self.stores[container][name] = b'of another'
            if fate in ('break', 'overtake'):
                raise self.error()
        if fate == 'lose':
            raise self.error()

    @staticmethod
    def error():
        return errors.TransientDriverError(
            container='backups', object_name='o', reason='made to fail')


def produced(writer):
    writer.write(b'some ')
    writer.write(b'bytes')
    return hashlib.sha256(b'some bytes').hexdigest()


@pytest.mark.parametrize('fates', [
    (), ('lose',), ('lose', 'refuse'), ('lose', 'break', 'refuse'),
    ('refuse', 'lose'), ('break', 'lose')])
def test_a_commit_gets_over_faults_and_answers_that_are_lost(fates):
    driver = Losing(*fates)
    waits = []
    assert store_of(driver, waits).commit('o', produced) == (
        hashlib.sha256(b'some bytes').hexdigest())
    assert driver.stores['backups'] == {'o': b'some bytes'}
    assert len(waits) == len(fates)
    assert driver.fates == []


@pytest.mark.parametrize('there', [b'of another', b'some bytes'])
def test_what_is_there_before_a_commit_is_of_another(there):
    store = store_of(harness.memory_driver())
    store.put_bytes('o', there)
    with pytest.raises(errors.ObjectExists):
        store.commit('o', produced)
    with store.reader('o') as reader:
        assert reader.read(100) == there


@pytest.mark.parametrize('fates', [('overtake',), ('refuse', 'overtake')])
def test_another_writer_between_two_tries_wins(fates):
    driver = Losing(*fates)
    with pytest.raises(errors.ObjectExists):
        store_of(driver).commit('o', produced)
    assert driver.stores['backups'] == {'o': b'of another'}


def test_a_driver_without_an_exclusive_writer_commits_by_replacing():
    class Plain(harness.MemoryBackupDriver):
        get_exclusive_writer = ChunkedBackupDriver.get_exclusive_writer

    store = store_of(Plain())
    store.put_bytes('o', b'older')
    store.commit('o', produced)
    with store.reader('o') as reader:
        assert reader.read(100) == b'some bytes'


@pytest.mark.parametrize('verb, method, arguments', [
    ('discard', 'discard_container', ()), ('unfinished', 'get_unfinished', ()),
    ('discard_unfinished', 'discard_unfinished', ('something',)),
    ('ages', 'get_object_ages', ('prefix',))])
def test_what_a_store_may_do_is_tried_again(monkeypatch, verb, method,
                                            arguments):
    driver = harness.memory_driver()
    calls = []

    def fail_once(container, *given):
        calls.append((container, *given))
        if len(calls) == 1:
            raise errors.TransientDriverError(
                container=container, object_name=None, reason='for now')
        return []

    monkeypatch.setattr(driver, method, fail_once)
    store = ObjectStore(driver, 'backups', sleep=lambda seconds: None)
    getattr(store, verb)(*arguments)
    assert calls == 2 * [('backups', *arguments)]
