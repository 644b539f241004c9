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

"""What only the S3 driver does."""

import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import types
from concurrent import futures

import boto3
import pytest
from botocore import config

from chunked_backup import errors
from chunked_backup.drivers.s3 import S3BackupDriver
from chunked_backup.drivers.s3 import upload
from chunked_backup.jobs.backup import BackupJob
from tests import support
from tests.stores import stores
from tests.stores.servers import base
from tests.unit import harness

NAME = 'volume_1/2026/az_nova_backup_1-00001'
PART = 5 << 20
LARGE = bytes(range(256)) * (9 << 12)  # two parts, the second a short one
SSE_KEY = 'a-key-of-thirty-two-bytes-------'


@pytest.fixture
def store(s3_store):
    return s3_store


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(upload, 'PART_BYTES', PART)


@pytest.fixture
def client(store):
    """boto3 by hand."""
    return boto3.client(
        's3', endpoint_url=store.server.url, region_name='us-east-1',
        aws_access_key_id=store.server.access_key,
        aws_secret_access_key=store.server.secret_key,
        config=config.Config(s3={'addressing_style': 'path'}))


def uploads(client, store):
    return client.list_multipart_uploads(Bucket=store.container).get(
        'Uploads', [])


# Objects in parts.

def test_a_large_object_goes_up_in_parts(faulty, client, small_parts):
    driver, proxy, store = faulty
    stores.put(driver, store.container, NAME, LARGE[:-7], LARGE[-7:])
    assert len(proxy.seen('^PUT .*partNumber=')) == 2
    assert stores.get(driver, store.container, NAME) == LARGE
    assert uploads(client, store) == []


@pytest.mark.parametrize('part', [1, 2])
@pytest.mark.parametrize('fault', ['answer', 'break_upload', 'lose_answer',
                                   'flip_upload'])
def test_a_part_that_fails_leaves_no_upload(faulty, client, small_parts,
                                            part, fault):
    driver, proxy, store = faulty
    rule = proxy.inject(fault, match=f'^PUT .*partNumber={part}',
                        after=100_000)
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, LARGE)
    assert rule.fired == 1
    assert uploads(client, store) == []
    assert list(driver.get_container_entries(store.container, '')) == []


def test_an_interrupt_leaves_no_upload(driver, store, client, small_parts,
                                       monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt()

    monkeypatch.setattr(driver._uploads, '_md5_arguments', interrupt)
    with pytest.raises(KeyboardInterrupt):
        stores.put(driver, store.container, NAME, LARGE)
    assert uploads(client, store) == []


def test_an_upload_that_was_never_ended_is_unfinished(driver, store, client):
    container = store.container
    stores.put(driver, container, NAME, b'an object')
    assert driver.get_unfinished(container) == []
    of = dict(Bucket=container, Key=NAME)
    upload = client.create_multipart_upload(**of)['UploadId']
    client.upload_part(Body=b'left', PartNumber=1, UploadId=upload, **of)
    [unfinished] = driver.get_unfinished(container)
    assert (unfinished.object_name, unfinished.handle) == (NAME, upload)
    assert 0 <= unfinished.age_s < 3600
    driver.discard_unfinished(container, unfinished)
    driver.discard_unfinished(container, unfinished)
    assert driver.get_unfinished(container) == []
    assert uploads(client, store) == []
    assert stores.get(driver, container, NAME) == b'an object'


def test_a_failing_abort_does_not_hide_why(faulty, small_parts):
    driver, proxy, store = faulty
    proxy.inject('answer', match='^PUT .*partNumber=2', status=507, body=b'')
    abort = proxy.inject('answer', match='^DELETE', status=503, body=b'')
    with pytest.raises(errors.OutOfSpace):
        stores.put(driver, store.container, NAME, LARGE)
    assert abort.fired == 1


def test_completing_with_a_late_error_is_a_transient_error(
        faulty, client, small_parts):
    driver, proxy, store = faulty
    proxy.inject('answer', match='^POST .*uploadId=', status=200,
                 body=b'<Error><Code>InternalError</Code></Error>')
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, LARGE)
    assert uploads(client, store) == []
    assert list(driver.get_container_entries(store.container, '')) == []


