"""The HTTP server under the exporter: whoever connects, and however slowly, the others are answered."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import ThreadingWSGIServer

from ...errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

AT_ONCE = 32
"""Connections that are answered side by side; more wait their turn."""
LIMIT = 10.0
"""Seconds that one connection may take in all, and so keep another waiting."""


class _Handler(WSGIRequestHandler):
    """Answer one request, and log none: what is asked is nobody's business."""

    timeout = LIMIT
    disable_nagle_algorithm = True  # headers and body go apart: the second would wait for an acknowledgement

    def setup(self) -> None:
        """Shake hands here, in the connection's own thread: one that is slow keeps nobody from being accepted."""
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names its arguments
        """Say nothing."""

    def get_stderr(self) -> Any:
        """Show nobody a traceback; the scraper gets a 500."""
        return io.StringIO()


class Server(ThreadingWSGIServer):
    """Listen at an address, and answer each connection in a thread of its own.

    Args:
        host: a name or an address; empty for all addresses.
        port: 0 for any that is free.
        application: what answers.
        tls: without it, plain HTTP.

    Raises:
        ConfigError: nothing can listen there.
    """

    request_queue_size = 128

    def __init__(
        self, host: str, port: int, application: WSGIApplication, tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self.tls = tls
        self._room = threading.Semaphore(AT_ONCE)
        self._open: Dict[Any, float] = {}
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = found[0][0]
            super().__init__(found[0][4][:2], _Handler)  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "no such host"
            raise ConfigError(
                f"--listen: nothing can listen at {_at(host, port)} ({why}); name a free port of this host"
            ) from None
        self.set_app(application)

    @property
    def url(self) -> str:
        """Name where it is served."""
        return f"http{'s' if self.tls else ''}://{_at(self.server_name, self.server_port)}"

    def start(self) -> None:
        """Serve in a thread of its own as long as the process lives."""
        threading.Thread(target=self.serve_forever, daemon=True, name="maas-usage-check http").start()

    def server_bind(self) -> None:
        """Bind without asking a name server who this host is, which HTTPServer would wait for."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def get_request(self) -> Tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread when there is room for one."""
        while not self._room.acquire(timeout=0.2):
            self.service_actions()
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection, and make room."""
        super().shutdown_request(request)
        if self._open.pop(request, None) is not None:
            self._room.release()

    def service_actions(self) -> None:
        """Cut off whoever takes too long, a byte at a time or none at all."""
        for connection, began in list(self._open.items()):
            if time.monotonic() - began > LIMIT:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which would wait

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away, or speaks no HTTP or TLS, is no fault."""


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
