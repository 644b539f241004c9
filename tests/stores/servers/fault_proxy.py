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

"""An HTTP proxy between a client and one server that misbehaves on demand.

::

    with FaultProxy(server.url) as proxy:
        proxy.inject('answer', match='PUT .*-00002', status=503)
        ...

Faults: ``answer`` (the server is not asked), ``answer_early`` (the same, but
of the request's body nothing is taken, and a reset follows), ``refuse`` (a
reset before anything is read), ``break_upload`` (a reset after some of the
request's body), ``lose_answer`` (a reset once the server has done its work),
``hang`` (nothing comes any more), ``delay`` (of the request); and of the
answer's body ``reset``, ``truncate`` (the connection is closed in good order),
``stall`` (it hangs), ``drip`` (one byte at a time), ``flip`` (one bit) and
``lengthen`` (its Content-Length says too much); and of the request's body
``flip_upload`` (one bit), ``stall_upload`` (no more of it is taken) and
``slow_upload`` (each piece of 64 KiB takes ``seconds``). ``stale`` gives the
first answer to a request again and again. ``after`` is the number of bytes
before a fault.
"""

import asyncio
import dataclasses
import re
import socket
import threading
from urllib import parse

from tests.stores.servers import base
from tests.stores.servers import messages

_WINDOW = 128 << 10
_LINGER_S = 2

# What becomes of a body, by the fault of a request.
_UP = {'flip_upload': 'flip', 'break_upload': 'reset',
       'stall_upload': 'stall', 'slow_upload': 'slow'}
_DOWN = {fault: fault for fault in ('flip', 'drip', 'reset', 'truncate',
                                    'stall')}


@dataclasses.dataclass
class Rule:
    """Which requests misbehave, and how.

    :param match: a regular expression for ``METHOD /path?query``.
    :param skip: so many requests that match are left alone first.
    :param times: so many are not, after that.
    """

    fault: str
    match: str = ''
    skip: int = 0
    times: float = float('inf')
    after: int = 0
    seconds: float = 0
    status: int = 503
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b'made to fail'
    fired: int = 0
    answers: dict = dataclasses.field(default_factory=dict)

    def applies(self, line):
        if not re.search(self.match, line):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.fired >= self.times:
            return False
        self.fired += 1
        return True


@dataclasses.dataclass
class Request:
    """A request that came by; header names are in lower case.

    ``body`` is kept of those that the server was not asked.
    """

    line: str
    headers: dict
    fault: str
    body: bytes = b''
    is_pending: bool = False


class _End(Exception):
    """The connection ends here: by a reset, or in good order."""

    def __init__(self, reset):
        self.reset = reset


