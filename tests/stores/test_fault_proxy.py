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

"""The proxy itself: nothing is lost that it was not told to lose."""

import contextlib
import http.client
import socket
import threading
from urllib import parse

from tests.stores.servers import base
from tests.stores.servers.fault_proxy import FaultProxy

_ANSWER = b'HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nfull'


@contextlib.contextmanager
def _server(answer):
    """Answers each request when it has its head, takes nothing of its body,
    and closes, which resets the connection."""
    with socket.create_server((base.HOST, 0)) as listening:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f'http://{base.HOST}:{listening.getsockname()[1]}'
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_answer_before_the_body_is_passed_on():
    with _server(_ANSWER) as url, FaultProxy(url) as proxy:
        for number in range(30):
            client = http.client.HTTPConnection(
                parse.urlsplit(proxy.url).netloc, timeout=30)
            client.request('PUT', f'/{number}', body=bytes(4 << 20))
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (403, b'full')
            client.close()


def test_a_server_that_closes_without_an_answer_is_no_answer():
    with _server(b'') as url, FaultProxy(url) as proxy:
        client = http.client.HTTPConnection(
            parse.urlsplit(proxy.url).netloc, timeout=30)
        try:
            client.request('PUT', '/', body=bytes(4 << 20))
            client.getresponse()
        except OSError:
            pass
        else:
            raise AssertionError('there was an answer')


def test_a_client_that_is_gone_is_gone_for_the_server():
    """A server would wait for the rest of the body, and the proxy for the
    server."""
    with (socket.create_server((base.HOST, 0)) as listening,
          FaultProxy(f'http://{base.HOST}:{listening.getsockname()[1]}')
          as proxy):
        address = parse.urlsplit(proxy.url)
        client = socket.create_connection((address.hostname, address.port))
        client.sendall(b'PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nbody')
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(30)
            client.close()
            while connection.recv(1000):
                pass
        base.until(lambda: not proxy.pending)
