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

"""Draws which part of a volume comes from which backup of its chain."""

import collections
import html
import math
from collections.abc import Sequence

from chunked_backup.model import MappedRange

COLUMNS, MOST_CELLS = 64, 1024

# Of the full backup, of the incrementals on it in their order, and of all
# that come after those.
_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
_MORE, _ZERO = '*', '.'

_SVG_COLUMNS, _SVG_MOST_CELLS = 128, 8192
_CELL_WIDTH, _CELL_HEIGHT, _LINE_HEIGHT = 8, 10, 18
_ZERO_COLOUR = '#eeeeee'


def cells_of(ranges: Sequence[MappedRange],
             count: int) -> list[str | None]:
    """What most of each equal part of a volume is.

    :param ranges: all of the volume, in order.
    :param count: how many parts; fewer where there are fewer bytes.
    :returns: the id of a backup, or None for zeros.
    """
    volume_bytes = ranges[-1].end
    count = min(count, volume_bytes)
    cells: list[str | None] = []
    position = 0
    for cell in range(count):
        start = cell * volume_bytes // count
        end = (cell + 1) * volume_bytes // count
        shares: dict[str | None, int] = collections.Counter()
        while ranges[position].end <= start:
            position += 1
        for each in range(position, len(ranges)):
            found = ranges[each]
            if found.start >= end:
                break
            shares[found.backup_id] += (min(found.end, end)
                                        - max(found.start, start))
        cells.append(max(shares, key=lambda key: shares[key]))
    return cells


def bytes_of(ranges: Sequence[MappedRange]) -> dict[str | None, int]:
    """How much of the volume each backup provides."""
    total: dict[str | None, int] = collections.Counter()
    for each in ranges:
        total[each.backup_id] += each.end - each.start
    return total


def draw_text(ranges: Sequence[MappedRange], chain: Sequence[str]) -> str:
    """A letter for each part, in lines, and what the letters mean.

    :param chain: the ids of the backup and its ancestors, the full one last.
    """
    letters = _letters(chain)
    text = ''.join(letters[cell] for cell in cells_of(ranges, MOST_CELLS))
    lines = [text[start:start + COLUMNS]
             for start in range(0, len(text), COLUMNS)]
    total = bytes_of(ranges)
    lines += ['', *(f'{letters[key]} {_share(total.get(key, 0), ranges)} '
                    f'{key or "zeros"}' for key in [*reversed(chain), None])]
    return '\n'.join(lines)


def draw_svg(ranges: Sequence[MappedRange], chain: Sequence[str]) -> str:
    """The same as a picture, finer and in colours."""
    colours = _colours(chain)
    cells = cells_of(ranges, _SVG_MOST_CELLS)
    rows = math.ceil(len(cells) / _SVG_COLUMNS)
    width = _SVG_COLUMNS * _CELL_WIDTH
    legend_top = rows * _CELL_HEIGHT + _LINE_HEIGHT
    height = legend_top + (len(chain) + 1) * _LINE_HEIGHT
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
             f'height="{height}" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="12">',
             f'<title>{html.escape(chain[0])}</title>',
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for row in range(rows):
        lines += _svg_row(cells[row * _SVG_COLUMNS:][:_SVG_COLUMNS],
                          row * _CELL_HEIGHT, colours)
    total = bytes_of(ranges)
    for line, key in enumerate([*reversed(chain), None]):
        top = legend_top + line * _LINE_HEIGHT
        lines += [f'<rect x="4" y="{top}" width="12" height="12" '
                  f'fill="{colours[key]}"/>',
                  f'<text x="22" y="{top + 10}">'
                  f'{_share(total.get(key, 0), ranges)} '
                  f'{html.escape(key or "zeros")}</text>']
    return '\n'.join([*lines, '</svg>', ''])


def _svg_row(cells: Sequence[str | None], top: int,
             colours: dict[str | None, str]) -> list[str]:
    """One row; neighbours of one backup are one rectangle."""
    lines = []
    start = 0
    for end in range(1, len(cells) + 1):
        if end == len(cells) or cells[end] != cells[start]:
            lines.append(
                f'<rect x="{start * _CELL_WIDTH}" y="{top}" '
                f'width="{(end - start) * _CELL_WIDTH}" '
                f'height="{_CELL_HEIGHT - 1}" fill="{colours[cells[start]]}">'
                f'<title>{html.escape(cells[start] or "zeros")}</title>'
                '</rect>')
            start = end
    return lines


def _letters(chain: Sequence[str]) -> dict[str | None, str]:
    letters: dict[str | None, str] = {
        key: _LETTERS[number] if number < len(_LETTERS) else _MORE
        for number, key in enumerate(reversed(chain))}
    return {**letters, None: _ZERO}


def _colours(chain: Sequence[str]) -> dict[str | None, str]:
    """From blue, for the full backup, to red, for the newest."""
    last = max(1, len(chain) - 1)
    colours: dict[str | None, str] = {
        key: f'hsl({215 - 215 * number // last}, 65%, 50%)'
        for number, key in enumerate(reversed(chain))}
    return {**colours, None: _ZERO_COLOUR}


def _share(count: int, ranges: Sequence[MappedRange]) -> str:
    return f'{100 * count / ranges[-1].end:5.1f} %'