class FaultProxy:
    """Runs in a thread of its own."""

    def __init__(self, url):
        target = parse.urlsplit(url)
        self._target = target.hostname, target.port
        self._port = base.free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever,
                                        daemon=True)
        self.url = f'http://{base.HOST}:{self._port}'
        self.rules = []
        self.requests = []

    def __enter__(self):
        self._thread.start()
        # A small window: what a client has sent is what the server gets soon.
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        listening.bind((base.HOST, self._port))
        asyncio.run_coroutine_threadsafe(asyncio.start_server(
            self._client, sock=listening), self._loop).result()
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def inject(self, fault, **values):
        """Add a rule; the first that applies to a request is its fate."""
        rule = Rule(fault, **values)
        self.rules.append(rule)
        return rule

    def clear(self):
        """No faults from now on, and none of the requests so far."""
        self.rules.clear()
        self.requests.clear()

    @property
    def pending(self):
        """How many of the requests so far the server is at; none of those
        before ``clear``, which may hang for ever."""
        return sum(request.is_pending for request in list(self.requests))

    def seen(self, match):
        """The requests so far whose line matches."""
        return [request for request in self.requests
                if re.search(match, request.line)]

    async def _client(self, reader, writer):
        end = _End(reset=False)
        try:
            while True:
                await self._one(reader, writer)
        except _End as exc:
            end = exc
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            messages.close(writer, end.reset)

    async def _one(self, reader, writer):
        """One request and its answer, over a connection of their own."""
        first, headers, head = await messages.read_head(reader)
        line = ' '.join(first.split(' ')[:2])
        rule = next((rule for rule in list(self.rules)
                     if rule.applies(line)), Rule(''))
        request = Request(line, headers, rule.fault)
        self.requests.append(request)
        if rule.fault == 'refuse':
            raise _End(reset=True)
        if rule.fault == 'delay':
            await asyncio.sleep(rule.seconds)
        if rule.fault in ('answer', 'answer_early'):
            await self._answer(rule, request, reader, writer)
            return
        if rule.fault == 'stale':
            if line in rule.answers:
                writer.write(rule.answers[line])
                await writer.drain()
                return
            writer = _Recording(writer)
        from_server, to_server = await _connect(*self._target)
        upload = asyncio.ensure_future(_forward_request(
            head, headers, reader, to_server, rule))
        request.is_pending = True
        try:
            await self._pass_answer(line, from_server, writer, rule, upload)
            if rule.fault == 'stale':
                rule.answers[line] = bytes(writer.recorded)
        finally:
            request.is_pending = False
            upload.cancel()
            to_server.close()

    @staticmethod
    async def _answer(rule, request, reader, writer):
        asks = 'expect' in request.headers  # and sends nothing yet
        is_early = rule.fault == 'answer_early'
        if is_early and asks:
            writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        if not is_early and not asks:
            async for data, is_payload in messages.body(
                    request.headers, reader, in_request=True):
                request.body += data * is_payload
        head = {'Content-Length': len(rule.body), **rule.headers}
        if asks or is_early:
            # Or the client would send its next request here.
            head['Connection'] = 'close'
        writer.write(f'HTTP/1.1 {rule.status} Made\r\n'.encode() + b''.join(
            f'{name}: {value}\r\n'.encode() for name, value in head.items())
            + b'\r\n')
        if not request.line.startswith('HEAD '):
            writer.write(rule.body)
        await writer.drain()
        if asks or is_early:
            raise _End(reset=False)

    @staticmethod
    async def _pass_answer(line, from_server, writer, rule, upload):
        while True:
            answer = asyncio.ensure_future(messages.read_head(from_server))
            await asyncio.wait({answer, upload},
                               return_when=asyncio.FIRST_COMPLETED)
            if upload.done() and upload.exception():
                answer.cancel()
                raise upload.exception()
            first, headers, head = await answer
            status = int(first.split(' ')[1])
            if status >= 200:
                break
            writer.write(head)  # 100 Continue
        if rule.fault == 'hang':
            await asyncio.sleep(3600)
        if rule.fault == 'lose_answer':
            raise _End(reset=True)
        if rule.fault == 'lengthen':
            head = re.sub(rb'(?i)(\r\ncontent-length: *)(\d+)',
                          lambda found: b'%s%d' % (
                              found[1], int(found[2]) + 10), head)
        writer.write(head)
        if not (line.startswith('HEAD ') or status in (204, 304)):
            await _copy(messages.body(headers, from_server, in_request=False),
                        writer, rule, _DOWN.get(rule.fault))
        await writer.drain()
        if not upload.done():
            # Who is still sending hears the answer, not a reset.
            writer.write_eof()
            await asyncio.wait({upload}, timeout=_LINGER_S)
            raise _End(reset=False)
        if (rule.fault == 'lengthen' or headers.get('connection') == 'close'):
            raise _End(reset=False)


class _Recording:
    """A writer that keeps what goes through it."""

    def __init__(self, writer):
        self.recorded = bytearray()
        self.drain = writer.drain
        self._write = writer.write

    def write(self, data):
        self.recorded += data
        self._write(data)


class _Answers(asyncio.StreamReaderProtocol):
    """What a server says; a reset is an end, and takes back nothing."""

    def connection_lost(self, exc):
        super().connection_lost(None)


class _Server:
    """Takes what is written to a server.

    A server may answer before it has a whole body, and close. asyncio drops
    what has come over a connection to which nothing can be written any more.
    So this writes by a descriptor of its own, and what the server does not
    take is dropped: its answer is what counts.
    """

    def __init__(self, connection, transport):
        self._connection = connection
        self._transport = transport
        self._pending = bytearray()
        self._is_gone = False

    def write(self, data):
        self._pending += data

    async def drain(self):
        data, self._pending = self._pending, bytearray()
        if not self._is_gone:
            try:
                await asyncio.get_running_loop().sock_sendall(
                    self._connection, data)
            except OSError:
                self._is_gone = True

    def close(self):
        self._connection.close()
        self._transport.close()


async def _connect(host, port):
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    await loop.sock_connect(connection, (host, port))
    reader = asyncio.StreamReader()
    transport, _ = await loop.create_connection(
        lambda: _Answers(reader), sock=connection)
    return reader, _Server(connection.dup(), transport)


async def _cancel_all():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _forward_request(head, headers, reader, to_server, rule):
    to_server.write(head)
    await to_server.drain()
    await _copy(messages.body(headers, reader, in_request=True), to_server,
                rule, _UP.get(rule.fault))


async def _copy(pieces, writer, rule, fault):
    position = 0
    clock = asyncio.get_running_loop().time
    due_s = clock()
    async for data, is_payload in pieces:
        here = rule.after - position
        position += len(data) * is_payload
        if is_payload and fault == 'slow':
            # By the clock, so that a busy machine makes it no slower.
            due_s += rule.seconds
            await asyncio.sleep(due_s - clock())
        if is_payload and fault == 'drip':
            for byte in data:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(rule.seconds)
            continue
        if is_payload and 0 <= here < len(data):
            if fault == 'flip':
                data = (data[:here] + bytes([data[here] ^ 1])
                        + data[here + 1:])
            elif fault in ('reset', 'truncate', 'stall'):
                writer.write(data[:here])
                await writer.drain()
                if fault == 'stall':
                    await asyncio.sleep(3600)
                raise _End(reset=fault != 'truncate')
        writer.write(data)
        await writer.drain()
