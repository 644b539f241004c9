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


"""Signatures and deltas of files, by blocks that match at any offset.

After a level 0 backup the signature of a file is kept, which is 1/3000 of it.
With that alone, a later version is told apart into what the old one has and
what it has not; and with the old one, made again::

    from chunked_backup import delta

    signature = delta.gen_sig_from_file('monday')
    changes = delta.gen_sig_from_file('tuesday', signature)
    with open('changes', 'wb') as pipe:
        shutil.copyfileobj(changes, pipe)
    tuesday = changes.signature

    delta.patch_from_file('monday', 'restored', open('changes', 'rb'))

A delta against the signature of nothing, ``gen_sig_from_stream(b'')``, is all
of a file. ``SignatureBuilder`` and ``DeltaEncoder`` do the same for data that
is given to them, in a single pass, and ``patch`` for operations.
"""

from chunked_backup.delta.api import (
    Delta, gen_sig_from_file, gen_sig_from_stream, patch_from_file,
    patch_from_stream)
from chunked_backup.delta.compare import Range, diff_signatures
from chunked_backup.delta.encoder import DeltaEncoder
from chunked_backup.delta.ops import Copy, Literal, Op, Zero
from chunked_backup.delta.patch import patch
from chunked_backup.delta.signature import (
    DEFAULT_BLOCK_SIZE_BYTES, MAX_BLOCK_SIZE_BYTES, SEED_BYTES, Signature,
    SignatureBuilder)
from chunked_backup.delta.stream import DeltaReader, DeltaWriter
from chunked_backup.errors import DeltaError, PatchError, SignatureError

__all__ = [
    'Copy', 'DEFAULT_BLOCK_SIZE_BYTES', 'Delta', 'DeltaEncoder', 'DeltaError',
    'DeltaReader', 'DeltaWriter', 'Literal', 'MAX_BLOCK_SIZE_BYTES', 'Op',
    'PatchError', 'Range', 'SEED_BYTES', 'Signature', 'SignatureBuilder',
    'SignatureError', 'Zero', 'diff_signatures', 'gen_sig_from_file',
    'gen_sig_from_stream', 'patch', 'patch_from_file', 'patch_from_stream']
