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

"""Messages of HTTP/1.1 as they come over a connection."""

import asyncio
import contextlib
import socket
import struct

_PIECE_BYTES = 1 << 16


async def read_head(reader):
    """The first line, the headers, and all of it as it came."""
    head = await reader.readuntil(b'\r\n\r\n')
    first, *lines = head.decode('latin-1').split('\r\n')[:-2]
    headers = dict(line.split(':', 1) for line in lines)
    return first, {name.strip().lower(): value.strip()
                   for name, value in headers.items()}, head


async def body(headers, reader, in_request):
    """The pieces of a body as they come, and whether each is payload.

    :raises IncompleteReadError: a request ends before its body does.
    """
    if headers.get('transfer-encoding', '').lower() == 'chunked':
        size = None
        while size != 0:
            line = await reader.readuntil(b'\r\n')
            size = int(line.split(b';')[0], 16)
            yield line, False
            yield await reader.readexactly(size), True
            yield await reader.readexactly(2), False
        return
    left = int(headers.get('content-length', 0 if in_request else 1 << 60))
    while left and (data := await reader.read(min(left, _PIECE_BYTES))):
        left -= len(data)
        yield data, True
    if left and in_request:
        # Whoever sends it is gone: a server would wait for the rest.
        raise asyncio.IncompleteReadError(b'', left)


def close(writer, reset):
    """End a connection, in good order or by a reset."""
    with contextlib.suppress(OSError):
        if reset:
            writer.get_extra_info('socket').setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER,
                struct.pack('ii', 1, 0))
            writer.transport.abort()
        writer.close()
