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

"""The notifications of a backup's progress."""

import json
import time

from tests.cinder import images
from tests.cinder.cloud import BLOCK

_INTERVAL_S = 1


def progress(service, backup_id):
    """The payloads of the notifications of a backup's progress so far."""
    return [message['payload'] for message in service.notifications()
            if message['event_type'] == 'backup.createprogress'
            and message['payload']['backup_id'] == backup_id]


def test_the_percentage_rises_to_100(ours):
    ours.notifications()
    with ours.configured(backup_object_number_per_notification=1):
        backup_id = ours.back_up(
            ours.volume(images.first(), 'file-like', delay_s=0.2))

    percents = [payload['backup_percent']
                for payload in progress(ours, backup_id)]
    assert percents == sorted(percents)
    assert percents[0] >= 0
    assert any(0 < percent < 100 for percent in percents)
    assert percents[-1] == 100
    assert percents.count(100) == 1


def test_it_is_told_every_so_many_seconds(ours):
    ours.notifications()
    with ours.configured(backup_timer_interval=_INTERVAL_S,
                         backup_object_number_per_notification=1000):
        backup_id = ours.back_up(
            ours.volume(images.first(), 'file-like', delay_s=0.3))

    assert any(0 < payload['backup_percent'] < 100
               for payload in progress(ours, backup_id))


def test_the_size_of_a_notification_does_not_grow_with_objects(threads):
    threads.notifications()
    few = threads.back_up(threads.volume(images.first()))
    with threads.configured(backup_file_size=BLOCK):
        many = threads.back_up(threads.volume(images.first()))
    assert threads.cloud.backup(many)['object_count'] > 50
    payloads = {few: [], many: []}
    for message in threads.notifications():
        if message['event_type'] == 'backup.createprogress':
            payloads[message['payload']['backup_id']].append(
                len(json.dumps(message['payload'])))

    assert max(payloads[many]) < max(payloads[few]) + 50


def test_cinder_s_own_notifications_surround_those_of_progress(ours):
    ours.notifications()
    backup_id = ours.back_up(ours.volume(images.first()))

    events = [message['event_type'] for message in ours.notifications()
              if message['payload']['backup_id'] == backup_id]
    assert events[0] == 'backup.create.start'
    assert events[-2:] == ['backup.createprogress', 'backup.create.end']


def test_nothing_is_told_of_a_backup_that_has_failed(ours):
    with ours.configured(backup_timer_interval=_INTERVAL_S):
        backup_id, done = ours.try_to_back_up(ours.volume(
            images.first(), 'file-like', fails_at=1_000_000))
        assert done['error'] is not None
        told = progress(ours, backup_id)
        time.sleep(2 * _INTERVAL_S)

        assert progress(ours, backup_id) == []
    assert all(payload['backup_percent'] < 100 for payload in told)
