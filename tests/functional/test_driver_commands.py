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

def test_a_bench_tells_the_best_of_each_verb_and_leaves_nothing(command):
    rows = command.json('driver', 'bench', '--size', '4096', '--size',
                        '65536', '--threads', '1', '--threads', '2')

    assert [row['verb'] for row in rows] == 4 * ['put', 'get', 'list',
                                                 'delete']
    for verb in ('put', 'get'):
        parts = [row['of_fastest'] for row in rows if row['verb'] == verb]
        assert max(parts) == 1.0 and min(parts) > 0
        assert {row['bytes_per_s'] > 0 for row in rows
                if row['verb'] == verb} == {True}
    assert {row['of_fastest'] for row in rows
            if row['verb'] in ('list', 'delete')} == {None}
    assert command.files() == []


def test_a_bench_draws_bars_and_suggests(command):
    done = command.run('driver', 'bench', '--size', '4096', '--threads', '1')

    assert '█' * 20 in done.stdout
    assert 'chunk_size_bytes of about 4096' in done.stderr
