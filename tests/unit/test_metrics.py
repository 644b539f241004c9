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

"""What is told to Prometheus, read back by its own parser."""

import logging
import multiprocessing
import os
import stat
import threading
import types

from prometheus_client import parser
import pytest

from chunked_backup import errors
from chunked_backup import metrics
from chunked_backup.flow.tally import Tally
from tests import support
from tests.unit import harness

VOLUME = os.urandom(5 * support.CHUNK)


@pytest.fixture
def path(tmp_path, conf):
    path = tmp_path / 'backups.prom'
    support.override(metrics_file=str(path))
    return path


@pytest.fixture
def driver(path):
    return harness.attach(harness.FailingDriver(None, support.CHUNK,
                                                support.BLOCK))


def samples(path):
    """(Name without its beginning, labels but the operation) -> value, of one
    operation."""
    found = {}
    for family in parser.text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            labels = dict(sample.labels)
            name = sample.name.removeprefix('chunked_backup_')
            found[labels.pop('operation'), name,
                  *sorted(labels.values())] = sample.value
    return found


def stub(path):
    """As much of a driver as metrics need."""
    conf = types.SimpleNamespace(chunked_backup=types.SimpleNamespace(
        metrics_file=str(path)))
    return types.SimpleNamespace(conf=conf, tally=Tally())


def test_a_backup_and_what_it_has_cost(path, driver):
    support.override(retry_wait_s=0)
    driver.fail_at = 1  # a write, which is made once more
    harness.back_up(driver, 'full', VOLUME)

    told = samples(path)
    of = ('volume_backup', )
    assert told[*of, 'operations_total', 'success', 'volume'] == 1
    assert told[*of, 'done_bytes_total', 'volume'] == len(VOLUME)
    assert told[*of, 'store_retries_total', 'volume'] == 1
    stored = sum(map(len, driver.stores['backups'].values()))
    assert told[*of, 'store_written_bytes_total', 'volume'] >= stored
    for stage in ('prepare', 'store', 'commit'):
        assert told[*of, 'stage_seconds_total', stage, 'volume'] > 0
    assert told[*of, 'last_success_timestamp_seconds', 'volume'] > 1.7e9
    assert told[*of, 'last_duration_seconds', 'volume'] == pytest.approx(
        sum(driver.tally.stages.values()), abs=0.1)
    assert (*of, 'last_failure_timestamp_seconds', 'volume') not in told


def test_a_restore_reads_what_a_backup_has_written(path, driver):
    backup = harness.back_up(driver, 'full', VOLUME)
    assert harness.restore(driver, backup) == VOLUME

    told = samples(path)
    assert told['volume_restore', 'done_bytes_total', 'volume'] == len(VOLUME)
    stored = sum(map(len, driver.stores['backups'].values()))
    assert told['volume_restore', 'store_read_bytes_total',
                'volume'] == stored
    for stage in ('prepare', 'zero', 'fetch', 'flush'):
        assert ('volume_restore', 'stage_seconds_total',
                *sorted([stage, 'volume'])) in told


def test_counters_go_on_and_times_do_not(path, driver):
    backup = harness.back_up(driver, 'full', VOLUME)
    seconds = []
    for number in range(1, 4):
        driver.verify_backup(backup)
        told = samples(path)
        seconds.append(told['volume_verify', 'last_duration_seconds',
                            'volume'])
        assert told['volume_verify', 'operations_total', 'success',
                    'volume'] == number
        assert told['volume_verify', 'done_bytes_total',
                    'volume'] == number * len(VOLUME)
    assert seconds[-1] < sum(seconds)
    assert told['volume_backup', 'operations_total', 'success', 'volume'] == 1


@pytest.mark.parametrize('error, outcome', [
    (errors.OutOfSpace(container='c', object_name='o', reason='full'),
     'failure'),
    (ZeroDivisionError(), 'failure'),
    (errors.BackupCancelled(backup_id='b'), 'cancelled'),
    (KeyboardInterrupt(), 'cancelled')])
def test_what_fails_is_told_and_passes(path, error, outcome):
    with pytest.raises(type(error)):
        with metrics.recorded(stub(path), 'volume_backup'):
            raise error

    told = samples(path)
    assert told['volume_backup', 'operations_total', outcome] == 1
    assert ('volume_backup', 'last_success_timestamp_seconds') not in told
    failed = outcome == 'failure'
    assert (('volume_backup', 'errors_total', type(error).__name__)
            in told) == failed
    assert (('volume_backup', 'last_failure_timestamp_seconds')
            in told) == failed


def record_many(path, count):
    for _ in range(count):
        driver = stub(path)
        with metrics.recorded(driver, 'tree_backup', 'name'):
            driver.tally.wrote(7)


def test_processes_lose_nothing_and_nobody_sees_half_a_file(path):
    processes = multiprocessing.get_context('spawn')
    workers = [processes.Process(target=record_many, args=(path, 25))
               for _ in range(4)]
    for worker in workers:
        worker.start()
    seen = 0
    while any(worker.is_alive() for worker in workers):
        if path.exists():
            told = samples(path)['tree_backup', 'operations_total', 'name',
                                 'success']
            assert told >= seen
            seen = told
    for worker in workers:
        worker.join()

    assert samples(path)['tree_backup', 'operations_total', 'name',
                         'success'] == 100
    assert samples(path)['tree_backup', 'store_written_bytes_total',
                         'name'] == 700
    assert {each.name for each in path.parent.iterdir()} == {
        path.name, f'.{path.name}.lock'}
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


@pytest.mark.parametrize('name', [
    'a "quoted" \\ name', 'two\nlines', 'ümlaut', 'a}b{c', 'x" 1\n'])
def test_any_name_comes_back(path, name):
    for _ in range(2):
        with metrics.recorded(stub(path), 'tree_backup', name):
            pass
    assert samples(path)['tree_backup', 'operations_total',
                         *sorted([name, 'success'])] == 2


def test_a_name_that_is_no_text_harms_nothing(path):
    with metrics.recorded(stub(path), 'tree_backup', os.fsdecode(b'\xff')):
        pass
    assert samples(path)['tree_backup', 'operations_total', '?',
                         'success'] == 1


def test_what_somebody_else_has_written_there_is_left_out(path):
    path.write_text('node_load1 0.5\nchunked_backup_operations_total{x="1"} z'
                    '\nchunked_backup_other{x="1"} 3\n\0\xff\n')
    with metrics.recorded(stub(path), 'tree_backup'):
        pass
    assert 'node_load1' not in path.read_text()
    assert samples(path)['tree_backup', 'operations_total', 'success'] == 1


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    with metrics.recorded(stub(tmp_path / 'none' / 'x.prom'), 'tree_backup'):
        pass
    assert 'x.prom' in caplog.text


def test_threads_of_one_process_lose_nothing(path):
    threads = [threading.Thread(target=record_many, args=(path, 25))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(path)['tree_backup', 'operations_total', 'name',
                         'success'] == 100


def test_without_the_option_no_file_is_made(tmp_path, conf, monkeypatch):
    monkeypatch.chdir(tmp_path)
    driver = harness.memory_driver()
    harness.back_up(driver, 'full', VOLUME)
    assert not list(tmp_path.iterdir())
    assert driver.tally.done_bytes == len(VOLUME)
