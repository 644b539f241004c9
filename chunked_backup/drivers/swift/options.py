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

"""The options of the driver for Swift."""

from oslo_config import cfg

from chunked_backup import opts

GROUP = cfg.OptGroup('chunked_backup_swift',
                     title='Chunked backups in Swift')

_cinder = opts.cinder_option

OPTS = [
    cfg.URIOpt(
        'url', deprecated_opts=_cinder('backup_swift_url'),
        help='Where the store is, with auth = per_user: the URL up to '
             '``AUTH_``, to which the project is added. Without it, the '
             'catalogue of the request is asked.'),
    cfg.URIOpt(
        'auth_url', deprecated_opts=_cinder('backup_swift_auth_url'),
        help='Where to sign in, with auth = single_user. Without it, the '
             'catalogue of the request is asked.'),
    cfg.StrOpt(
        'catalog_info', default='object-store:swift:publicURL',
        deprecated_opts=_cinder('swift_catalog_info'),
        help='What to look for in the catalogue: service type, service name '
             'and endpoint type.'),
    cfg.StrOpt(
        'keystone_catalog_info', default='identity:Identity Service:publicURL',
        deprecated_opts=_cinder('keystone_catalog_info'),
        help='The same for auth_url.'),
    cfg.StrOpt(
        'auth', default='per_user', choices=('per_user', 'single_user'),
        deprecated_opts=_cinder('backup_swift_auth'),
        help='Whose objects backups are: those of the user who asks for '
             'them, or of one user for all.'),
    cfg.StrOpt(
        'auth_version', default='1',
        deprecated_opts=_cinder('backup_swift_auth_version'),
        help='The version of signing in: 1, 2 or 3.'),
    cfg.StrOpt(
        'tenant', deprecated_opts=_cinder('backup_swift_tenant'),
        help='The tenant, with auth_version 2.'),
    cfg.StrOpt(
        'user_domain', deprecated_opts=_cinder('backup_swift_user_domain'),
        help='The domain of the user, with auth_version 3.'),
    cfg.StrOpt(
        'project_domain',
        deprecated_opts=_cinder('backup_swift_project_domain'),
        help='The domain of the project, with auth_version 3.'),
    cfg.StrOpt(
        'project', deprecated_opts=_cinder('backup_swift_project'),
        help='The project, with auth_version 3.'),
    cfg.StrOpt(
        'user', deprecated_opts=_cinder('backup_swift_user'),
        help='The user, with auth = single_user.'),
    cfg.StrOpt(
        'key', secret=True, deprecated_opts=_cinder('backup_swift_key'),
        help='The password of the user.'),
    cfg.StrOpt(
        'container', default='volumebackups',
        deprecated_opts=_cinder('backup_swift_container'),
        help='The container for backups that name none.'),
    cfg.StrOpt(
        'create_storage_policy',
        deprecated_opts=_cinder('backup_swift_create_storage_policy'),
        help='The storage policy of containers that are created.'),
    cfg.IntOpt(
        'chunk_size_bytes', default=52428800, min=1,
        deprecated_opts=_cinder('backup_swift_object_size'),
        help='No object holds more of a volume than this; a multiple of '
             'sha_block_size_bytes.'),
    cfg.IntOpt(
        'sha_block_size_bytes', default=32768, min=1,
        deprecated_opts=_cinder('backup_swift_block_size'),
        help='Changes are found in blocks of this size. All backups of a '
             'chain have to have the same.'),
    cfg.IntOpt(
        'retry_attempts', default=3, min=0,
        deprecated_opts=_cinder('backup_swift_retry_attempts'),
        help='How often a request is tried again.'),
    cfg.IntOpt(
        'retry_backoff', default=2, min=0,
        deprecated_opts=_cinder('backup_swift_retry_backoff'),
        help='How many seconds to wait before the first time; longer before '
             'each that follows.'),
    cfg.BoolOpt(
        'enable_progress_timer', default=True,
        deprecated_opts=_cinder('backup_swift_enable_progress_timer'),
        help='Whether the volume service is told how far a backup is.'),
    cfg.StrOpt(
        'ca_cert_file', deprecated_opts=_cinder('backup_swift_ca_cert_file'),
        help='The certificates to check those of the store against.'),
    cfg.BoolOpt(
        'auth_insecure', default=False,
        deprecated_opts=_cinder('backup_swift_auth_insecure'),
        help='Whether the certificates of the store are not checked.'),
    cfg.BoolOpt(
        'service_auth', default=False,
        deprecated_opts=_cinder('backup_swift_service_auth'),
        help='Whether a service token goes with each request, with '
             'auth = per_user within Cinder, so that the user\'s token may '
             'expire in the middle of a backup.'),
    cfg.StrOpt(
        'region_name', deprecated_opts=_cinder('backup_swift_region_name'),
        help='The region to look for in the catalogue.'),
    cfg.FloatOpt(
        'timeout_s', default=60, min=0.1,
        help='How long to wait for a connection, and for data on one.'),
]
