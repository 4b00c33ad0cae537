"""The Datadog monitors over made-up weeks, each case a region: each alerts when it should, and only then.

Those that add counts up are held against what the Agent's base library submitted, in test_queries.py.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Optional, Set

import pytest

from .datadog_monitors import alerts
from .datadog_queries import Cycle

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
NOW = 30 * DAY + 12 * HOUR
STEP = 5 * MINUTE
Value = Callable[[float], Optional[float]]
MODEL = {"maas_api_id": "m", "model": "m"}


class Fields:
    """What one series had, field by field, as a function of time."""

    def __init__(self, measurement: str, tags: Dict[str, str], **fields: Value) -> None:
        self.measurement = measurement
        self.tags = tags
        self.fields = fields

    def point(self, at: float) -> Dict[str, Any]:
        values = {field: value(at) for field, value in self.fields.items()}
        present = {field: value for field, value in values.items() if value is not None}
        return {"measurement": self.measurement, "tags": self.tags, "fields": present}


def always(value: float) -> Value:
    return lambda at: value


def since(began: float, then: Optional[float], before: Optional[float]) -> Value:
    return lambda at: then if at >= began else before


def alerting(name: str, cases: Dict[str, List[Fields]], now: float = NOW) -> Set[str]:
    """Name the cases that a monitor alerts on; there are cycles around now and around each time it may look back to."""
    for region, series in cases.items():
        for one in series:
            one.tags = {"region": region, "project_id": "p", **one.tags}
    looked_at = {now - back - age for back in (0, DAY, 7 * DAY, 14 * DAY) for age in range(0, 3 * HOUR, STEP)}
    cycles = [Cycle(at, [one.point(at) for one in _all(cases)]) for at in sorted(looked_at)]
    return {group[0] for group in alerts(name, cycles)}


def _all(cases: Dict[str, List[Fields]]) -> Iterable[Fields]:
    return (one for series in cases.values() for one in series)


def of_model(calls: Value, **fields: Value) -> List[Fields]:
    return [Fields("huawei_maas_model", dict(MODEL), requests_per_minute=calls, **fields)]


def test_a_model_of_whose_calls_many_fail_is_told_within_minutes() -> None:
    lately, before = NOW - 10 * MINUTE, NOW - 30 * MINUTE
    cases = {
        "a half": of_model(always(20), error_ratio=since(lately, 0.5, 0.0)),
        "one in twenty": of_model(always(20), error_ratio=always(0.05)),
        "a lone call": of_model(always(1), error_ratio=always(1.0)),
        "some time ago": of_model(always(20), error_ratio=lambda at: 1.0 if before <= at < lately else 0.0),
        "silent": of_model(since(before, None, 20), error_ratio=since(before, None, 1.0)),
    }
    assert alerting("model_error_ratio", cases) == {"a half"}


def test_a_model_is_slow_against_the_same_time_a_week_ago() -> None:
    lately = NOW - HOUR
    cases = {
        "slower": of_model(always(20), latency_seconds=since(lately, 9.0, 2.0)),
        "slow as ever": of_model(always(20), latency_seconds=always(9.0)),
        "new": of_model(since(lately, 20, None), latency_seconds=since(lately, 9.0, None)),
        "a lone call": of_model(always(1), latency_seconds=since(lately, 9.0, 2.0)),
        "silent": of_model(since(lately, None, 20), latency_seconds=since(lately, None, 9.0)),
    }
    assert alerting("model_latency", cases) == {"slower"}


def test_a_model_answers_no_call_where_all_fail_and_not_where_none_is_known() -> None:
    lately = NOW - 20 * MINUTE
    cases = {
        "all fail": of_model(always(20), error_ratio=since(lately, 1.0, 0.0)),
        "one minute was well": of_model(always(20), error_ratio=lambda at: 0.0 if at == NOW - 10 * MINUTE else 1.0),
        "half fail": of_model(always(20), error_ratio=since(lately, 0.5, 0.0)),
        "night": of_model(since(lately, None, 20), error_ratio=since(lately, None, 0.0)),
    }
    assert alerting("model_not_answering", cases) == {"all fail"}


def test_a_day_is_unusual_by_what_the_cloud_says_of_it_and_not_for_what_came_at_once() -> None:
    def day(value: Value, service: str = "preset") -> Fields:
        tags = {"range": "last_1d", "service_type": service, "infer_type": "real_time"}
        return Fields("huawei_maas_usage", tags, total_tokens=value)

    today, outage = NOW - DAY, NOW - 20 * MINUTE
    cases = {
        "four times": [day(since(today, 40e6, 10e6))],
        "twice": [day(since(today, 20e6, 10e6))],
        "a tiny account": [day(since(today, 400, 100))],
        "new": [day(since(NOW - 8 * DAY, 40e6, None))],
        "nothing a week ago": [day(since(today, 40e6, 0))],
        "back from an outage": [
            day(lambda at: None if outage - HOUR <= at < outage else 10e6),
            Fields("huawei_maas_consumed", {}, tokens=since(outage, 500e6, 0)),
        ],
        "partly answered": [day(always(10e6)), day(since(outage, None, 90e6), "my_service")],
        "other ranges": [Fields("huawei_maas_usage", {"range": "last_7d"}, total_tokens=since(today, 90e6, 10e6))],
    }
    assert alerting("day_unusual", cases) == {"four times"}


def test_a_key_begins_to_spend_after_a_week_without() -> None:
    def key(value: Value) -> List[Fields]:
        tags = {"range": "last_7d", "service_type": "preset", "infer_type": "real_time", "api_key_label": "x"}
        return [Fields("huawei_maas_key_usage", tags, total_tokens=value)]

    today = NOW - HOUR
    cases = {
        "begins": key(since(today, 50_000, 0)),
        "only tries": key(since(today, 500, 0)),
        "is used": key(since(today, 50_000, 10)),
        "began two days ago": key(since(NOW - 2 * DAY, 50_000, 0)),
        "configured anew": key(since(today, 50_000, None)),
        "not answered now": key(since(NOW - 20 * MINUTE, None, 0)),
    }
    assert alerting("key_begins", cases) == {"begins"}


def test_the_statistics_are_late_only_where_they_were_in_time_before() -> None:
    def api(newest: Value, answered: Value = lambda at: at) -> List[Fields]:
        fields = {"newest_usage_timestamp_seconds": newest, "last_success_timestamp_seconds": answered}
        return [Fields("huawei_maas_api", {}, **fields)]

    stopped = NOW - 5 * HOUR
    cases = {
        "late": api(lambda at: min(at, stopped) - HOUR),
        "in time": api(lambda at: at - 2 * HOUR),
        "night": api(lambda at: at // DAY * DAY),  # noon is twelve hours later on any day
        "unused a week ago": api(lambda at: min(at, stopped) - (HOUR if at > NOW - 5 * DAY else 9 * HOUR)),
        "unused yesterday": api(lambda at: min(at, stopped) - (HOUR if at < NOW - 5 * DAY else 9 * HOUR)),
        "not asked": api(lambda at: min(at, stopped) - HOUR, lambda at: min(at, stopped)),
        "hours are off": [Fields("huawei_maas_api", {}, last_success_timestamp_seconds=lambda at: at)],
    }
    assert alerting("statistics_late", cases) == {"late"}


@pytest.mark.parametrize(
    ("name", "codes", "alerted"),
    [
        ("collection_partial", {"well": 0, "partial": 1, "in turns": None, "down": 14}, {"partial", "in turns"}),
        (
            "credentials_refused",
            {"well": 0, "partial": 1, "none": 2, "expired": 7, "permission": 8},
            {"none", "expired"},
        ),
    ],
)
def test_the_code_of_the_last_cycles_decides(name: str, codes: Dict[str, Optional[int]], alerted: Set[str]) -> None:
    def code(value: Optional[int]) -> List[Fields]:
        turns: Value = lambda at: 1 if at // STEP % 2 else 14  # noqa: E731 - beside the other value
        return [Fields("huawei_maas_api", {}, result_code=turns if value is None else always(value))]

    assert alerting(name, {case: code(value) for case, value in codes.items()}) == alerted


def test_the_collection_is_down_when_nothing_was_answered_for_three_hours() -> None:
    def up(value: Value) -> List[Fields]:
        return [Fields("huawei_maas_api", {}, up=value)]

    cases = {"down": up(always(0)), "up": up(always(1)), "down for two hours": up(since(NOW - 2 * HOUR, 0, 1))}
    assert alerting("collection_down", cases) == {"down"}
