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

"""Figures for Prometheus, in a file that its node_exporter collects.

The file is written when an operation ends, under another name first, and then
renamed, as the collector of text files wants it. Counters go on from what is
in the file, so one file serves all processes of a machine: the command, which
lives for one operation, and Cinder's backup service.

prometheus_client is not used: its counters begin anew in each process, or
need a directory of files for each that has ever run.
"""

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

from oslo_log import log as logging

from chunked_backup import errors
from chunked_backup.flow.tally import Tally

LOG = logging.getLogger(__name__)

COUNTER, GAUGE = 'counter', 'gauge'

#: Name, without what all begin with -> kind and meaning.
FAMILIES = {
    'operations_total': (COUNTER, 'Operations that have ended, by outcome.'),
    'errors_total': (COUNTER, 'Operations that have failed, by error.'),
    'done_bytes_total': (COUNTER, 'Bytes of volumes and files gone through.'),
    'store_written_bytes_total': (
        COUNTER, 'Bytes sent to the store, tries that failed included.'),
    'store_read_bytes_total': (
        COUNTER, 'Bytes received from the store, tries that failed included.'),
    'store_retries_total': (
        COUNTER, 'Requests to the store that were made once more.'),
    'stage_seconds_total': (COUNTER, 'Seconds spent, by stage.'),
    'last_duration_seconds': (GAUGE, 'How long the last success took.'),
    'last_success_timestamp_seconds': (GAUGE, 'When it last succeeded.'),
    'last_failure_timestamp_seconds': (GAUGE, 'When it last failed.'),
}
PREFIX = 'chunked_backup_'

_SAMPLE = re.compile(rf'({PREFIX}(\w+){{.*}}) (\S+)')


@contextlib.contextmanager
def recorded(driver: Any, operation: str,
             name: str | None = None) -> Iterator[None]:
    """Count what is done within, and tell of it when it has ended.

    :param driver: its ``tally`` begins anew, and is what is told of.
    :param operation: such as ``volume_backup``.
    :param name: of the volume or tree; None where there may be any number.
    """
    tally = driver.tally = Tally()
    error: BaseException | None = None
    try:
        yield
    except BaseException as exc:
        error = exc
        raise
    finally:
        tally.enter('end')
        path = driver.conf.chunked_backup.metrics_file
        if path:
            _tell(path, operation, name, tally, error)


def _tell(path: str, operation: str, name: str | None, tally: Tally,
          error: BaseException | None) -> None:
    """Add an operation to the file; one that cannot be written is no reason
    for a backup to fail."""
    try:
        with _locked(path):
            samples = _read(path)
            for sample, value in _samples(operation, name, tally, error):
                if _kind(sample) == COUNTER:
                    value += samples.get(sample, 0.0)
                samples[sample] = value
            _write(path, samples)
    except OSError as exc:
        LOG.warning('The metrics cannot be written to %s: %s', path, exc)


def _samples(operation: str, name: str | None, tally: Tally,
             error: BaseException | None) -> Iterator[tuple[str, float]]:
    labels = {'operation': operation}
    if name is not None:
        labels['name'] = name
    yield _sample('operations_total', labels, outcome=_outcome(error)), 1.0
    if _outcome(error) == 'failure':
        yield _sample('errors_total', labels, error=type(error).__name__), 1.0
    yield _sample('done_bytes_total', labels), tally.done_bytes
    yield _sample('store_written_bytes_total', labels), tally.written_bytes
    yield _sample('store_read_bytes_total', labels), tally.read_bytes
    yield _sample('store_retries_total', labels), tally.retries
    for stage, seconds in tally.stages.items():
        yield _sample('stage_seconds_total', labels, stage=stage), seconds
    if error is None:
        yield _sample('last_duration_seconds', labels), tally.elapsed_s
        yield _sample('last_success_timestamp_seconds', labels), time.time()
    elif _outcome(error) == 'failure':
        yield _sample('last_failure_timestamp_seconds', labels), time.time()


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return 'success'
    if isinstance(error, errors.Cancelled | KeyboardInterrupt):
        return 'cancelled'
    return 'failure'


def _sample(family: str, labels: dict[str, str], **more: str) -> str:
    """A sample's name and labels, in the one spelling that it has here."""
    text = ','.join(f'{key}="{_escaped(value)}"'
                    for key, value in sorted({**labels, **more}.items()))
    return f'{PREFIX}{family}{{{text}}}'


def _escaped(value: str) -> str:
    value = value.encode(errors='replace').decode()  # a name may be no text
    return value.replace('\\', r'\\').replace('"', r'\"').replace('\n', r'\n')


def _family(sample: str) -> str:
    return sample.partition('{')[0].removeprefix(PREFIX)


def _kind(sample: str) -> str:
    return FAMILIES[_family(sample)][0]


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Alone of all processes of this machine."""
    directory, name = os.path.split(os.path.abspath(path))
    descriptor = os.open(os.path.join(directory, f'.{name}.lock'),
                         os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: str) -> dict[str, float]:
    """Sample -> value of a file of ours; what is no sample is left out."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    samples = {}
    for line in lines:
        found = _SAMPLE.fullmatch(line)
        if found and found[2] in FAMILIES:
            with contextlib.suppress(ValueError):  # somebody else's number
                samples[found[1]] = float(found[3])
    return samples


def _write(path: str, samples: dict[str, float]) -> None:
    """Replace the file; whoever collects sees the old one or the new one."""
    temporary = f'{path}.{secrets.token_hex(4)}'  # it wants the suffix .prom
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                         | os.O_CLOEXEC, 0o644)
    try:
        with open(descriptor, 'w', encoding='utf-8') as file:
            for family, (kind, meaning) in FAMILIES.items():
                file.write(f'# HELP {PREFIX}{family} {meaning}\n'
                           f'# TYPE {PREFIX}{family} {kind}\n')
                file.writelines(
                    f'{sample} {value!r}\n'
                    for sample, value in sorted(samples.items())
                    if _family(sample) == family)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
