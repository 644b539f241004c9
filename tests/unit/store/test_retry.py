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

import pytest

from chunked_backup import errors
from chunked_backup.store.retry import RetryPolicy


def transient():
    return errors.TransientDriverError(container='c', object_name='o',
                                       reason='busy')


class Failing:
    """Fails so many times, then answers."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return 'an answer'


def test_a_success_is_not_repeated():
    function, waits = Failing(), []
    assert RetryPolicy(4, 1, waits.append).call(function) == 'an answer'
    assert function.calls == 1 and not waits


def test_a_store_that_fails_for_now_is_asked_again():
    function, waits = Failing(transient(), transient()), []
    assert RetryPolicy(4, 1, waits.append).call(function) == 'an answer'
    assert function.calls == 3
    assert len(waits) == 2 and 0 <= waits[0] <= 1 and 0 <= waits[1] <= 2


@pytest.mark.parametrize('failures, attempts, retries', [
    (0, 4, 0), (1, 4, 1), (3, 4, 3), (9, 4, 3), (9, 1, 0)])
def test_each_request_that_is_made_once_more_is_told(failures, attempts,
                                                     retries):
    told = []
    function = Failing(*(transient() for _ in range(failures)))
    policy = RetryPolicy(attempts, 0, lambda wait_s: None,
                         lambda: told.append(1))
    with contextlib.suppress(errors.TransientDriverError):
        policy.call(function)
    assert len(told) == retries == function.calls - 1


def test_the_last_error_is_raised_after_all_attempts():
    last = transient()
    function = Failing(transient(), transient(), last)
    with pytest.raises(errors.TransientDriverError) as caught:
        RetryPolicy(3, 0, lambda wait_s: None).call(function)
    assert caught.value is last and function.calls == 3


@pytest.mark.parametrize('error', [
    errors.ObjectNotFound(container='c', object_name='o'),
    errors.OutOfSpace(container='c', object_name='o', reason='full'),
    ValueError('a defect')])
def test_no_other_error_is_worth_a_second_try(error):
    function = Failing(error)
    with pytest.raises(type(error)):
        RetryPolicy(3, 0, lambda wait_s: None).call(function)
    assert function.calls == 1


def test_no_wait_is_longer_than_a_minute():
    waits = []
    with pytest.raises(errors.TransientDriverError):
        RetryPolicy(40, 1, waits.append).call(
            Failing(*[transient() for _ in range(40)]))
    assert len(waits) == 39 and max(waits) <= 60


def test_waiting_may_end_it_all():
    def sleep(wait_s):
        raise errors.Cancelled()

    function = Failing(transient())
    with pytest.raises(errors.Cancelled):
        RetryPolicy(3, 1, sleep).call(function)
    assert function.calls == 1
