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

from chunked_backup import errors
from chunked_backup.jobs.faults import Faults
from chunked_backup.model import BadRange

ERROR = errors.IncompleteChain(backup_id='b', reason='something is missing')


def test_damage_ends_a_restore():
    faults = Faults(salvage=False)
    with pytest.raises(errors.IncompleteChain) as caught:
        faults.add(ERROR, 0, 5)
    assert caught.value is ERROR and faults.ranges() == ()


def test_a_salvage_lists_the_damage_in_volume_order():
    faults = Faults(salvage=True)
    faults.add(ERROR, 20, 25)
    faults.add(ERROR, 3, 4)
    assert faults.ranges() == (BadRange(3, 1, str(ERROR)),
                               BadRange(20, 5, str(ERROR)))