def test_completing_whose_answer_is_lost_is_a_transient_error(
        faulty, client, small_parts):
    driver, proxy, store = faulty
    proxy.inject('lose_answer', match='^POST .*uploadId=')
    with pytest.raises(errors.TransientDriverError):
        stores.put(driver, store.container, NAME, LARGE)
    proxy.clear()
    assert uploads(client, store) == []
    stores.put(driver, store.container, NAME, LARGE)
    assert stores.get(driver, store.container, NAME) == LARGE


# Objects that replace nothing.

PROBE = 'chunked_backup_probe'
MANIFEST = 'volume_1/2026/az_nova_backup_1_metadata'


def test_one_of_several_exclusive_writers_wins_on_ceph(ceph):
    driver = stores.s3_driver(ceph)
    driver.put_container('exclusive')
    together = threading.Barrier(8)

    def work(number):
        data = bytes([number]) * 50_000
        together.wait()
        try:
            stores.commit(driver, 'exclusive', name, data)
        except errors.ObjectExists:
            return None
        return data

    for turn in range(10):
        name = f'{MANIFEST}{turn}'
        with futures.ThreadPoolExecutor(8) as pool:
            winner, = filter(None, pool.map(work, range(8)))
        assert stores.get(driver, 'exclusive', name) == winner


def test_one_of_two_backups_that_begin_at_once_is_committed_on_ceph(
        ceph, monkeypatch):
    monkeypatch.setattr(S3BackupDriver, '_generate_object_name_prefix',
                        lambda self, backup: f'prefix_{backup.id}')
    monkeypatch.setattr(BackupJob, '_present', lambda self: frozenset())
    data = random.Random(1).randbytes(3 * support.CHUNK)
    drivers = [harness.attach(stores.s3_driver(ceph, container='both'))
               for _ in range(2)]
    drivers[0].put_container('both')

    def work(driver):
        try:
            return driver, harness.back_up(driver, f'backup-{turn}', data)
        except errors.ObjectExists:
            return None

    for turn in range(5):
        with futures.ThreadPoolExecutor(2) as pool:
            (driver, backup), = filter(None, pool.map(work, drivers))
        assert harness.restore(driver, backup) == data


def test_whether_a_store_replaces_objects_is_found_out_once(faulty):
    driver, proxy, store = faulty
    stores.commit(driver, store.container, MANIFEST, b'data')
    assert [request.line.split()[0] for request in proxy.seen(PROBE)] == [
        'PUT', 'PUT', 'DELETE']
    proxy.clear()
    other = store.driver(url=proxy.url)
    stores.commit(other, store.container, f'{MANIFEST}2', b'data')
    assert len(proxy.requests) == 1
    assert not [name for name in driver.get_container_entries(
        store.container, '') if PROBE in name]


@pytest.mark.parametrize('answer', [
    {'status': 200, 'headers': {'ETag': '"d41d8cd98f00b204e9800998ecf8427e"'},
     'body': b''},
    {'status': 501, 'body': b'<Error><Code>NotImplemented</Code></Error>'},
    {'status': 400, 'body': b'<Error><Code>InvalidArgument</Code></Error>'},
    {'status': 403, 'body': b'<Error><Code>AccessDenied</Code></Error>'}])
def test_a_store_that_would_replace_is_looked_into_first(faulty, answer):
    driver, proxy, store = faulty
    rule = proxy.inject('answer', match=f'^PUT .*{PROBE}', skip=1, **answer)
    stores.commit(driver, store.container, MANIFEST, b'first')
    with pytest.raises(errors.ObjectExists):
        stores.commit(driver, store.container, MANIFEST, b'second')
    assert rule.fired == 1
    assert len(proxy.seen(f'^HEAD .*{MANIFEST}')) == 2
    assert 'if-none-match' not in proxy.seen(f'^PUT .*{MANIFEST}')[-1].headers
    assert stores.get(driver, store.container, MANIFEST) == b'first'
    assert list(driver.get_container_entries(store.container, '')) == [
        MANIFEST]


