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

"""OpenStack Keystone on SQLite, with users for the tests."""

import getpass
import grp
import os
import shutil

from tests.stores.servers import base
from tests.stores.servers import http

_REQUIREMENTS = ('keystone>=25', 'waitress>=3')

_CONFIGURATION = '''
[DEFAULT]
log_file = {directory}/keystone.server.log
[database]
connection = sqlite:///{directory}/keystone.sqlite
[token]
provider = fernet
expiration = {token_life_s}
[fernet_tokens]
key_repository = {directory}/fernet
[credential]
key_repository = {directory}/credential
[identity]
password_hash_rounds = 4
[cache]
# Without it each check of a token takes a second.
enabled = true
backend = dogpile.cache.memory
'''

_SERVE = '''
import sys
import waitress
host, port = sys.argv[1:]
sys.argv[1:] = []
from keystone.wsgi.api import application
waitress.serve(application, host=host, port=int(port), threads=4)
'''


class Keystone(base.Server):
    """Signs users in by version 3; version 2 is long gone from it."""

    SERVICE_USER = 'swift'
    SERVICE_PASSWORD = 'canary-of-service'
    SERVICE_PROJECT = 'service'
    USER = 'demo'
    PASSWORD = 'canary-of-keystone'
    PROJECT = 'demo-project'
    DOMAIN = 'Default'

    _ADMIN_PASSWORD = 'admin-password'

    def start(self):
        self._bin = base.virtualenv('keystone', _REQUIREMENTS) / 'bin'
        shutil.copytree(self._template(), self.directory, dirs_exist_ok=True)
        self.url = self._reserve()
        configuration = self._configure('keystone.conf', 3600)
        self._manage(configuration, 'bootstrap', '--bootstrap-password',
                     self._ADMIN_PASSWORD, '--bootstrap-region-id', 'identity',
                     '--bootstrap-public-url', self.url)
        self._serve(self.url, configuration)
        self._create_users()

    def _template(self):
        """A directory with an empty database and keys; making it takes
        longer than all the rest."""
        with base.installation('keystone-template', (
                _REQUIREMENTS, _CONFIGURATION)) as (home, missing):
            template = home / 'template'
            if missing:
                shutil.rmtree(template, ignore_errors=True)
                for name in ('fernet', 'credential'):
                    (template / name).mkdir(mode=0o700, parents=True)
                configuration = home / 'keystone.conf'
                configuration.write_text(_CONFIGURATION.format(
                    directory=template, token_life_s=3600))
                owner = ('--keystone-user', getpass.getuser(),
                         '--keystone-group', grp.getgrgid(os.getgid())[0])
                self._manage(configuration, 'db_sync')
                self._manage(configuration, 'fernet_setup', *owner)
                self._manage(configuration, 'credential_setup', *owner)
        return template

    def _manage(self, configuration, *arguments):
        base.run([self._bin / 'keystone-manage', '--config-file',
                  configuration, *arguments],
                 env=_environment(configuration))

    def with_token_life(self, seconds):
        """The URL of the same Keystone, its tokens short-lived."""
        url = self._reserve()
        self._serve(url, self._configure(f'keystone-{seconds}.conf',
                                         seconds))
        return url

    def add_endpoint(self, url, region):
        """Have a store in the catalogue, for a region."""
        self._post('/regions', 'region', {'id': region})
        self._post('/endpoints', 'endpoint', {
            'service_id': self._store_id, 'interface': 'public',
            'region_id': region, 'url': f'{url}/v1/AUTH_%(project_id)s'})

    def token(self, url=None, user=USER, password=PASSWORD, project=PROJECT):
        """A token, and the id of its project."""
        answer = http.request('POST', f'{url or self.url}/auth/tokens', json={
            'auth': {
                'identity': {'methods': ['password'], 'password': {'user': {
                    'name': user, 'password': password,
                    'domain': {'id': 'default'}}}},
                'scope': {'project': {'name': project,
                                      'domain': {'id': 'default'}}}}})
        answer.raise_for_status()
        return (answer.headers['X-Subject-Token'],
                answer.json()['token']['project']['id'])

    def revoke(self, token):
        """Have a token be worth nothing from now on."""
        http.request('DELETE', f'{self.url}/auth/tokens', headers={
            'X-Auth-Token': self._admin_token,
            'X-Subject-Token': token}).raise_for_status()

    def _reserve(self):
        return f'http://{base.HOST}:{base.free_port()}/v3'

    def _configure(self, name, token_life_s):
        return self.write(name, _CONFIGURATION.format(
            directory=self.directory, token_life_s=token_life_s))

    def _serve(self, url, configuration):
        port = url.split(':')[2].split('/')[0]
        self.spawn(f'keystone-{port}',
                   [self._bin / 'python', '-W', 'ignore', '-c', _SERVE,
                    base.HOST, port], env=_environment(configuration))
        self.until(lambda: http.answers(url))

    def _create_users(self):
        self._admin_token, _ = self.token(
            user='admin', password=self._ADMIN_PASSWORD, project='admin')
        roles = {role['name']: role['id'] for role in http.request(
            'GET', f'{self.url}/roles',
            headers={'X-Auth-Token': self._admin_token}).json()['roles']}
        for project, user, password, role in (
                (self.SERVICE_PROJECT, self.SERVICE_USER,
                 self.SERVICE_PASSWORD, 'service'),
                (self.PROJECT, self.USER, self.PASSWORD, 'member')):
            project_id = self._post('/projects', 'project', {
                'name': project, 'domain_id': 'default'})
            user_id = self._post('/users', 'user', {
                'name': user, 'password': password, 'domain_id': 'default'})
            self._call('PUT', f'/projects/{project_id}/users/{user_id}/roles/'
                       f'{roles[role]}')
        self._store_id = self._post('/services', 'service', {
            'type': 'object-store', 'name': 'swift'})

    def _post(self, path, kind, values):
        return self._call('POST', path, json={kind: values}).json()[
            kind]['id']

    def _call(self, method, path, **keywords):
        answer = http.request(
            method, self.url + path,
            headers={'X-Auth-Token': self._admin_token}, **keywords)
        if not answer.ok:
            raise base.ServerFailed(f'{method} {path}: {answer.text}')
        return answer


def _environment(configuration):
    return {**os.environ, 'OS_KEYSTONE_CONFIG_FILES': str(configuration),
            'PYTHONWARNINGS': 'ignore'}
