"""The transport over real sockets: TLS with a test authority, a proxy, and faulty servers."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

from maas_usage_check.cloud import DirectTransport, Request, Response
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError, Result

from ..keep_alive_server import KeepAliveServer, ReceivedRequest

HOST = "modelarts.cloud.invalid"


def transport(**keys: Any) -> DirectTransport:
    return DirectTransport(load_instance(keys, {}, "instances[0]"))


def get(url: str, **keys: Any) -> Response:
    return transport(**keys)(Request("GET", url, {"Host": "x"}, b""), 30)


def error_of(url: str, **keys: Any) -> QueryError:
    with pytest.raises(QueryError) as failed:
        get(url, **keys)
    assert len(str(failed.value).splitlines()) == 1
    return failed.value


def send_bytes(data: bytes) -> Callable[[ReceivedRequest], None]:
    """Return a handler that sends these bytes and closes."""
    return lambda request: request.client.sendall(data)


@pytest.fixture
def proxy(secure: KeepAliveServer) -> Iterator[KeepAliveServer]:
    """A proxy that tunnels every host to the server with TLS."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def tunnel(request: ReceivedRequest) -> Optional[bytes]:
        with socket.create_connection(("127.0.0.1", secure.port)) as cloud:
            request.client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pump, args=(request.client, cloud), daemon=True).start()
            pump(cloud, request.client)
        return None

    with contextlib.closing(KeepAliveServer()) as proxy:
        proxy.handler = tunnel
        yield proxy


def test_configured_proxy(proxy: KeepAliveServer, secure: KeepAliveServer, ca_file: str) -> None:
    """A configured proxy gets its password, and its tunnel is reused."""
    options = {"https": f"http://user:p%40ss@127.0.0.1:{proxy.port}"}
    tunneling = transport(tls_ca_cert=ca_file, proxy=options)
    for _ in range(2):
        assert tunneling(Request("GET", f"https://{HOST}/", {"Host": HOST}, b""), 30).status == 200
    tunneling.close()
    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", f"{HOST}:443")
    assert request.headers["Proxy-Authorization"] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"
    assert secure.connection_log == [(1, 1), (1, 2)]


def test_environment_proxy(proxy: KeepAliveServer, ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY is used unless skip_proxy or NO_PROXY excludes it."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(f"https://{HOST}/", tls_ca_cert=ca_file).status == 200
    assert error_of(f"https://{HOST}/", tls_ca_cert=ca_file, skip_proxy=True).result == Result.NETWORK
    monkeypatch.setenv("NO_PROXY", "cloud.invalid")
    assert error_of(f"https://{HOST}/", tls_ca_cert=ca_file).result == Result.NETWORK
    assert len(proxy.requests) == 1


def test_no_proxy(proxy: KeepAliveServer, secure: KeepAliveServer, ca_file: str) -> None:
    options = {"https": f"http://127.0.0.1:{proxy.port}", "no_proxy": ["localhost"]}
    assert get(secure.url, tls_ca_cert=ca_file, proxy=options).status == 200
    assert proxy.requests == []


def test_loopback_without_proxy(
    proxy: KeepAliveServer, server: KeepAliveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http to loopback never uses a proxy."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(server.url).status == 200
    assert proxy.requests == []


@pytest.mark.parametrize(("status", "shown"), [("407", "407 Proxy Authentication Required)"), ("299", "299)")])
def test_proxy_echoes_password(server: KeepAliveServer, status: str, shown: str) -> None:
    """An error does not quote the proxy's text, which may echo the password."""
    pair = base64.b64encode(b"user:planted").decode()
    server.handler = send_bytes(f"HTTP/1.1 {status} {pair} planted\r\n\r\n".encode())
    error = error_of(f"https://{HOST}/", proxy={"https": server.url.replace("//", "//user:planted@")})
    assert f"the proxy refused: {shown}" in str(error)
    assert not any(secret in str(error) for secret in ("planted", pair))


def test_netrc(server: KeepAliveServer, tmp_path: Path) -> None:
    """A .netrc does not change a signed request."""
    (tmp_path / ".netrc").write_text("machine localhost login a password b\nmachine 127.0.0.1 login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    transport()(Request("GET", server.url, {"Authorization": "signed"}, b""), 30)
    assert server.requests[0].headers["Authorization"] == "signed"


def test_endless_body(server: KeepAliveServer) -> None:
    def flood(request: ReceivedRequest) -> None:
        request.client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:  # until the client closes
            request.client.sendall(b" " * 65_536)

    server.handler = flood
    error = error_of(server.url)
    assert error.result == Result.BAD_ANSWER
    assert "longer than 1 MiB" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
    ids=["cut chunk", "no http", "no status", "too many headers"],
)
def test_broken_response(server: KeepAliveServer, data: bytes) -> None:
    """A broken response is a NETWORK error that quotes nothing of it."""
    server.handler = send_bytes(data)
    error = error_of(server.url)
    assert error.result == Result.NETWORK
    assert "nonsense" not in str(error)
    assert ("answered, but not in HTTP" in str(error)) == (b"chunked" not in data)


def test_no_connection() -> None:
    """A closed port and an unknown host have different errors."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "Connection refused" in str(error_of(f"http://127.0.0.1:{port}/"))
    assert "no such host" in str(error_of("https://does-not-exist.invalid/"))
    assert error_of("https://a..b/").result == Result.NETWORK


def test_server_without_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"HTTP/1.1 400 X\r\n\r\n"), daemon=True).start()
        error = error_of(f"https://127.0.0.1:{server.getsockname()[1]}/")
    assert "answered, but not in TLS: check endpoint, its port, and proxy" in str(error)


def test_request_repr() -> None:
    """The repr of a request shows no headers."""
    assert repr(Request("GET", "https://x/", {"Authorization": "planted"}, b"")) == "Request(GET https://x/)"
