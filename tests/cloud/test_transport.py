"""Real sockets: TLS with an authority of the test's own, a proxy, and servers that misbehave."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
import trustme

from maas_usage_check.cloud import DirectTransport, Request, Response
from maas_usage_check.config import load_instance
from maas_usage_check.errors import ConfigError, QueryError, Result

from ..keeping_server import KeepingServer, http

HOST = "modelarts.cloud.invalid"


def transport(**keys: Any) -> DirectTransport:
    return DirectTransport(load_instance(keys, {}, "instances[0]"))


def get(url: str, timeout: float = 30, **keys: Any) -> Response:
    return transport(**keys)(Request("GET", url, {"Host": "x"}, b""), timeout)


def failing(url: str, timeout: float = 30, **keys: Any) -> QueryError:
    with pytest.raises(QueryError) as failed:
        get(url, timeout, **keys)
    assert len(str(failed.value).splitlines()) == 1
    return failed.value


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def plain() -> Iterator[KeepingServer]:
    server = KeepingServer()
    yield server
    server.close()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[KeepingServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", HOST).configure_cert(context)
    server = KeepingServer(context)
    yield server
    server.close()


class Proxy:
    """A proxy that tunnels whatever host is asked for to one port of this machine."""

    def __init__(self, target: int) -> None:
        self.requests: List[str] = []
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.requests.append(head.decode())
            cloud = socket.create_connection(("127.0.0.1", self._target))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for source, sink in ((client, cloud), (cloud, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def proxy(secure: KeepingServer) -> Iterator[Proxy]:
    proxy = Proxy(secure.port)
    yield proxy
    proxy.close()


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Serve one connection after another with a function of the test's own."""
    server = socket.create_server(("127.0.0.1", 0))

    def start(behave: Callable[[socket.socket], None]) -> str:
        def loop() -> None:
            while True:
                try:
                    client, _ = server.accept()
                    with client:
                        head = b""
                        while b"\r\n\r\n" not in head:
                            head += client.recv(65536)
                        behave(client)
                except OSError:
                    return

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield start
    server.close()


def test_a_file_that_holds_no_certificates_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match="tls_ca_cert"):
            transport(tls_ca_cert=str(path))


def test_a_configured_proxy_tunnels_with_its_own_password_and_its_connection_is_kept(
    proxy: Proxy, secure: KeepingServer, ca_file: str
) -> None:
    way = {"https": f"http://user:p%40ss@127.0.0.1:{proxy.port}"}
    tunneling = transport(tls_ca_cert=ca_file, proxy=way)
    for _ in range(2):
        assert tunneling(Request("GET", f"https://{HOST}/", {"Host": HOST}, b""), 30).status == 200
    tunneling.close()
    (asked,) = proxy.requests
    assert asked.startswith(f"CONNECT {HOST}:443")
    assert base64.b64encode(b"user:p@ss").decode() in asked
    assert secure.ways == [(1, 1), (1, 2)]


def test_the_environments_proxy_is_used_unless_it_is_skipped(
    proxy: Proxy, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(f"https://{HOST}/", tls_ca_cert=ca_file).status == 200
    assert failing(f"https://{HOST}/", tls_ca_cert=ca_file, skip_proxy=True).result == Result.NETWORK
    monkeypatch.setenv("NO_PROXY", "cloud.invalid")
    assert failing(f"https://{HOST}/", tls_ca_cert=ca_file).result == Result.NETWORK
    assert len(proxy.requests) == 1


def test_a_host_in_no_proxy_is_asked_directly(proxy: Proxy, secure: KeepingServer, ca_file: str) -> None:
    way = {"https": f"http://127.0.0.1:{proxy.port}", "no_proxy": ["localhost"]}
    assert get(secure.url, tls_ca_cert=ca_file, proxy=way).status == 200
    assert proxy.requests == []


def test_plain_http_to_this_machine_never_leaves_it_by_a_proxy(
    proxy: Proxy, plain: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(plain.url).status == 200
    assert proxy.requests == []


@pytest.mark.parametrize(("status", "shown"), [("407", "407 Proxy Authentication Required)"), ("299", "299)")])
def test_what_a_proxy_says_is_not_repeated_for_it_may_echo_the_password(raw: Any, status: str, shown: str) -> None:
    pair = base64.b64encode(b"user:planted").decode()
    url = raw(lambda client: client.sendall(f"HTTP/1.1 {status} {pair} planted\r\n\r\n".encode()))
    error = failing(f"https://{HOST}/", proxy={"https": url.replace("//", "//user:planted@")})
    assert f"the proxy refused: {shown}" in str(error)
    assert not any(secret in str(error) for secret in ("planted", pair))


def test_a_netrc_does_not_touch_a_signed_request(plain: KeepingServer, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine localhost login a password b\nmachine 127.0.0.1 login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    transport()(Request("GET", plain.url, {"Authorization": "signed"}, b""), 30)
    assert plain.asked[0].headers["Authorization"] == "signed"


def test_a_redirect_is_handed_back_and_not_followed(plain: KeepingServer) -> None:
    plain.behave = lambda asked: http(b"", 302, Location=f"{plain.url}other")
    assert get(plain.url).status == 302
    assert len(plain.asked) == 1


def test_a_body_of_100_mb_is_left_after_one(raw: Any) -> None:
    sent, over = [0], threading.Event()

    def flood(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        try:
            for _ in range(100):
                client.sendall(b" " * 1_048_576)
                sent[0] += 1
        finally:
            over.set()

    error = failing(raw(flood))
    assert error.result == Result.BAD_ANSWER
    assert "1 MiB" in str(error)
    assert over.wait(30)
    assert sent[0] < 20


def drip(client: socket.socket, head: bytes) -> None:
    """Send a byte now and then until the other side closes."""
    client.sendall(head)
    while True:
        client.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "behave",
    [
        lambda client: client.recv(1),  # nothing comes but the end
        lambda client: (client.sendall(b"HTTP/1.1 200 OK\r\n"), client.recv(1)),
        lambda client: drip(client, b"HTTP/1.1 200 OK\r\nX-Slow: "),
        lambda client: drip(client, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    ],
    ids=["silence", "headers", "drip of headers", "drip"],
)
def test_an_answer_that_takes_longer_than_the_timeout_is_a_time_out(raw: Any, behave: Any) -> None:
    assert failing(raw(behave), timeout=0.3).result == Result.TIMED_OUT


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
     b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"],
    ids=["nothing", "cut short", "cut chunk", "no http", "no status", "too many headers"],
)  # fmt: skip
def test_a_connection_that_breaks_is_a_network_failure_and_quotes_nothing(raw: Any, data: bytes) -> None:
    error = failing(raw(lambda client: client.sendall(data)))
    assert error.result == Result.NETWORK
    assert "nonsense" not in str(error)


def test_a_port_where_nobody_listens_and_a_host_that_does_not_exist_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "Connection refused" in str(failing(f"http://127.0.0.1:{port}/"))
    assert "no such host" in str(failing("https://does-not-exist.invalid/"))
    assert failing("https://a..b/").result == Result.NETWORK


def test_a_request_prints_without_its_headers() -> None:
    assert repr(Request("GET", "https://x/", {"Authorization": "planted"}, b"")) == "Request(GET https://x/)"
