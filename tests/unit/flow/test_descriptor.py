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

import gc
import os

import pytest

from chunked_backup.flow.descriptor import Descriptor


def test_it_stays_open_when_the_original_is_closed(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'data')
    with open(path, 'rb') as file:
        own = Descriptor(file.fileno())
    with own as number:
        assert os.pread(number, 4, 0) == b'data'


def test_it_is_closed_with_its_last_reference(tmp_path):
    with open(tmp_path / 'file', 'wb') as file:
        own = Descriptor(file.fileno())
        with own as number:
            assert number != file.fileno()
        del own
        gc.collect()
        with pytest.raises(OSError):
            os.fstat(number)


def test_it_is_closed_after_the_last_use(tmp_path):
    with open(tmp_path / 'file', 'wb') as file:
        own = Descriptor(file.fileno())
        with own as number:
            own.close()
            os.fstat(number)
            with pytest.raises(OSError):
                own.__enter__()
        with pytest.raises(OSError):
            os.fstat(number)
        own.close()


def test_what_cannot_be_duplicated_is_an_error_and_closes_nothing():
    with pytest.raises(OSError):
        Descriptor(-1)