def test_what_a_killed_writer_was_trying_out_is_unfinished(driver, store):
    name = f'{PROBE}_0123'
    stores.put(driver, store.container, name)
    unfinished, = driver.get_unfinished(store.container)
    assert (unfinished.object_name, unfinished.handle) == (None, name)
    assert 0 <= unfinished.age_s < 3600
    driver.discard_unfinished(store.container, unfinished)
    driver.discard_unfinished(store.container, unfinished)
    assert list(driver.get_container_entries(store.container, '')) == []


@pytest.mark.parametrize('match, times', [
    ('PUT', 1), ('DELETE', 2)])  # a probe is deleted with a second try
def test_what_could_not_be_found_out_is_asked_again(faulty, match, times):
    driver, proxy, store = faulty
    proxy.inject('answer', match=f'^{match} .*{PROBE}', times=times)
    with pytest.raises(errors.TransientDriverError):
        stores.commit(driver, store.container, MANIFEST, b'data')
    stores.commit(driver, store.container, MANIFEST, b'data')
    put, = proxy.seen(f'^PUT .*{MANIFEST}')
    assert put.headers['if-none-match'] == '*'


def test_a_conflict_of_two_writers_is_a_transient_error(faulty):
    driver, proxy, store = faulty
    proxy.inject('answer', match=f'^PUT .*{MANIFEST}', status=409, body=(
        b'<Error><Code>ConditionalRequestConflict</Code></Error>'))
    with pytest.raises(errors.TransientDriverError):
        stores.commit(driver, store.container, MANIFEST, b'data')


def test_an_object_in_parts_replaces_nothing_that_was_there_before(
        driver, store, client, small_parts, monkeypatch):
    stores.commit(driver, store.container, MANIFEST, LARGE)
    monkeypatch.setattr(upload, 'EXCLUSIVE_PART_BYTES', PART)
    stores.commit(driver, store.container, f'{MANIFEST}2', LARGE)
    for name in (MANIFEST, f'{MANIFEST}2'):
        with pytest.raises(errors.ObjectExists):
            stores.commit(driver, store.container, name, LARGE[::-1])
        assert stores.get(driver, store.container, name) == LARGE
    assert uploads(client, store) == []


# Listings.

def page(names, following=None):
    """An answer with names, and the token of the page that follows."""
    truncated = following is not None
    contents = ''.join(f'<Contents><Key>{name}</Key></Contents>'
                       for name in names)
    more = (f'<NextContinuationToken>{following}</NextContinuationToken>'
            if truncated else '')
    return (f'<ListBucketResult><IsTruncated>{str(truncated).lower()}'
            f'</IsTruncated>{contents}{more}</ListBucketResult>').encode()


def test_an_empty_page_does_not_end_a_listing(faulty):
    driver, proxy, store = faulty
    for body in (page(['a'], 'one'), page([], 'two'), page(['b'])):
        proxy.inject('answer', match='^GET', status=200, times=1, body=body)
    assert list(driver.get_container_entries(store.container, '')) == [
        'a', 'b']


def test_a_page_that_fails_ends_a_listing_with_an_error(faulty):
    driver, proxy, store = faulty
    proxy.inject('answer', match='^GET', status=200, times=1,
                 body=page(['a'], 'next'))
    proxy.inject('answer', match='^GET', status=503)
    with pytest.raises(errors.TransientDriverError):
        driver.get_container_entries(store.container, '')


# Deleting several.

def test_several_are_deleted_by_one_request(faulty):
    driver, proxy, store = faulty
    for name in ('a', 'b', 'c'):
        stores.put(driver, store.container, name, b'.')
    proxy.clear()
    driver.delete_objects(store.container, ['a', 'b', 'c'])
    assert [request.line.split()[0] for request in proxy.requests] == ['POST']
    assert list(driver.get_container_entries(store.container, '')) == []


@pytest.mark.parametrize(('code', 'expected'), [
    ('AccessDenied', errors.AccessDenied),
    ('InternalError', errors.TransientDriverError),
    ('Odd', errors.DriverError)])
