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

"""How Sphinx builds the documents: tox -e docs."""

import re

project = 'chunked_backup'
copyright = '2026, the chunked_backup maintainers'
extensions = [
    'openstackdocstheme',
    'sphinx.ext.autodoc',
    'cliff.sphinxext',
    'oslo_config.sphinxext',
]
html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_bug_project = ''
openstackdocs_use_storyboard = False
pygments_style = 'native'
autodoc_member_order = 'bysource'
autoprogram_cliff_application = 'chunked-backup'
man_pages = [('commands', 'chunked-backup',
              'chunked, incremental, verified backups', '', 1)]
# A page may stand apart from the tree of contents: what another includes.
exclude_patterns = []


def _link_pages(app, relative_path, parent_name, content):
    """Have what is included from above link to pages, not to their sources."""
    content[0] = re.sub(r'`doc/source/([\w-]+)\.rst\s+<[^>]*>`_', r':doc:`\1`',
                        content[0]).replace(' doc/source/', ' ')


def setup(app):
    app.connect('include-read', _link_pages)
