"""One cycle, through the real client and real HTTP, against the emulator's own ledger."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Callable, Dict, List

import pytest
from werkzeug import Request, Response

from maas_usage_check.access import Credentials, Gates
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import DirectTransport
from maas_usage_check.config import load_instance
from maas_usage_check.config.ranges import DAY, HOUR, KEPT
from maas_usage_check.cycle import Batch, Collector
from maas_usage_check.cycle.collector import MOST_HANGING
from maas_usage_check.cycle.crew import hanging
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.metrics import API, KEY_USAGE, USAGE, Point
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.standin.ledger import API_KEYS
from maas_usage_check.store import Store

from ..conftest import AK, SK, Cloud, wait_for

Make = Callable[..., Collector]


def usage_points(batch: Batch) -> List[Point]:
    return [point for point in batch.points if point.measurement == USAGE]


def api_point(batch: Batch) -> Point:
    (point,) = [point for point in batch.points if point.measurement == API]
    return point


def broken(status: int = 500, body: Any = b"{}", **headers: str) -> Callable[[Request], Response]:
    return lambda request: Response(body, status, headers)


def when(
    condition: Callable[[Dict[str, Any]], bool], response: Callable[[Request], Response]
) -> Callable[[Request], Any]:
    """Answer otherwise where the body of a statistics call meets a condition."""
    return lambda request: (
        response(request) if request.method == "POST" and condition(json.loads(request.get_data())) else None
    )


def test_every_total_equals_the_ledger_of_the_cloud(cloud: Cloud, make_collector: Make) -> None:
    entry = cloud.entry(
        ranges=["last_7d", "last_30d", "last_3h"], service_types=[1, 2, 4], infer_types=["real_time", "batch"]
    )
    batch = make_collector(entry).cycle()
    assert batch.result == Result.OK
    assert len(usage_points(batch)) == 18
    hours_of = {"last_7d": 7 * 24, "last_30d": 30 * 24, "last_3h": 3}
    for point in usage_points(batch):
        now = point.time // 1_000_000
        start = max(now - hours_of[point.tags["range"]] * HOUR, now - KEPT)
        service = {"my_service": 1, "preset": 2, "custom_endpoint": 4}[point.tags["service_type"]]
        # Counted hour by hour, without the windows of the plan and without the emulator's answers.
        hours = list(
            cloud.emulator.ledger.hours(service, point.tags["infer_type"], list(API_KEYS), start, now - 2 * HOUR)
        )
        assert point.fields["requests"] == sum(hour.requests for hour in hours)
        assert point.fields["errors"] == sum(hour.errors for hour in hours)
        assert point.fields["prompt_tokens"] == sum(hour.prompt_tokens for hour in hours)
        assert point.fields["completion_tokens"] == sum(hour.completion_tokens for hour in hours)
        assert point.fields["coverage_ratio"] == 1.0
        assert all(type(value) is int for name, value in point.fields.items() if not name.endswith("_ratio"))


def test_a_point_carries_the_tags_of_the_design_and_the_cycles_own_time(cloud: Cloud, make_collector: Make) -> None:
    batch = make_collector(cloud.entry(ranges=["today"], tags=["team:a"], timezone="Asia/Shanghai")).cycle()
    (point,) = usage_points(batch)
    assert point.tags == {
        "range": "today", "service_type": "preset", "infer_type": "real_time", "region": "cn-southwest-2",
        "project_id": PROJECT_ID, "team": "a",
    }  # fmt: skip
    assert api_point(batch).tags == {"region": "cn-southwest-2", "project_id": PROJECT_ID, "team": "a"}
    assert {point.time for point in batch.points} == {api_point(batch).time}
    assert abs(point.time / 1e9 - time.time()) < 60


def test_each_distinct_question_is_asked_once_and_iam_not_when_the_project_is_known(
    cloud: Cloud, make_collector: Make
) -> None:
    ranges = ["last_7d", "last_168h", "last_30d", "last_720h", "last_1d", "last_24h"]
    batch = make_collector(cloud.entry(ranges=ranges, service_types=[1, 2])).cycle()
    assert len(usage_points(batch)) == 12
    # 7 days, 1 day, and 30 days in two windows, for two service types.
    assert len(cloud.seen) == api_point(batch).fields["queries"] == api_point(batch).fields["http_requests"] == 8
    assert {request.method for request in cloud.seen} == {"POST"}


def test_the_project_is_looked_up_once_by_its_exact_name_and_remembered(cloud: Cloud, make_collector: Make) -> None:
    entry = cloud.entry(ranges=["last_7d"])
    del entry["project_id"]
    gates = Gates(Store(), Clock())
    for _ in range(3):
        batch = make_collector(entry, gates=gates).cycle()
        assert usage_points(batch)[0].tags["project_id"] == PROJECT_ID
        assert "project_id" not in api_point(batch).tags
    assert [request.method for request in cloud.seen] == ["GET", "POST", "POST", "POST"]


@pytest.mark.parametrize(
    ("projects", "words"),
    [
        ([], "no enabled project named cn-southwest-2"),
        ([{"id": "a" * 32, "name": "cn-southwest-2_sub", "enabled": True}], "no enabled project"),
        ([{"id": "a" * 32, "name": "cn-southwest-2", "enabled": False}], "no enabled project"),
        ([{"id": letter * 32, "name": "cn-southwest-2", "enabled": True} for letter in "ab"], "2 projects"),
    ],
)
def test_a_project_that_cannot_be_told_is_said_so(
    cloud: Cloud, make_collector: Make, projects: Any, words: str
) -> None:
    cloud.emulator.projects = projects
    entry = cloud.entry()
    del entry["project_id"]
    batch = make_collector(entry).cycle()
    assert batch.result == Result.NO_PROJECT
    assert words in batch.problems[0].text


def test_labels_have_a_measurement_of_their_own_beside_the_unfiltered_whole(cloud: Cloud, make_collector: Make) -> None:
    labels = ["team-search", ""]
    batch = make_collector(cloud.entry(ranges=["last_7d"], api_keys=labels, per_api_key=True)).cycle()
    each = [point for point in batch.points if point.measurement == KEY_USAGE]
    assert [point.tags["api_key_label"] for point in each] == ["team-search", "online_experience"]
    (whole,) = usage_points(batch)
    assert "api_key_label" not in whole.tags
    asked = cloud.statistics()
    assert asked[0].get("api_keys") is None
    assert sorted(body["api_keys"] for body in asked[1:]) == [[""], ["team-search"]]
    now = whole.time // 1_000_000
    hours = list(cloud.emulator.ledger.hours(2, "real_time", list(API_KEYS), now - 7 * DAY, now - 2 * HOUR))
    assert whole.fields["requests"] > sum(point.fields["requests"] for point in each), "two labels are not all"
    assert whole.fields["requests"] == sum(hour.requests for hour in hours)


def test_labels_are_a_filter_where_they_have_no_series(cloud: Cloud, make_collector: Make) -> None:
    labels = ["team-search", ""]
    each = make_collector(cloud.entry(ranges=["last_7d"], api_keys=labels, per_api_key=True)).cycle()
    both = make_collector(cloud.entry(ranges=["last_7d"], api_keys=labels)).cycle()
    (together,) = usage_points(both)
    assert "api_key_label" not in together.tags
    parts = [point.fields["requests"] for point in each.points if point.measurement == KEY_USAGE]
    assert together.fields["requests"] == sum(parts)
    assert cloud.statistics()[-1]["api_keys"] == labels


def test_addresses_are_a_filter(cloud: Cloud, make_collector: Make) -> None:
    make_collector(cloud.entry(ranges=["last_7d"], ips=["10.0.0.1"])).cycle()
    assert cloud.statistics()[0]["ips"] == ["10.0.0.1"]


def test_a_failed_query_gives_no_point_and_the_api_point_says_so(cloud: Cloud, make_collector: Make) -> None:
    cloud.always = when(
        lambda body: body["end_time"] - body["start_time"] == 7 * DAY, broken(400, b'{"error_msg": "no"}')
    )
    batch = make_collector(cloud.entry()).cycle()
    assert sorted(point.tags["range"] for point in usage_points(batch)) == ["last_14d", "last_30d"]
    fields = api_point(batch).fields
    assert (fields["up"], fields["result_code"], fields["queries"], fields["failed_queries"]) == (
        1,
        Result.PARTIAL,
        4,
        1,
    )
    assert [problem.level for problem in batch.problems] == ["W"]
    assert "no values for last_7d preset" in batch.problems[0].text


def test_a_range_whose_second_window_fails_is_no_point_at_all(cloud: Cloud, make_collector: Make) -> None:
    cloud.always = when(lambda body: body["end_time"] - body["start_time"] < 3 * DAY, broken(400))
    batch = make_collector(cloud.entry(ranges=["last_30d"])).cycle()
    assert usage_points(batch) == []
    assert batch.result == Result.PARTIAL


@pytest.mark.parametrize(
    ("response", "result", "requests"),
    [
        (broken(400), Result.REQUEST_REJECTED, 4),
        (broken(403), Result.PERMISSION_DENIED, 4),
        (broken(401), Result.KEY_REFUSED, 1),
        (broken(429), Result.THROTTLED, 1),
        (broken(500), Result.SERVER_ERROR, 12),
        (broken(302, b"", Location="/elsewhere"), Result.BAD_ANSWER, 4),
        (broken(200, b"<html>sign in</html>"), Result.BAD_ANSWER, 4),
        (broken(200, b""), Result.BAD_ANSWER, 4),
        (broken(200, b'{"total_token": 1}'), Result.BAD_ANSWER, 4),
        (broken(200, b" " * (1024 * 1024 + 1)), Result.BAD_ANSWER, 4),
        (broken(200, b"\x1f\x8b junk", **{"Content-Encoding": "gzip"}), Result.BAD_ANSWER, 4),
        (broken(204, b""), Result.BAD_ANSWER, 4),
    ],
)  # fmt: skip
def test_when_nothing_worked_there_is_no_usage_and_the_api_point_tells_why(
    cloud: Cloud, make_collector: Make, response: Callable[[Request], Response], result: Result, requests: int
) -> None:
    cloud.always = response
    batch = make_collector(cloud.entry()).cycle()
    assert usage_points(batch) == []
    fields = api_point(batch).fields
    assert (fields["up"], fields["failed_queries"]) == (0, 4)
    assert fields["result_code"] == batch.result == result
    assert not batch.collected
    assert "last_success_timestamp_seconds" not in fields
    assert batch.problems[0].level == "E"
    assert len(cloud.seen) == fields["http_requests"] == requests


def test_a_passing_fault_is_tried_again_within_the_cycle(cloud: Cloud, make_collector: Make) -> None:
    cloud.instead = [broken(503), broken(504)]
    batch = make_collector(cloud.entry(ranges=["last_7d"])).cycle()
    assert batch.result == Result.OK
    assert len(cloud.seen) == 3


def test_a_malformed_200_is_not_tried_again(cloud: Cloud, make_collector: Make) -> None:
    cloud.instead = [broken(200, b"{}")]
    assert make_collector(cloud.entry(ranges=["last_7d"])).cycle().result == Result.BAD_ANSWER
    assert len(cloud.seen) == 1


def test_the_last_success_is_remembered_over_failures(cloud: Cloud, make_collector: Make) -> None:
    gates = Gates(Store(), Clock())
    first = api_point(make_collector(cloud.entry(), gates=gates).cycle())
    cloud.always = broken(400)
    second = api_point(make_collector(cloud.entry(), gates=gates).cycle())
    name = "last_success_timestamp_seconds"
    assert second.fields["up"] == 0
    assert second.fields[name] == first.fields[name] == first.time // 10**9


def test_a_wrong_secret_is_asked_with_once_and_a_right_one_at_once(cloud: Cloud, make_collector: Make) -> None:
    gates = Gates(Store(), Clock())
    wrong = Credentials(AK, "wrong")
    first = make_collector(cloud.entry(max_concurrency=8), wrong, gates=gates).cycle()
    second = make_collector(cloud.entry(), wrong, gates=gates).cycle()
    assert (first.result, second.result) == (Result.KEY_REFUSED, Result.BACKING_OFF)
    assert len(cloud.seen) == 1
    assert make_collector(cloud.entry(), Credentials(AK, SK), gates=gates).cycle().result == Result.OK
    assert cloud.emulator.times_locked == 0


def test_six_instances_of_one_wrong_key_ask_once_together(cloud: Cloud, make_collector: Make) -> None:
    gates = Gates(Store(), Clock())
    collectors = [make_collector(cloud.entry(tags=[f"n:{i}"]), Credentials(AK, "wrong"), gates=gates) for i in range(6)]
    threads = [threading.Thread(target=collector.cycle) for collector in collectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.seen) == 1


def test_the_first_request_goes_alone_and_then_as_many_as_configured(cloud: Cloud, make_collector: Make) -> None:
    lock, under_way, seen, four = threading.Lock(), [0], [], threading.Barrier(4)

    def with_others(request: Request) -> None:
        with lock:
            under_way[0] += 1
            seen.append(under_way[0])
            first = len(seen) == 1
        if not first:
            four.wait(10)  # broken, and the answer a 500, where fewer than four are under way
        with lock:
            under_way[0] -= 1

    cloud.always = with_others
    ranges = [f"last_{hours}h" for hours in range(1, 14)]
    assert make_collector(cloud.entry(ranges=ranges, max_concurrency=4)).cycle().result == Result.OK
    assert seen[:2] == [1, 1]
    assert max(seen) == 4


def test_a_retry_that_would_pass_the_deadline_is_not_made(cloud: Cloud, make_collector: Make) -> None:
    cloud.always = broken(503)
    ahead = [0.0]

    def sleep(seconds: float) -> None:
        ahead[0] += seconds

    clock = Clock(monotonic=lambda: Clock().monotonic() + ahead[0], sleep=sleep)
    batch = make_collector(cloud.entry(ranges=["last_7d"], deadline=0.7), clock=clock).cycle()
    # Tries at 0 and after 0.25 to 0.75 s; the pause before a third, 0.5 to 1.5 s, never fits.
    assert len(cloud.seen) in (1, 2)
    assert batch.result == Result.SERVER_ERROR, "the last try ended for want of time, and hid why"
    assert ahead[0] < 0.7


def test_what_the_cloud_says_is_shown_without_the_labels_that_are_no_tags(cloud: Cloud, make_collector: Make) -> None:
    said = b'{"error_msg": "unknown key team-planted of 10.0.0.1"}'
    cloud.always = broken(400, said)
    hidden = make_collector(cloud.entry(ranges=["last_7d"], api_keys=["team-planted"])).cycle()
    assert "`unknown key *** of 10.0.0.1`" in hidden.problems[0].text
    shown = make_collector(cloud.entry(ranges=["last_7d"], api_keys=["team-planted"], per_api_key=True)).cycle()
    assert "`unknown key team-planted of 10.0.0.1`" in shown.problems[0].text


@pytest.mark.parametrize(
    ("keys", "waits", "words"),
    [
        ({"timeout": 10, "deadline": 5}, 60, "no answer within the deadline of 5 s"),
        ({"timeout": 5, "deadline": 60}, 60, "check the network, or raise timeout"),
        ({"timeout": 10, "deadline": 5}, 0.2, "check the network, or raise timeout"),  # the transport has its own limit
    ],
)
def test_what_the_deadline_cut_short_is_not_put_down_to_the_network(
    cloud: Cloud, keys: Dict[str, Any], waits: float, words: str
) -> None:
    at = [0.0]

    def silent(request: Any, seconds: float) -> Any:
        at[0] += min(waits, seconds)
        raise QueryError(Result.TIMED_OUT, "the host did not answer in time: check the network, or raise timeout")

    clock = Clock(monotonic=lambda: at[0], sleep=lambda seconds: None)
    instance = load_instance(cloud.entry(ranges=["last_7d"], **keys), {}, "instances[0]")
    batch = Collector(instance, lambda: Credentials(AK, SK), silent, Gates(Store(), clock), clock).cycle()
    assert batch.result == Result.TIMED_OUT
    assert words in batch.problems[0].text


@pytest.mark.parametrize("deadline", [0.8, 1.5])
def test_the_deadline_ends_a_cycle_with_what_is_complete(cloud: Cloud, make_collector: Make, deadline: float) -> None:
    release = threading.Event()
    cloud.always = when(
        lambda body: body["end_time"] - body["start_time"] > 2 * HOUR, lambda request: release.wait(5) and None
    )  # type: ignore[arg-type,return-value]
    began = time.monotonic()
    batch = make_collector(cloud.entry(ranges=["last_1h", "last_2h", "last_9h"], deadline=deadline)).cycle()
    took = time.monotonic() - began
    release.set()
    assert deadline <= took < deadline + 2
    assert [point.tags["range"] for point in usage_points(batch)] == ["last_1h", "last_2h"]
    assert batch.result == Result.PARTIAL


def test_what_hangs_outside_our_reach_neither_holds_the_cycle_nor_keeps_the_process(cloud: Cloud) -> None:
    release = threading.Event()

    def hang(*_: Any) -> Any:  # as a name resolution may, which no timeout of ours ends
        release.wait(10)

    instance = load_instance(cloud.entry(deadline=0.3), {}, "instances[0]")
    for provider, transport in ((lambda: Credentials(AK, SK), hang), (hang, DirectTransport(instance))):
        collector = Collector(instance, provider, transport, Gates(Store(), Clock()), Clock())
        began = time.monotonic()
        batch = collector.cycle()
        assert time.monotonic() - began < 3
        assert batch.result == Result.TIMED_OUT
    ours = [thread for thread in threading.enumerate() if thread.name == "maas-usage-check"]
    assert len(ours) >= 2
    assert all(thread.daemon for thread in ours)
    release.set()


def test_a_cancelled_cycle_ends_at_once_with_what_is_complete(cloud: Cloud, make_collector: Make) -> None:
    release = threading.Event()
    collector = make_collector(cloud.entry(ranges=["last_1h", "last_9h"], max_concurrency=1))

    def cancel(request: Request) -> None:
        collector.cancel()
        release.wait(5)

    cloud.always = when(lambda body: body["end_time"] - body["start_time"] > HOUR, cancel)  # type: ignore[arg-type]
    began = time.monotonic()
    batch = collector.cycle()
    release.set()
    assert time.monotonic() - began < 3
    assert [point.tags["range"] for point in usage_points(batch)] == ["last_1h"]
    assert "signal" in batch.problems[0].text
    assert "deadline" not in batch.problems[0].text


def test_a_range_older_than_what_is_kept_gives_a_warning_and_no_point(cloud: Cloud, make_collector: Make) -> None:
    old = {"name": "old", "from": "2020-01-01", "to": "2020-02-01"}
    batch = make_collector(cloud.entry(ranges=["last_7d", old])).cycle()
    assert [point.tags["range"] for point in usage_points(batch)] == ["last_7d"]
    assert [(problem.level, "old" in problem.text) for problem in batch.problems] == [("W", True)]
    alone = make_collector(cloud.entry(ranges=[old])).cycle()
    assert (alone.result, alone.problems[0].level, api_point(alone).fields["up"]) == (Result.NOTHING_KEPT, "W", 0)


def test_a_range_that_reaches_past_what_is_kept_shows_its_coverage(cloud: Cloud, make_collector: Make) -> None:
    (point,) = usage_points(make_collector(cloud.entry(ranges=["last_60d"])).cycle())
    assert point.fields["coverage_ratio"] == 0.5


def test_a_user_agent_is_sent_and_no_secret_in_the_clear(cloud: Cloud, make_collector: Make) -> None:
    make_collector(cloud.entry(ranges=["last_7d"])).cycle()
    (request,) = cloud.seen
    assert request.headers["User-Agent"].startswith("maas-usage-check/")
    assert SK not in str(request.headers) + request.full_path + request.get_data(as_text=True)


def test_a_late_answer_of_the_last_cycle_does_not_count_in_the_next(cloud: Cloud, make_collector: Make) -> None:
    release = threading.Event()
    cloud.instead = [lambda request: release.wait(5) and Response(b"{}", 400)]  # type: ignore[list-item,return-value]
    collector = make_collector(cloud.entry(ranges=["last_7d"], deadline=0.2))
    assert collector.cycle().result == Result.TIMED_OUT
    release.set()
    assert collector.cycle(deadline=5).result == Result.OK


def test_a_permission_that_one_query_lacks_makes_no_lookup_of_the_project_in_every_cycle(
    cloud: Cloud, make_collector: Make
) -> None:
    cloud.always = when(lambda body: body["infer_type"] == "batch", broken(403))
    entry = cloud.entry(ranges=["last_7d"], infer_types=["real_time", "batch"])
    del entry["project_id"]
    gates = Gates(Store(), Clock())
    for _ in range(3):
        assert make_collector(entry, gates=gates).cycle().result == Result.PARTIAL
    assert [request.method for request in cloud.seen].count("GET") == 1
    cloud.always = broken(403)
    for _ in range(2):
        make_collector(entry, gates=gates).cycle()
    assert [request.method for request in cloud.seen].count("GET") == 2


def test_more_errors_than_requests_are_published_without_a_ratio_and_with_one_warning(
    cloud: Cloud, make_collector: Make
) -> None:
    def lagging(request: Request) -> Response:
        answer = cloud.emulator.ledger.totals(json.loads(request.get_data()), int(time.time() * 1000))
        return Response(json.dumps({**answer, "total_error_count": answer["total_request_count"] + 1}), 200)

    cloud.always = lagging
    batch = make_collector(cloud.entry(ranges=["last_7d", "last_14d"])).cycle()
    assert batch.result == Result.OK
    for point in usage_points(batch):
        assert point.fields["errors"] == int(point.fields["requests"]) + 1
        assert "error_ratio" not in point.fields
    (problem,) = batch.problems
    assert problem.level == "W"
    assert "more errors than requests" in problem.text
    assert "last_7d preset, last_14d preset" in problem.text


def test_threads_that_hang_are_said_and_capped_and_when_they_end_all_is_well(
    cloud: Cloud, make_collector: Make
) -> None:
    release = threading.Event()

    def hang() -> Credentials:
        release.wait(30)
        return Credentials(AK, SK)

    instance = load_instance(cloud.entry(ranges=["last_7d"], deadline=0.05), {}, "instances[0]")
    stuck = Collector(instance, hang, DirectTransport(instance), Gates(Store(), Clock()), Clock())
    for _ in range(MOST_HANGING):
        stuck.cycle()
    later = Clock(monotonic=lambda: Clock().monotonic() + 61)
    healthy = make_collector(cloud.entry(ranges=["last_7d"]), clock=later)
    batch = healthy.cycle()
    assert batch.result == Result.TIMED_OUT
    assert f"{MOST_HANGING} threads of earlier cycles hang" in batch.problems[0].text
    assert cloud.seen == []
    release.set()
    wait_for(lambda: hanging(later.monotonic()) == 0, "the threads to end")
    assert healthy.cycle().problems == ()


def test_threads_that_hang_are_a_warning_while_others_still_ask(cloud: Cloud, make_collector: Make) -> None:
    release = threading.Event()
    instance = load_instance(cloud.entry(ranges=["last_7d"], deadline=0.05), {}, "instances[0]")
    transport = lambda request, timeout: release.wait(30)  # noqa: E731
    Collector(instance, lambda: Credentials(AK, SK), transport, Gates(Store(), Clock()), Clock()).cycle()
    later = Clock(monotonic=lambda: Clock().monotonic() + 61)
    batch = make_collector(cloud.entry(ranges=["last_7d"]), clock=later).cycle()
    release.set()
    assert batch.result == Result.OK
    assert [(problem.level, "1 threads" in problem.text) for problem in batch.problems] == [("W", True)]
    wait_for(lambda: hanging(later.monotonic()) == 0, "the thread to end")
