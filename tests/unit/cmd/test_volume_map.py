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

import collections
import re
import xml.etree.ElementTree as xml

from hypothesis import given
from hypothesis import strategies as st

from chunked_backup.cmd import volume_map
from chunked_backup.model import MappedRange

SVG = '{http://www.w3.org/2000/svg}'
CHAIN = ['newest', 'middle', 'full']


@st.composite
def maps(draw):
    """All of a volume, in order, neighbours of different backups."""
    ranges, position, before = [], 0, 'nobody'
    for length in draw(st.lists(st.integers(1, 40), min_size=1, max_size=12)):
        before = draw(st.sampled_from(
            [owner for owner in (*CHAIN, None) if owner != before]))
        ranges.append(MappedRange(position, position + length, before))
        position += length
    return ranges


@given(maps(), st.integers(1, 60))
def test_a_cell_is_what_most_of_it_is(ranges, count):
    owners = [each.backup_id for each in ranges
              for _ in range(each.start, each.end)]
    cells = volume_map.cells_of(ranges, count)

    assert len(cells) == min(count, len(owners))
    for number, cell in enumerate(cells):
        part = owners[number * len(owners) // len(cells):
                      (number + 1) * len(owners) // len(cells)]
        assert part
        shares = collections.Counter(part)
        assert shares[cell] == max(shares.values())


@given(maps())
def test_a_letter_for_each_cell_and_a_line_for_each_backup(ranges):
    text, _, legend = volume_map.draw_text(ranges, CHAIN).partition('\n\n')

    owner = {'A': 'full', 'B': 'middle', 'C': 'newest', '.': None}
    assert [owner[letter] for letter in text.replace('\n', '')] == (
        volume_map.cells_of(ranges, volume_map.MOST_CELLS))
    assert [line.split()[0] + line.split()[-1]
            for line in legend.splitlines()] == [
                'Afull', 'Bmiddle', 'Cnewest', '.zeros']
    assert abs(sum(map(float, re.findall(r'[\d.]+(?= %)', legend)))
               - 100) < 0.3


def test_a_chain_longer_than_the_alphabet_has_letters_for_all():
    chain = [str(number) for number in reversed(range(60))]
    ranges = [MappedRange(number, number + 1, str(number))
              for number in range(60)]
    text = volume_map.draw_text(ranges, chain).replace('\n', '')

    assert text.startswith('ABC')
    assert 'z********A' in text


@given(maps())
def test_the_picture_is_xml_and_covers_the_volume(ranges):
    root = xml.fromstring(volume_map.draw_svg(ranges, CHAIN))
    cells = volume_map.cells_of(ranges, 8192)
    drawn = [each for each in root.iter(f'{SVG}rect')
             if each.find(f'{SVG}title') is not None]

    assert sum(int(each.get('width')) for each in drawn) == 8 * len(cells)
    drawn_owners = {each.find(f'{SVG}title').text for each in drawn}
    assert drawn_owners == {cell or 'zeros' for cell in cells}


def test_a_picture_of_many_ranges_is_small():
    ranges = [MappedRange(number * 4096, (number + 1) * 4096,
                          CHAIN[number % 3]) for number in range(100_000)]

    assert len(volume_map.draw_svg(ranges, CHAIN)) < 2 << 20
    assert len(volume_map.draw_text(ranges, CHAIN)) < 2048
