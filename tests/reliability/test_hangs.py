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


"""Stores that stop to answer: the job ends."""

import threading

import pytest

from chunked_backup import errors
from chunked_backup.flow import executors
from tests import support
from tests.reliability import faults
from tests.reliability import stories


@pytest.fixture
def story(tmp_path, conf):
    support.override(retry_wait_s=0.0)
    return stories.tell('volume', 'memory', tmp_path)


@pytest.mark.parametrize('name', ['backup', 'restore'])
@pytest.mark.parametrize('part', range(2))
def test_a_store_that_hangs_at_any_call(story, name, part, ledger, scale,
                                        monkeypatch):
    counted = ledger('hangs')
    monkeypatch.setattr(executors, 'SHUTDOWN_GRACE_S', 0.1)
    monkeypatch.setattr('chunked_backup.flow.monitor.POLL_INTERVAL_S', 0.05)
    monkeypatch.setattr('chunked_backup.jobs.clean_up._STALL_S', 0.3)
    support.override(stall_timeout_s=1)
    release = threading.Event()
    main = threading.current_thread()

    def hang():
        if threading.current_thread() is not main:
            release.wait(30)

    number = part * 3
    while number < scale(18, 80):
        made = faults.Faults('slow', number, act=hang)
        service = story.service(made)
        error = None
        try:
            if name == 'backup':
                service.backup(str(story.volume))
            else:
                support.restored(service, service.find(story.child))
        except errors.ChunkedBackupError as exc:
            error = exc
        counted.point()
        if error is not None and not isinstance(error, errors.Stalled):
            counted.silent.append(f'{name}, call {number}: {error!r}')
        counted.silent += [f'{name}, call {number}: {problem}'
                           for problem in story.problems(changed=True)]
        number += 6
    release.set()
