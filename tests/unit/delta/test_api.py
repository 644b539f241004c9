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
import os
import random
import shutil
import stat

import blake3
import pytest

from chunked_backup import delta
from chunked_backup import errors

RANDOM = random.Random(0)
OLD = RANDOM.randbytes(300_000)
NEW = OLD[:70_000] + b'inserted' + OLD[70_000:200_000] + bytes(100_000)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / 'old'
    path.write_bytes(OLD)
    return path


@pytest.fixture
def new(tmp_path):
    path = tmp_path / 'new'
    path.write_bytes(NEW)
    return path


class Forward:
    """A pipe: it can do nothing but read on, and gives what it has."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, length):
        return self._stream.read(min(length, 777))


def changes():
    return delta.gen_sig_from_stream(NEW, delta.gen_sig_from_stream(OLD))


class TestSignature:

    def test_of_a_file_and_of_streams_is_the_same(self, old):
        made = delta.gen_sig_from_file(old)
        assert made.block_size_bytes == 65536
        assert made.digest == blake3.blake3(OLD).digest()
        for source in (OLD, memoryview(OLD), bytearray(OLD), io.BytesIO(OLD),
                       Forward(OLD)):
            assert delta.gen_sig_from_stream(source, seed=made.seed) == made
        assert delta.gen_sig_from_file(str(old), seed=made.seed) == made

    def test_has_the_block_size_that_was_asked_for(self, old):
        made = delta.gen_sig_from_file(old, block_size_bytes=1000)
        assert made.block_size_bytes == 1000
        assert len(made.weak) == 300

    def test_a_stream_stays_open(self):
        stream = io.BytesIO(OLD)
        delta.gen_sig_from_stream(stream)
        assert not stream.closed

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='none'):
            delta.gen_sig_from_file(tmp_path / 'none')


class TestDelta:

    def test_gives_operations_and_then_the_signature(self, new):
        before = delta.gen_sig_from_stream(OLD, block_size_bytes=4096)
        made = delta.gen_sig_from_file(new, before)
        with pytest.raises(errors.InvalidInput):
            made.signature
        ops = list(made.ops())
        assert {type(op) for op in ops} == {
            delta.Copy, delta.Literal, delta.Zero}
        assert sum(op.length for op in ops) == len(NEW)
        assert made.signature == delta.gen_sig_from_file(
            new, seed=before.seed, block_size_bytes=4096)

    @pytest.mark.parametrize('size', [1, 100, 1 << 20])
    def test_is_a_stream_however_it_is_read(self, size):
        before = delta.gen_sig_from_stream(OLD)
        whole = delta.gen_sig_from_stream(NEW, before).read()
        made = delta.gen_sig_from_stream(Forward(NEW), before)
        parts = []
        while part := made.read(size):
            parts.append(part)
        assert b''.join(parts) == whole
        assert {len(part) for part in parts[:-1]} <= {size}
        assert made.read() == made.read(1) == b''
        assert made.signature.length == len(NEW)

    def test_against_nothing_is_the_file(self):
        nothing = delta.gen_sig_from_stream(b'')
        ops = list(delta.gen_sig_from_stream(OLD, nothing).ops())
        assert ops == [delta.Literal(OLD)]


class TestPatchFromFile:

    def test_leaves_the_old_version(self, old, tmp_path):
        delta.patch_from_file(old, tmp_path / 'made', changes())
        assert (tmp_path / 'made').read_bytes() == NEW
        assert old.read_bytes() == OLD
        assert sorted(os.listdir(tmp_path)) == ['made', 'old']

    @pytest.mark.parametrize('kind', [bytes, bytearray, memoryview,
                                      io.BytesIO, Forward])
    def test_takes_what_is_bytes_like_and_streams(self, kind):
        target = io.BytesIO()
        delta.patch_from_file(io.BytesIO(OLD), target, kind(changes().read()))
        assert target.getvalue() == NEW
        delta.patch_from_file(bytearray(OLD), target, changes())
        assert target.getvalue() == 2 * NEW

    def test_of_one_file_with_a_delta(self, old, tmp_path):
        with open(tmp_path / 'changes', 'wb') as stream:
            shutil.copyfileobj(changes(), stream)
        delta.patch_from_file(tmp_path / 'changes', old)
        assert old.read_bytes() == NEW

    def test_zeros_become_a_hole(self, tmp_path):
        zeros = bytes(8 << 20)
        made = delta.gen_sig_from_stream(zeros + b'x' + zeros,
                                         delta.gen_sig_from_stream(b''))
        target = tmp_path / 'made'
        delta.patch_from_file(b'', target, made)
        assert target.read_bytes() == zeros + b'x' + zeros
        assert target.stat().st_blocks * 512 < 1 << 20


class TestPatchFromStream:

    def test_restores_each_level(self, tmp_path):
        versions = [OLD, NEW, b'', NEW * 2, OLD[::-1]]
        known = delta.gen_sig_from_stream(b'')
        target = tmp_path / 'file'
        for version in versions:
            made = delta.gen_sig_from_stream(version, known)
            delta.patch_from_stream(made, target)
            known = made.signature
            assert target.read_bytes() == version
        assert os.listdir(tmp_path) == ['file']

    def test_all_of_a_file_goes_to_any_stream(self):
        target = io.BytesIO()
        nothing = delta.gen_sig_from_stream(b'')
        delta.patch_from_stream(delta.gen_sig_from_stream(NEW, nothing),
                                target)
        assert target.getvalue() == NEW
        with pytest.raises(errors.PatchError, match='has 0 bytes'):
            delta.patch_from_stream(changes(), target)

    def test_keeps_the_mode(self, old):
        old.chmod(0o640)
        delta.patch_from_stream(changes(), old)
        assert stat.S_IMODE(old.stat().st_mode) == 0o640

    def test_another_old_version_is_refused(self, old):
        old.write_bytes(OLD[:-1])
        with pytest.raises(errors.PatchError, match='has 299999 bytes, but '
                           'the delta is for one of 300000') as raised:
            delta.patch_from_stream(changes(), old)
        assert str(old) in str(raised.value)
        old.write_bytes(b'x' + OLD[1:])
        with pytest.raises(errors.PatchError, match='blake3'):
            delta.patch_from_stream(changes(), old)

    @pytest.mark.parametrize('damage', [
        lambda whole: whole[:-1], lambda whole: whole + b'x',
        lambda whole: whole[:100] + b'xx' + whole[102:]])
    def test_what_is_damaged_leaves_the_file_as_it_was(self, old, damage):
        with pytest.raises(errors.DeltaError):
            delta.patch_from_stream(damage(changes().read()), old)
        assert old.read_bytes() == OLD
        assert os.listdir(old.parent) == ['old']

    def test_a_planted_link_is_not_followed(self, old, tmp_path):
        victim = tmp_path / 'victim'
        victim.write_bytes(b'as it was')
        (tmp_path / 'old.part').symlink_to(victim)
        delta.patch_from_stream(changes(), old)
        assert victim.read_bytes() == b'as it was'
        assert old.read_bytes() == NEW


class TestDiffSignatures:

    A, B, C = (RANDOM.randbytes(100) for _ in range(3))

    def diff(self, old, new):
        before = delta.gen_sig_from_stream(old, block_size_bytes=100)
        after = delta.gen_sig_from_stream(new, block_size_bytes=100,
                                          seed=before.seed)
        return [(each.offset, each.length, each.old_offset)
                for each in delta.diff_signatures(before, after)]

    def test_shows_what_is_a_copy_and_what_is_not(self):
        a, b, c = self.A, self.B, self.C
        assert self.diff(a + b + c, a + b + c) == [(0, 300, 0)]
        assert self.diff(a + b + c, a + c + b + a[:7]) == [
            (0, 100, 0), (100, 100, 200), (200, 100, 100), (300, 7, None)]
        assert self.diff(a + b + c[:9], a + b + c) == [
            (0, 200, 0), (200, 100, None)]
        assert self.diff(a + c[:9], a + b + c[:9]) == [
            (0, 100, 0), (100, 100, None), (200, 9, 100)]
        assert self.diff(a + b + c, b'x' + a + b) == [(0, 201, None)]
        assert self.diff(b'', a + b) == [(0, 200, None)]
        assert self.diff(a, b'') == []

    @pytest.mark.parametrize('options', [
        {'block_size_bytes': 100}, {'seed': bytes(16)}])
    def test_wants_the_same_seed_and_block_size(self, options):
        before = delta.gen_sig_from_stream(OLD, seed=b'the seed of all.')
        after = delta.gen_sig_from_stream(
            OLD, **{'seed': before.seed, **options})
        with pytest.raises(errors.InvalidInput, match='same block size'):
            delta.diff_signatures(before, after)
