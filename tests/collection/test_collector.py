"""One cycle through the real client, against the emulator."""

from __future__ import annotations

import json
import threading
from typing import Any, Callable, Dict

import pytest
from werkzeug import Request, Response

from maas_usage_check.collection import run_cycle
from maas_usage_check.collection.cycle import MOST_HUNG
from maas_usage_check.config.ranges import DAY, HOUR, RETENTION
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.metrics import KEY_USAGE, USAGE
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store
from maas_usage_check.watchdog import HUNG_S, hung_threads, run_with_deadline

from ..conftest import SK, Cloud, FixedClock, wait_for
from ..fixed_clock import MONDAY
from .account import Make, health, points, texts
from .conftest import Hang


@pytest.fixture
def schedulers(clock: FixedClock) -> Schedulers:
    return Schedulers(Store(), clock.clock)


def respond(status: int, body: bytes = b"{}") -> Callable[[Request], Response]:
    return lambda request: Response(body, status)


def respond_if(
    condition: Callable[[Dict[str, Any]], bool], response: Callable[[Request], Response]
) -> Callable[[Request], Any]:
    """Replace the responses to statistics requests whose body meets a condition."""
    return lambda request: (
        response(request) if request.method == "POST" and condition(json.loads(request.get_data())) else None
    )


def test_totals(cloud: Cloud, make_collector: Make) -> None:
    """Every total equals the emulator's own ledger, summed hour by hour."""
    entry = cloud.entry(
        ranges=["last_7d", "last_30d", "last_3h"], service_types=[1, 2, 4], infer_types=["real_time", "batch"]
    )
    batch = run_cycle([make_collector(entry)])[0]
    assert batch.result == Result.OK
    assert len(points(batch, USAGE)) == 18
    hours_of = {"last_7d": 7 * 24, "last_30d": 30 * 24, "last_3h": 3}
    for point in points(batch, USAGE):
        now = point.time // 1_000_000
        start = max(now - hours_of[point.tags["range"]] * HOUR, now - RETENTION)
        service = {"my_service": 1, "preset": 2, "custom_endpoint": 4}[point.tags["service_type"]]
        # Hour by hour: neither the plan's windows nor the emulator's answers are used.
        hours = list(
            cloud.emulator.usage.hours(service, point.tags["infer_type"], list(API_KEYS), start, now - 2 * HOUR)
        )
        for name in ("requests", "errors", "prompt_tokens", "completion_tokens"):
            assert point.fields[name] == sum(getattr(hour, name) for hour in hours)
        assert point.fields["coverage_ratio"] == 1.0
        assert all(type(value) is int for name, value in point.fields.items() if not name.endswith("_ratio"))


def test_tags_and_time(cloud: Cloud, make_collector: Make) -> None:
    batch = run_cycle([make_collector(cloud.entry(ranges=["today"], tags=["team:a"], timezone="Asia/Shanghai"))])[0]
    usage, api = batch.points
    own = {"region": "cn-southwest-2", "project_id": PROJECT_ID, "team": "a"}
    assert api.tags == own
    assert usage.tags == {"range": "today", "service_type": "preset", "infer_type": "real_time", **own}
    assert usage.time == api.time == MONDAY * 10**9


def test_equal_queries(cloud: Cloud, make_collector: Make) -> None:
    """Ranges with the same window share one query."""
    ranges = ["last_7d", "last_168h", "last_30d", "last_720h", "last_1d", "last_24h"]
    batch = run_cycle([make_collector(cloud.entry(ranges=ranges, service_types=[1, 2]))])[0]
    assert len(points(batch, USAGE)) == 12
    # 7 days, 1 day, and 30 days in two windows, for two service types.
    assert len(cloud.requests) == health(batch)["queries"] == health(batch)["http_requests"] == 8
    assert {request.method for request in cloud.requests} == {"POST"}


