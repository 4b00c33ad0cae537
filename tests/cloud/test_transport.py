"""Real sockets: TLS with an authority of the test's own, a proxy, and servers that misbehave."""

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

from ..keep_alive_server import Asked, KeepAliveServer

HOST = "modelarts.cloud.invalid"


def transport(**keys: Any) -> DirectTransport:
    return DirectTransport(load_instance(keys, {}, "instances[0]"))


def get(url: str, **keys: Any) -> Response:
    return transport(**keys)(Request("GET", url, {"Host": "x"}, b""), 30)


def failing(url: str, **keys: Any) -> QueryError:
    with pytest.raises(QueryError) as failed:
        get(url, **keys)
    assert len(str(failed.value).splitlines()) == 1
    return failed.value


def sending(data: bytes) -> Callable[[Asked], None]:
    """Make a server that sends some bytes to whoever asks, and closes."""
    return lambda asked: asked.client.sendall(data)


@pytest.fixture
def proxy(secure: KeepAliveServer) -> Iterator[KeepAliveServer]:
    """A proxy that tunnels whatever host is asked for to the server that speaks TLS."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def tunnel(asked: Asked) -> Optional[bytes]:
        with socket.create_connection(("127.0.0.1", secure.port)) as cloud:
            asked.client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pump, args=(asked.client, cloud), daemon=True).start()
            pump(cloud, asked.client)
        return None

    with contextlib.closing(KeepAliveServer()) as proxy:
        proxy.behave = tunnel
        yield proxy


def test_a_configured_proxy_tunnels_with_its_own_password_and_its_connection_is_kept(
    proxy: KeepAliveServer, secure: KeepAliveServer, ca_file: str
) -> None:
    way = {"https": f"http://user:p%40ss@127.0.0.1:{proxy.port}"}
    tunneling = transport(tls_ca_cert=ca_file, proxy=way)
    for _ in range(2):
        assert tunneling(Request("GET", f"https://{HOST}/", {"Host": HOST}, b""), 30).status == 200
    tunneling.close()
    (asked,) = proxy.asked
    assert (asked.method, asked.target) == ("CONNECT", f"{HOST}:443")
    assert asked.headers["Proxy-Authorization"] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"
    assert secure.ways == [(1, 1), (1, 2)]


def test_the_environments_proxy_is_used_unless_it_is_skipped(
    proxy: KeepAliveServer, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(f"https://{HOST}/", tls_ca_cert=ca_file).status == 200
    assert failing(f"https://{HOST}/", tls_ca_cert=ca_file, skip_proxy=True).result == Result.NETWORK
    monkeypatch.setenv("NO_PROXY", "cloud.invalid")
    assert failing(f"https://{HOST}/", tls_ca_cert=ca_file).result == Result.NETWORK
    assert len(proxy.asked) == 1


def test_a_host_in_no_proxy_is_asked_directly(proxy: KeepAliveServer, secure: KeepAliveServer, ca_file: str) -> None:
    way = {"https": f"http://127.0.0.1:{proxy.port}", "no_proxy": ["localhost"]}
    assert get(secure.url, tls_ca_cert=ca_file, proxy=way).status == 200
    assert proxy.asked == []


def test_plain_http_to_this_machine_never_leaves_it_by_a_proxy(
    proxy: KeepAliveServer, server: KeepAliveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(server.url).status == 200
    assert proxy.asked == []


@pytest.mark.parametrize(("status", "shown"), [("407", "407 Proxy Authentication Required)"), ("299", "299)")])
def test_what_a_proxy_says_is_not_repeated_for_it_may_echo_the_password(
    server: KeepAliveServer, status: str, shown: str
) -> None:
    pair = base64.b64encode(b"user:planted").decode()
    server.behave = sending(f"HTTP/1.1 {status} {pair} planted\r\n\r\n".encode())
    error = failing(f"https://{HOST}/", proxy={"https": server.url.replace("//", "//user:planted@")})
    assert f"the proxy refused: {shown}" in str(error)
    assert not any(secret in str(error) for secret in ("planted", pair))


def test_a_netrc_does_not_touch_a_signed_request(server: KeepAliveServer, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine localhost login a password b\nmachine 127.0.0.1 login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    transport()(Request("GET", server.url, {"Authorization": "signed"}, b""), 30)
    assert server.asked[0].headers["Authorization"] == "signed"


def test_a_body_without_an_end_is_left(server: KeepAliveServer) -> None:
    def flood(asked: Asked) -> None:
        asked.client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:  # until the other side closes
            asked.client.sendall(b" " * 65_536)

    server.behave = flood
    error = failing(server.url)
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
def test_a_connection_that_breaks_is_a_network_failure_and_quotes_nothing(server: KeepAliveServer, data: bytes) -> None:
    server.behave = sending(data)
    error = failing(server.url)
    assert error.result == Result.NETWORK
    assert "nonsense" not in str(error)
    assert ("answered, but not in HTTP" in str(error)) == (b"chunked" not in data)


def test_a_port_where_nobody_listens_and_a_host_that_does_not_exist_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "Connection refused" in str(failing(f"http://127.0.0.1:{port}/"))
    assert "no such host" in str(failing("https://does-not-exist.invalid/"))
    assert failing("https://a..b/").result == Result.NETWORK


def test_another_protocol_where_tls_is_expected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"HTTP/1.1 400 X\r\n\r\n"), daemon=True).start()
        error = failing(f"https://127.0.0.1:{server.getsockname()[1]}/")
    assert "answered, but not in TLS: check endpoint, its port, and proxy" in str(error)


def test_a_request_prints_without_its_headers() -> None:
    assert repr(Request("GET", "https://x/", {"Authorization": "planted"}, b"")) == "Request(GET https://x/)"
