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


"""The suite that tries to break it; prints what it has tried.

Each test belongs to a class of the table in doc/source/reliability.rst; see
``ledger``.
"""

import logging
import os

import pytest

from chunked_backup.drivers import s3
from chunked_backup.drivers import swift
from tests import support

SECRETS = {'chunked_backup_s3': ('secret_key', 'sse_customer_key'),
           'chunked_backup_swift': ('key',)}

_CANARY = 'canary-4711-secret'


@pytest.fixture(autouse=True)
def _system_calls_are_put_back():
    """What a test has put in place of one harms none of the others."""
    before = dict(vars(os))
    yield
    assert vars(os) == before


class _Scanner(logging.Handler):
    """Looks for secrets in everything that is logged."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.seen = 0
        self.hits = []

    def emit(self, record):
        self.seen += 1
        text = logging.Formatter().format(record)
        if _CANARY in text:
            self.hits.append(text)


@pytest.fixture(autouse=True)
def no_secret_is_logged(conf, ledger):
    """The whole suite runs at DEBUG with secrets that are looked for."""
    for module in (s3, swift):
        conf.register_group(module.GROUP)
        conf.register_opts(module.OPTS, group=module.GROUP)
    for group, names in SECRETS.items():
        support.override(group, **{name: _CANARY for name in names})
    scanner = _Scanner()
    root = logging.getLogger()
    level = root.level
    root.addHandler(scanner)
    root.setLevel(logging.DEBUG)
    counted = ledger('secrets in logs')
    yield
    root.removeHandler(scanner)
    root.setLevel(level)
    for group, names in SECRETS.items():
        for name in names:
            conf.clear_override(name, group=group)
    counted.point(1 + scanner.seen)
    counted.silent += scanner.hits