def test_labels(cloud: Cloud, make_collector: Make) -> None:
    """Series of labels have a measurement of their own beside the unfiltered whole; without, the whole is filtered."""
    labels = ["team-search", ""]
    batch = run_cycle([make_collector(cloud.entry(ranges=["last_7d"], api_keys=labels, per_api_key=True))])[0]
    each = points(batch, KEY_USAGE)
    assert [point.tags["api_key_label"] for point in each] == ["team-search", "online_experience"]
    (whole,) = points(batch, USAGE)
    (both,) = points(run_cycle([make_collector(cloud.entry(ranges=["last_7d"], api_keys=labels))])[0], USAGE)
    assert "api_key_label" not in {**whole.tags, **both.tags}
    filters = [body.get("api_keys") for body in cloud.statistics()]
    assert (filters[0], sorted(filters[1:3]), filters[3]) == (None, [[""], ["team-search"]], labels)
    now = whole.time // 1_000_000
    hours = list(cloud.emulator.usage.hours(2, "real_time", list(API_KEYS), now - 7 * DAY, now - 2 * HOUR))
    assert whole.fields["requests"] == sum(hour.requests for hour in hours)
    assert both.fields["requests"] == sum(point.fields["requests"] for point in each) < whole.fields["requests"]


def test_request(cloud: Cloud, make_collector: Make) -> None:
    """The body has the filters, the headers name the plugin, and the secret key is in neither."""
    run_cycle([make_collector(cloud.entry(ranges=["last_7d"], ips=["10.0.0.1"]))])[0]
    (request,) = cloud.requests
    assert json.loads(request.get_data())["ips"] == ["10.0.0.1"]
    assert request.headers["User-Agent"].startswith("maas-usage-check/")
    assert SK not in str(request.headers) + request.full_path + request.get_data(as_text=True)


def test_half_a_range(cloud: Cloud, make_collector: Make) -> None:
    """A range of which one of two queries fails has no point, and the api point says so."""
    cloud.responder = respond_if(lambda body: body["end_time"] - body["start_time"] <= DAY + HOUR, respond(400))
    batch = run_cycle([make_collector(cloud.entry())])[0]
    assert sorted(point.tags["range"] for point in points(batch, USAGE)) == ["last_14d", "last_7d"]
    fields = health(batch)
    assert (fields["up"], fields["result_code"]) == (1, Result.PARTIAL)
    assert (fields["queries"], fields["failed_queries"]) == (4, 1)
    (problem,) = batch.problems
    assert problem.level == "W"
    assert "no values for last_30d preset" in problem.text


@pytest.mark.parametrize(
    ("response", "result", "requests"),
    [
        (respond(400), Result.REQUEST_REJECTED, 4),
        (respond(403), Result.PERMISSION_DENIED, 4),
        (respond(401), Result.KEY_REFUSED, 1),
        (respond(429), Result.THROTTLED, 1),
        (respond(500), Result.SERVER_ERROR, 12),
        (respond(200), Result.BAD_ANSWER, 4),
    ],
)
def test_failed_cycle(
    cloud: Cloud, make_collector: Make, response: Callable[[Request], Response], result: Result, requests: int
) -> None:
    """What may pass is tried three times, what ends all queries once. The api point says why there is no usage."""
    cloud.responder = response
    batch = run_cycle([make_collector(cloud.entry())])[0]
    assert points(batch, USAGE) == []
    fields = health(batch)
    assert (fields["up"], fields["failed_queries"]) == (0, 4)
    assert fields["result_code"] == batch.result == result
    assert not batch.collected
    assert "last_success_timestamp_seconds" not in fields
    assert batch.problems[0].level == "E"
    assert len(cloud.requests) == fields["http_requests"] == requests


def test_retries(cloud: Cloud, make_collector: Make) -> None:
    """A fault that passes is retried within the cycle."""
    cloud.next_responders = [respond(503), respond(504)]
    batch = run_cycle([make_collector(cloud.entry(ranges=["last_7d"]))])[0]
    assert batch.result == Result.OK
    assert len(cloud.requests) == 3