def test_one_of_several_that_cannot_be_deleted_is_named(faulty, code,
                                                        expected):
    driver, proxy, store = faulty
    proxy.inject('answer', match='^POST', status=200, body=(
        '<DeleteResult><Error><Key>b</Key>'
        f'<Code>{code}</Code></Error></DeleteResult>').encode())
    with pytest.raises(errors.DriverError) as caught:
        driver.delete_objects(store.container, ['a', 'b'])
    assert type(caught.value) is expected
    assert caught.value.object_name == 'b'


# Digests.

@pytest.mark.parametrize('validated', [True, False])
def test_md5_validation_is_an_option(faulty, validated):
    _, proxy, store = faulty
    driver = store.driver(url=proxy.url, md5_validation=validated)
    stores.put(driver, store.container, NAME, b'data')
    put, = proxy.seen('^PUT')
    assert ('content-md5' in put.headers) is validated
    assert stores.get(driver, store.container, NAME) == b'data'


def test_no_checksums_are_sent_that_older_servers_refuse(faulty):
    driver, proxy, store = faulty
    stores.put(driver, store.container, NAME, b'data')
    stores.get(driver, store.container, NAME)
    for request in proxy.requests:
        assert not [name for name in request.headers
                    if name.startswith('x-amz-checksum')
                    or name == 'x-amz-trailer']


# Encryption with our key.

@pytest.fixture
def encrypting():
    return {'sse_customer_key': SSE_KEY, 'sse_customer_algorithm': 'AES256'}


@pytest.mark.parametrize('data', [b'data', LARGE], ids=['small', 'large'])
def test_ceph_encrypts_with_our_key(ceph, encrypting, small_parts, data):
    driver = stores.s3_driver(ceph, **encrypting)
    driver.put_container('encrypted')
    stores.put(driver, 'encrypted', NAME, data)
    assert stores.get(driver, 'encrypted', NAME) == data
    for other in ({}, {**encrypting, 'sse_customer_key': SSE_KEY[::-1]}):
        keyless = stores.s3_driver(ceph, **{
            'sse_customer_key': None, 'sse_customer_algorithm': None,
            **other})
        with pytest.raises(errors.DriverError):
            stores.get(keyless, 'encrypted', NAME)
    driver.delete_object('encrypted', NAME)


@pytest.mark.parametrize('data', [b'data', LARGE], ids=['small', 'large'])
def test_a_store_that_ignores_our_key_is_refused(swift_proxy, encrypting,
                                                 small_parts, data):
    driver = stores.s3_driver(swift_proxy, **encrypting)
    driver.put_container('unencrypted')
    with pytest.raises(errors.ConfigurationError, match='sse_customer_key'):
        stores.put(driver, 'unencrypted', NAME, data)
    assert list(driver.get_container_entries('unencrypted', '')) == []


@pytest.mark.parametrize('options', [
    {'sse_customer_key': SSE_KEY}, {'sse_customer_algorithm': 'AES256'},
    {'secret_key': None}, {'access_key': None}])
def test_half_a_pair_of_options_is_refused(options):
    server = types.SimpleNamespace(url='http://127.0.0.1', access_key='a',
                                   secret_key='b')
    with pytest.raises(errors.ConfigurationError):
        stores.s3_driver(server, **options).check_for_setup_error()


# Names.

@pytest.mark.parametrize('container', [
    '', 'a/b', '..', 'arn:aws:s3:::bucket', 'a b', 'é', 'a' * 300,
    'arn:aws:s3:us-east-1:123456789012:accesspoint/other'])
def test_what_is_no_plain_bucket_is_refused(ceph, container):
    driver = stores.s3_driver(ceph)
    for use in (lambda: driver.put_container(container),
                lambda: driver.get_container_entries(container, ''),
                lambda: stores.put(driver, container, NAME, b''),
                lambda: stores.get(driver, container, NAME),
                lambda: driver.delete_object(container, NAME),
                lambda: driver.delete_objects(container, [NAME])):
        with pytest.raises(errors.InvalidName):
            use()


# Ways to the store.

