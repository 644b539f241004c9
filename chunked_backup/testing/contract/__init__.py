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

"""The promises of a driver, each as a check that runs against any store.

In the tests of a driver::

    @pytest.mark.parametrize('promise', contract.PROMISES, ids=str)
    def test_my_driver_keeps_its_promises(promise):
        contract.check(MyDriver(None), promise)

Against a store in use, where nothing may be left behind::

    for verdict in contract.examine(driver):
        print(verdict.promise, verdict.outcome, verdict.reason)

Every check works under a prefix of its own in a container that the driver
gives to backups that ask for none. It deletes what it wrote and lets the
driver discard the container. It never creates a container of another name,
since there is no way to delete one.
"""

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from chunked_backup.testing.contract import backups
from chunked_backup.testing.contract import committing
from chunked_backup.testing.contract import containers
from chunked_backup.testing.contract import names
from chunked_backup.testing.contract import reading
from chunked_backup.testing.contract import removing
from chunked_backup.testing.contract import threads
from chunked_backup.testing.contract import writing
from chunked_backup.testing.contract.promise import BrokenPromise
from chunked_backup.testing.contract.promise import NotPromised
from chunked_backup.testing.contract.promise import Promise
from chunked_backup.testing.contract.scratch import Scratch
from chunked_backup.testing.contract.scratch import new_backup

__all__ = ('BrokenPromise', 'Outcome', 'PROMISES', 'Promise', 'Scratch',
           'Verdict', 'check', 'examine', 'new_backup')

#: All promises, subject by subject.
PROMISES: list[Promise] = [
    each for subject in (containers, writing, reading, committing, removing,
                         names, backups, threads)
    for each in vars(subject).values() if isinstance(each, Promise)]


class Outcome(enum.StrEnum):
    """What a check has found."""

    KEPT = 'kept'
    BROKEN = 'broken'
    NOT_PROMISED = 'not promised'


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one promise; ``reason`` says more unless it was kept."""

    promise: Promise
    outcome: Outcome
    reason: str = ''


def check(driver: Any, promise: Promise,
          container: str | None = None) -> Outcome:
    """Check one promise, and leave nothing behind.

    :param container: see ``Scratch``.
    :raises BrokenPromise: the driver does not keep it.
    """
    try:
        scratch = Scratch(driver, container)
        driver.put_container(scratch.container)
        try:
            promise.run(scratch)
        finally:
            scratch.clean()
    except NotPromised:
        return Outcome.NOT_PROMISED
    except BrokenPromise:
        raise
    except Exception as exc:
        raise BrokenPromise(f'{promise.statement} But it raised '
                            f'{type(exc).__name__}: {exc}') from exc
    return Outcome.KEPT


def examine(driver: Any, container: str | None = None) -> Iterator[Verdict]:
    """Check all promises, one after the other, and leave nothing behind."""
    for promise in PROMISES:
        try:
            yield Verdict(promise, check(driver, promise, container))
        except BrokenPromise as exc:
            yield Verdict(promise, Outcome.BROKEN, str(exc))