def test_last_success(cloud: Cloud, make_collector: Make, schedulers: Schedulers) -> None:
    """The time of the last success is stored, for cycles that fail."""
    first = run_cycle([make_collector(cloud.entry(), schedulers=schedulers)])[0]
    cloud.responder = respond(400)
    second = run_cycle([make_collector(cloud.entry(), schedulers=schedulers)])[0]
    name = "last_success_timestamp_seconds"
    assert health(second)["up"] == 0
    assert health(second)[name] == health(first)[name] == MONDAY


def test_concurrency(cloud: Cloud, make_collector: Make) -> None:
    """The first request goes alone; after its success max_concurrency are in flight."""
    lock, in_flight, counts, four = threading.Lock(), [0], [], threading.Barrier(4)

    def count(request: Request) -> None:
        with lock:
            in_flight[0] += 1
            counts.append(in_flight[0])
            first = len(counts) == 1
        if not first:
            four.wait(10)  # breaks, and the answer is a 500, if fewer than four are in flight
        with lock:
            in_flight[0] -= 1

    cloud.responder = count
    ranges = [f"last_{hours}h" for hours in range(1, 14)]
    assert run_cycle([make_collector(cloud.entry(ranges=ranges, max_concurrency=4))])[0].result == Result.OK
    assert counts[:2] == [1, 1]
    assert max(counts) == 4


def test_redacted_labels(cloud: Cloud, make_collector: Make) -> None:
    """Labels that are no tags do not appear in errors."""
    cloud.responder = respond(400, b'{"error_msg": "unknown key team-planted of 10.0.0.1"}')
    for per_api_key, text in ((False, "unknown key *** of 10.0.0.1"), (True, "unknown key team-planted of 10.0.0.1")):
        entry = cloud.entry(ranges=["last_7d"], api_keys=["team-planted"], per_api_key=per_api_key)
        assert f"`{text}`" in run_cycle([make_collector(entry)])[0].problems[0].text


def test_deadline(cloud: Cloud, make_collector: Make, hang: Hang) -> None:
    """The deadline ends a cycle with what is complete."""
    cloud.responder = respond_if(lambda body: body["end_time"] - body["start_time"] > 2 * HOUR, hang)
    batch = run_cycle([make_collector(cloud.entry(ranges=["last_1h", "last_2h", "last_9h"], max_concurrency=1))])[0]
    assert [point.tags["range"] for point in points(batch, USAGE)] == ["last_1h", "last_2h"]
    assert batch.result == Result.PARTIAL
    assert "no answer within the deadline of 25 s" in batch.problems[0].text


def test_hangs(cloud: Cloud, make_collector: Make, hang: Hang) -> None:
    """A name resolution may hang, or a file with credentials: neither blocks the cycle or the exit of the process."""
    for injected in ({"transport": hang}, {"provider": hang}):
        batch = run_cycle([make_collector(cloud.entry(), **injected)])[0]
        assert batch.result == Result.TIMED_OUT
        assert "no answer within the deadline of 25 s" in texts(batch, "E")[0]
    assert [thread.daemon for thread in hang.threads] == [True, True]


def test_expired_ranges(cloud: Cloud, make_collector: Make) -> None:
    """A range that begins before the 30 days kept says how much it covers; one that ends before them is a warning."""
    old = {"name": "old", "from": "2020-01-01", "to": "2020-02-01"}
    batch = run_cycle([make_collector(cloud.entry(ranges=["last_60d", old]))])[0]
    (point,) = points(batch, USAGE)
    assert (point.tags["range"], point.fields["coverage_ratio"]) == ("last_60d", 0.5)
    (warning,) = texts(batch)
    assert "old" in warning
    alone = run_cycle([make_collector(cloud.entry(ranges=[old]))])[0]
    assert (alone.result, alone.problems[0].level, health(alone)["up"]) == (Result.NOTHING_KEPT, "W", 0)


