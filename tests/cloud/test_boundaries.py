"""Each limit of the client: one below, at, and one above."""

from __future__ import annotations

import contextlib
from typing import Callable, List

import pytest

from maas_usage_check.cloud import Client, Credentials, DirectTransport, Request, Response
from maas_usage_check.cloud.error_responses import response_error
from maas_usage_check.cloud.source import Call
from maas_usage_check.cloud.transport import read_response
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError, Result

from ..conftest import AK, NOW, SK
from ..fixed_clock import FixedClock


class Recorder:
    """A transport that records its timeouts, and fails so that the key stays unverified."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.timeouts: List[float] = []
        self.connected_ahead: List[float] = []
        self.on_request: Callable[[], None] = lambda: None

    def __call__(self, request: Request, timeout: float) -> Response:
        self.timeouts.append(timeout)
        self.on_request()
        return Response(404, {}, b"")

    def preconnect(self, url: str, timeout: float, count: int) -> None:
        self.connected_ahead += [timeout] * count


INSTANCE = load_instance({"project_id": "a" * 32, "timeout": 10}, {}, "x", NOW)
CALL = Call("modelarts:monitoring:get", "POST", "/v1/{project_id}/x", body={})


@pytest.fixture
def transport(clock: FixedClock) -> Recorder:
    return Recorder(clock)


@pytest.fixture
def client(clock: FixedClock, transport: Recorder) -> Client:
    """A client of a cycle of 25 s."""
    deadline = clock.clock.monotonic() + 25
    return Client(INSTANCE, Credentials(AK, SK), transport, clock.clock, lambda: deadline, "late")


def error_of(client: Client) -> QueryError:
    with pytest.raises(QueryError) as failed:
        client.send("endpoint", CALL)
    return failed.value


@pytest.mark.parametrize(("left", "timeout"), [(10.1, 10), (10, 10), (9.9, 9.9), (0.05, 0.05)])
def test_timeout_within_the_cycle(
    clock: FixedClock, transport: Recorder, client: Client, left: float, timeout: float
) -> None:
    """The timeout of a request, and of a connection opened ahead, is at most the rest of the cycle."""
    clock.at += 25 - left
    error_of(client)
    client.preconnect("endpoint", 1)
    assert transport.timeouts == transport.connected_ahead == pytest.approx([timeout])


@pytest.mark.parametrize(("seconds", "sent"), [(24, 1), (25, 0), (26, 0)])
def test_end_before_a_request(
    clock: FixedClock, transport: Recorder, client: Client, seconds: float, sent: int
) -> None:
    """Nothing is sent or connected after the deadline."""
    clock.at += seconds
    error_of(client)
    client.preconnect("endpoint", 1)
    assert len(transport.timeouts) == len(transport.connected_ahead) == client.http_requests == sent


@pytest.mark.parametrize(("seconds", "text"), [(24.9, "own"), (25, "late"), (26, "late")])
def test_timeout_or_deadline(clock: FixedClock, transport: Recorder, client: Client, seconds: float, text: str) -> None:
    """A timeout at the end of the cycle is reported as the deadline's, an earlier one as the request's."""

    def fail() -> None:
        clock.at += seconds
        raise QueryError(Result.TIMED_OUT, "own")

    transport.on_request = fail
    assert str(error_of(client)) == text


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (299, Result.BAD_ANSWER),
        (300, Result.BAD_ANSWER),
        (399, Result.BAD_ANSWER),
        (400, Result.REQUEST_REJECTED),
        (498, Result.REQUEST_REJECTED),
        (500, Result.SERVER_ERROR),
        (599, Result.SERVER_ERROR),
        (600, Result.BAD_ANSWER),
    ],
)
def test_status(status: int, result: Result) -> None:
    error = response_error(Response(status, {}, b""), "", NOW, str)
    assert error.result == result
    assert ("redirect" in str(error)) == (300 <= status < 400)


@pytest.mark.parametrize(
    ("seconds", "result"),
    [(900, Result.KEY_REFUSED), (901, Result.CLOCK_OFF), (-900, Result.KEY_REFUSED), (-901, Result.CLOCK_OFF)],
)
def test_wrong_clock(seconds: int, result: Result) -> None:
    """The clocks may differ by 15 minutes."""
    refused = Response(401, {"Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, b"")
    error = response_error(refused, "", NOW + seconds, str)
    assert (error.result, error.clock_off) == (result, seconds)
    assert "behind" not in str(error) or seconds < 0


@pytest.mark.parametrize(
    ("length", "declared", "read"), [(9, 9, True), (10, 10, True), (11, 11, False), (9, 10, False), (10, 9, True)]
)
@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_body_length(status: int, length: int, declared: int, read: bool) -> None:
    """A body has at most 10 bytes here, and at least its declared length; a refusal needs no body."""
    chunks = iter([b"x" * length, b""])
    refused = status in (401, 403)
    with contextlib.nullcontext() if read or refused else pytest.raises(QueryError):
        answer = read_response(status, {"Content-Length": str(declared)}, lambda size: next(chunks), 1e12, 10)
        assert answer.body == (b"x" * length if read else b"")


def test_endless_body() -> None:
    with pytest.raises(TimeoutError):
        read_response(200, {}, lambda size: b"x", 0.0)


@pytest.mark.parametrize(("length", "shown"), [(160, 160), (161, 160)])
def test_excerpt_length(length: int, shown: int) -> None:
    assert f"`{'x' * shown}`" in str(response_error(Response(400, {}, b"x" * length), "", NOW, str))


@pytest.mark.parametrize(
    ("url", "port"), [("http://127.0.0.1/", 80), ("http://127.0.0.1:81/", 81), ("https://x/", 443)]
)
def test_port(url: str, port: int) -> None:
    assert DirectTransport(INSTANCE).address(url)[1] == port
