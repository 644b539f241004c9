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


"""Taking over a backup whose writer was killed.

Two processes that write one backup would harm each other, so it is taken over
only from a writer that is known to be dead, or that has not shown a sign of
life for three times as long as one that is alive lets pass.
"""

from typing import Any

from chunked_backup import errors
from chunked_backup import formats
from chunked_backup.hosts.standalone import writer
from chunked_backup.hosts.standalone.host import SIGN_OF_LIFE_S
from chunked_backup.hosts.standalone.record import Backup
from chunked_backup.jobs import chain as chains
from chunked_backup.jobs.digest_spool import DigestSpool
from chunked_backup.model import BackupRecord
from chunked_backup.model import Status
from chunked_backup.store.object_store import ObjectStore
from chunked_backup.store.place import container_of

SILENCE_S = 3 * SIGN_OF_LIFE_S


def take_over(driver: Any, backup: Backup) -> Backup:
    """Become the writer of a backup.

    :returns: its record as it is now.
    :raises BackupNotResumable: it is not unfinished, or its writer may be
        alive.
    """
    _require_unfinished(backup)
    _require_dead(driver, backup)
    # A collection of garbage marks the record first and then looks for this
    # sign; the other way round, at least one of the two sees the other.
    driver.host.show_life(backup)
    backup = driver.host.catalogue.load(backup.id)
    _require_unfinished(backup)
    _require_dead(driver, backup, shown=True)
    backup.writer = writer.current()
    driver.host.catalogue.save(backup)
    return backup


def adopt(driver: Any, backup: Backup) -> bool:
    """Have a backup be available that was committed, though its writer did
    not live to say so.

    :returns: whether it was.
    :raises CorruptBackup: it was, and is damaged.
    """
    if backup.container is None or backup.service_metadata is None:
        return False
    if not ObjectStore(driver, backup.container).exists(
            formats.names.manifest(backup.service_metadata)):
        return False

    def open_store(record: BackupRecord) -> ObjectStore:
        return ObjectStore(driver, container_of(record))

    with DigestSpool() as spool:
        chain = chains.open_chain(driver.host.chain(backup.to_record()),
                                  open_store, spool)
    objects = chain.levels[0].manifest.objects
    backup.format_version = chain.levels[0].manifest.version
    backup.status = Status.AVAILABLE
    backup.volume_bytes = chain.volume_bytes
    backup.object_count = len(objects)
    backup.changed_bytes = sum(stored.length for stored in objects)
    driver.host.catalogue.end_life(backup.id)
    driver.host.catalogue.save(backup)
    return True


def _require_unfinished(backup: Backup) -> None:
    if backup.status != Status.CREATING:
        raise errors.BackupNotResumable(
            backup_id=backup.id, reason=f'its status is "{backup.status}"; '
            'only one that is "creating" can')


def _require_dead(driver: Any, backup: Backup, shown: bool = False) -> None:
    alive = writer.is_alive(backup.writer)
    if alive is None and not shown:
        age_s = driver.host.catalogue.age_s(backup.id)
        alive = age_s is None or age_s < SILENCE_S
    if alive:
        raise errors.BackupNotResumable(
            backup_id=backup.id, reason='its writer may be alive: it is '
            'known to be dead when its process is gone from this machine, or '
            f'when nothing was heard of it for {SILENCE_S:.0f} seconds')
