"""Requests over pooled connections, to servers that close, reset, send nonsense or hang."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, Optional

import pytest

from maas_usage_check.cloud import DirectTransport, Pool, Request, Response
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.config import load_instance
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store

from ..conftest import AK, SK, FixedClock, wait_for
from ..keep_alive_server import KeepAliveServer, ReceivedRequest, emulator_handler, http_response, reset


@pytest.fixture
def make() -> Iterator[Callable[..., DirectTransport]]:
    made = []

    def transport(pool: Optional[Pool] = None, **keys: Any) -> DirectTransport:
        made.append(DirectTransport(load_instance(keys, {}, "instances[0]"), pool))
        return made[-1]

    yield transport
    for each in made:
        each.close()


def get(transport: DirectTransport, url: str, timeout: float = 30) -> Response:
    return transport(Request("GET", url, {"Host": "x"}, b""), timeout)


def error_of(transport: DirectTransport, url: str, timeout: float = 30) -> QueryError:
    with pytest.raises(QueryError) as failed:
        get(transport, url, timeout)
    assert len(str(failed.value).splitlines()) == 1
    return failed.value


def is_closed(client: socket.socket) -> bool:
    """Return whether the server has seen the end of a connection and closed its own side."""
    return client.fileno() == -1


def test_reuse_after_any_response(server: KeepAliveServer, make: Any) -> None:
    """A chunked response, a refusal and an empty response leave the connection reusable."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answers = [chunked, http_response(b"{}", 403), http_response(b"", 204), http_response(b"x")]
    server.handler = lambda request: answers[request.number - 1]
    transport = make()
    for _ in answers:
        get(transport, server.url)
    assert len(server.clients) == 1


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


@pytest.mark.parametrize("interim", [1, 15])
def test_interim_response(server: KeepAliveServer, make: Any, interim: int) -> None:
    """Interim responses are read over, and the connection is used again."""
    server.handler = lambda request: EARLY_HINTS * interim + http_response(b"final")
    transport = make()
    for _ in range(2):
        assert (get(transport, server.url).status, get(transport, server.url).body) == (200, b"final")
    assert len(server.clients) == 1


def test_interim_responses_only(server: KeepAliveServer, make: Any) -> None:
    server.handler = lambda request: EARLY_HINTS * 16
    assert "answered, but not in HTTP" in str(error_of(make(), server.url))


def test_other_protocol(server: KeepAliveServer, make: Any) -> None:
    """After a 101 no HTTP follows: the connection is not used again."""
    server.handler = lambda request: b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    transport = make()
    assert [get(transport, server.url).status for _ in range(2)] == [101, 101]
    assert len(server.clients) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda client: client.close(),
        lambda client: client.shutdown(1),
        lambda client: client.sendall(http_response(b"unrequested")),
    ],
    ids=["closed", "half-closed", "unrequested bytes"],
)
def test_broken_idle_connection(server: KeepAliveServer, make: Any, damage: Callable[[socket.socket], None]) -> None:
    """A broken idle connection is detected before a request is sent over it."""
    go, done = threading.Event(), threading.Event()

    def handle(request: ReceivedRequest) -> bytes:
        if request.connection > 1:
            return http_response(b"new")
        request.client.sendall(http_response(b"first"))
        go.wait(30)
        damage(request.client)
        done.set()
        return b""

    server.handler = handle
    transport = make()
    assert get(transport, server.url).body == b"first"
    go.set()
    assert done.wait(30)
    assert get(transport, server.url).body == b"new"
    assert server.connection_log == [(1, 1), (2, 1)]