def test_requests_go_through_the_proxy_of_the_options(fault_proxy, ceph):
    proxy = fault_proxy(ceph.url)
    proxy.inject('answer', status=200, body=page(['a']))
    driver = stores.s3_driver(ceph, url='http://store.invalid',
                              http_proxy=proxy.url)
    assert list(driver.get_container_entries('bucket', '')) == ['a']
    request, = proxy.requests
    assert request.line.startswith('GET http://store.invalid/bucket?')


def test_a_virtual_bucket_is_a_part_of_the_host(fault_proxy, ceph):
    proxy = fault_proxy(ceph.url)
    proxy.inject('answer', status=200, body=page(['a']))
    driver = stores.s3_driver(
        ceph, url='http://store.invalid', http_proxy=proxy.url,
        addressing_style='virtual')
    assert list(driver.get_container_entries('bucket', '')) == ['a']
    request, = proxy.requests
    assert request.headers['host'] == 'bucket.store.invalid'


def test_the_region_is_signed_for_and_created_in(fault_proxy, ceph):
    proxy = fault_proxy(ceph.url)
    proxy.inject('answer', match='^HEAD', status=404, body=b'')
    proxy.inject('answer', match='^PUT', status=200, body=b'')
    driver = stores.s3_driver(ceph, url=proxy.url, region_name='moon-1')
    driver.put_container('bucket')
    put, = proxy.seen('^PUT')
    assert '/moon-1/s3/' in put.headers['authorization']


def test_threads_share_one_client(driver, store):
    driver.get_container_entries(store.container, '')
    client = driver._client.connect()
    stores.put(driver, store.container, NAME, b'data')
    assert driver._client.connect() is client


@pytest.fixture(params=['ceph', 'swift'])
def tls_store(request):
    """A server and its URL with TLS."""
    if request.param == 'ceph':
        server = request.getfixturevalue('ceph')
        return server, server.tls_url
    server = request.getfixturevalue('tls_swift')
    return server, server.url


def test_a_certificate_is_checked_against_the_file_of_the_options(
        tls_store, certificate, small_parts):
    server, url = tls_store
    driver = stores.s3_driver(server, url, ca_cert_file=str(certificate))
    driver.put_container('encrypted-way')
    for data in (b'data', LARGE):
        stores.put(driver, 'encrypted-way', NAME, data)
        assert stores.get(driver, 'encrypted-way', NAME) == data
    driver.delete_objects('encrypted-way', [NAME])
    assert list(driver.get_container_entries('encrypted-way', '')) == []


def test_a_certificate_of_another_authority_is_access_denied(
        tls_store, other_certificate):
    server, url = tls_store
    for options in ({'ca_cert_file': str(other_certificate)},
                    {'ca_cert_file': None}):
        driver = stores.s3_driver(server, url, **options)
        with pytest.raises(errors.AccessDenied):
            driver.get_container_entries('volumebackups', '')


def test_a_certificate_need_not_be_checked(tls_store):
    server, url = tls_store
    driver = stores.s3_driver(server, url, verify_ssl=False)
    driver.put_container('unchecked')
    assert list(driver.get_container_entries('unchecked', '')) == []


# Another boto3.

@pytest.mark.parametrize(('limit', 'has_the_condition'), [
    ('1.36', True), ('1.35', False)])
def test_a_boto3_without_the_new_checksums_works(store, limit,
                                                 has_the_condition):
    older = base.packages('boto3', (f'boto3>=1.28,<{limit}',))
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, '-m', 'tests.stores.round_trip', json.dumps({
            'endpoint_url': store.server.url, 'bucket': store.container,
            'access_key': store.server.access_key,
            'secret_key': store.server.secret_key,
            'addressing_style': 'path'})],
        cwd=root, env={**os.environ, 'PYTHONPATH': str(older)},
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, refuses = done.stdout.split()
    assert tuple(map(int, version.split('.')[:2])) < (1, 36)
    assert refuses == str(has_the_condition)


def test_the_boto3_here_has_the_new_checksums():
    assert tuple(map(int, boto3.__version__.split('.')[:2])) >= (1, 36)
