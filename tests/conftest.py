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

"""What every test may use."""

import os

import hypothesis
import pytest
from oslo_config import cfg

from chunked_backup import formats
from chunked_backup import opts
from chunked_backup.drivers import posix
from tests import support

pytest_plugins = ['tests.ledger']

# HYPOTHESIS_PROFILE=thorough looks for longer.
hypothesis.settings.register_profile(
    'ci', max_examples=100, deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile(
    'thorough', hypothesis.settings.get_profile('ci'), max_examples=5000)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'ci'))


@pytest.fixture(autouse=True)
def conf():
    """The global configuration with nothing but defaults."""
    conf = cfg.CONF
    conf([], project='chunked_backup', default_config_files=[])
    opts.register(conf)
    conf.register_group(posix.GROUP)
    conf.register_opts(posix.OPTS, group=posix.GROUP)
    yield conf
    conf.reset()
    conf.clear_override('driver', group='chunked_backup')
    for group in ('chunked_backup', 'chunked_backup_posix'):
        for name in conf[group]:
            conf.clear_override(name, group=group)


@pytest.fixture(params=formats.VERSIONS)
def each_format(request, conf):
    """Has a test run once with each format for new chains."""
    support.override(format_version=request.param)
    return request.param


@pytest.fixture
def posix_driver(tmp_path, conf):
    """A driver over an empty repository, with small chunks and blocks."""
    return support.posix_driver(tmp_path / 'repository')


@pytest.fixture
def memory_driver():
    """The reference driver, with small chunks and blocks."""
    return support.memory_driver()
