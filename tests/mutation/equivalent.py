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

"""Changes that nobody could see, each with why."""

EQUIVALENT = {
    'formats/cinder_v1/digest_table': {
        # How much is held and read at a time.
        '_BATCH_DIGESTS = 16384 (16384 to 16385)',
        '_LARGEST_HEADER_BYTES = 4 << 20 (LShift to RShift)',
        '_LARGEST_HEADER_BYTES = 4 << 20 (4 to 5)',
        '_LARGEST_HEADER_BYTES = 4 << 20 (20 to 21)',
        '_READ_BYTES = 1 << 20 (1 to 2)',
        '_READ_BYTES = 1 << 20 (20 to 21)',
        # The mark is there once.
        'before, after = text.split(_MARK, 1) (1 to 2)',
        # The parser for other layouts reads this one, too.
        'while _MARK not in buffer or len(buffer) < buffer.index(_MARK) + '
        '_STRIDE: (Add to Sub)',
        # A list of one digest of no digits: damage both ways.
        'if last >= 0: (GtE to Gt)',
        'if last >= 0: (0 to 1)',
        # One byte more is read first; one digest more stays behind.
        'while _MARK not in buffer or len(buffer) < buffer.index(_MARK) + '
        '_STRIDE: (Lt to LtE)',
        'if not data or len(buffer) > _LARGEST_HEADER_BYTES: (Gt to GtE)',
        'count = len(buffer) // _STRIDE - 1 (1 to 2)',
        'if count > 0: (0 to 1)',
        'while data and len(tail) <= _LARGEST_HEADER_BYTES: (LtE to Lt)',
        # That there was a list is all that is asked.
        'values[key] = True (the other truth)',
    },
    'formats/cinder_v1/manifest': {
        # How much is written at a time.
        '_WRITE_BYTES = 256 << 10 (LShift to RShift)',
        '_WRITE_BYTES = 256 << 10 (256 to 257)',
        '_WRITE_BYTES = 256 << 10 (10 to 11)',
        'size = 0 (0 to 1)',
        'if size >= _WRITE_BYTES: (GtE to Gt)',
        'pending, size = ([], 0) (0 to 1)',
        # What is in order already may be sorted.
        'if any((self._offsets[index] > self._offsets[index + 1] for index '
        'in range(len(self) - 1))): (Gt to GtE)',
        'if any((self._offsets[index] > self._offsets[index + 1] for index '
        'in range(len(self) - 1))): (Add to Sub)',
        # That there was a list is all that is asked.
        'header[key] = True (the other truth)',
        # The key is there once.
        'before, after = text.split(\'\\n  "objects": []\', 1) (1 to 2)',
    },
    'formats/tree_v1/index': {
        # How long a record may be that nobody has written.
        '_LARGEST_RECORD_BYTES = 1 << 30 (1 to 2)',
        '_LARGEST_RECORD_BYTES = 1 << 30 (30 to 31)',
        # Lists and tuples have the same elements.
        'unpacker = msgpack.Unpacker(use_list=False, '
        'max_buffer_size=_LARGEST_RECORD_BYTES) (the other truth)',
        'return _record(msgpack.unpackb(data, use_list=False)) '
        '(the other truth)',
    },
    'formats/volume_v2/digest_table': {
        # How much of a header without an end is read; how often it is asked
        # whether there is more.
        '_LARGEST_HEADER_BYTES = 64 << 10 (64 to 65)',
        'while len(self._buffer) < count and self._fill(): (Lt to LtE)',
        'if len(self._buffer) > _LARGEST_HEADER_BYTES or not self._fill(): '
        '(Gt to GtE)',
    },
    'formats/volume_v2/lines': {
        # How much is read at a time.
        '_READ_BYTES = 256 << 10 (256 to 257)',
        '_READ_BYTES = 256 << 10 (10 to 11)',
    },
    'formats/volume_v2/manifest': {
        # How many records are in a line.
        '_BATCH_RECORDS = 1024 (1024 to 1025)',
        # Set again for the first object, before it is used.
        'self._object_bytes = 0 (0 to 1)',
        # It looks at one extent more.
        'index = known = max(0, bisect.bisect_right(offsets, ranges[0][0]) '
        '- 1) (1 to 2)',
        'if end >= high: (GtE to Gt)',
        # The larger, or the smaller, of two that are the same.
        'parts.append((low if low > start else start, high if high < end '
        'else end)) (Gt to GtE)',
        'parts.append((low if low > start else start, high if high < end '
        'else end)) (Lt to LtE)',
        # The name is made again each time.
        'if number != named[0]: (0 to 1)',
    },
    'blocks/codecs': {
        # How much is held and read at a time; how well zstd compresses.
        '_ZSTD_LEVEL = 2 (2 to 3)',
        '_ZSTD_LARGEST_WINDOW_BYTES = 16 << 20 (16 to 17)',
        '_READ_BYTES = 64 << 10 (64 to 65)',
        '_READ_BYTES = 64 << 10 (10 to 11)',
    },
    'blocks/plan': {
        # Without a gap nothing more is done with the other objects.
        'break (left out)',
    },
    'blocks/digests': {
        # How much is looked at, compared or hashed at a time.
        '_GLANCE_BYTES = 64 (64 to 65)',
        '_ZEROS = bytes(1 << 20) (1 to 2)',
        '_ZEROS = bytes(1 << 20) (20 to 21)',
        # The first byte was among the 64 that were looked at before.
        'return all((data[start:start + len(_ZEROS)].tobytes() == '
        '_ZEROS[:min(len(_ZEROS), len(data) - start)] for start in '
        'range(0, len(data), len(_ZEROS)))) (0 to 1)',
    },
}
