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

"""An operator's cinder.conf means the same to us as to Cinder."""

import pytest
from oslo_config import cfg

from chunked_backup.drivers import s3
from chunked_backup.drivers import swift

# Cinder's name and default; what an operator may write instead, and what we
# call it.
S3 = [
    ('backup_s3_endpoint_url', None, 'http://s3', 'endpoint_url'),
    ('backup_s3_store_access_key', None, 'an access key', 'access_key'),
    ('backup_s3_store_secret_key', None, 'a secret key', 'secret_key'),
    ('backup_s3_store_bucket', 'volumebackups', 'theirs', 'bucket'),
    ('backup_s3_object_size', 52428800, 65536, 'chunk_size_bytes'),
    ('backup_s3_block_size', 32768, 4096, 'sha_block_size_bytes'),
    ('backup_s3_enable_progress_timer', True, False,
     'enable_progress_timer'),
    ('backup_s3_http_proxy', '', 'http://proxy', 'http_proxy'),
    ('backup_s3_https_proxy', '', 'http://proxy', 'https_proxy'),
    ('backup_s3_timeout', 60, 7.5, 'timeout_s'),
    ('backup_s3_max_pool_connections', 10, 30, 'max_pool_connections'),
    ('backup_s3_retry_max_attempts', 4, 9, 'retry_max_attempts'),
    ('backup_s3_retry_mode', 'legacy', 'standard', 'retry_mode'),
    ('backup_s3_verify_ssl', True, False, 'verify_ssl'),
    ('backup_s3_ca_cert_file', None, '/ca.pem', 'ca_cert_file'),
    ('backup_s3_md5_validation', True, False, 'md5_validation'),
    ('backup_s3_sse_customer_key', None, 'a key', 'sse_customer_key'),
    ('backup_s3_sse_customer_algorithm', None, 'AES256',
     'sse_customer_algorithm'),
]
SWIFT = [
    ('backup_swift_url', None, 'http://swift/v1/AUTH_', 'url'),
    ('backup_swift_auth_url', None, 'http://keystone/v3', 'auth_url'),
    ('swift_catalog_info', 'object-store:swift:publicURL',
     'object-store:swift:internalURL', 'catalog_info'),
    ('keystone_catalog_info', 'identity:Identity Service:publicURL',
     'identity:keystone:internalURL', 'keystone_catalog_info'),
    ('backup_swift_auth', 'per_user', 'single_user', 'auth'),
    ('backup_swift_auth_version', '1', '3', 'auth_version'),
    ('backup_swift_tenant', None, 'a tenant', 'tenant'),
    ('backup_swift_user_domain', None, 'a domain', 'user_domain'),
    ('backup_swift_project_domain', None, 'a domain', 'project_domain'),
    ('backup_swift_project', None, 'a project', 'project'),
    ('backup_swift_user', None, 'a user', 'user'),
    ('backup_swift_key', None, 'a key', 'key'),
    ('backup_swift_container', 'volumebackups', 'theirs', 'container'),
    ('backup_swift_create_storage_policy', None, 'gold',
     'create_storage_policy'),
    ('backup_swift_object_size', 52428800, 65536, 'chunk_size_bytes'),
    ('backup_swift_block_size', 32768, 4096, 'sha_block_size_bytes'),
    ('backup_swift_retry_attempts', 3, 8, 'retry_attempts'),
    ('backup_swift_retry_backoff', 2, 5, 'retry_backoff'),
    ('backup_swift_enable_progress_timer', True, False,
     'enable_progress_timer'),
    ('backup_swift_ca_cert_file', None, '/ca.pem', 'ca_cert_file'),
    ('backup_swift_auth_insecure', False, True, 'auth_insecure'),
    ('backup_swift_service_auth', False, True, 'service_auth'),
    ('backup_swift_region_name', None, 'north', 'region_name'),
]
SECRETS = {'backup_s3_store_access_key', 'backup_s3_store_secret_key',
           'backup_s3_sse_customer_key', 'backup_s3_http_proxy',
           'backup_s3_https_proxy', 'backup_swift_key'}
MODULES = pytest.mark.parametrize(
    ('module', 'table'), [(s3, S3), (swift, SWIFT)], ids=['s3', 'swift'])


def values(conf, module):
    """What the options of a module are, by Cinder's names."""
    group = conf[module.GROUP.name]
    return {option.deprecated_opts[0].name: group[option.name]
            for option in module.OPTS if option.deprecated_opts}


@MODULES
def test_every_option_of_cinder_is_there_with_its_default(conf, module,
                                                          table):
    assert values(conf, module) == {
        theirs: default for theirs, default, _, _ in table}


@MODULES
def test_the_old_names_are_read_from_a_cinder_conf(conf, module, table,
                                                   tmp_path):
    path = tmp_path / 'cinder.conf'
    path.write_text('[DEFAULT]\n' + ''.join(
        f'{theirs} = {value}\n' for theirs, _, value, _ in table))
    conf(['--config-file', str(path)], project='chunked_backup')
    group = conf[module.GROUP.name]
    assert {ours: group[ours] for _, _, _, ours in table} == {
        ours: value for _, _, value, ours in table}


@MODULES
def test_our_name_wins_over_the_old_one(conf, module, table, tmp_path):
    theirs, ours = {s3: ('backup_s3_store_bucket', 'bucket'),
                    swift: ('backup_swift_container', 'container')}[module]
    path = tmp_path / 'cinder.conf'
    path.write_text(f'[DEFAULT]\n{theirs} = old\n'
                    f'[{module.GROUP.name}]\n{ours} = new\n')
    conf(['--config-file', str(path)], project='chunked_backup')
    assert conf[module.GROUP.name][ours] == 'new'


@MODULES
def test_keys_are_secret_options(module, table):
    secret = {option.deprecated_opts[0].name for option in module.OPTS
              if option.secret}
    assert secret == SECRETS & {theirs for theirs, _, _, _ in table}


@MODULES
def test_options_are_listed_for_the_generator(module, table):
    (group, options), = module.list_opts()
    assert group is module.GROUP
    assert len(options) >= len(table)
    assert all(isinstance(option, cfg.Opt) and option.help
               for option in options)
