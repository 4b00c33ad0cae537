"""A server of raw sockets before the emulator: it can break what an HTTP library would not let a test break."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from maas_usage_check.standin.emulator import Emulator


class Exchange(NamedTuple):
    """One request, the connection it came by, and the true answer to it."""

    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    client: socket.socket
    emulator: Emulator

    def truth(self) -> bytes:
        answer = self.emulator.answer(self.method, self.target, self.headers, self.body)
        return http(answer.status, answer.body, **answer.headers)


Fault = Callable[[Exchange], Optional[bytes]]


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Write an answer; header names may hold _ for -."""
    given = {"Content-Length": str(len(body)), "Connection": "close"}
    given.update({name.replace("_", "-"): value for name, value in headers.items()})
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def reset(client: socket.socket) -> None:
    """Close with a reset instead of a farewell."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class Server:
    """Answer with a fault, or truly where there is none."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.fault: Optional[Fault] = None
        self.requests: List[str] = []
        self.port = 0
        self._listener: Any = None
        self._stopping = threading.Event()
        self.listen()
        self.url = f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Listen no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def restore(self) -> None:
        self.fault = None
        if self._listener is None:
            self.listen()

    def stop(self) -> None:
        self._stopping.set()
        self.refuse()

    def hang(self, seconds: float = 30) -> None:
        self._stopping.wait(seconds)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:
                head, body = b"", b""
                while b"\r\n\r\n" not in head:
                    chunk = client.recv(65536)
                    if not chunk:
                        return
                    head += chunk
                head, _, body = head.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
                length = int(next((value for name, value in headers.items() if name.lower() == "content-length"), 0))
                while len(body) < length:
                    body += client.recv(65536)
                method, target, _ = lines[0].split(" ")
                self.requests.append(f"{method} {re.sub('[?].*', '', target)}")
                exchange = Exchange(method, target, headers, body, client, self.emulator)
                answer = self.fault(exchange) if self.fault else None
                if answer is None:
                    answer = exchange.truth()
                if answer:
                    client.sendall(answer)
        except OSError:  # the other side has had enough
            pass


def drip(data: bytes, pause: float = 0.05, limit: float = 20.0) -> Fault:
    """Send one byte at a time."""

    def send(exchange: Exchange) -> bytes:
        until = time.monotonic() + limit
        for i in range(len(data)):
            if time.monotonic() > until:
                break
            exchange.client.sendall(data[i : i + 1])
            time.sleep(pause)
        return b""

    return send
