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

"""Owners by name and by number; each is looked up once."""

import functools
import grp
import pwd


@functools.lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """The name of a user, '' if there is none."""
    try:
        return _portable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return ''


@functools.lru_cache(maxsize=4096)
def group_name(gid: int) -> str:
    """The name of a group, '' if there is none."""
    try:
        return _portable(grp.getgrgid(gid).gr_name)
    except KeyError:
        return ''


@functools.lru_cache(maxsize=4096)
def uid_of(name: str) -> int | None:
    """The number that a user has here, or None."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


@functools.lru_cache(maxsize=4096)
def gid_of(name: str) -> int | None:
    """The number that a group has here, or None."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def _portable(name: str) -> str:
    """Names are UTF-8 wherever they go; one that is not is none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ''
    return name
