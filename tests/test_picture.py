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

"""The pictures are those that the code and the documents would give."""

import pathlib
import subprocess
import sys

import pytest

from tests import test_layering as rule

ROOT = pathlib.Path(__file__).parents[1]
#: What each shows, and so has as a text.
PICTURES = {'draw-architecture': ('layers.svg', rule.MAY_IMPORT),
            'draw-benchmarks': ('peers.svg', ('full-zlib', 'distant, full'))}


@pytest.mark.parametrize('tool', PICTURES)
def test_a_picture_is_up_to_date(tool):
    drawn = subprocess.run(
        [sys.executable, ROOT / 'tools' / tool], text=True,
        capture_output=True, check=True).stdout
    file, shown = PICTURES[tool]

    assert (ROOT / 'doc' / 'source' / file).read_text() == drawn, (
        f'run tools/{tool} > doc/source/{file}')
    for text in shown:
        assert f'>{text}</text>' in drawn
