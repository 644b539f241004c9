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

import contextlib
import os
import pathlib
import shutil
import tempfile

import pytest

NOBODY = 65534


@contextlib.contextmanager
def _as_nobody():
    if os.geteuid():  # nobody in particular already
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def as_nobody():
    """Run a block without the privileges of root."""
    return _as_nobody


@pytest.fixture
def open_path():
    """A directory that everybody may use; pytest's own is private."""
    path = pathlib.Path(tempfile.mkdtemp())
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def reported():
    """What was reported, as pairs of path and reason."""
    return []


@pytest.fixture
def report(reported):
    return lambda *pair: reported.append(pair)
