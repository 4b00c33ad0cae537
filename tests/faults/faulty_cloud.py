"""An emulator with faults below HTTP: resets, hangs and truncated answers, over raw sockets."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from enum import Enum
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from maas_usage_check.emulator.emulator import Emulator

from ..program import Program


class Act(Enum):
    """A step between bytes. HANG lasts until the client closes the connection; RESET closes it with RST."""

    PAUSE, HANG, RESET = range(3)


PAUSE = 0.05
"""Seconds of Act.PAUSE."""
Step = Union[bytes, Act]
ParsedRequest = Tuple[str, str, Dict[str, str], bytes]
"""Method, target, headers, body."""


class Exchange(NamedTuple):
    """One request, and the emulator that answers it."""

    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    emulator: Emulator

    def true_answer(self) -> bytes:
        answer = self.emulator.answer(self.method, self.target, self.headers, self.body)
        return http(answer.status, answer.body, **answer.headers)


Fault = Callable[[Exchange], Optional[Iterable[Step]]]
"""Return the steps of an answer; None: the true answer."""


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Write an answer; `_` in a header's name stands for `-`."""
    fields = {"Content-Length": str(len(body)), "Connection": "close"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def always(*steps: Step) -> Fault:
    return lambda exchange: steps


def drip(data: bytes) -> Sequence[Step]:
    """Send one byte at a time, then hang."""
    return [step for i in range(len(data)) for step in (data[i : i + 1], Act.PAUSE)] + [Act.HANG]


def read_request(read: Callable[[], bytes]) -> Optional[ParsedRequest]:
    """Read one request from chunks; return None if the client closes before its end."""
    head, body = b"", b""
    while b"\r\n\r\n" not in head:
        chunk = read()
        if not chunk:
            return None
        head += chunk
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    length = int(next((value for name, value in headers.items() if name.lower() == "content-length"), 0))
    while len(body) < length:
        body += read()
    method, target, _ = lines[0].split(" ")
    return method, target, headers, body


class FaultyCloud:
    """Answer with the current fault; without one, answer truly."""

    url = "http://127.0.0.1:1"

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.fault: Optional[Fault] = None
        self.requests: List[str] = []

    def answer(self, request: ParsedRequest) -> Iterable[Step]:
        self.requests.append(f"{request[0]} {re.sub('[?].*', '', request[1])}")
        exchange = Exchange(*request, self.emulator)
        steps = self.fault(exchange) if self.fault else None
        return [exchange.true_answer()] if steps is None else steps

    def entry(self, **keys: Any) -> Dict[str, Any]:
        """Return the configuration of an instance that queries this cloud."""
        return {"endpoint": self.url, "iam_endpoint": self.url, **keys}

    def config(self, program: Program, **keys: Any) -> str:
        """Write a configuration file with that one instance; return its path."""
        return program.config(json.dumps({"instances": [self.entry(**keys)]}))


class FaultyServer(FaultyCloud):
    """Serve the faulty cloud on loopback."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:  # the client may have closed
            request = read_request(lambda: client.recv(65536))
            for step in self.answer(request) if request else ():
                if isinstance(step, bytes):
                    client.sendall(step)
                elif step == Act.PAUSE:
                    time.sleep(PAUSE)
                elif step == Act.HANG:
                    client.settimeout(120)
                    client.recv(1)
                else:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
