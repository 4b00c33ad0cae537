"""The HTTP server of the exporter: slow clients do not block others."""

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
        host: a name or an address; empty for all addresses.
        port: 0 for any free port.
        application: the WSGI application.
        tls: None for plain HTTP.

    Raises:
        ConfigError: the address is not available.
    """

    request_queue_size = 128

    def __init__(
        self, host: str, port: int, application: WSGIApplication, tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self.tls = tls
        self._slots = threading.Semaphore(MAX_CONNECTIONS)
        self._open: Dict[Any, float] = {}
        try:
            addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = addresses[0][0]
            super().__init__(addresses[0][4][:2], _Handler)  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no such host"
            raise ConfigError(
                f"--listen: cannot listen on {_host_port(host, port)} ({reason}); choose a free port of this host"
            ) from None
        self.set_app(application)

    @property
    def url(self) -> str:
        """Return the URL of the index page."""
        return f"http{'s' if self.tls else ''}://{_host_port(self.server_name, self.server_port)}"

    def start(self) -> None:
        """Serve in a daemon thread until the process exits."""
        threading.Thread(target=self.serve_forever, daemon=True, name="maas-usage-check http").start()

    def server_bind(self) -> None:
        """Bind without the DNS lookup of this host's name that HTTPServer does."""
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


def tls_context(cert: Optional[str], private_key: Optional[str], client_ca: Optional[str]) -> Optional[ssl.SSLContext]:
    """Build the TLS context from the paths that the options name; None without options.

    Args:
        cert: the certificate, with its chain.
        private_key: the private key of `cert`.
        client_ca: the CA that must have signed the certificate of each client.

    Raises:
        ConfigError: an option is missing or a file is wrong; the text names the option.
    """
    if not cert or not private_key:
        for option, value in (("--tls-cert", cert), ("--tls-key", private_key), ("--tls-client-ca", client_ca)):
            if value is not None:
                raise ConfigError(f"{option}: needs both --tls-cert and --tls-key; add them")
        return None
    for option, path in (("--tls-cert", cert), ("--tls-key", private_key), ("--tls-client-ca", client_ca)):
        if path is not None:
            _check_readable(option, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            cert, private_key, password=""
        )  # without a password OpenSSL would prompt on the terminal
    except (OSError, ValueError) as error:
        wrong = f"{cert} and {private_key} must be a certificate and its private key, as PEM and without a password"
        raise ConfigError(f"--tls-cert, --tls-key: {wrong} ({_reason(error)})") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--tls-client-ca: {client_ca} must contain certificates as PEM ({_reason(error)})"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check_readable(option: str, path: str) -> None:
    """Raise ConfigError with the path of an unreadable file, which errors of ssl do not name."""
    try:
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(f"{option}: {path} cannot be read ({reason}); check the path and who may read it") from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()
