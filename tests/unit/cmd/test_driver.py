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

import types

import pytest

from chunked_backup.cmd.driver import Bar


def drawn(monkeypatch, value, encoding):
    monkeypatch.setattr('sys.stdout', types.SimpleNamespace(
        encoding=encoding))
    return Bar(value).human_readable()


@pytest.mark.parametrize('value, length, last', [
    (1.0, 20, '█'), (0.5, 10, '█'), (0.5125, 11, '▎'), (1e-9, 1, '▏')])
def test_a_bar_is_as_long_as_its_part(monkeypatch, value, length, last):
    bar = drawn(monkeypatch, value, 'utf-8')

    assert len(bar) == length
    assert bar[-1] == last
    assert set(bar[:-1]) <= {'█'}


@pytest.mark.parametrize('encoding', ['ascii', 'iso-8859-1', None])
def test_a_terminal_without_blocks_has_bars_too(monkeypatch, encoding):
    assert drawn(monkeypatch, 0.5, encoding) == '#' * 10


def test_what_has_no_throughput_has_no_bar(monkeypatch):
    assert drawn(monkeypatch, None, 'utf-8') == ''
    assert Bar(None).machine_readable() is None


def test_programs_get_the_number():
    assert Bar(0.33333).machine_readable() == 0.333
