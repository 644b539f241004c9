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


"""Damaged repositories: no restore succeeds with wrong bytes."""

import io

import pytest

from chunked_backup import errors
from tests.corruption import chains
from tests.corruption import test_damage as damage
from tests.corruption.chains import never_wrong

#: Of 10,000 flipped bits in both formats and all codecs together.
SHARES = {'data': 750, 'digest table': 200, 'manifest': 200, 'record': 100}


@pytest.fixture(params=chains.FORMATS, ids='-'.join)
def chain(request, conf):
    version, codec = request.param
    return chains.make(codec, version=version)


@pytest.mark.parametrize('kind', chains.KINDS)
def test_flipped_bits(chain, kind, ledger, scale):
    counted = ledger('bit flips')
    for name, data in damage.flips(chain, kind, SHARES[kind] * scale(1, 10)):
        counted.point()
        service = chain.with_changes({name: data})
        try:
            verified, _ = never_wrong(chain, service, chain.level_of(name))
        except AssertionError as exc:
            counted.silent.append(f'{name}: {exc}')
            continue
        detected = isinstance(verified, errors.ChunkedBackupError)
        if kind == 'data' and not detected and not chains.still_decodes(
                chain, name, data):
            counted.silent.append(f'{name}: not detected')
        if kind in ('manifest', 'digest table') and not detected:
            counted.silent.append(f'{name}: not detected')


def changes(chain, name):
    """What may become of a data object, with the word for it."""
    data = chain.objects[name]
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        yield 'truncated', {name: data[:cut]}
    for junk in (b'\0', b'x' * 600, data):
        yield 'extended', {name: data + junk}
    for other in chain.names('data'):
        if chain.objects[other] != data:
            yield 'swapped', {name: chain.objects[other], other: data}
            yield 'stale', {name: chain.objects[other]}
    yield 'missing', {name: None}


def test_every_object_truncated_extended_swapped_stale_or_missing(chain,
                                                                  ledger):
    counted = ledger('objects')
    for name in chain.names('data'):
        level = chain.level_of(name)
        offset, length, _ = chains.objects_of(chain, level)[name]
        for what, change in changes(chain, name):
            counted.point()
            service = chain.with_changes(change)
            verified, _ = never_wrong(chain, service, level)
            if not isinstance(verified, errors.CorruptObject):
                counted.silent.append(f'{name} {what}: {verified!r}')
                continue
            for part in (verified.backup_id, verified.object_name,
                         str(verified.offset)):
                assert part in str(verified)
            assert verified.object_name in change
            check_salvage(chain, service, level, counted, what)


def check_salvage(chain, service, level, counted, what):
    """It brings back all but what it lists."""
    backup = service.find(chain.ids[level])
    backup.status = 'restoring'
    target = io.BytesIO(b'\xa5' * chains.VOLUME_BYTES)
    summary = service.driver.restore(backup, 'target', target, False,
                                     salvage=True)
    expected = bytearray(chain.states[level])
    for bad in summary.bad_ranges:
        expected[bad.offset:bad.offset + bad.length] = bytes(bad.length)
    if target.getvalue() != expected:
        counted.silent.append(f'salvage of {what}')


def test_an_extra_object_changes_nothing(chain, ledger):
    counted = ledger('objects')
    for name in chain.names('data'):
        for extra in (f'{name}x', name[:-5] + '99999', 'x' + name,
                      name[:-6] + '-00000'):
            counted.point()
            service = chain.with_changes({extra: b'extra'})
            for level in range(3):
                verified, restored = never_wrong(chain, service, level)
                if isinstance(verified, Exception):
                    counted.silent.append(f'{extra} is in the way')
