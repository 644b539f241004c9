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

import dataclasses
import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.hosts.standalone.record import Backup, InvalidRecord
from chunked_backup.hosts.standalone.tree_record import TreeBackup
from chunked_backup.model import BackupRecord

TEXT = st.text(st.characters(exclude_categories=['Cs']), max_size=20)
NUMBER = st.none() | st.integers(0)
SOUND = json.loads(Backup('an id', 'a volume').to_json())


@given(st.builds(
    Backup, id=TEXT, volume_id=TEXT, parent_id=st.none() | TEXT,
    display_name=st.none() | TEXT, display_description=st.none() | TEXT,
    service_metadata=st.none() | TEXT, source=st.none() | TEXT,
    object_count=NUMBER, volume_bytes=NUMBER, fail_reason=st.none() | TEXT))
def test_a_record_comes_back_from_its_json(backup):
    assert Backup.from_json(backup.to_json()) == backup


@pytest.mark.parametrize('text', [
    b'', b'{', b'[]', b'null', b'"text"', b'\xff', b'{}', b'[' * 100000,
    b'{"version": NaN'], ids=lambda text: text[:20].hex())
def test_what_is_no_record_is_refused(text):
    with pytest.raises(InvalidRecord):
        Backup.from_json(text)


@pytest.mark.parametrize('key, value', [
    ('version', 2), ('version', None), ('version', ...), ('id', 5),
    ('id', None), ('id', ...), ('volume_id', []), ('volume_id', ...),
    ('parent_id', {}), ('status', None), ('object_count', True),
    ('object_count', '5'), ('object_count', 1.5), ('display_name', 5)])
def test_a_record_that_lacks_or_confuses_something_is_refused(key, value):
    values = {**SOUND, key: value}
    if value is ...:
        del values[key]
    with pytest.raises(InvalidRecord):
        Backup.from_json(json.dumps(values).encode())


@pytest.mark.parametrize('text, created', [
    ('2026-01-31 12:00:00.5+00:00', '2026-01-31 12:00:00.500000+00:00'),
    ('2026-01-31T14:00:00+02:00', '2026-01-31 12:00:00+00:00'),
    ('2026-01-31 12:00:00', '2026-01-31 12:00:00+00:00'),
    ('', 'None'), ('yesterday', 'None'), ('0001-01-01 00:00+14:00', 'None')])
def test_when_its_making_began(text, created):
    time = Backup('an id', volume_id='a volume', created_at=text).created
    assert str(time and time.astimezone(datetime.UTC)) == created


def test_what_later_releases_add_is_left_out():
    values = {**SOUND, 'added_later': 1}
    assert Backup.from_json(json.dumps(values).encode()) == Backup(
        'an id', 'a volume')


def test_what_earlier_releases_did_not_have_may_be_missing():
    values = {key: value for key, value in SOUND.items()
              if key in ('version', 'id', 'volume_id', 'status',
                         'created_at')}
    assert Backup.from_json(json.dumps(values).encode()) == Backup(
        'an id', 'a volume')


@pytest.mark.parametrize('created_at', [
    '', 'today', '2026-01-02 03:04:05', '2026-01-02T03:04:60+00:00'])
def test_a_tree_of_no_known_time_is_refused(created_at):
    record = TreeBackup('an id', name='home', created_at=created_at)
    with pytest.raises(InvalidRecord, match='created_at'):
        TreeBackup.from_json(record.to_json())


def test_items_are_attributes():
    backup = Backup('an id', 'a volume', parent_id='p')
    assert backup['parent_id'] == 'p' and backup.is_incremental
    assert not Backup('an id', 'a volume').is_incremental
    with pytest.raises(AttributeError):
        backup['no such field']


def test_the_same_in_the_words_of_the_core():
    backup = Backup('i', 'v', 'n', 'd', 'pre', parent_id='p',
                    status='available', created_at='c', container='con',
                    manifest_sha256='m', digest_table_sha256='t')
    record = backup.to_record()
    assert record == BackupRecord('i', 'v', 'p', 'con', 'pre', 'n', 'd', 'c',
                                  'available', 'm', 't')
    assert all(dataclasses.astuple(record))
