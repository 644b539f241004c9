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

"""Objects above the cluster's limit: static large objects.

The segments of an object are in ``<container>_segments``, named
``<object>/slo-<random>/<number>``; each time it is written they get a
directory of their own.
"""

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from chunked_backup import errors
from chunked_backup.drivers import streams
from chunked_backup.drivers.swift.classify import into
from chunked_backup.drivers.swift.objects import Objects
from chunked_backup.drivers.swift.objects import check_etag
from chunked_backup.model import Unfinished

_SEGMENTS = '_segments'
_SEGMENT = re.compile('(?P<name>.+)/(?P<directory>slo-[0-9a-f]{16})/[0-9]{8}',
                      re.DOTALL)
_SEGMENT_BYTES = 1 << 30


class LargeObjects:
    """Objects in segments."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, container: str, name: str, whole: streams.Upload,
            most_bytes: int, headers: Mapping[str, str] | None = None) -> None:
        """Store an object: its segments, then their list.

        An older one keeps its own until this one is there, and then loses
        just those: others may belong to a writer at the same time. A small
        object leaves them to ``delete_segments``; looking for them would be
        a request more for each put.

        :param most_bytes: no segment may have more.
        """
        self._objects.put_container(container + _SEGMENTS)
        older = self._directory_in_use(container, name)
        directory = f'slo-{secrets.token_hex(8)}'
        try:
            listed = self._put_segments(container, f'{name}/{directory}',
                                        whole, min(_SEGMENT_BYTES, most_bytes))
            found = self._put_list(container, name, listed, headers)
        except BaseException as exc:
            self._take_back(container, name, directory, exc)
            raise
        check_etag(container, name, found, hashlib.md5(
            ''.join(each['etag'] for each in listed).encode(),
            usedforsecurity=False).hexdigest())
        if older:
            # What cannot be removed now goes with this object.
            with contextlib.suppress(errors.DriverError):
                self._drop(container, name, older)

    def delete_segments(self, container: str, name: str) -> None:
        """Have no segments of an object that is deleted."""
        for segment in self._segments(container, name):
            self._objects.delete(container + _SEGMENTS, segment)

    def are_in(self, container: str) -> bool:
        """Whether any object of a container has, or had, segments."""
        segments = container + _SEGMENTS
        try:
            return bool(self._objects.request(
                segments, None, lambda connection:
                connection.get_container(segments, limit=1))[1])
        except errors.ContainerNotFound:
            return False

    def unfinished(self, container: str) -> list[Unfinished]:
        """Segments that no large object lists, a directory at a time."""
        ages: dict[tuple[str, str], float] = {}
        with contextlib.suppress(errors.ContainerNotFound):
            for segment, age_s in self._objects.ages(container + _SEGMENTS,
                                                     '').items():
                if found := _SEGMENT.fullmatch(segment):
                    of = found['name'], found['directory']
                    ages[of] = min(age_s, ages.get(of, age_s))
        return [Unfinished(name, age_s, directory)
                for (name, directory), age_s in ages.items()
                if self._directory_in_use(container, name) != directory]

    def discard(self, container: str, name: str, directory: str) -> None:
        """Drop segments, unless their object lists them after all."""
        if self._directory_in_use(container, name) != directory:
            self._drop(container, name, directory)

    def _put_segments(self, container: str, path: str, whole: streams.Upload,
                      segment_bytes: int) -> list[dict[str, Any]]:
        """Store the segments below a path; what the list says of each."""
        listed: list[dict[str, Any]] = []
        for start in range(0, whole.length, segment_bytes):
            part = streams.Part(whole.file, start,
                                min(segment_bytes, whole.length - start))
            md5 = part.md5()
            segment = f'{path}/{len(listed):08d}'
            listed.append({'path': f'/{container}{_SEGMENTS}/{segment}',
                           'size_bytes': part.length, 'etag': md5.hex()})
            self._objects.put(container + _SEGMENTS, segment,
                              streams.Upload(part, part.length, md5))
        return listed

    def _put_list(self, container: str, name: str,
                  listed: list[dict[str, Any]],
                  headers: Mapping[str, str] | None) -> str | None:
        """Make the object of its segments; the store's md5 of theirs."""
        text = json.dumps(listed).encode()
        with into(container):
            found: str | None = self._objects.request(
                container, name, lambda connection: connection.put_object(
                    container, name, text, headers=headers,
                    query_string='multipart-manifest=put'))
        return found

    def _take_back(self, container: str, name: str, directory: str,
                   cause: BaseException) -> None:
        try:
            self.discard(container, name, directory)
        except errors.ChunkedBackupError as exc:
            cause.add_note(f'segments could not be removed: {exc}')

    def _drop(self, container: str, name: str, directory: str) -> None:
        for segment in self._segments(container, name):
            if segment.startswith(f'{name}/{directory}/'):
                self._objects.delete(container + _SEGMENTS, segment)

    def _directory_in_use(self, container: str, name: str) -> str | None:
        """What the segments of an object have between their names and
        numbers; None when there is no object, or one in one piece."""
        try:
            _, text = self._objects.request(
                container, name, lambda connection: connection.get_object(
                    container, name, headers={'Range': 'bytes=0-8191'},
                    query_string='multipart-manifest=get'))
        except (errors.ObjectNotFound, errors.ContainerNotFound):
            return None
        found = re.search(rb'/(slo-[0-9a-f]{16})/00000000"', text)
        return found[1].decode() if found else None

    def _segments(self, container: str, name: str) -> list[str]:
        """The segments of one object, and of no other that has its name for
        a beginning."""
        mine = re.compile(re.escape(name) + '/slo-[0-9a-f]{16}/[0-9]{8}')
        try:
            return [segment for segment in self._objects.names(
                container + _SEGMENTS, f'{name}/slo-')
                if mine.fullmatch(segment)]
        except errors.ContainerNotFound:
            return []
