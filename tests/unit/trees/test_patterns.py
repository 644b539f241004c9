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

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.trees import patterns

D = True
F = False


@pytest.mark.parametrize('pattern, path, is_directory, is_out', [
    # A name anywhere.
    ('cache', b'cache', D, True), ('cache', b'cache', F, True),
    ('cache', b'a/cache', F, True), ('cache', b'a/b/cache', D, True),
    ('cache', b'caches', F, False), ('cache', b'my-cache', F, False),
    ('cache', b'cache/file', F, False),
    # From the root.
    ('/cache', b'cache', F, True), ('/cache', b'a/cache', F, False),
    ('/a/b', b'a/b', F, True), ('/a/b', b'x/a/b', F, False),
    # Several components, anywhere.
    ('a/b', b'a/b', F, True), ('a/b', b'x/y/a/b', F, True),
    ('a/b', b'xa/b', F, False), ('a/b', b'a/x/b', F, False),
    ('a/*', b'a', D, False), ('a/*', b'a/b', D, True),
    ('/a/*', b'a', D, False), ('a/*/', b'a', D, False),
    # Only directories.
    ('cache/', b'cache', D, True), ('cache/', b'cache', F, False),
    ('/a/cache/', b'a/cache', D, True), ('/a/cache/', b'a/cache', F, False),
    # Signs.
    ('*.log', b'a.log', F, True), ('*.log', b'x/y/.log', F, True),
    ('*.log', b'a.log.gz', F, False), ('a*b', b'a/b', F, False),
    ('a*b', b'ab', F, True), ('a**b', b'axxb', F, True),
    ('a**b', b'a/b', F, False), ('?', b'a', F, True), ('?', b'ab', F, False),
    ('a?b', b'a/b', F, False), ('[a-c]x', b'bx', F, True),
    ('[a-c]x', b'dx', F, False), ('[!a-c]x', b'dx', F, True),
    ('[^a-c]x', b'bx', F, False), ('[!a]b', b'/b', F, False),
    ('[]a]', b']', F, True), ('[!]a]', b']', F, False),
    ('[z-a]', b'b', F, False), ('[!z-a]', b'b', F, True),
    ('[a', b'[a', F, True), ('[a-]', b'-', F, True),
    ('[.^]', b'^', F, True), ('[\\\\]', b'\\', F, True),
    ('a.b', b'axb', F, False), ('a+', b'aa', F, False), ('(a)', b'(a)', F, 1),
    ('\\*', b'*', F, True), ('\\*', b'a', F, False),
    ('\\!a', b'!a', F, True), ('\\#a', b'#a', F, True),
    # Any number of components.
    ('a/**/b', b'a/b', F, True), ('a/**/b', b'a/x/y/b', F, True),
    ('a/**/b', b'x/a/b', F, True), ('/a/**/b', b'x/a/b', F, False),
    ('**/b', b'b', F, True), ('/**/b', b'x/y/b', F, True),
    ('a/**', b'a', D, False), ('a/**', b'a/b', F, True),
    ('a/**', b'a/b/c', F, True), ('/**', b'x', F, True),
    ('**', b'x/y', D, True), ('a/**/', b'a/b', F, False),
    ('a/**/', b'a/b', D, True),
    # Odd names.
    ('*', b'new\nline', F, True), ('a?c', b'a\nc', F, True),
    ('*', b'\xff\xfe', F, True), (b'\xff*', b'\xff\xfe', F, True),
    ('\udcff', b'\xff', F, True), ('é', 'é'.encode(), F, True),
    ('x;touch pwned;', b'x;touch pwned;', F, True), (' ', b' ', F, True),
    ('-rf', b'-rf', F, True),
    # What can never match.
    ('/', b'a', D, False), ('', b'a', F, False), ('!', b'a', F, False),
    ('..', b'a', F, False), ('./a', b'a', F, True), ('//a//b', b'a/b', F, 1),
])
def test_a_pattern(pattern, path, is_directory, is_out):
    assert patterns.Excludes([pattern])(path, is_directory) == bool(is_out)


def test_the_last_pattern_that_matches_decides():
    excludes = patterns.Excludes(['*.log', '!keep.log', '/tmp/keep.log'])

    assert excludes(b'a.log', F)
    assert not excludes(b'keep.log', F)
    assert not excludes(b'a/keep.log', F)
    assert excludes(b'tmp/keep.log', F)
    assert not patterns.Excludes(['!a', 'b'])(b'a', F)


def test_no_patterns_leave_nothing_out():
    assert not patterns.Excludes([])
    assert not patterns.Excludes([])(b'a', F)


def test_a_file_of_patterns(tmp_path):
    path = tmp_path / 'patterns'
    path.write_bytes(b'# a comment\n\n*.log\r\n!keep.log\ntrailing  \n'
                     b'kept\\ \n\\#sharp\n  \nspace inside\n\xff\nlast')

    assert patterns.read_patterns(path) == [
        b'*.log', b'!keep.log', b'trailing', b'kept\\ ', b'\\#sharp',
        b'space inside', b'\xff', b'last']
    assert patterns.Excludes([b'kept\\ '])(b'kept ', F)


def model(pattern, path, is_directory):
    """The rule, as slowly and as plainly as it can be said."""
    if pattern.endswith('/'):
        if not is_directory:
            return False
    anchored = pattern.startswith('/')
    wanted = [one for one in pattern.split('/') if one]
    found = path.split('/')
    starts = [0] if anchored else range(len(found))
    return bool(wanted) and any(
        components(wanted, found[start:]) for start in starts)


def components(wanted, found):
    if not wanted:
        return not found
    if wanted == ['**']:
        return bool(found)
    if wanted[0] == '**':
        return any(components(wanted[1:], found[count:])
                   for count in range(len(found) + 1))
    return bool(found) and letters(wanted[0], found[0]) and components(
        wanted[1:], found[1:])


def letters(wanted, found):
    if not wanted:
        return not found
    if wanted[0] == '*':
        return any(letters(wanted[1:], found[count:])
                   for count in range(len(found) + 1))
    return bool(found) and wanted[0] in ('?', found[0]) and letters(
        wanted[1:], found[1:])


@given(st.text('ab*?/', min_size=1, max_size=8),
       st.lists(st.text('ab', min_size=1, max_size=3), min_size=1,
                max_size=4).map('/'.join), st.booleans())
@example('**/**', 'a', False)
@example('a/*', 'a', True)
@example('/**/a/**', 'a/a', True)
def test_patterns_do_what_the_rule_says(pattern, path, is_directory):
    expected = model(pattern, path, is_directory)

    assert patterns.Excludes([pattern])(
        path.encode(), is_directory) == expected


@given(st.binary(max_size=12), st.binary(min_size=1, max_size=6))
def test_no_pattern_is_an_error(pattern, path):
    patterns.Excludes([pattern])(path, False)
