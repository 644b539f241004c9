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

"""Plugins by name; the only module that knows stevedore."""

import importlib.util
from typing import Any

import stevedore

from chunked_backup import errors

DRIVERS = 'chunked_backup.drivers'
HOSTS = 'chunked_backup.hosts'
ENGINES = 'chunked_backup.engines'

_KINDS = {DRIVERS: 'driver', HOSTS: 'host', ENGINES: 'engine'}


def load(namespace: str, name: str) -> Any:
    """The class or function that an entry point names.

    :param namespace: ``DRIVERS``, ``HOSTS`` or ``ENGINES``.
    :raises PluginNotFound: nothing is installed under the name.
    :raises PluginNotLoadable: importing it failed, most often for lack of a
        library.
    """
    for entry_point in entry_points(namespace):
        if entry_point.name == name:
            break
    else:
        raise errors.PluginNotFound(
            kind=_KINDS[namespace], name=name,
            installed=', '.join(names(namespace)) or 'none')
    try:
        plugin = entry_point.load()
    except ImportError as exc:
        raise errors.PluginNotLoadable(
            kind=_KINDS[namespace], name=name, reason=exc) from exc
    for module in getattr(plugin, 'required_modules', ()):
        # Looked for, not imported: that costs time only its users should pay.
        if importlib.util.find_spec(module) is None:
            raise errors.PluginNotLoadable(
                kind=_KINDS[namespace], name=name,
                reason=f'there is no module {module}')
    return plugin


def names(namespace: str) -> list[str]:
    """What is installed under a namespace, sorted; nothing is imported."""
    return sorted(entry_point.name for entry_point in entry_points(namespace))


def entry_points(namespace: str) -> list[Any]:
    """The entry points of a namespace, sorted by name, not loaded."""
    manager: stevedore.NamedExtensionManager[Any] = (
        stevedore.NamedExtensionManager(namespace, names=[]))
    return sorted(manager.list_entry_points(),
                  key=lambda entry_point: entry_point.name)
