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

"""Format 2.0.0: extents packed into objects, and tables that are not JSON.

The names are those of format 1.0.0. Under a prefix of its own, a backup has

* data objects ``<prefix>-00001``, ``<prefix>-00002``, ...: each is the stored
  bytes of one or more extents of the volume, one directly behind the other
  and nothing else, at most a chunk. Numbers may be left out;
* the digest table ``<prefix>_sha256file``: the sha256 of every block of the
  volume as it was at this backup, incrementals included;
* the manifest ``<prefix>_metadata``: which extent lies where in which object.
  It is written last: no manifest, no backup.

An extent is a range of the volume, of whole blocks unless the volume ends in
it, and is compressed on its own, or not at all where that does not make it
smaller. So it can be brought back by reading no more than its own stored
bytes. A long range becomes several extents of about 1 MiB. Zeros are an
extent of any length that no object holds.

What was added since a backup's parent is all that its objects hold; who
brings a volume back takes each range from the newest backup of the chain that
has it, or writes those of the full backup first and those of the others over
them in turn. A chain may have backups of this format and of 1.0.0, as one that
goes on within Cinder.

Cinder reads the version in the manifest and refuses the backup.
"""

from chunked_backup.formats.volume_v2 import digest_table
from chunked_backup.formats.volume_v2 import manifest
from chunked_backup.formats.volume_v2.version import VERSION

__all__ = ['PACKED', 'VERSION', 'digest_table', 'manifest']

#: Whether an object can hold several extents.
PACKED = True
