"""Each limit of the client: one below, at, and one above."""

from __future__ import annotations

import contextlib
from typing import Callable, List, Tuple

import pytest

from maas_usage_check.cloud import Credentials, DirectTransport, Request, Response, Statistics
from maas_usage_check.cloud.error_responses import response_error
from maas_usage_check.cloud.transport import read_response
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Gates, Session
from maas_usage_check.state import Store

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

    def preconnect(self, url: str, timeout: float) -> None:
        self.connected_ahead.append(timeout)
        self.clock.sleep(100)


INSTANCE = load_instance({"project_id": "a" * 32, "timeout": 10}, {}, "x", NOW)
QUERY = Statistics().plan(INSTANCE, int(NOW * 1000)).queries[0]


@pytest.fixture
def transport(clock: FixedClock) -> Recorder:
    return Recorder(clock)


@pytest.fixture
def session(clock: FixedClock, transport: Recorder) -> Session:
    """A session of 25 s."""
    gates, deadline = Gates(Store(), clock.clock), clock.clock.monotonic() + 25
    session = Session(INSTANCE, lambda: Credentials(AK, SK), transport, gates, clock.clock, deadline, {}, late="late")
    session.connect()
    return session


def error_of(session: Session, goes: Callable[[], None] = lambda: None) -> QueryError:
    with pytest.raises(QueryError) as failed:
        session.ask_spare(Statistics(), QUERY, goes)
    return failed.value


@pytest.mark.parametrize(("left", "timeout"), [(10.1, 10), (10, 10), (9.9, 9.9), (0.05, 0.05)])
def test_timeout_within_the_cycle(
    clock: FixedClock, transport: Recorder, session: Session, left: float, timeout: float
) -> None:
    """The timeout of a request, and of a connection opened ahead, is at most the rest of the cycle."""

    def ask_during_request() -> None:
        error_of(session)

    transport.on_request = ask_during_request
    clock.at += 25 - left
    error_of(session)
    assert transport.timeouts == transport.connected_ahead == pytest.approx([timeout])


@pytest.mark.parametrize(("seconds", "sent"), [(24, 1), (25, 0), (26, 0)])
def test_end_before_a_request(
    clock: FixedClock, transport: Recorder, session: Session, seconds: float, sent: int
) -> None:
    """Nothing is sent after the deadline, even with a slot."""
    began = clock.clock.monotonic()

    def goes() -> None:
        clock.at += seconds - (clock.clock.monotonic() - began)

    error_of(session, goes)
    assert len(transport.timeouts) == sent


def test_stop_before_a_request(transport: Recorder, session: Session) -> None:
    assert error_of(session, session.stop).result == Result.TIMED_OUT
    assert transport.timeouts == []


@pytest.mark.parametrize(("seconds", "text"), [(24.9, "own"), (25, "late"), (26, "late")])
def test_timeout_or_deadline(
    clock: FixedClock, transport: Recorder, session: Session, seconds: float, text: str
) -> None:
    """A timeout at the end of the cycle is reported as the deadline's, an earlier one as the request's."""

    def fail() -> None:
        clock.at += seconds
        raise QueryError(Result.TIMED_OUT, "own")

    transport.on_request = fail
    assert str(error_of(session)) == text


@pytest.mark.parametrize(
    ("left", "pauses"), [(0.7, []), (0.75, []), (0.8, [0.75]), (2.2, [0.75]), (2.3, [0.75, 1.5]), (25, [0.75, 1.5])]
)
def test_pauses(
    clock: FixedClock, transport: Recorder, session: Session, monkeypatch: pytest.MonkeyPatch,
    left: float, pauses: List[float],
) -> None:  # fmt: skip
    """A temporary failure is retried twice within the cycle, after 0.5 s and 1 s, each with 50 % jitter."""
    spreads: List[Tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        spreads.append((low, high))
        return high

    def fail() -> None:
        raise QueryError(Result.NETWORK, "x")

    monkeypatch.setattr("random.uniform", longest)
    transport.on_request = fail
    clock.at += 25 - left
    assert error_of(session).result == Result.NETWORK, "not TIMED_OUT"
    assert clock.slept == pytest.approx(pauses)
    assert len(transport.timeouts) == len(pauses) + 1
    assert set(spreads) == {(0.5, 1.5)}


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
