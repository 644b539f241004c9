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

"""Cinder's database, made with Cinder's own migrations.

    python -m tests.cinder.database URL
"""

import sys

from cinder import objects
from cinder.db import migration
from oslo_config import cfg


def main():
    objects.register_all()
    cfg.CONF([], project='cinder', default_config_files=[])
    cfg.CONF.set_override('connection', sys.argv[1], group='database')
    migration.db_sync()


if __name__ == '__main__':
    main()
