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

"""What there are backups of in a repository: volumes and trees."""

from types import ModuleType
from typing import Any

from chunked_backup import formats
from chunked_backup.formats.tree_v1 import names as tree_names
from chunked_backup.hosts.standalone.catalogue import Catalogue
from chunked_backup.hosts.standalone.catalogue import of_trees


def kinds(driver: Any) -> list[tuple[Catalogue[Any], ModuleType]]:
    """Of volumes, then of trees: the records, and how objects are named."""
    return [(driver.host.catalogue, formats.names),
            (of_trees(driver), tree_names)]
