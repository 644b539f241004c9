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


"""One signature, delta or patch of ours, in a process of its own."""

import json
import shutil
import sys

from chunked_backup import delta
from tests.bench import costs

_PIECE_BYTES = 1 << 20


def main():
    what, source, target, known = json.loads(sys.argv[1])
    costs.answer(None, costs.of_call(
        lambda: WORK[what](source, target, known)))


def _signature(source, target, known):
    with open(target, 'wb') as stream:
        delta.gen_sig_from_file(source).write_to(stream)
    return None, None


def _delta(source, target, known):
    with open(known, 'rb') as stream:
        old = delta.Signature.read_from(stream)
    with open(target, 'wb') as stream:
        shutil.copyfileobj(delta.gen_sig_from_file(source, old), stream,
                           _PIECE_BYTES)
    return None, None


def _patch(source, target, known):
    with open(known, 'rb') as stream:
        delta.patch_from_file(source, target, stream)
    return None, None


WORK = {'signature': _signature, 'patch': _patch,
        **dict.fromkeys(
            ('unchanged', 'inserted', 'edited', 'different'), _delta)}


if __name__ == '__main__':
    main()
