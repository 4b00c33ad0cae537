from __future__ import annotations

import http.client
import socket
import ssl

import trustme

from maas_usage_check.emulator.emulator import Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator


def test_missing_handshake() -> None:
    """A client that does not complete the TLS handshake does not block others."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    with serve_emulator(Emulator({}), tls=server) as url:
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)):
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=client)
            for _ in range(2):  # over one connection
                connection.request("GET", "/")
                answer = connection.getresponse()
                assert (answer.status, answer.will_close, bool(answer.read())) == (401, False, True)
            connection.close()


def test_open_connections_are_closed() -> None:
    """A keep-alive connection is closed at the end of the block."""
    with serve_emulator(Emulator({})) as url:
        connection = http.client.HTTPConnection(url.split("//")[1], timeout=5)
        connection.request("GET", "/")
        connection.getresponse().read()
    connection.sock.settimeout(5)
    assert connection.sock.recv(1) == b""
    connection.close()
