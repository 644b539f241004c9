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
import inspect
import io
import types

import pytest

from chunked_backup import errors
from chunked_backup.store.reader import Reader
from chunked_backup.store.reader import open_part
from chunked_backup.store.retry import RetryPolicy

POLICY = RetryPolicy(3, 0, lambda wait_s: None)


class Whole:
    """A reader as Cinder's drivers have it."""

    def __init__(self, data):
        self._data = data
        self.reads = 0

    def read(self):
        self.reads += 1
        return self._data


class Sized:
    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, size):
        return self._stream.read(size)


class Skipping(Sized):
    def skip(self, count):
        self._stream.seek(count, io.SEEK_CUR)


class Store:
    """Opens readers; each fails after so many reads.

    :param reads: for each opening, how many reads go well; None for all.
    """

    def __init__(self, make, *reads):
        self._make = make
        self._reads = list(reads)
        self.opened = 0
        self.closed = 0

    @contextlib.contextmanager
    def open(self):
        self.opened += 1
        inner = self._make()
        left = self._reads.pop(0) if self._reads else None
        read = inner.read

        def limited(size):
            nonlocal left
            if left is not None:
                if not left:
                    raise errors.TransientDriverError(
                        container='c', object_name='o', reason='broken')
                left -= 1
            return read(size)

        inner.read = limited
        try:
            yield inner
        finally:
            self.closed += 1


def reader_of(inner):
    return Reader(lambda: contextlib.nullcontext(inner), POLICY)


def test_a_reader_without_sizes_is_read_once():
    whole = Whole(b'some bytes')
    reader = reader_of(whole)
    assert [reader.read(4), reader.read(4), reader.read(4),
            reader.read(4)] == [b'some', b' byt', b'es', b'']
    assert whole.reads == 1 and reader.read_bytes == 10


def test_a_reader_that_can_skip_skips():
    reader = reader_of(Skipping(b'some bytes'))
    assert reader.skip(5)
    assert reader.read(9) == b'bytes'
    assert reader.read_bytes == 5


@pytest.mark.parametrize('make', (Whole, Sized))
def test_a_reader_that_cannot_skip_says_so(make):
    reader = reader_of(make(b'some bytes'))
    assert not reader.skip(5)
    assert reader.read(4) == b'some'


def test_a_reader_in_c_has_sizes():
    assert reader_of(io.BytesIO(b'some bytes')).read(4) == b'some'


def test_readers_of_one_class_may_differ():
    class Delegating:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

    for make in (Delegating, lambda inner: types.SimpleNamespace(
            read=inner.read)):
        for inner in (Whole(b'data'), Sized(b'data'), Whole(b'data')):
            reader = reader_of(make(inner))
            assert [reader.read(3), reader.read(3)] == [b'dat', b'a']


def test_a_class_of_readers_is_looked_at_once(monkeypatch):
    class Another(Sized):
        pass

    looked_at = []
    signature = inspect.signature
    monkeypatch.setattr(inspect, 'signature', lambda function: (
        looked_at.append(function), signature(function))[1])
    for _ in range(3):
        assert reader_of(Another(b'data')).read(4) == b'data'
    assert len(looked_at) == 1


def test_closing_closes_the_object():
    store = Store(lambda: Sized(b'some bytes'))
    reader = Reader(store.open, POLICY)
    reader.read(1)
    assert not store.closed
    reader.close()
    assert (store.opened, store.closed) == (1, 1)


@pytest.mark.parametrize('make', (Sized, Skipping))
@pytest.mark.parametrize('reads', [(0,), (1,), (2,), (1, 1), (0, 1)])
def test_a_broken_stream_is_read_on_from_where_it_was(make, reads):
    store = Store(lambda: make(b'some more bytes'), *reads)
    reader = Reader(store.open, POLICY)
    assert b''.join(iter(lambda: reader.read(4), b'')) == b'some more bytes'
    assert reader.read_bytes == 15
    assert store.opened > 1
    reader.close()
    assert store.opened == store.closed


def test_what_was_skipped_stays_skipped_when_a_stream_breaks():
    store = Store(lambda: Skipping(b'some bytes'), 0)
    reader = Reader(store.open, POLICY)
    assert reader.skip(5)
    assert reader.read(9) == b'bytes'


def test_an_object_that_became_shorter_ends_early():
    data = [b'some bytes', b'so']
    store = Store(lambda: Sized(data.pop(0)), 1)
    reader = Reader(store.open, POLICY)
    assert reader.read(4) == b'some'
    assert reader.read(4) == b''


def test_a_stream_that_always_breaks_is_an_error():
    store = Store(lambda: Sized(b'data'), *[0] * 9)
    reader = Reader(store.open, POLICY)
    with pytest.raises(errors.TransientDriverError):
        reader.read(4)
    reader.close()
    assert store.opened == store.closed <= 4


def test_a_missing_object_is_told_when_it_is_opened():
    @contextlib.contextmanager
    def missing():
        raise errors.ObjectNotFound(container='c', object_name='o')
        yield

    with pytest.raises(errors.ObjectNotFound):
        Reader(missing, POLICY).open()


@pytest.mark.parametrize('kind', [Whole, Sized, Skipping])
@pytest.mark.parametrize('start, length', [
    (0, 5), (3, 4), (0, 100), (8, 4), (10, 1), (12, 3)])
def test_a_part_is_that_part(kind, start, length):
    data = b'0123456789'

    def opened():
        return open_part(contextlib.nullcontext(kind(data)), start, length)

    with opened() as part:
        assert part.read() == data[start:start + length]
        assert part.read(3) == b''
    reader = Reader(opened, POLICY)
    assert reader.read(2) == data[start:start + length][:2]
    assert reader.skip(1)
    rest = b''.join(iter(lambda: reader.read(2), b''))
    assert rest == data[start:start + length][3:]
    if kind is Skipping:
        assert reader.read_bytes == len(data[start:start + length][:2] + rest)


def test_a_part_is_read_on_where_it_broke_off():
    class Broken(Sized):
        reads = 0

        def read(self, size):
            Broken.reads += 1
            if Broken.reads == 2:
                raise errors.TransientDriverError(
                    container='c', object_name='o', reason='gone')
            return super().read(size)

    reader = Reader(lambda: open_part(contextlib.nullcontext(
        Broken(b'0123456789')), 2, 6), POLICY)
    assert [reader.read(2) for _ in range(4)] == [b'23', b'45', b'67', b'']
