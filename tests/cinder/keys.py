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

"""The key manager of the tests."""

from castellan.tests.unit.key_manager import mock_key_manager


class KeyManager(mock_key_manager.MockKeyManager):
    """Keeps keys as long as the process lives; Cinder makes a new object
    whenever it needs one."""

    _all_keys = {}

    def __init__(self, configuration=None):
        super().__init__(configuration)
        self.keys = self._all_keys
