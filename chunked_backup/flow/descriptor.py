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
"""A file descriptor of our own, open as long as anyone may use it."""

import os


class Descriptor:
    """A duplicate of a descriptor that is closed with its last reference.

    A worker that hangs in a read or a write may outlive its job, which does
    not wait for it for ever. Were the caller's descriptor used, the number
    could by then belong to another file, and the worker would write there.

    ``number`` is what the functions of ``os`` take.
    """

    def __init__(self, descriptor: int) -> None:
        self.number = os.dup(descriptor)

    def __del__(self) -> None:
        if hasattr(self, 'number'):
            os.close(self.number)
