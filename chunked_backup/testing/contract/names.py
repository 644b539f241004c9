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

"""Promises about names, and about listings of them."""

import concurrent.futures
import contextlib

from chunked_backup import errors
from chunked_backup.testing.contract.expect import require
from chunked_backup.testing.contract.expect import require_equal
from chunked_backup.testing.contract.expect import require_raises
from chunked_backup.testing.contract.promise import promise
from chunked_backup.testing.contract.scratch import THREADS
from chunked_backup.testing.contract.scratch import Scratch


MANY = 1100  # S3 lists 1,000 names at a time; a whole number of tens


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
        require_equal(
            scratch.names(prefix),
            [name for name in names if name.startswith(prefix)],
            f'the names that begin with ...{ending}')


@promise
def a_listing_of_many_is_complete(scratch: Scratch) -> None:
    """A listing of more objects than a store gives at a time has them all."""
    names = [scratch.name(f'-{number:05d}') for number in range(MANY)]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda name: scratch.write(name, b'.'), names))
    require_equal(scratch.names(), names, f'of {MANY} objects')
    require_equal(scratch.names(names[-1][:-1]), names[-10:],
                  'of the last ten')


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
    require_equal(scratch.names(), names, 'the listing')
    for name in names:
        require_equal(scratch.read(name), name.encode(), f'object {name!r}')
        scratch.delete(name)
        require(name not in scratch.names(), f'{name!r} is not deleted')


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
        require_equal(scratch.read(canary), b'canary',
                      f'after use of {name!r}, another object')
    require_equal(scratch.names(), [canary], 'the listing at the end')


def _check_unsafe_name(scratch: Scratch, name: str) -> None:
    refused = (errors.InvalidName, errors.DriverError)
    with contextlib.suppress(*refused):
        require(scratch.read(name) != b'canary',
                f'{name!r} leads to another object')
    try:
        scratch.write(name, b'unsafe')
    except refused:
        return
    try:
        require(name, 'the empty name was taken')
        require(name in scratch.names(name), f'{name!r} is not listed')
        require_equal(scratch.read(name), b'unsafe', f'object {name!r}')
    finally:
        scratch.delete(name)
    require_raises(errors.ObjectNotFound, scratch.read, name)
