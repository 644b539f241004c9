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

"""A store that fails while a tree is backed up."""

import hashlib

import blake3
import pytest

from chunked_backup import errors
from chunked_backup.formats import tree_v1
from chunked_backup.formats.tree_v1.index import ZEROS
from chunked_backup.model import Segment
from chunked_backup.trees.target import TreeTarget
from tests import support
from tests.trees import compare
from tests.trees import mutations
from tests.trees.test_engines import Repository
from tests.unit import harness


@pytest.mark.parametrize('engine', ['rsync', 'tar'])
@pytest.mark.parametrize('error', [
    errors.DriverError, errors.AccessDenied, errors.OutOfSpace])
def test_a_store_that_fails_at_any_call(tmp_path, engine, error):
    """The backup fails and leaves nothing; the one before it is as it was."""
    class Failing(harness.FailingDriver):
        pass

    Failing.error = error
    driver = Failing(None, support.CHUNK, support.BLOCK)
    repository = Repository(tmp_path, engine, 'serial', driver)
    source = tmp_path / 'source'
    mutations.build(source)
    backup = repository.back_up(source)
    kept = dict(driver.stores[backup.container])
    driver.calls = 0
    repository.service.delete(repository.back_up(source))
    calls = driver.calls
    assert calls > 10
    for driver.fail_at in range(calls):
        driver.calls = 0
        failed = False
        try:
            made = repository.back_up(source)
        except error:
            failed = True
        driver.fail_at = None
        if not failed:  # it was the deletion that was made to fail
            repository.service.delete(made)
        left = driver.stores[backup.container]
        assert left.keys() == kept.keys(), driver.fail_at
    assert repository.service.verify(backup).damaged == 0


def with_index(repository, backup, change):
    """Have somebody who may write records put another index in the place of
    a backup's own.

    :param change: gives a record in the place of each.
    """
    service = repository.service
    records = [change(record) for record in service.records(backup)]
    index = b''.join([*(tree_v1.index.pack(*record) for record in records),
                      tree_v1.index.pack_end(len(records))])
    objects = service.driver.stores[backup.container]
    name = tree_v1.names.manifest(backup.prefix)
    manifest = tree_v1.manifest.parse(objects[name], backup.id)
    manifest.streams['index'] = [Segment(len(index), len(index), 'none',
                                         blake3.blake3(index).digest())]
    objects[tree_v1.names.segment(backup.prefix, 'index')(1)] = index
    objects[name] = tree_v1.manifest.serialize(manifest)
    backup.manifest_sha256 = hashlib.sha256(objects[name]).hexdigest()
    service.catalogue.save(backup)


@pytest.mark.timeout(60)
@pytest.mark.parametrize('extents', [
    [(ZEROS, 0, 1 << 62)], [(ZEROS, 0, (1 << 64) - 1)],
    [(ZEROS, 0, 1 << 63), (0, 0, 1)],
    [(0, 0, 1000)] * 60 + [(ZEROS, 0, 1 << 50)]])
def test_a_file_of_more_bytes_than_it_has_is_left_out(tmp_path, extents):
    """At once, not when all of them were hashed; the others are there."""
    repository = Repository(tmp_path, 'rsync', 'serial')
    source = tmp_path / 'source'
    mutations.build(source)
    backup = repository.back_up(source)

    def change(record):
        if record.entry.path != b'text':
            return record
        packed = tree_v1.index.Extents()
        for extent in extents:
            packed.add(*extent)
        return record._replace(content=record.content._replace(
            extents=packed.pack()))

    with_index(repository, backup, change)
    target = tmp_path / 'target'
    totals = repository.service.restore(
        backup, lambda report: TreeTarget(target, report))
    assert totals.damaged == 1
    assert [path for path, _ in repository.problems] == [b'text']
    assert repository.service.verify(backup).damaged == 1
    assert compare.differences(source, target)[-1] == "b'text': missing"
