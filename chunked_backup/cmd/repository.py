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

"""``chunked-backup repository ...``"""

import argparse
from typing import Any

from cliff import lister

from chunked_backup import errors
from chunked_backup.cmd import base


class RebuildCatalogue(base.Command, lister.Lister):
    """Make the catalogue anew from the backups alone.

    Works on a repository that Cinder wrote, too. Records that fit a backup
    are kept; a record whose backup is gone or damaged gets the status
    "error".
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        from chunked_backup.hosts.standalone.rebuild import Outcome
        from chunked_backup.hosts.standalone.rebuild import rebuild
        from chunked_backup.hosts.standalone.tree_rebuild import rebuild_trees

        service = self.service(parsed_args)
        findings = rebuild(service.driver) + rebuild_trees(service.driver)
        if any(finding.outcome in (Outcome.DAMAGED, Outcome.LOST)
               for finding in findings):
            self.exit_code = errors.CorruptBackup.exit_code
        return ('id', 'result', 'problem'), [
            (finding.backup_id, finding.outcome.value, finding.reason)
            for finding in findings]
