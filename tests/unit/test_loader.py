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

import importlib.metadata

import pytest

from chunked_backup import errors
from chunked_backup import loader
from chunked_backup.drivers.memory import MemoryBackupDriver
from chunked_backup.hosts.standalone.host import StandaloneHost


def test_plugins_are_found_by_name():
    assert loader.load(loader.DRIVERS, 'memory') is MemoryBackupDriver
    assert loader.load(loader.HOSTS, 'standalone') is StandaloneHost


def test_names_are_sorted():
    names = loader.names(loader.DRIVERS)
    assert names == sorted(names) and {'memory', 'posix'} <= set(names)
    assert [entry_point.name for entry_point
            in loader.entry_points(loader.DRIVERS)] == names


@pytest.mark.parametrize('namespace, kind, known', [
    (loader.DRIVERS, 'driver', 'memory'),
    (loader.HOSTS, 'host', 'standalone'),
    (loader.ENGINES, 'engine', 'rsync')])
def test_an_unknown_name_is_an_error_that_names_the_known(namespace, kind,
                                                          known):
    with pytest.raises(errors.PluginNotFound) as caught:
        loader.load(namespace, 'no-such-plugin')
    assert f'no {kind}' in str(caught.value) and known in str(caught.value)


def test_a_plugin_whose_library_is_missing_says_so(monkeypatch):
    entry_point = importlib.metadata.EntryPoint(
        'broken', 'no_such_library.driver:Driver', loader.DRIVERS)
    monkeypatch.setattr(loader, 'entry_points', lambda _: [entry_point])
    with pytest.raises(errors.PluginNotLoadable, match='no_such_library'):
        loader.load(loader.DRIVERS, 'broken')


def test_a_library_that_is_needed_later_is_looked_for(monkeypatch):
    monkeypatch.setattr(MemoryBackupDriver, 'required_modules',
                        ('json', 'no_such_library'))
    with pytest.raises(errors.PluginNotLoadable, match='no_such_library'):
        loader.load(loader.DRIVERS, 'memory')
