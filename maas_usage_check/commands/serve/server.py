"""The HTTP server of the exporter: slow clients do not block others."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import ThreadingWSGIServer

from ...errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_CONNECTIONS = 32
"""Connections served concurrently; further ones wait."""
CONNECTION_TIMEOUT = 10.0
"""Seconds for a whole connection, which limits how long others wait."""


class _Handler(WSGIRequestHandler):
    """Respond to one request; log nothing, since a URL may contain a secret."""

    timeout = CONNECTION_TIMEOUT
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait for an acknowledgement

    def setup(self) -> None:
        """Do the TLS handshake in the connection's own thread: a slow one does not block `accept`."""
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names its arguments
        """Log nothing."""

    def get_stderr(self) -> Any:
        """Discard tracebacks; the scraper gets a 500."""
        return io.StringIO()


class Server(ThreadingWSGIServer):
    """Listen on an address; serve each connection in a thread of its own.

    Args:
        host: a name or an address; empty for all addresses, of IPv6 and IPv4.
        port: 0 for any free port.
        application: the WSGI application.
        tls: returns the context of the next connection, None for plain HTTP.

    Raises:
        ConfigError: the address is not available.
    """

    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        application: WSGIApplication,
        tls: Callable[[], Optional[ssl.SSLContext]] = lambda: None,
    ) -> None:
        self._tls = tls
        self._slots = threading.Semaphore(MAX_CONNECTIONS)
        self._open: Dict[Any, float] = {}
        try:
            name = host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104
            addresses = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            self.address_family, address = addresses[0][0], addresses[0][4]
            super().__init__(address, _Handler)  # type: ignore[arg-type] # of IPv6 it has four parts
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no such host"
            advice = "choose a free port of this host"
            if host.startswith("fe80:"):
                advice += ", and name its interface, as in [fe80::1%eth0]"
            raise ConfigError(f"--listen: cannot listen on {_host_port(host, port)} ({reason}); {advice}") from None
        self.set_app(application)

    @property
    def url(self) -> str:
        """Return the URL of the index page."""
        return f"http{'s' if self._tls() else ''}://{_host_port(self.server_name, self.server_port)}"

    def start(self) -> None:
        """Serve in a daemon thread until the process exits."""
        threading.Thread(target=self.serve_forever, daemon=True, name="maas-usage-check http").start()

    def server_bind(self) -> None:
        """Bind without the DNS lookup of this host's name that HTTPServer does."""
        if self.address_family == socket.AF_INET6 and socket.has_dualstack_ipv6():  # `::` is all of IPv4 too
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        # With the scope of an address, which `server_address` has as a number.
        address: Any = self.server_address
        self.server_name = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
        self.server_port = address[1]
        self.setup_environ()

    def get_request(self) -> Tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = super().get_request()
        context = self._tls()
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Wait for a free slot; then serve in a thread."""
        while not self._slots.acquire(timeout=0.2):
            self.service_actions()
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and release its slot."""
        super().shutdown_request(request)
        if self._open.pop(request, None) is not None:
            self._slots.release()

    def service_actions(self) -> None:
        """Close connections after their timeout, also those that send a byte at a time."""
        for connection, opened in list(self._open.items()):
            if time.monotonic() - opened > CONNECTION_TIMEOUT:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own shutdown, which would wait

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, or that do not speak HTTP or TLS."""


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
