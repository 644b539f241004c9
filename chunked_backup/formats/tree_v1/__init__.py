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

"""The format of backups of file trees, version 1.

Under a prefix of its own, a backup has three streams of bytes, each cut into
objects of 8 MiB before compression:

* ``<prefix>_data_00000001``, ...: the contents that were new at this backup.
  What they look like is the engine's business: bare bytes, or a tar archive.
* ``<prefix>_index_00000001``, ...: one record for each entry of the tree as
  it was at this backup, unchanged ones included, in the order of a walk. The
  record of a file says in which ranges of which data streams, of this backup
  and of those it is built on, its bytes are; see ``index``.
* ``<prefix>_signatures_00000001``, ...: signatures of the larger files that
  were new, against which the next backup finds what has moved or changed.

and the manifest ``<prefix>_manifest``, written last: no manifest, no backup.
It has the digest of every object of the streams, and the record that a host
keeps of a backup has the digest of the manifest. So a restore reads one
index, fetches the ranges that it names and writes each file once, whatever
the number of levels.

No name ends as those of format 1.0.0 do; Cinder never takes an object of a
tree for one of a volume.
"""

from chunked_backup.formats.tree_v1 import index
from chunked_backup.formats.tree_v1 import manifest
from chunked_backup.formats.tree_v1 import names
from chunked_backup.formats.tree_v1.index import Content
from chunked_backup.formats.tree_v1.index import Record
from chunked_backup.formats.tree_v1.manifest import TreeManifest
from chunked_backup.formats.tree_v1.manifest import time_of

__all__ = ['Content', 'Record', 'TreeManifest', 'index', 'manifest', 'names',
           'time_of']
