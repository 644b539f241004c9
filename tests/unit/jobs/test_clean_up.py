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

import threading

import pytest

from chunked_backup import errors
from chunked_backup.jobs import clean_up
from chunked_backup.jobs.clean_up import clean_up as tidy_up


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    for name, seconds in (('_STALL_S', 1.5), ('_CANCELLED_STALL_S', 0.5),
                          ('_CANCELLED_LATE_S', 0.3), ('_PROMPT_S', 0.2)):
        monkeypatch.setattr(clean_up, name, seconds)
    monkeypatch.setattr('chunked_backup.flow.executors._POLL_S', 0.01)


def answering(pauses):
    """Waits so long for each answer, in seconds; counts them."""
    never = threading.Event()

    def work(answered):
        for pause in pauses:
            never.wait(pause)
            answered()
            work.count += 1

    work.count = 0
    return work


@pytest.mark.parametrize('cause, pauses', [
    (KeyboardInterrupt(), [30]), (errors.Cancelled(), [30]),
    (errors.Cancelled(), [0.3] * 100), (ValueError(), [0, 0, 30])])
def test_a_store_that_does_not_answer_is_left(cause, pauses):
    work = answering(pauses)
    with pytest.raises(errors.TransientDriverError, match='of a backup'):
        tidy_up('threads', 'of a backup', cause, work)
    assert work.count < len(pauses)


@pytest.mark.parametrize('cause, pauses', [
    (errors.Cancelled(), [0.005] * 60), (ValueError(), [0.2] * 5)])
def test_a_store_that_answers_is_waited_for(cause, pauses):
    work = answering(pauses)
    tidy_up('threads', 'of a backup', cause, work)
    assert work.count == len(pauses)


def test_an_error_of_the_store_goes_on():
    def fail(answered):
        raise errors.OutOfSpace(container='c', object_name='o', reason='full')

    with pytest.raises(errors.OutOfSpace):
        tidy_up('threads', 'c', ValueError(), fail)
