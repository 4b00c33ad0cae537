"""Races that show now and then: short time-outs over real sockets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, Optional

import pytest

from maas_usage_check.cloud import DirectTransport
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError, Result

from ..cloud.test_direct_transport import get, is_closed
from ..conftest import wait_for
from ..keep_alive_server import KeepAliveServer, ReceivedRequest, http_response


@pytest.fixture
def server() -> Iterator[KeepAliveServer]:
    server = KeepAliveServer()
    yield server
    server.close()


@pytest.fixture
def transport() -> Iterator[DirectTransport]:
    transport = DirectTransport(load_instance({}, {}, "instances[0]"))
    yield transport
    transport.close()


def test_time_out(server: KeepAliveServer, transport: DirectTransport) -> None:
    """A request that timed out is not sent again, and the other pooled connections are closed."""
    release = threading.Event()
    both = threading.Barrier(2)

    def handle(request: ReceivedRequest) -> Optional[bytes]:
        if request.number == 1 and request.connection <= 2:
            both.wait(5)
        elif request.connection <= 2:
            release.wait(10)
        return http_response(b"well")

    server.handler = handle
    with ThreadPoolExecutor(2) as two:
        list(two.map(lambda _: get(transport, server.url), range(2)))
    with pytest.raises(QueryError) as failed:
        get(transport, server.url, timeout=0.2)
    assert failed.value.result == Result.TIMED_OUT
    assert get(transport, server.url).body == b"well"
    assert [connection for connection, _ in server.connection_log].count(3) == 1
    release.set()
    wait_for(lambda: all(map(is_closed, server.clients[:2])), "both to be closed")


def test_endless_refusal(server: KeepAliveServer, transport: DirectTransport) -> None:
    """A connection is closed if the body of a refusal never ends."""
    server.handler = lambda request: http_response(b"x", 401, Content_Length="2")[:-1]
    for _ in range(2):
        assert get(transport, server.url, timeout=0.5).status == 401
    assert server.connection_log == [(1, 1), (2, 1)]
    wait_for(lambda: all(map(is_closed, server.clients)), "the connections to be closed")