@pytest.mark.parametrize("how", [lambda request: None, lambda request: reset(request.client)], ids=["closed", "reset"])
def test_resend(server: KeepAliveServer, make: Any, how: Any) -> None:
    """A request is sent again at once if a pooled connection closes before the first byte of the response."""

    def handle(request: ReceivedRequest) -> Optional[bytes]:
        return http_response(b"well") if (request.connection, request.number) != (1, 2) else how(request)

    server.handler = handle
    transport = make()
    assert [get(transport, server.url).body for _ in range(3)] == [b"well"] * 3
    assert server.connection_log == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_resend_once(server: KeepAliveServer, make: Any) -> None:
    server.handler = lambda request: http_response(b"well") if request.connection == request.number == 1 else None
    transport = make()
    get(transport, server.url)
    assert error_of(transport, server.url).result == Result.NETWORK
    assert server.connection_log == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.parametrize(
    "begun",
    [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", http_response(b"long")[:-1]],
    ids=["byte", "headers", "body"],
)
def test_no_resend_after_first_byte(server: KeepAliveServer, make: Any, begun: bytes) -> None:
    def handle(request: ReceivedRequest) -> Optional[bytes]:
        if request.number == 1:
            return http_response(b"well")
        request.client.sendall(begun)
        return None

    server.handler = handle
    transport = make()
    get(transport, server.url)
    assert error_of(transport, server.url).result == Result.NETWORK
    assert server.connection_log == [(1, 1), (1, 2)]


def test_timeout_closes_connection(server: KeepAliveServer, make: Any) -> None:
    """A connection whose response is late is closed and not reused."""

    def handle(request: ReceivedRequest) -> Optional[bytes]:
        if request.number == 2:
            request.client.recv(1)  # returns when the client closes
            return None
        return http_response(f"{request.connection}".encode())

    server.handler = handle
    transport = make()
    get(transport, server.url)
    assert error_of(transport, server.url, timeout=0.2).result == Result.TIMED_OUT
    assert get(transport, server.url).body == b"2"
    wait_for(lambda: is_closed(server.clients[0]), "the first to be closed")


@pytest.mark.parametrize(
    "answer",
    [
        http_response(b"x", Connection="close"),
        http_response(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"),
        http_response(b"x" * 2_000_000),
    ],
    ids=["Connection: close", "HTTP/1.0", "too long"],
)
def test_not_reusable(server: KeepAliveServer, make: Any, answer: bytes) -> None:
    server.handler = lambda request: answer
    transport = make()
    for _ in range(2):
        try:
            get(transport, server.url)
        except QueryError as error:
            assert error.result == Result.BAD_ANSWER
    assert server.connection_log == [(1, 1), (2, 1)]
    wait_for(lambda: all(map(is_closed, server.clients)), "the connections to be closed")


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
def test_broken_response(server: KeepAliveServer, make: Any, data: bytes) -> None:
    """A broken response is a NETWORK error that quotes nothing of it."""
    server.handler = lambda request: request.client.sendall(data)
    error = error_of(make(), server.url)
    assert error.result == Result.NETWORK
    assert "nonsense" not in str(error)
    assert ("answered, but not in HTTP" in str(error)) == (b"chunked" not in data)


def test_endless_body(server: KeepAliveServer, make: Any) -> None:
    def flood(request: ReceivedRequest) -> None:
        request.client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:  # until the client closes
            request.client.sendall(b" " * 65_536)

    server.handler = flood
    error = error_of(make(), server.url)
    assert error.result == Result.BAD_ANSWER
    assert "longer than 1 MiB" in str(error)


def test_no_connection(server: KeepAliveServer, make: Any) -> None:
    """A closed port and an unknown host have different errors."""
    server.close()
    assert "Connection refused" in str(error_of(make(), server.url))
    assert "no such host" in str(error_of(make(), "https://does-not-exist.invalid/"))
    assert error_of(make(), "https://a..b/").result == Result.NETWORK


def test_server_without_tls(make: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"HTTP/1.1 400 X\r\n\r\n"), daemon=True).start()
        error = error_of(make(), f"https://127.0.0.1:{server.getsockname()[1]}/")
    assert "answered, but not in TLS: check endpoint, its port, and proxy" in str(error)


def test_reprs() -> None:
    """The reprs of a request and a response show neither headers nor body."""
    assert repr(Request("GET", "https://x/", {"Authorization": "planted"}, b"")) == "Request(GET https://x/)"
    assert repr(Response(403, {"X": "planted"}, b"planted")) == "Response(403, 7 bytes)"


def test_maxsize(server: KeepAliveServer, make: Any) -> None:
    """The pool keeps at most `max_concurrency` idle connections, and closes them with itself."""
    transport, five = make(max_concurrency=3), threading.Barrier(5)

    def handle(request: ReceivedRequest) -> bytes:
        five.wait(30)
        return http_response(b"x")

    server.handler = handle
    with ThreadPoolExecutor(5) as many:
        list(many.map(lambda _: get(transport, server.url), range(5)))
    wait_for(lambda: sum(map(is_closed, server.clients)) == 2, "two to be closed")
    transport.close()
    wait_for(lambda: sum(map(is_closed, server.clients)) == 5, "all to be closed")


def test_release_after_close(server: KeepAliveServer, make: Any) -> None:
    """A connection that is released after the pool was closed is closed."""
    transport, release = make(), threading.Event()

    def handle(request: ReceivedRequest) -> bytes:
        release.wait(30)
        return http_response(b"x")

    server.handler = handle
    with ThreadPoolExecutor(1) as one:
        answer = one.submit(get, transport, server.url)
        wait_for(lambda: server.requests, "the request")
        transport.close()
        release.set()
        assert answer.result(30).body == b"x"
    wait_for(lambda: is_closed(server.clients[0]), "the connection to be closed")


def test_shared_pool(server: KeepAliveServer, make: Any) -> None:
    """Instances share a pool, but not connections with other proxy or TLS options."""
    pool = Pool()
    for keys in ({"tags": ["n:1"]}, {"tags": ["n:2"]}, {"skip_proxy": True}, {"tls_verify": False}):
        get(make(pool, **keys), server.url)
    assert server.connection_log == [(1, 1), (1, 2), (2, 1), (3, 1)]


def idle(transport: DirectTransport) -> int:
    return sum(map(len, transport._pool._idle.values()))


def test_preconnect(secure: KeepAliveServer, make: Any, ca_file: str) -> None:
    """The next request uses a connection opened ahead, also if TLS session tickets have arrived."""
    transport = make(tls_ca_cert=ca_file)
    transport.preconnect(secure.url, 5, 1)
    wait_for(lambda: idle(transport) == 1, "the connection")
    assert [get(transport, secure.url).body for _ in range(2)] == [b"1 1", b"1 2"]
    assert len(secure.clients) == 1


def test_preconnect_again(server: KeepAliveServer, make: Any) -> None:
    """Idle connections count; closed ones are replaced."""
    transport = make()
    transport.preconnect(server.url, 5, 2)
    wait_for(lambda: idle(transport) == len(server.clients) == 2, "the connections")
    transport.preconnect(server.url, 5, 2)
    wait_for(lambda: not any(transport._pool.opening.values()), "the threads")
    assert idle(transport) == 2
    server.clients[0].shutdown(2)
    server.clients[1].shutdown(2)
    wait_for(lambda: all(map(is_closed, server.clients)), "the connections to be closed")
    transport.preconnect(server.url, 5, 1)
    wait_for(lambda: idle(transport) == 1, "the new connection")
    assert get(transport, server.url).body == b"3 1"


def test_preconnect_while_opening(make: Any) -> None:
    """Instances that share a pool do not each open connections while the first ones are being opened."""
    pool = Pool()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for _ in range(2):
            make(pool).preconnect(f"https://127.0.0.1:{silent.getsockname()[1]}/", 30, 2)
        assert sum(map(len, pool.opening.values())) == 2


@pytest.fixture
def collect(make_collector: Callable[..., Collector]) -> Callable[..., Collector]:
    """Return a factory of collectors that reach a server over real sockets."""

    def make(server: KeepAliveServer, schedulers: Optional[Schedulers] = None, **keys: Any) -> Collector:
        url = server.url.rstrip("/")
        entry = {"endpoint": url, "iam_endpoint": url, "project_id": PROJECT_ID, **keys}
        return make_collector(
            entry, schedulers=schedulers, transport=DirectTransport(load_instance(entry, {}, "instances[0]"))
        )

    return make


def test_preconnect_during_first_request(server: KeepAliveServer, collect: Any, clock: FixedClock) -> None:
    """While the cycle's first request is alone in flight, the other workers connect."""
    answer = emulator_handler(Emulator({AK: SK}, now=clock.now))
    alone = []

    def handle(request: ReceivedRequest) -> Optional[bytes]:
        if len(server.requests) == 1:
            # On loopback the first request may use a connection that was opened ahead.
            wait_for(lambda: len(server.clients) >= 3, "the other workers' connections")
            alone.append(len(server.requests) == 1)
        return answer(request)

    server.handler = handle
    ranges = [f"last_{hours}h" for hours in range(3, 23)]
    batch = run_cycle([collect(server, ranges=ranges, timeout=30, deadline=60)])[0]
    assert (batch.result, len(batch.points)) == (Result.OK, 21)
    assert alone == [True]
    assert len(server.clients) <= 4


def test_no_preconnect_while_open(server: KeepAliveServer, collect: Any, clock: FixedClock) -> None:
    """While the circuit breaker is open, nothing connects."""
    schedulers = Schedulers(Store(), clock.clock)
    server.handler = emulator_handler(Emulator({AK: "another"}, now=clock.now))
    assert run_cycle([collect(server, schedulers)])[0].result == Result.KEY_REFUSED
    later = KeepAliveServer()
    assert run_cycle([collect(later, schedulers)])[0].result == Result.KEY_REFUSED
    later.close()
    assert later.clients == []


def test_resend_counts_once(server: KeepAliveServer, collect: Any, clock: FixedClock) -> None:
    answer = emulator_handler(Emulator({AK: SK}, now=clock.now))
    server.handler = lambda request: None if (request.connection, request.number) == (1, 2) else answer(request)
    collector = collect(server, ranges=["last_7d"])
    for _ in range(2):
        batch = run_cycle([collector])[0]
        assert (batch.result, batch.points[-1].fields["http_requests"]) == (Result.OK, 1)
    assert server.connection_log == [(1, 1), (1, 2), (2, 1)]
