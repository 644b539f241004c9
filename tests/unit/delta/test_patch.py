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


import io

import blake3
import pytest

from chunked_backup import delta
from chunked_backup import errors

OLD = bytes(range(256)) * 20000
OPS = [delta.Literal(b'new'), delta.Copy(100, 3 << 20), delta.Zero(3 << 19),
       delta.Copy(1, 2)]
NEW = b'new' + OLD[100:100 + (3 << 20)] + bytes(3 << 19) + OLD[1:3]


def patched(ops=OPS, old=OLD, new=NEW, **options):
    written = []
    delta.patch(ops, io.BytesIO(old), written.append, length=len(new),
                digest=blake3.blake3(new).digest(), name='its name',
                **options)
    return written


def test_pieces_are_no_longer_than_a_mebibyte():
    written = patched()
    assert b''.join(written) == NEW
    assert max(map(len, written)) == 1 << 20


def test_a_function_may_read_the_old_version():
    written = []
    delta.patch([delta.Copy(5, 3)],
                lambda offset, length: OLD[offset:offset + length],
                written.append, length=3,
                digest=blake3.blake3(OLD[5:8]).digest())
    assert written == [OLD[5:8]]


def test_a_stream_may_give_less_than_was_asked_for():
    class Slow(io.BytesIO):
        def read(self, length):
            return super().read(min(length, 1000))

    written = []
    delta.patch(OPS, Slow(OLD), written.append, length=len(NEW),
                digest=blake3.blake3(NEW).digest())
    assert b''.join(written) == NEW


def test_zeros_may_be_skipped():
    skipped = []
    written = patched(skip=skipped.append)
    assert b''.join(written) == NEW.replace(bytes(3 << 19), b'')
    assert sum(skipped) == 3 << 19


@pytest.mark.parametrize('ops, old, reason', [
    (OPS, OLD[:1000], 'only 900 of the 1048576 bytes to copy from offset 100'),
    (OPS, b'', 'only 0 of'),
    (OPS[:3], OLD, f'has {len(NEW) - 2} bytes, but {len(NEW)} were'),
    (OPS + [delta.Zero(1 << 60)], OLD, f'more than the {len(NEW)} bytes'),
    ([delta.Literal(NEW[:-1] + b'x')], OLD, 'its blake3 is'),
    (OPS, OLD[:200] + b'x' + OLD[201:], 'its blake3 is')])
def test_what_does_not_come_out_as_recorded_is_refused(ops, old, reason):
    with pytest.raises(errors.PatchError, match=reason) as raised:
        patched(ops, old)
    assert 'its name' in str(raised.value)


def test_nothing_is_written_that_would_be_too_much():
    written = []
    with pytest.raises(errors.PatchError):
        delta.patch([delta.Literal(b'four'), delta.Literal(b'x')],
                    io.BytesIO(), written.append, length=4, digest=bytes(32))
    assert written == [b'four']
