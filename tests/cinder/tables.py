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

"""The table of what was exchanged, printed at the end of a run.

Tests marked ``exchange(DIRECTION)`` are counted as they ended: how many have
passed, of how many that ran.
"""

import collections

STOCK_TO_OURS = 'stock to ours'
OURS_TO_STOCK = 'ours to stock'
OURS_TO_OURS = 'ours to ours'
STOCK_FIRST = 'by turns, stock first'
OURS_FIRST = 'by turns, ours first'
EXTENTS_AND_SIZES = 'extents and sizes'

DIRECTIONS = (STOCK_TO_OURS, OURS_TO_STOCK, OURS_TO_OURS, STOCK_FIRST,
              OURS_FIRST, EXTENTS_AND_SIZES)


class Table:
    """Counts tests by driver, mode and direction."""

    def __init__(self):
        self._passed = collections.Counter()
        self._ran = collections.Counter()

    def count(self, driver, mode, direction, has_passed):
        self._ran[driver, mode, direction] += 1
        self._passed[driver, mode, direction] += has_passed

    def lines(self):
        """The table as text; nothing if nothing was counted."""
        if not self._ran:
            return []
        rows = [('driver', 'mode', *DIRECTIONS)]
        for driver, mode in sorted({key[:2] for key in self._ran}):
            rows.append((driver, mode, *(
                self._cell(driver, mode, each) for each in DIRECTIONS)))
        widths = [max(map(len, column)) for column in zip(*rows)]
        return ['  '.join(cell.ljust(width) for cell, width
                          in zip(row, widths)).rstrip() for row in rows]

    def _cell(self, *key):
        return f'{self._passed[key]} of {self._ran[key]}' if (
            key in self._ran) else '-'
