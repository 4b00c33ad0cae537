"""An HTTP server on loopback for the emulator."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import ssl
import sys
import threading
from typing import Any, Iterator, Optional, Set

from ..errors import ConfigError
from .emulator import Emulator


@contextlib.contextmanager
def serve_emulator(emulator: Emulator, port: int = 0, tls: Optional[ssl.SSLContext] = None) -> Iterator[str]:
    """Serve an emulator on loopback until the block ends; yield its URL. With a context, over TLS."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: a second packet would wait for an acknowledgement
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length") or "0"
            if not re.fullmatch("[0-9]{1,7}", length):
                self.send_error(400, "invalid Content-Length")
                return
            body = self.rfile.read(int(length))
            reply = emulator.answer(self.command, self.path, dict(self.headers), body)
            self.send_response_only(reply.status)  # the emulator sends its own Date
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # a cycle opens all its connections at once

        def __init__(self, *args: Any) -> None:
            self.connections: Set[socket.socket] = set()
            super().__init__(*args)

        def finish_request(self, request: Any, client_address: Any) -> None:
            # In the connection's thread: in the accepting thread a slow handshake would block all others.
            connection = tls.wrap_socket(request, server_side=True) if tls else request
            self.connections.add(connection)
            try:
                super().finish_request(connection, client_address)
            finally:
                self.connections.discard(connection)
                super().shutdown_request(connection)

        def server_close(self) -> None:
            super().server_close()
            for connection in list(self.connections):
                with contextlib.suppress(OSError):  # already closed by the client
                    connection.shutdown(socket.SHUT_RDWR)

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], OSError):  # a client that disconnects is not a fault
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    try:
        server = Server(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ConfigError(
            f"--port: cannot listen on {port} ({error.strerror}); leave it out for any free port"
        ) from None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
