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

"""One cloud for all tests here, and its services, started when first used.

The tests share it: the stock driver and ours run at the same time, on one
database and one repository, and every test makes volumes of its own. What
restarts or breaks a service makes a cloud of its own, with ``new_cloud``.
"""

import contextlib
from importlib import metadata

import pytest

from tests.cinder import cloud as clouds
from tests.cinder import databases
from tests.cinder import tables

_TABLE = pytest.StashKey()


def pytest_ignore_collect(config):
    """Leave the tests here to the environment that has Cinder; it runs them
    in one process."""
    return True if hasattr(config, 'workerinput') else None


def pytest_configure(config):
    config.addinivalue_line(
        'markers', 'exchange(direction): counted in the table at the end')
    config.stash[_TABLE] = tables.Table()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Count a test that has ended, or whose fixtures have failed."""
    report = yield
    marker = item.get_closest_marker('exchange')
    if marker and (report.when == 'call' or not report.passed):
        driver, mode = item.callspec.params.get('exchange') or (
            'posix', item.callspec.params['mode'])
        item.config.stash[_TABLE].count(driver, mode, *marker.args,
                                        report.passed)
    return report


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash[_TABLE].lines()
    if lines:
        terminalreporter.section('exchanged with the drivers of Cinder '
                                 + metadata.version('cinder'))
        terminalreporter.write_line('\n'.join(lines))


@pytest.fixture(scope='session')
def database(tmp_path_factory):
    """An empty database of Cinder, to copy."""
    return databases.Sqlite(
        tmp_path_factory.mktemp('database') / 'cinder.sqlite').make()


@pytest.fixture
def new_cloud(tmp_path, database):
    """Makes clouds for this test alone, each in a directory by name."""
    with contextlib.ExitStack() as stack:
        def make(name='cloud'):
            return stack.enter_context(_cloud(tmp_path / name, database))

        yield make


@pytest.fixture(scope='session')
def cloud(tmp_path_factory, database):
    """The cloud that the tests share."""
    with _cloud(tmp_path_factory.mktemp('clouds') / 'cloud',
                database) as cloud:
        yield cloud


def _cloud(directory, database):
    directory.mkdir()
    return clouds.Cloud(directory, database.copy(directory / 'cinder.sqlite'))


@pytest.fixture(scope='session')
def services(cloud):
    """Gives the shared service with a driver, in a mode."""
    with contextlib.ExitStack() as stack:
        running = {}

        def service(backup_driver, mode):
            if (backup_driver, mode) not in running:
                running[backup_driver, mode] = stack.enter_context(
                    cloud.service(backup_driver, mode))
            return running[backup_driver, mode]

        yield service


@pytest.fixture(params=clouds.MODES)
def mode(request):
    """How the service runs what it does at the same time."""
    return request.param


@pytest.fixture
def stock(services, mode):
    return services(clouds.STOCK_POSIX, mode)


@pytest.fixture
def ours(services, mode):
    return services(clouds.OUR_POSIX, mode)


@pytest.fixture
def threads(services):
    """Our driver in native threads, where the mode makes no difference."""
    return services(clouds.OUR_POSIX, clouds.MODES[-1])


@pytest.fixture
def stock_threads(services):
    return services(clouds.STOCK_POSIX, clouds.MODES[-1])
