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

"""Cinder's backup service in one process, at the command of a test.

    python -m tests.cinder.service CINDER_CONF DESCRIPTOR [--api-only]

Everything is Cinder's own and started as ``cinder-backup`` starts it: the
service, its manager, RPC (within the process), the database, the API class.
Only its neighbours are ours, see neighbours.py. DESCRIPTOR is a socket that
takes one JSON object a line, ``{"command": ..., "arguments": {...}}``, and
answers each with ``{"result": ...}`` or ``{"error": ..., "message": ...}``.

With ``--api-only`` the backup service and the scheduler are elsewhere, and
what remains is cinder-volume and those who use the API.

OS_CINDER_DISABLE_EVENTLET_PATCHING chooses the mode, as it does in Cinder.
"""

from cinder.cmd import backup as cmd_backup  # noqa: patches, so it is first

import argparse
import json
import logging as python_logging
import shlex
import socket

import os_brick
from cinder import context
from cinder import i18n
from cinder import objects
from cinder import rpc
from cinder import service
from cinder import utils
from cinder import version
from oslo_config import cfg
from oslo_log import log as logging
from oslo_privsep import priv_context

i18n.enable_lazy()
LOG = logging.getLogger(__name__)


def set_up(conf_file):
    """All that a service of Cinder does before it is one."""
    objects.register_all()
    cfg.CONF(['--config-file', conf_file], project='cinder',
             version=version.version_string())
    logging.set_defaults(default_log_levels=logging.get_default_log_levels()
                         + cmd_backup._EXTRA_DEFAULT_LOG_LEVELS)
    logging.setup(cfg.CONF, 'cinder')
    python_logging.captureWarnings(True)
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    utils.monkey_patch()
    os_brick.setup(cfg.CONF)
    rpc.init(cfg.CONF)


def start():
    """The manager of the running service."""
    server = service.Service.create(
        binary='cinder-backup', coordination=True, service_name='backup',
        process_number=1, semaphore=utils.semaphore_factory(
            cfg.CONF.backup_max_operations, cfg.CONF.backup_workers))
    server.start()
    return server.manager


def serve(requests, commands):
    """Obey until the socket is closed."""
    for line in requests.makefile('r'):
        request = json.loads(line)
        try:
            command = getattr(commands, request['command'])
            answer = {'result': command(**request['arguments'])}
        except Exception as exc:
            LOG.exception('The command failed.')
            answer = {'error': type(exc).__name__, 'message': str(exc)}
        requests.sendall(json.dumps(answer, default=str).encode() + b'\n')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('conf_file')
    parser.add_argument('descriptor', type=int)
    parser.add_argument('--api-only', action='store_true')
    arguments = parser.parse_args()
    set_up(arguments.conf_file)
    from tests.cinder import neighbours
    neighbours.start(with_scheduler=not arguments.api_only)
    manager = None if arguments.api_only else start()
    from tests.cinder.commands import Commands
    requests = socket.socket(fileno=arguments.descriptor)
    requests.sendall(b'{"result": "ready"}\n')
    serve(requests, Commands(manager, context.RequestContext))
    # Whatever still runs is not waited for.
    python_logging.shutdown()
    import os
    os._exit(0)


if __name__ == '__main__':
    main()
