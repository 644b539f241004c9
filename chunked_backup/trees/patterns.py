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

"""What is left out of a tree.

The rule, which is that of restic and rsync, with the signs of gitignore:

* A pattern that begins with ``/`` is matched against the whole path of an
  entry below the root of the tree, any other against the end of it, by whole
  components: ``/cache`` is the one in the root, ``cache`` any,
  ``a/cache`` any that is in an ``a``.
* ``*`` stands for any bytes but ``/``, ``?`` for one, ``[a-z]`` and
  ``[!a-z]`` for one of those or of the others; ``**`` as a whole component
  for any number of components, none included, but for one at least at the end
  of a pattern. A backslash takes the meaning from the sign after it.
* A pattern that ends with ``/`` matches directories only.
* What matches is left out; of a directory, all that is below as well. The root
  itself is never left out.
* A pattern that begins with ``!`` brings back what patterns before it have
  left out: the last pattern that matches decides. Nothing comes back from
  below a directory that is left out, for nobody looks there.

In a file of patterns each line is one. Empty lines and those that begin with
``#`` are no patterns; spaces at the end of a line do not count unless a
backslash precedes them.
"""

import itertools
import re
from collections.abc import Iterable

_ANY = rb'[^/]*'
_ONE = rb'[^/]'
_SOME_COMPONENTS = rb'(?:[^/]+/)*'


class Excludes:
    """Patterns to leave entries out by; none leave nothing out."""

    def __init__(self, patterns: Iterable[str | bytes] = ()) -> None:
        rules = [_rule(pattern.encode(errors='surrogateescape')
                       if isinstance(pattern, str) else pattern)
                 for pattern in patterns]
        # The last that matches decides, so they are tried from the end, as
        # many in one expression as are of the same sign.
        self._rules = [
            (out, re.compile(b'|'.join(expression for _, expression in run),
                             re.DOTALL).fullmatch)
            for out, run in itertools.groupby(reversed(rules),
                                              key=lambda rule: rule[0])]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __call__(self, path: bytes, is_directory: bool) -> bool:
        """Whether an entry is left out."""
        subject = path + b'/' if is_directory else path
        out: bool
        for out, matches in self._rules:
            if matches(subject):
                return out
        return False


def read_patterns(path: str) -> list[bytes]:
    """The patterns of a file.

    :raises OSError: it cannot be read.
    """
    with open(path, 'rb') as file:
        lines = (_strip(line.rstrip(b'\r\n')) for line in file)
        return [line for line in lines if line and not line.startswith(b'#')]


def _strip(line: bytes) -> bytes:
    bare = line.rstrip(b' \t')
    escapes = len(bare) - len(bare.rstrip(b'\\'))
    return line[:len(bare) + escapes % 2]


def _rule(pattern: bytes) -> tuple[bool, bytes]:
    """Whether what matches is left out, and an expression for it.

    The expression is for a path with a slash at its end if it is that of a
    directory.
    """
    out = not pattern.startswith(b'!')
    pattern = pattern if out else pattern[1:]
    tail = rb'/' if pattern.endswith(b'/') else rb'/?'
    head = b'' if pattern.startswith(b'/') else _SOME_COMPONENTS
    components = [one for one in pattern.split(b'/') if one not in (b'', b'.')]
    if not components:
        return out, rb'(?!)'  # "/" and the like: the root is never left out
    parts = [_SOME_COMPONENTS if one == b'**' else _component(one) + b'/'
             for one in components[:-1]]
    last = components[-1]
    # A directory's slash is not followed by anything, not even by a "*".
    parts.append(rb'.+' if last == b'**' else rb'(?=[^/])' + _component(last))
    return out, head + b''.join(parts) + tail


_SIGNS = re.compile(
    rb'\\(?P<literal>.)|(?P<any>\*+)|(?P<one>\?)'
    rb'|\[(?P<negated>[!^]?)(?P<set>\]?[^\]]*)\]', re.DOTALL)


def _component(pattern: bytes) -> bytes:
    expression = []
    position = 0
    for sign in _SIGNS.finditer(pattern):
        expression.append(re.escape(pattern[position:sign.start()]))
        expression.append(_expression(sign))
        position = sign.end()
    expression.append(re.escape(pattern[position:]))
    return b''.join(expression)


def _expression(sign: re.Match[bytes]) -> bytes:
    if sign['literal'] is not None:
        return re.escape(sign['literal'])
    if sign['any']:
        return _ANY
    if sign['one']:
        return _ONE
    return _set(sign['set'], bool(sign['negated']))


def _set(members: bytes, negated: bool) -> bytes:
    """A set of bytes; a range that is upside down has none."""
    ranges = re.findall(rb'(.)-(.)|(.)', members, re.DOTALL)
    inside = b''.join(
        re.escape(single) or b'%b-%b' % (re.escape(low), re.escape(high))
        for low, high, single in ranges if single or low <= high)
    if not inside:
        return _ONE if negated else rb'(?!)'
    return rb'(?!/)[%b%b]' % (b'^' if negated else b'', inside)
