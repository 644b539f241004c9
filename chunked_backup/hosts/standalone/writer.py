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

"""Who writes a backup, and whether that process is still there.

A process is known by what no other has: the boot of its machine, its
namespace of process ids, its id there, and when it began. Of a process under
another boot or in another namespace nothing can be told.
"""

import os


def current() -> str | None:
    """This process; None where the system does not tell."""
    place = _place()
    return place and f'{place}/{os.getpid()}/{_began(os.getpid())}'


def is_alive(writer: str | None) -> bool | None:
    """Whether a process that ``current`` has named is there; None if that
    cannot be told from here."""
    place, _, process = (writer or '').partition('/')
    number, _, began = process.partition('/')
    if not place or place != _place() or not number.isdecimal():
        return None
    return _began(int(number)) == began


def _place() -> str | None:
    try:
        with open('/proc/sys/kernel/random/boot_id') as file:
            boot = file.read().strip()
        return f'{boot}-{os.stat("/proc/self/ns/pid").st_ino}'
    except OSError:
        return None


def _began(process_id: int) -> str | None:
    """When a process began, in ticks since the boot; None if there is none,
    or nothing of it but its exit code."""
    try:
        with open(f'/proc/{process_id}/stat') as file:
            # The name, in parentheses, may hold anything.
            fields = file.read().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in 'ZX' else fields[19]
