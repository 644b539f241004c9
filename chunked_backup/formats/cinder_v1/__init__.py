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

"""Format 1.0.0: what ``cinder.backup.chunkeddriver`` of Cinder 29 stores.

Under a prefix of its own, a backup has

* data objects ``<prefix>-00001``, ``<prefix>-00002``, ... (more digits when
  needed), each an extent of the volume, compressed or not;
* the digest table ``<prefix>_sha256file``: the sha256 of every block of the
  volume as it was at this backup, incrementals included;
* the manifest ``<prefix>_metadata``: which object holds what. It is written
  last: no manifest, no backup.

Both of the latter are JSON with sorted keys and an indent of two, in UTF-8
without a final newline, and are written byte for byte as Cinder writes them.

A full backup has objects for all of the volume, zeros included; an
incremental for what has changed since its parent, and maybe for some of what
lies between. So who brings a volume back writes the objects of the full
backup, then those of each incremental in turn, over what is there. How long
the volume is stands in no object: it ends in the last block of the digest
table, and where the newest object that reaches into that block ends.
"""

from chunked_backup.formats.cinder_v1 import digest_table
from chunked_backup.formats.cinder_v1 import manifest
from chunked_backup.formats.cinder_v1.version import VERSION

__all__ = ['PACKED', 'VERSION', 'digest_table', 'manifest']

#: Whether an object can hold several extents.
PACKED = False
