"""A server that keeps connections, and does with each what a test wants of it."""

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


class Asked(NamedTuple):
    """One request: by which connection it came, as the how manieth of it, and what it says."""

    connection: int
    number: int
    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    client: socket.socket


Behave = Callable[[Asked], Optional[bytes]]
"""Answer a request; None closes the connection."""


def http(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """Write an answer."""
    given = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def truly(emulator: Emulator) -> Behave:
    """Answer as the emulator does."""

    def answer(asked: Asked) -> bytes:
        said = emulator.answer(asked.method, asked.target, asked.headers, asked.body)
        return http(said.body, said.status, **said.headers)

    return answer


def reset(client: socket.socket) -> None:
    """Let the server's thread close with a reset instead of a farewell."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_RD)


class KeepAliveServer:
    """Serve connections, each in a thread of its own, until it is closed. It counts from 1."""

    def __init__(self, tls: Optional[ssl.SSLContext] = None) -> None:
        self.behave: Behave = lambda asked: http(f"{asked.connection} {asked.number}".encode())
        self.clients: List[socket.socket] = []
        self.asked: List[Asked] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}/"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def ways(self) -> List[Tuple[int, int]]:
        """List by which connection each request came, and as the how manieth."""
        return [(asked.connection, asked.number) for asked in self.asked]

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
                asked = Asked(connection, number, method, target, headers, body, client)
                self.asked.append(asked)
                answer = self.behave(asked)
                if answer is None:
                    return
                if answer:
                    client.sendall(answer)
