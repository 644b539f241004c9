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

import io

import pytest

from chunked_backup.formats import json_stream
from chunked_backup.formats.fields import InvalidDocument


def document(text):
    """All of a map, read with ``keys`` and ``value``."""
    events = json_stream.Events(io.BytesIO(text))
    return {key: events.value() for key in events.keys()}


def test_values_are_what_json_has():
    assert document(b'{"a": [1, {"b": null}], "c": "\\u00e9", "d": true}') == {
        'a': [1, {'b': None}], 'c': '\u00e9', 'd': True}


def test_a_fraction_is_a_float():
    value = document(b'{"a": 0.1}')['a']
    assert value == 0.1 and type(value) is float


def test_items_of_a_list_come_one_by_one():
    events = json_stream.Events(io.BytesIO(b'{"a": [1, [2], {"b": 3}]}'))
    for key in events.keys():
        assert list(events.items()) == [1, [2], {'b': 3}]


def test_an_empty_list_has_no_items():
    events = json_stream.Events(io.BytesIO(b'{"a": []}'))
    assert [list(events.items()) for _ in events.keys()] == [[]]


@pytest.mark.parametrize('text', [b'{"a": 1}', b'{"a": {}}', b'{"a": "[]"}'])
def test_items_of_anything_but_a_list_are_refused(text):
    events = json_stream.Events(io.BytesIO(text))
    with pytest.raises(InvalidDocument, match='list'):
        for _ in events.keys():
            list(events.items())


@pytest.mark.parametrize('text', [
    b'', b' ', b'{', b'{"a"', b'{"a":', b'{"a": 1', b'{"a": [', b'nonsense',
    b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 01}', b'{"a": 1,}',
    b'{"a": "\xff"}', b'{"a": 1} x', b'{"a": 1}{}', b'{"a": /* */ 1}',
    b'{"a": 1e999999999999999999999}', b'{"a": 1e400}', b"{'a': 1}",
    b'{"a": ' + b'9' * 5000 + b'}'])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(InvalidDocument):
        document(text)


@pytest.mark.parametrize('text', [b'[]', b'1', b'"a"', b'null'])
def test_a_document_that_is_no_map_is_refused(text):
    with pytest.raises(InvalidDocument, match='no map'):
        document(text)


@pytest.mark.parametrize('text', [
    b'{"a": 1, "a": 1}', b'{"b": {"a": 1, "a": 2}}',
    b'{"b": [{"a": {"c": 1, "c": 1}}]}'])
def test_a_key_that_stands_twice_is_refused(text):
    with pytest.raises(InvalidDocument, match='twice'):
        document(text)


def test_the_same_key_may_stand_in_several_maps():
    assert document(b'{"a": {"a": [{"a": 1}, {"a": 2}]}}') == {
        'a': {'a': [{'a': 1}, {'a': 2}]}}


@pytest.mark.parametrize('opening, closing', [(b'[', b']'),
                                              (b'{"a":', b'}')])
def test_nesting_without_end_is_refused(opening, closing):
    deep = opening * 100000 + b'1' + closing * 100000
    with pytest.raises(InvalidDocument):
        document(b'{"a": ' + deep + b'}')


@pytest.mark.parametrize('opening, closing', [(b'[', b']'),
                                              (b'{"a":', b'}')])
def test_how_deep_is_too_deep(opening, closing):
    def nested(depth):
        return (b'{"a": ' + opening * depth + b'[]' + closing * depth + b'}')

    assert document(nested(49))
    with pytest.raises(InvalidDocument, match='too deeply'):
        document(nested(50))


def test_how_deep_is_too_deep_for_an_item():
    def items(depth):
        events = json_stream.Events(io.BytesIO(
            b'{"a": [' + b'[' * depth + b']' * depth + b']}'))
        return [list(events.items()) for _ in events.keys()]

    assert items(50)
    with pytest.raises(InvalidDocument, match='too deeply'):
        items(51)


def test_nothing_comes_behind_the_end():
    events = json_stream.Events(io.BytesIO(b'{"a": 1}'))
    assert [events.value() for _ in events.keys()] == [1]
    with pytest.raises(InvalidDocument, match='ends early'):
        events.value()


@pytest.mark.parametrize('junk', [b'"', b'"{}', b'"\\', b'"\xc3', b'tru',
                                  b'-', b'1', b'/', b'\0', b'{', b'}'])
@pytest.mark.parametrize('far', [1, 1 << 20])  # in what is read next
def test_anything_behind_the_document_is_refused(junk, far):
    with pytest.raises(InvalidDocument):
        document(b'{"a": 1}' + b' ' * far + junk)


def test_white_space_behind_the_document_is_nothing():
    assert document(b'{"a": 1} \n\t\r\n') == {'a': 1}
