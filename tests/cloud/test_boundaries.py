"""Each limit of the client: one below it, at it, one above."""

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
    """A transport that records how long it may take, and fails so that nothing is proven."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.timeouts: List[float] = []
        self.connected_ahead: List[float] = []
        self.act: Callable[[], None] = lambda: None

    def __call__(self, request: Request, timeout: float) -> Response:
        self.timeouts.append(timeout)
        self.act()
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
    gates, give_up = Gates(Store(), clock.clock), clock.clock.monotonic() + 25
    session = Session(INSTANCE, lambda: Credentials(AK, SK), transport, gates, clock.clock, give_up, {}, late="late")
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
    """Neither a request nor a connection ahead of one may take longer than what is left of the cycle."""

    def ask_meanwhile() -> None:
        error_of(session)

    transport.act = ask_meanwhile
    clock.at += 25 - left
    error_of(session)
    assert transport.timeouts == transport.connected_ahead == pytest.approx([timeout])


@pytest.mark.parametrize(("seconds", "sent"), [(24, 1), (25, 0), (26, 0)])
def test_end_before_a_request(
    clock: FixedClock, transport: Recorder, session: Session, seconds: float, sent: int
) -> None:
    """Nothing is sent once the time is up, or after a stop, although there was leave."""
    began = clock.clock.monotonic()

    def goes() -> None:
        clock.at += seconds - (clock.clock.monotonic() - began)

    error_of(session, goes)
    assert len(transport.timeouts) == sent


def test_stop_before_a_request(transport: Recorder, session: Session) -> None:
    assert error_of(session, session.stop).result == Result.TIMED_OUT
    assert transport.timeouts == []


@pytest.mark.parametrize(("seconds", "text"), [(24.9, "own"), (25, "late"), (26, "late")])
def test_whose_time_was_up(clock: FixedClock, transport: Recorder, session: Session, seconds: float, text: str) -> None:
    """A time-out at the cycle's end is the deadline's, an earlier one the request's."""

    def fail() -> None:
        clock.at += seconds
        raise QueryError(Result.TIMED_OUT, "own")

    transport.act = fail
    assert str(error_of(session)) == text


@pytest.mark.parametrize(
    ("left", "pauses"), [(0.7, []), (0.75, []), (0.8, [0.75]), (2.2, [0.75]), (2.3, [0.75, 1.5]), (25, [0.75, 1.5])]
)
def test_pauses(
    clock: FixedClock, transport: Recorder, session: Session, monkeypatch: pytest.MonkeyPatch,
    left: float, pauses: List[float],
) -> None:  # fmt: skip
    """A failure that may pass is tried twice more, after half a second and one, spread by half, within the cycle."""
    spreads: List[Tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        spreads.append((low, high))
        return high

    def fail() -> None:
        raise QueryError(Result.NETWORK, "x")

    monkeypatch.setattr("random.uniform", longest)
    transport.act = fail
    clock.at += 25 - left
    assert error_of(session).result == Result.NETWORK, "not that its time is up"
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
def test_clock_that_is_off(seconds: int, result: Result) -> None:
    """15 minutes between both clocks are allowed."""
    refused = Response(401, {"Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, b"")
    error = response_error(refused, "", NOW + seconds, str)
    assert (error.result, error.clock_off) == (result, seconds)
    assert "behind" not in str(error) or seconds < 0


@pytest.mark.parametrize(
    ("length", "declared", "read"), [(9, 9, True), (10, 10, True), (11, 11, False), (9, 10, False), (10, 9, True)]
)
@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_length_of_an_answer(status: int, length: int, declared: int, read: bool) -> None:
    """A body may have 10 bytes here, and one shorter than it says was cut; a refusal needs none."""
    chunks = iter([b"x" * length, b""])
    refused = status in (401, 403)
    with contextlib.nullcontext() if read or refused else pytest.raises(QueryError):
        answer = read_response(status, {"Content-Length": str(declared)}, lambda size: next(chunks), 1e12, 10)
        assert answer.body == (b"x" * length if read else b"")


def test_answer_without_an_end() -> None:
    with pytest.raises(TimeoutError):
        read_response(200, {}, lambda size: b"x", 0.0)


@pytest.mark.parametrize(("length", "shown"), [(160, 160), (161, 160)])
def test_length_of_what_the_cloud_said(length: int, shown: int) -> None:
    assert f"`{'x' * shown}`" in str(response_error(Response(400, {}, b"x" * length), "", NOW, str))


@pytest.mark.parametrize(
    ("url", "port"), [("http://127.0.0.1/", 80), ("http://127.0.0.1:81/", 81), ("https://x/", 443)]
)
def test_port(url: str, port: int) -> None:
    assert DirectTransport(INSTANCE).address(url)[1] == port
