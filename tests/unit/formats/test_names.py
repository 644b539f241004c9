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

import pytest

from chunked_backup.formats import names


@pytest.mark.parametrize('number, name', [
    (1, 'p-00001'), (99999, 'p-99999'), (100000, 'p-100000')])
def test_data_objects_are_numbered_with_five_digits_and_more(number, name):
    assert names.data_object('p', number) == name


def test_manifest_and_digest_table():
    assert names.manifest('p') == 'p_metadata'
    assert names.digest_table('p') == 'p_sha256file'


@pytest.mark.parametrize('name, prefix', [
    ('p_metadata', 'p'), ('p_metadata_metadata', 'p_metadata'),
    ('_metadata', None), ('p_sha256file', None), ('p-00001', None),
    ('p_metadata2', None)])
def test_the_prefix_of_a_manifest(name, prefix):
    assert names.prefix_of_manifest(name) == prefix


@pytest.mark.parametrize('name', ['p-00001', 'p-123456', 'p_metadata',
                                  'p_sha256file'])
def test_what_belongs_to_a_backup(name):
    assert names.belongs_to('p', name)


@pytest.mark.parametrize('name', [
    'p', 'p-0001', 'p-00001x', 'p-00001\n', 'p2-00001', 'p_metadata2',
    'q-00001', 'p_metadata_metadata', 'p-x0001'])
def test_what_does_not(name):
    assert not names.belongs_to('p', name)


@pytest.mark.parametrize('prefix', [
    'volume_v/20260131120000/az_nova_backup_b',
    'volume_v_20260131120000_backup_b'])
@pytest.mark.parametrize('suffix', ['-00001', '_metadata', '_sha256file'])
def test_the_prefix_of_each_object_of_a_backup(prefix, suffix):
    assert names.prefix_of(prefix + suffix) == prefix


@pytest.mark.parametrize('name', [
    'volume_v_20260131120000_backup_b', 'p-00001', 'p_metadata',
    'volume_v_2026_backup_b-00001', 'volume_v_20260131120000_backup_b-1'])
def test_what_is_of_no_backup_has_no_prefix(name):
    assert names.prefix_of(name) is None
