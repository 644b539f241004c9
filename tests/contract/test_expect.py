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

"""What the contract asks of a driver once, and what again."""

import pytest

from chunked_backup import errors
from chunked_backup.testing.contract import BrokenPromise
from chunked_backup.testing.contract.expect import require_raises


class _Calls:
    def __init__(self, *results):
        self._results = iter(results)

    def __call__(self):
        result = next(self._results)
        if isinstance(result, Exception):
            raise result
        return result


_BUSY = errors.TransientDriverError(
    reason='busy', container='full', object_name=None)
_MISSING = errors.ContainerNotFound(container='missing', reason='')


def test_a_busy_store_is_asked_again():
    require_raises(errors.ContainerNotFound, _Calls(_BUSY, _BUSY, _MISSING))


@pytest.mark.parametrize('results, found', [
    ([_BUSY] * 4, 'raised TransientDriverError'),
    ([_BUSY, 'a list'], "gave 'a list'"),
    ([ValueError('odd'), _MISSING], 'raised ValueError: odd')])
def test_what_breaks_the_promise(results, found):
    with pytest.raises(BrokenPromise, match=found):
        require_raises(errors.ContainerNotFound, _Calls(*results))
