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

"""Coverage-guided fuzzing of one target: tox -e fuzz -- TARGET [seconds].

It begins with the inputs that are kept, and keeps in place of those that it
has named itself, by their sha1, the fewest that reach as much as all. It ends
at the first finding, with an error, and keeps that as ``crash-...`` or the
like: the tests fail then until it is mended. Give it a name that says what it
is.
"""

import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import atheris

# What is imported here is told apart branch by branch.
with atheris.instrument_imports(include=['chunked_backup']):
    from tests.fuzz import mutations
    from tests.fuzz import targets

#: As long as the longest that is to be found again, and no longer.
_LIMITS = ['-max_len=4096', '-timeout=10', '-rss_limit_mb=512']
_OWN_NAME = re.compile('[0-9a-f]{40}')


def mutate(data, most, seed):
    """Half of the changes know what a document is made of; of some inputs it
    begins at the second byte."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        start = rng.randrange(2)
        return (data[:start] + mutations.fuzzed(rng, data[start:]))[:most]
    return atheris.Mutate(data, most)


def fuzz(name, arguments):
    """As the process that the fuzzer ends, and starts again."""
    again = f'{sys.executable} -m {__package__} {name}'
    atheris.Setup([again, *arguments], targets.TARGETS[name],
                  custom_mutator=mutate)
    atheris.Fuzz()


def _run(name, *arguments):
    return subprocess.call([sys.executable, '-m', __package__, name,
                            *map(str, arguments), *_LIMITS])


def main(name='', seconds='60'):
    if name not in targets.TARGETS:
        return 'the targets are: ' + ', '.join(targets.TARGETS)
    corpus = targets.CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as top:
        new, fewest = pathlib.Path(top, 'new'), pathlib.Path(top, 'fewest')
        new.mkdir()
        fewest.mkdir()
        result = _run(name, new, corpus, f'-max_total_time={seconds}',
                      f'-artifact_prefix={corpus}/')
        if not _run(name, '-merge=1', fewest, corpus, new):
            _keep(corpus, fewest)
    return result


def _keep(corpus, fewest):
    named = set()
    for path in corpus.iterdir():
        if _OWN_NAME.fullmatch(path.name):
            path.unlink()
        else:
            named.add(path.read_bytes())
    for path in fewest.iterdir():
        if path.read_bytes() not in named:
            shutil.copy(path, corpus)


if __name__ == '__main__':
    if not sys.argv[2:] or sys.argv[2].isdigit():
        sys.exit(main(*sys.argv[1:]))
    fuzz(sys.argv[1], sys.argv[2:])