def test_late_answer(cloud: Cloud, make_collector: Make, hang: Hang) -> None:
    """An answer after the deadline does not count in the next cycle."""
    cloud.next_responders = [lambda request: hang() or Response(b"{}", 400)]
    collector = make_collector(cloud.entry(ranges=["last_7d"]))
    assert run_cycle([collector])[0].result == Result.TIMED_OUT
    hang.release.set()
    assert run_cycle([collector])[0].result == Result.OK


def test_project_lookup(cloud: Cloud, make_collector: Make, schedulers: Schedulers) -> None:
    """The project id is stored, and looked up again after a cycle in which all queries lacked a permission."""
    cloud.responder = respond_if(lambda body: body["infer_type"] == "batch", respond(403))
    entry = cloud.entry(ranges=["last_7d"], infer_types=["real_time", "batch"])
    del entry["project_id"]
    for _ in range(3):
        usage, api = run_cycle([make_collector(entry, schedulers=schedulers)])[0].points
        assert usage.tags["project_id"] == PROJECT_ID
        assert "project_id" not in api.tags
    assert [request.method for request in cloud.requests].count("GET") == 1
    cloud.responder = respond(403)
    for _ in range(2):
        run_cycle([make_collector(entry, schedulers=schedulers)])[0]
    assert [request.method for request in cloud.requests].count("GET") == 2


@pytest.mark.parametrize(
    ("seconds", "count", "level"),
    [(HUNG_S, 1, ""), (HUNG_S + 1, 1, "W"), (HUNG_S + 1, MOST_HUNG - 1, "W"), (HUNG_S + 1, MOST_HUNG, "E")],
)
def test_hung_threads(
    cloud: Cloud, clock: FixedClock, make_collector: Make, seconds: float, count: int, level: str
) -> None:
    """Hung threads are a warning; from a number on, nothing is queried until they end."""
    release = threading.Event()
    for _ in range(count):
        assert run_with_deadline(lambda: release.wait(30), clock.clock, 0) is None
    clock.at += seconds
    collector = make_collector(cloud.entry(ranges=["last_7d"]))
    batch = run_cycle([collector])[0]
    release.set()
    assert batch.result == (Result.TIMED_OUT if level == "E" else Result.OK)
    assert bool(cloud.requests) == (level != "E")
    assert [problem.level for problem in batch.problems] == [level] * bool(level)
    assert all(f"{count} threads of earlier cycles hang" in problem.text for problem in batch.problems)
    wait_for(lambda: hung_threads(clock.clock.monotonic()) == 0, "the threads to end")
    assert run_cycle([collector])[0].problems == ()


def test_slow_cloud(cloud: Cloud, clock: FixedClock, make_collector: Make) -> None:
    """Requests that a slow cloud left no time for say so."""
    collector = make_collector(cloud.entry(ranges=[f"last_{hours}h" for hours in range(3, 11)], max_concurrency=1))
    (batch,) = run_cycle([collector], progress=lambda: clock.sleep(5))
    not_sent = "not sent: earlier requests used up the 25 s deadline; check whether the cloud is slow"
    assert not_sent in str(batch.problems[0])
    assert (batch.result, health(batch)["failed_queries"]) == (Result.PARTIAL, 3)


def test_cloud_that_does_not_answer(cloud: Cloud, clock: FixedClock, make_collector: Make) -> None:
    """The timeout comes first; the requests that it left no time for come after."""

    def hang(request: Any, timeout: float) -> Any:
        clock.at += timeout
        raise QueryError(Result.TIMED_OUT, "x did not answer in time")

    entry = cloud.entry(ranges=[f"last_{hours}h" for hours in range(3, 11)], max_concurrency=1)
    batch = run_cycle([make_collector(entry, transport=hang)])[0]
    assert "no answer within the deadline of 25 s" in str(batch.problems[0])
    assert "not sent: earlier requests" in str(batch.problems[-1])
    assert batch.result == Result.TIMED_OUT
