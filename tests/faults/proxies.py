"""Proxies that ask for a password, and a cloud that is only reached through them."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional
from urllib.parse import quote

import trustme

from maas_usage_check.emulator.emulator import Emulator

from ..keep_alive_server import KeepAliveServer, ReceivedRequest, emulator_handler
from ..program import Program

HOSTS = ("modelarts.cloud.invalid", "iam.cloud.invalid", "ces.cloud.invalid")
USER, PASSWORD = "planted-user", "pl@nted:/p%ssword"


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Proxy(KeepAliveServer):
    """Tunnel every host to one port, for those who know the password."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.target_port = port
        self.tunnels: List[str] = []
        self.refused = 0
        self.handler = self._handle

    def address(self, password: Optional[str] = PASSWORD) -> str:
        """Return the URL as a configuration has it, percent-encoded; without user and password for None."""
        userinfo = "" if password is None else f"{USER}:{quote(password, safe='')}@"
        return f"http://{userinfo}127.0.0.1:{self.port}"

    def _handle(self, request: ReceivedRequest) -> Optional[bytes]:
        expected = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        given = request.headers.get("Proxy-Authorization")
        if given != expected:
            self.refused += 1
            return f"HTTP/1.1 407 {given}\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".encode()
        self.tunnels.append(request.target)
        with socket.create_connection(("127.0.0.1", self.target_port)) as cloud:
            request.client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_pump, args=(request.client, cloud), daemon=True).start()
            _pump(cloud, request.client)
        return None


class SecureCloud(KeepAliveServer):
    """The emulator under the names of HOSTS, with certificates of an authority of its own."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS, "localhost", "127.0.0.1").configure_cert(context)
        super().__init__(context)
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.handler = emulator_handler(emulator)

    def entry(self, **keys: Any) -> Dict[str, Any]:
        endpoints = ("endpoint", "iam_endpoint", "cloud_eye_endpoint")
        urls = {name: f"https://{host}" for name, host in zip(endpoints, HOSTS)}
        return {**urls, "tls_ca_cert": self.ca_file, **keys}

    def config(self, program: Program, *entries: Dict[str, Any]) -> str:
        return program.config(json.dumps({"instances": list(entries)}))
