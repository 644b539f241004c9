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

"""The sample configuration in etc/ is what the options say."""

import pathlib
import subprocess
import sys
from importlib.metadata import entry_points

from oslo_config import cfg

ROOT = pathlib.Path(__file__).parents[2]
DIRECTORY = ROOT / 'etc' / 'chunked_backup'
SAMPLE = DIRECTORY / 'chunked_backup.conf.sample'


def our_sections(text):
    """The sections of our own; oslo.log's differ from release to release."""
    sections = {}
    for section in text.split('\n\n[')[1:]:
        name, content = section.split(']', 1)
        if name.startswith('chunked_backup'):
            sections[name] = content.strip()
    return sections


def test_is_current(tmp_path):
    generated = tmp_path / 'sample'
    generator = pathlib.Path(sys.executable).parent / 'oslo-config-generator'

    subprocess.run(
        [generator, '--config-file', DIRECTORY / 'config-generator.conf',
         '--output-file', generated], check=True, cwd=ROOT)

    found = our_sections(SAMPLE.read_text())
    assert found == our_sections(generated.read_text()), (
        'tox -e genconfig writes a current one')
    assert {'chunked_backup', 'chunked_backup_posix'} <= set(found)


def test_has_the_options_of_every_namespace():
    installed = {name for name in entry_points(
        group='oslo.config.opts').names if name.startswith('chunked_backup')}
    conf = (DIRECTORY / 'config-generator.conf').read_text()

    for name in installed | {'oslo.log'}:
        assert f'namespace = {name}\n' in conf


def test_names_nothing_of_the_machine_it_was_made_on():
    sample = SAMPLE.read_text()

    for path in (ROOT, pathlib.Path.home(), sys.prefix):
        assert f'{path}/' not in sample


def test_can_be_used_as_it_is(command, volume):
    command.run('--config-file', SAMPLE, 'volume', 'backup', volume)


def test_is_read_by_oslo_config_without_a_value():
    """Everything in it is a comment: the defaults are those of the code."""
    sections = {}

    cfg.ConfigParser(str(SAMPLE), sections).parse()

    assert len(sections) >= 3
    assert not any(sections.values())
