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

"""Changes that nobody could see, each with why."""

EQUIVALENT = {
    'blocks/digests': {
        # How many zeros are compared or hashed at a time.
        '_ZEROS = bytes(1 << 20) (1 to 2)',
        '_ZEROS = bytes(1 << 20) (20 to 21)',
        # The first byte was among the 64 that were looked at before.
        'return all((data[start:start + len(_ZEROS)].tobytes() == '
        '_ZEROS[:min(len(_ZEROS), len(data) - start)] for start in '
        'range(0, len(data), len(_ZEROS)))) (0 to 1)',
    },
}
