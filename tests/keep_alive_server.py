"""An HTTP server with keep-alive, whose handler controls bytes and connections."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import struct
import threading
from http.client import parse_headers
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from maas_usage_check.emulator.emulator import Emulator


class ReceivedRequest(NamedTuple):
    """Hold a request, the number of its connection, and its number within the connection; both count from 1."""

    connection: int
    number: int
    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    client: socket.socket


Handler = Callable[[ReceivedRequest], Optional[bytes]]
"""Return the bytes of the response; None closes the connection."""


def http_response(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """Build a response."""
    all_headers = {
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def emulator_handler(emulator: Emulator) -> Handler:
    """Return a handler that answers as the emulator does."""

    def answer(request: ReceivedRequest) -> bytes:
        reply = emulator.answer(request.method, request.target, request.headers, request.body)
        return http_response(reply.body, reply.status, **reply.headers)

    return answer


def reset(client: socket.socket) -> None:
    """Let the server's thread close the connection with RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_RD)


class KeepAliveServer:
    """Serve each connection in a thread of its own, until it is closed."""

    def __init__(self, tls: Optional[ssl.SSLContext] = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.handler: Handler = lambda request: http_response(f"{request.connection} {request.number}".encode())
        self.clients: List[socket.socket] = []
        self.requests: List[ReceivedRequest] = []
        self._tls = tls
        self._listener = socket.create_server((host, port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}/"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connection_log(self) -> List[Tuple[int, int]]:
        """Return connection number and request number of each request."""
        return [(request.connection, request.number) for request in self.requests]

    def close(self) -> None:
        for each in (self._listener, *self.clients):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.clients.append(client)
                threading.Thread(target=self._serve, args=(len(self.clients), client), daemon=True).start()

    def _serve(self, connection: int, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self._tls:
                client = self.clients[connection - 1] = self._tls.wrap_socket(client, server_side=True)
            stream = io.BufferedReader(socket.SocketIO(client, "r"))  # unlike makefile it lets a client close at once
            for number, line in enumerate(iter(stream.readline, b""), 1):
                method, target, _ = line.decode().split(" ")
                headers = dict(parse_headers(stream))
                body = stream.read(int(headers.get("Content-Length", 0)))
                request = ReceivedRequest(connection, number, method, target, headers, body, client)
                self.requests.append(request)
                answer = self.handler(request)
                if answer is None:
                    return
                if answer:
                    client.sendall(answer)
