"""Connections that are kept, over real sockets, to a server that closes, resets, repeats itself or says nothing."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, Optional

import pytest

from maas_usage_check.cloud import DirectTransport, Pool, Request, Response
from maas_usage_check.collection import Collector
from maas_usage_check.config import load_instance
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Gates
from maas_usage_check.state import Store

from ..conftest import AK, SK, FixedClock, wait_for
from ..keep_alive_server import Asked, KeepAliveServer, http, reset, truly


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


def gone(client: socket.socket) -> bool:
    """Tell whether the server has seen the end of a connection, and closed it too."""
    return client.fileno() == -1


def test_requests_one_after_another_go_over_one_connection(server: KeepAliveServer, make: Any) -> None:
    transport = make()
    assert [get(transport, server.url).body for _ in range(3)] == [b"1 1", b"1 2", b"1 3"]


def test_an_answer_in_chunks_and_a_refusal_leave_the_connection_as_good_as_new(
    server: KeepAliveServer, make: Any
) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answers = [chunked, http(b"{}", 403), http(b"", 204), http(b"x")]
    server.behave = lambda asked: answers[asked.number - 1]
    transport = make()
    for _ in answers:
        get(transport, server.url)
    assert len(server.clients) == 1


def test_what_follows_an_interim_answer_is_never_taken_for_the_next_ones(server: KeepAliveServer, make: Any) -> None:
    def behave(asked: Asked) -> bytes:
        if asked.connection == 1:
            asked.client.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            return b""
        return http(b"its own")

    server.behave = behave
    transport = make()
    assert get(transport, server.url).status == 103
    assert get(transport, server.url).body == b"its own"


@pytest.mark.parametrize(
    "spoil",
    [lambda client: client.close(), lambda client: client.shutdown(1), lambda client: client.sendall(http(b"unasked"))],
    ids=["closed", "half-closed", "unasked bytes"],
)
def test_a_connection_that_was_spoilt_is_noticed_before_a_request_is_spent_on_it(
    server: KeepAliveServer, make: Any, spoil: Callable[[socket.socket], None]
) -> None:
    go, done = threading.Event(), threading.Event()

    def behave(asked: Asked) -> bytes:
        if asked.connection > 1:
            return http(b"anew")
        asked.client.sendall(http(b"first"))
        go.wait(30)
        spoil(asked.client)
        done.set()
        return b""

    server.behave = behave
    transport = make()
    assert get(transport, server.url).body == b"first"
    go.set()
    assert done.wait(30)
    assert get(transport, server.url).body == b"anew"
    assert server.ways == [(1, 1), (2, 1)]


@pytest.mark.parametrize("how", [lambda asked: None, lambda asked: reset(asked.client)], ids=["closed", "reset"])
def test_a_request_that_a_kept_connection_did_not_answer_with_a_byte_is_sent_again_at_once(
    server: KeepAliveServer, make: Any, how: Any
) -> None:
    def behave(asked: Asked) -> Optional[bytes]:
        return http(b"well") if (asked.connection, asked.number) != (1, 2) else how(asked)

    server.behave = behave
    transport = make()
    assert [get(transport, server.url).body for _ in range(3)] == [b"well"] * 3
    assert server.ways == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_it_is_sent_again_only_once(server: KeepAliveServer, make: Any) -> None:
    server.behave = lambda asked: http(b"well") if asked.connection == asked.number == 1 else None
    transport = make()
    get(transport, server.url)
    with pytest.raises(QueryError) as failed:
        get(transport, server.url)
    assert failed.value.result == Result.NETWORK
    assert server.ways == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.parametrize(
    "begun", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", http(b"long")[:-1]], ids=["byte", "headers", "body"]
)
def test_a_request_whose_answer_had_begun_is_not_sent_again(server: KeepAliveServer, make: Any, begun: bytes) -> None:
    def behave(asked: Asked) -> Optional[bytes]:
        if asked.number == 1:
            return http(b"well")
        asked.client.sendall(begun)
        return None

    server.behave = behave
    transport = make()
    get(transport, server.url)
    with pytest.raises(QueryError) as failed:
        get(transport, server.url)
    assert failed.value.result == Result.NETWORK
    assert server.ways == [(1, 1), (1, 2)]


def test_a_connection_whose_answer_does_not_come_in_time_is_not_used_again(server: KeepAliveServer, make: Any) -> None:
    def behave(asked: Asked) -> Optional[bytes]:
        if asked.number == 2:
            asked.client.recv(1)  # nothing comes but the end
            return None
        return http(f"{asked.connection}".encode())

    server.behave = behave
    transport = make()
    get(transport, server.url)
    with pytest.raises(QueryError) as failed:
        get(transport, server.url, timeout=0.2)
    assert failed.value.result == Result.TIMED_OUT
    assert get(transport, server.url).body == b"2"
    wait_for(lambda: gone(server.clients[0]), "the first to be closed")


@pytest.mark.parametrize(
    "answer",
    [
        http(b"x", Connection="close"),
        http(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"),
        http(b"x" * 2_000_000),
    ],
    ids=["said so", "HTTP/1.0", "too long"],
)
def test_a_connection_that_cannot_be_kept_is_closed(server: KeepAliveServer, make: Any, answer: bytes) -> None:
    server.behave = lambda asked: answer
    transport = make()
    for _ in range(2):
        try:
            get(transport, server.url)
        except QueryError as error:
            assert error.result == Result.BAD_ANSWER
    assert server.ways == [(1, 1), (2, 1)]
    wait_for(lambda: all(map(gone, server.clients)), "the connections to be closed")


def test_no_more_are_kept_than_may_be_used_at_once_and_closing_closes_them(server: KeepAliveServer, make: Any) -> None:
    transport, five = make(max_concurrency=3), threading.Barrier(5)

    def behave(asked: Asked) -> bytes:
        five.wait(30)
        return http(b"x")

    server.behave = behave
    with ThreadPoolExecutor(5) as many:
        list(many.map(lambda _: get(transport, server.url), range(5)))
    wait_for(lambda: sum(map(gone, server.clients)) == 2, "two to be closed")
    transport.close()
    wait_for(lambda: sum(map(gone, server.clients)) == 5, "all to be closed")


def test_a_connection_that_comes_back_after_the_closing_is_closed(server: KeepAliveServer, make: Any) -> None:
    transport, release = make(), threading.Event()

    def behave(asked: Asked) -> bytes:
        release.wait(30)
        return http(b"x")

    server.behave = behave
    with ThreadPoolExecutor(1) as one:
        answer = one.submit(get, transport, server.url)
        wait_for(lambda: server.asked, "the request")
        transport.close()
        release.set()
        assert answer.result(30).body == b"x"
    wait_for(lambda: gone(server.clients[0]), "the connection to be closed")


def test_instances_share_a_pool_but_not_the_connections_of_other_options(server: KeepAliveServer, make: Any) -> None:
    pool = Pool()
    for transport in (make(pool, tags=["n:1"]), make(pool, tags=["n:2"]), make(pool, skip_proxy=True)):
        get(transport, server.url)
    assert server.ways == [(1, 1), (1, 2), (2, 1)]


def test_a_connection_made_ahead_carries_the_next_request_although_tls_had_something_to_say(
    secure: KeepAliveServer, make: Any, ca_file: str
) -> None:
    transport = make(tls_ca_cert=ca_file)
    transport.preconnect(secure.url, 5)
    assert len(secure.clients) == 1
    assert [get(transport, secure.url).body for _ in range(2)] == [b"1 1", b"1 2"]
    assert len(secure.clients) == 1


def test_no_more_are_made_ahead_than_may_be_used_at_once(server: KeepAliveServer, make: Any) -> None:
    transport = make(max_concurrency=2)
    for _ in range(4):
        transport.preconnect(server.url, 5)
    assert get(transport, server.url).body == b"2 1"
    assert len(server.clients) == 2
    server.clients[0].shutdown(2)
    server.clients[1].shutdown(2)
    transport.preconnect(server.url, 5)
    assert get(transport, server.url).body == b"3 1"


@pytest.fixture
def collect(make_collector: Callable[..., Collector]) -> Callable[..., Collector]:
    """Make a collector that reaches a server over real sockets."""

    def make(server: KeepAliveServer, gates: Optional[Gates] = None, **keys: Any) -> Collector:
        url = server.url.rstrip("/")
        entry = {"endpoint": url, "iam_endpoint": url, "project_id": PROJECT_ID, **keys}
        return make_collector(entry, gates=gates, transport=DirectTransport(load_instance(entry, {}, "instances[0]")))

    return make


def test_who_waits_for_the_first_request_alone_connects_meanwhile(
    server: KeepAliveServer, collect: Any, clock: FixedClock
) -> None:
    answer = truly(Emulator({AK: SK}, now=clock.now))
    alone = []

    def behave(asked: Asked) -> Optional[bytes]:
        if len(server.asked) == 1:
            # On loopback the first may take one of those that were made ahead.
            wait_for(lambda: len(server.clients) >= 3, "the others' connections")
            alone.append(len(server.asked) == 1)
        return answer(asked)

    server.behave = behave
    ranges = [f"last_{hours}h" for hours in range(3, 23)]
    batch = collect(server, ranges=ranges, timeout=30, deadline=60).cycle()
    assert (batch.result, len(batch.points)) == (Result.OK, 21)
    assert alone == [True]
    assert len(server.clients) <= 4


def test_nobody_connects_while_nobody_may_ask(server: KeepAliveServer, collect: Any, clock: FixedClock) -> None:
    gates = Gates(Store(), clock.clock)
    server.behave = truly(Emulator({AK: "another"}, now=clock.now))
    assert collect(server, gates).cycle().result == Result.KEY_REFUSED
    later = KeepAliveServer()
    assert collect(later, gates).cycle().result == Result.KEY_REFUSED
    later.close()
    assert later.clients == []


def test_a_request_that_was_sent_again_counts_as_one(server: KeepAliveServer, collect: Any, clock: FixedClock) -> None:
    answer = truly(Emulator({AK: SK}, now=clock.now))
    server.behave = lambda asked: None if (asked.connection, asked.number) == (1, 2) else answer(asked)
    collector = collect(server, ranges=["last_7d"])
    for _ in range(2):
        batch = collector.cycle()
        assert (batch.result, batch.points[-1].fields["http_requests"]) == (Result.OK, 1)
    assert server.ways == [(1, 1), (1, 2), (2, 1)]
