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

"""What a repository looks like.

A format module has ``VERSION``, the names of its objects (``names``), and
readers and writers of its manifest and digest table that stream (``manifest``
and ``digest_table``). It sees open readers and writers, never a driver.
``DRIVER_VERSION_MAPPING`` of a driver says which versions it restores.
"""

from chunked_backup.formats import cinder_v1

#: The format that new backups are written in.
CURRENT = cinder_v1
