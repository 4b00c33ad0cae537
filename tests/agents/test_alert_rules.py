"""Alert rules that look back over days, in the real promtool: each fires when it should, and only then.

The other rules are tested by alerts_test.yml beside alerts.yml.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable, List, Optional, Tuple

import pytest

from . import promtool
from .promtool import DAY, HOUR, Value, collection, counter, series

pytestmark = pytest.mark.timeout(180)
Check = Callable[..., None]
TOKENS = "huawei_maas_consumed_tokens_total"
NEWEST = "huawei_maas_api_newest_usage_timestamp_seconds"
COARSE = HOUR // 2


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return partial(promtool.check, tmp_path)


def steady(value: float) -> Value:
    return lambda at: value


def since(began: int, then: Optional[float], before: Optional[float] = None) -> Value:
    return lambda at: then if at >= began else before


def unless(start: int, end: int) -> Callable[[int], bool]:
    return lambda at: not start <= at < end


def test_unusual_day(check: Check) -> None:
    """A day is compared with its weekday; usage that an outage delayed does not count."""
    usual, spike = 10_000_000 / DAY, 8 * DAY
    outage, gap = unless(8 * DAY, 9 * DAY), unless(8 * DAY, 8 * DAY + HOUR)
    long_outage = unless(5 * DAY, 9 * DAY)

    def usual_day(case: str, value: Value, **when: Callable[[int], bool]) -> List[Tuple[str, Value]]:
        return [series(TOKENS, value, case, service_type="preset"), *collection(case, **when)]

    def times(factor: float) -> Value:
        return since(spike, factor * usual, usual)

    def delayed(answered: Callable[[int], bool]) -> Value:
        total = counter(steady(usual))
        seen = 0.0

        def value(at: int) -> float:
            nonlocal seen
            now = total(at)
            seen = now if answered(at) and now else seen
            return seen

        return value

    input_series = [
        *usual_day("spike", counter(times(4))),
        *usual_day("two services", counter(steady(usual))),
        series(TOKENS, counter(times(6)), "two services", service_type="x"),
        *usual_day("twice", counter(times(2))),
        *usual_day("week ends", counter(lambda at: usual if at // DAY % 7 < 5 else usual / 10)),
        *usual_day("tiny", counter(since(spike, 1.0, 0.01))),
        *usual_day("the cloud was down", delayed(outage), is_up=outage),
        *usual_day("the cloud was down for days", delayed(long_outage), is_up=long_outage),
        *usual_day("the host was down", counter(steady(usual), outage), runs=outage),
        *usual_day("a gap of an hour", counter(steady(usual), gap), runs=gap),
        *usual_day("spike and a gap", counter(times(4), gap), runs=gap),
    ]
    unusual = (8 * DAY, 10 * DAY + HOUR, ["spike", "two services", "spike and a gap"])
    check("MaasDayUnusual", input_series, (HOUR, 8 * DAY, ()), unusual, step=HOUR // 6)


def model_gauges(case: str, rate: Value, **fields: Value) -> List[Tuple[str, Value]]:
    """Make the gauges of a model; the other fields exist whenever requests_per_minute does."""

    def gauge(field: str, value: Value) -> Tuple[str, Value]:
        return series(f"huawei_maas_model_{field}", value, case, maas_api_id="m", model="m")

    def with_calls(value: Value) -> Value:
        return lambda at: None if rate(at) is None else value(at)

    return [
        gauge("requests_per_minute", rate),
        *(gauge(field, with_calls(value)) for field, value in fields.items()),
    ]


def test_slow_model(check: Check) -> None:
    """A model is compared with its own last week."""
    late = DAY + 12 * HOUR
    slower, busy = since(late, 9.0, 2.0), steady(20.0)
    input_series = [
        *model_gauges("slower", busy, latency_seconds=slower),
        *model_gauges("slow as ever", busy, latency_seconds=steady(9.0)),
        *model_gauges("a little slower", busy, latency_seconds=since(late, 3.5, 2.0)),
        *model_gauges("new", since(late, 20.0), latency_seconds=steady(9.0)),
        *model_gauges("new and slower", since(late - 4 * HOUR, 20.0), latency_seconds=slower),
        *model_gauges("a lone slow call", lambda at: 1.0 if at % HOUR == 0 else None, latency_seconds=slower),
        *model_gauges("silent since", since(late, None, 20.0), latency_seconds=slower),
        *model_gauges("a slow minute", busy, latency_seconds=lambda at: 9.0 if at == late else 2.0),
    ]
    check("MaasModelSlow", input_series, (HOUR, late, ()), (late, late + 6 * HOUR, ["slower"]))


def test_model_not_answering(check: Check) -> None:
    """A model that stops answering is distinguished from a night, a failure and a gap."""
    stop, gap = 7 * DAY + 12 * HOUR, unless(7 * DAY + 12 * HOUR, 7 * DAY + 13 * HOUR)
    busy, until_stop = steady(20.0), since(stop, None, 20.0)

    def whenever(exists: Callable[[int], bool]) -> Value:
        return lambda at: 20.0 if exists(at) else None

    def model(case: str, rate: Value, fail: float = 0.0, **when: Callable[[int], bool]) -> List[Tuple[str, Value]]:
        return [*model_gauges(case, rate, error_ratio=since(stop, fail, 0.0)), *collection(case, **when)]

    input_series = [
        *model("no call", until_stop),
        *model("all fail", busy, fail=1.0),
        *model("half fail", busy, fail=0.5),
        *model_gauges("no ratio", busy),
        *collection("no ratio"),
        *model("night", whenever(lambda at: 9 * HOUR <= at % DAY < 18 * HOUR)),
        *model("renamed", until_stop),
        series("huawei_maas_model_requests_per_minute", since(stop, 20.0), "renamed", maas_api_id="m", model="new"),
        *model("a weekday of rest", whenever(lambda at: at // (12 * HOUR) % 14 != 1)),
        *model("rarely called", since(stop, None, 1.0)),
        *model("no queries", until_stop, is_up=lambda at: at < stop),
        *model("gone with its collection", until_stop, runs=lambda at: at < stop),
        *model("a gap of an hour", whenever(gap), runs=gap),
        *model("a failure of an hour", whenever(gap), is_up=gap),
    ]
    check("MaasModelNotAnswering", input_series, (HOUR, stop, ()), (stop, 8 * DAY, ["no call", "all fail"]))


def test_new_key(check: Check) -> None:
    """A key begins to spend after a week without usage, if that week is known."""
    begins = 9 * DAY

    def label(case: str, before: Optional[float], then: float = 50_000) -> Tuple[str, Value]:
        tags = {"range": "last_7d", "api_key_label": "x"}
        return series("huawei_maas_key_usage_total_tokens", since(begins, then, before), case, **tags)

    def key(case: str, value: Value, model: str = "m") -> Tuple[str, Value]:
        tags = {"maas_key_id": "k", "maas_api_id": model}
        return series("huawei_maas_model_key_consumed_tokens_total", value, case, **tags)

    def whole(case: str, began: int = 0) -> Tuple[str, Value]:
        return series("huawei_maas_model_consumed_tokens_total", since(began, 1.0), case)

    new = since(begins, 1.0, 0.0)
    input_series = [
        label("label", 0),
        label("label with a little before", 20),
        label("label that only tries", 0, 5_000),
        label("label configured anew", None),
        key("key", counter(new, lambda at: at >= begins)),
        whole("key"),
        key("key that is used", counter(steady(1.0))),
        whole("key that is used"),
        key("key over a restart", counter(steady(1.0), unless(begins, begins + HOUR))),
        whole("key over a restart"),
        key("key on another model", counter(steady(1.0))),
        key("key on another model", counter(new), "n"),
        whole("key on another model"),
        key("models anew", counter(new, lambda at: at >= begins)),
        whole("models anew", begins),
    ]
    expected = [
        (HOUR, begins, ()),
        (begins, begins + DAY, ["label", "key"]),
        (begins + DAY + 6 * HOUR, begins + 2 * DAY, ()),
    ]
    check("MaasKeyBegins", input_series, *expected, step=COARSE)


def test_late_statistics(check: Check) -> None:
    """The statistics are late only where calls were made."""
    late, cloud_eye = 8 * DAY, "huawei_maas_model_consumed_requests_total"

    def newest_usage(used: Callable[[int], bool]) -> Value:
        """Make the end of the newest hour with use, reported 2 hours later."""
        return lambda at: next(
            (hour for hour in range((at - 2 * HOUR) // HOUR * HOUR, -DAY, -HOUR) if used(hour - 1)), -DAY
        )

    def until_late(at: int) -> bool:
        return at < late

    def reported(used: Callable[[int], bool], case: str) -> List[Tuple[str, Value]]:
        return [series(NEWEST, newest_usage(used), case), *collection(case)]

    input_series = [
        *reported(until_late, "late"),
        *reported(until_late, "late, as Cloud Eye shows"),
        series(cloud_eye, counter(steady(1.0)), "late, as Cloud Eye shows", model="m"),
        *reported(until_late, "unused, as Cloud Eye shows"),
        series(cloud_eye, counter(since(late, 0.0, 1.0)), "unused, as Cloud Eye shows", model="m"),
        *reported(lambda at: True, "in time"),
        *reported(lambda at: 9 <= at // HOUR % 24 < 18, "night"),
        *reported(lambda at: at < 2 * DAY, "unused since days"),
        series(NEWEST, newest_usage(until_late), "no queries"),
        *collection("no queries", until_late),
    ]
    silent = (late + 4 * HOUR, late + 20 * HOUR, ["late", "late, as Cloud Eye shows"])
    check("MaasStatisticsLate", input_series, (HOUR, late + 4 * HOUR, ()), silent, step=HOUR // 6)


def test_causes(tmp_path: Path) -> None:
    """The alerts of the collection name each cause in words."""
    assert promtool.causes(tmp_path, "MaasCredentialsRefused", range(1, 20)) == {
        2: "none found",
        **dict.fromkeys((3, 5), "the access key or its secret is wrong"),
        4: "the access key is locked",
        6: "this host's clock is more than 15 minutes off",
        7: "the temporary key has expired",
    }
    down = promtool.causes(tmp_path, "MaasCollectionDown", range(2, 20))
    assert (sorted(down), len(set(down.values()))) == (list(range(8, 20)), 10)
    assert (down[8], down[19]) == ("the key's user lacks a permission", "result code 19")
