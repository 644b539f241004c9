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

"""The options of the driver for S3."""

from oslo_config import cfg

from chunked_backup import opts

GROUP = cfg.OptGroup('chunked_backup_s3', title='Chunked backups in S3')

_cinder = opts.cinder_option

OPTS = [
    cfg.StrOpt(
        'endpoint_url', deprecated_opts=_cinder('backup_s3_endpoint_url'),
        help='Where the store is. Without it, AWS.'),
    cfg.StrOpt(
        'access_key', secret=True,
        deprecated_opts=_cinder('backup_s3_store_access_key'),
        help='The access key. Without it, whatever boto3 finds in the '
             'environment.'),
    cfg.StrOpt(
        'secret_key', secret=True,
        deprecated_opts=_cinder('backup_s3_store_secret_key'),
        help='The secret of the access key.'),
    cfg.StrOpt(
        'region_name',
        help='The region to sign for and to create buckets in.'),
    cfg.StrOpt(
        'addressing_style', default='auto',
        choices=('auto', 'path', 'virtual'),
        help='Whether a bucket is a part of the path or of the host name.'),
    cfg.StrOpt(
        'bucket', default='volumebackups',
        deprecated_opts=_cinder('backup_s3_store_bucket'),
        help='The bucket for backups that name no container.'),
    cfg.IntOpt(
        'chunk_size_bytes', default=52428800, min=1,
        deprecated_opts=_cinder('backup_s3_object_size'),
        help='No object holds more of a volume than this; a multiple of '
             'sha_block_size_bytes.'),
    cfg.IntOpt(
        'sha_block_size_bytes', default=32768, min=1,
        deprecated_opts=_cinder('backup_s3_block_size'),
        help='Changes are found in blocks of this size. All backups of a '
             'chain have to have the same.'),
    cfg.BoolOpt(
        'enable_progress_timer', default=True,
        deprecated_opts=_cinder('backup_s3_enable_progress_timer'),
        help='Whether the volume service is told how far a backup is.'),
    cfg.StrOpt(
        'http_proxy', default='', secret=True,  # a password may be in it
        deprecated_opts=_cinder('backup_s3_http_proxy'),
        help='The proxy for http.'),
    cfg.StrOpt(
        'https_proxy', default='', secret=True,
        deprecated_opts=_cinder('backup_s3_https_proxy'),
        help='The proxy for https.'),
    cfg.FloatOpt(
        'timeout_s', default=60, min=0.1,
        deprecated_opts=_cinder('backup_s3_timeout'),
        help='How long to wait for a connection, and for data on one.'),
    cfg.IntOpt(
        'max_pool_connections', default=10, min=1,
        deprecated_opts=_cinder('backup_s3_max_pool_connections'),
        help='How many connections are kept; parallelism raises it.'),
    cfg.IntOpt(
        'retry_max_attempts', default=4, min=1,
        deprecated_opts=_cinder('backup_s3_retry_max_attempts'),
        help='How often a request is tried. The retries are ours: those of '
             'boto3 are off.'),
    cfg.StrOpt(
        'retry_mode', default='legacy',
        deprecated_opts=_cinder('backup_s3_retry_mode'),
        help='Without effect, since the retries are ours; read so that a '
             'cinder.conf that has it is understood.'),
    cfg.BoolOpt(
        'verify_ssl', default=True,
        deprecated_opts=_cinder('backup_s3_verify_ssl'),
        help='Whether the certificate of the store is checked.'),
    cfg.StrOpt(
        'ca_cert_file', deprecated_opts=_cinder('backup_s3_ca_cert_file'),
        help='The certificates to check it against.'),
    cfg.BoolOpt(
        'md5_validation', default=True,
        deprecated_opts=_cinder('backup_s3_md5_validation'),
        help='Whether the store checks the md5 of what arrives.'),
    cfg.StrOpt(
        'sse_customer_key', secret=True,
        deprecated_opts=_cinder('backup_s3_sse_customer_key'),
        help='The key with which the store encrypts objects; it does not '
             'keep it.'),
    cfg.StrOpt(
        'sse_customer_algorithm',
        deprecated_opts=_cinder('backup_s3_sse_customer_algorithm'),
        help='The algorithm for that, AES256.'),
]
