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

"""What one operation costs."""

import json
import os
import re
import resource
import subprocess
import sys
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """:param elapsed_s: by the clock on the wall.
    :param cpu_s: of all threads, in user mode and in the kernel's.
    :param peak_bytes: the most memory that the process ever had resident.
    :param objects: how many objects were stored, where that is known.
    :param moved_bytes: what a backup stored, or what a restore fetched.
    """

    elapsed_s: float
    cpu_s: float
    peak_bytes: int
    objects: int | None = None
    moved_bytes: int | None = None


def of_call(function):
    """What it costs to call a function; of memory, all of the process.

    :param function: returns the number of objects and of bytes moved.
    """
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin_s = time.monotonic()
    objects, moved_bytes = function()
    elapsed_s = time.monotonic() - begin_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    return Cost(elapsed_s, _cpu_s(after) - _cpu_s(before), _peak_bytes(),
                objects, moved_bytes)


def answer(value, cost):
    """What a worker says to ``of_worker``."""
    print(json.dumps([value, cost]))


def of_worker(module, request):
    """What a module answers that is run in a process of its own.

    :returns: a value, and the cost of what it has done.
    """
    os.sync()  # what was written before is not written back meanwhile
    done = subprocess.run(
        [sys.executable, '-m', module, json.dumps(request)], text=True,
        stdout=subprocess.PIPE, check=True)
    value, cost = json.loads(done.stdout.splitlines()[-1])
    return value, Cost(*cost)


def of_process(words, environment, directory=None):
    """Run a program to its end.

    A process counts as its own peak what its parent had when it was started,
    so a small interpreter starts it (and measures it; its own start does not
    count): without, a bench that knows a million paths gave each program its
    534 MiB.

    :returns: what it printed, and its cost from its first instruction on.
    """
    os.sync()
    done = subprocess.run(
        [sys.executable, '-S', '-c', _LAUNCHER, *map(str, words)],
        env=environment, cwd=directory, stdout=subprocess.PIPE, check=True)
    output, _, figures = done.stdout.rpartition(b'\n')
    status, elapsed_s, cpu_s, peak_bytes = json.loads(figures)
    if status:
        raise subprocess.CalledProcessError(status, words)
    return output, Cost(elapsed_s, cpu_s, peak_bytes)


_LAUNCHER = """
import json, os, sys, time
begin_s = time.monotonic()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
elapsed_s = time.monotonic() - begin_s
print('\\n' + json.dumps([os.waitstatus_to_exitcode(status), elapsed_s,
                         usage.ru_utime + usage.ru_stime,
                         usage.ru_maxrss << 10]), end='')
"""


def interpreter_bytes():
    """What a bare interpreter has resident at most."""
    return int(subprocess.run(
        [sys.executable, '-c',
         'import re; print(re.search(r"VmHWM:\\s*(\\d+)", '
         'open("/proc/self/status").read())[1])'],
        stdout=subprocess.PIPE, check=True).stdout) << 10


def _cpu_s(usage):
    return usage.ru_utime + usage.ru_stime


def _peak_bytes():
    with open('/proc/self/status') as file:
        return int(re.search(r'VmHWM:\s*(\d+)', file.read())[1]) << 10
