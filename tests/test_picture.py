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

"""The picture of the architecture is the one that the code would give."""

import pathlib
import subprocess
import sys

from tests import test_layering as rule

ROOT = pathlib.Path(__file__).parents[1]


def test_the_picture_is_up_to_date():
    drawn = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'draw-architecture'], text=True,
        capture_output=True, check=True).stdout

    assert (ROOT / 'doc' / 'source' / 'layers.svg').read_text() == drawn, (
        'run tools/draw-architecture > doc/source/layers.svg')
    for part in rule.MAY_IMPORT:
        assert f'>{part}</text>' in drawn
