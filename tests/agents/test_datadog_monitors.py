"""The Datadog monitors over synthetic weeks, each case a region: each alerts when it should, and only then.

test_queries.py tests the monitors that add counts up.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Set, Tuple

import pytest

from maas_usage_check.errors import Result

from .datadog_monitor_eval import alerts
from .datadog_query_eval import Sample

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
NOW = 30 * DAY + 12 * HOUR
STEP = 5 * MINUTE
# Cycles before now and before each time that a monitor compares with.
CYCLES = sorted(NOW - back - age for back in (0, DAY, 7 * DAY, 14 * DAY) for age in range(0, 3 * HOUR, STEP))
CREDENTIALS = set("NO_CREDENTIALS KEY_REFUSED KEY_LOCKED BACKING_OFF CLOCK_OFF CREDENTIALS_EXPIRED".split())
Value = Callable[[float], Optional[float]]
Series = Tuple[str, Dict[str, str], Value]
"""A metric, tags, and the value at a time."""


def always(value: Optional[float]) -> Value:
    return lambda at: value


def since(began: float, then: Optional[float], before: Optional[float]) -> Value:
    return lambda at: then if at >= began else before


def series(metric: str, value: Value, **tags: str) -> Series:
    return f"huawei_maas.{metric}", tags, value


def alerting(name: str, cases: Dict[str, List[Series]]) -> Set[str]:
    """Return the cases that a monitor alerts on."""
    samples = [
        Sample(at, metric, {"region": region, "project_id": "p", **tags}, found)
        for at in CYCLES
        for region, some in cases.items()
        for metric, tags, value in some
        for found in [value(at)]
        if found is not None
    ]
    return {group[0] for group in alerts(name, samples, NOW)}


def tokens(value: Value, span: str = "last_1d", service: str = "preset", infer: str = "real_time") -> Series:
    return series("usage.total_tokens", value, range=span, service_type=service, infer_type=infer)


def of_model(calls: Value, **fields: Value) -> List[Series]:
    fields["requests_per_minute"] = calls
    return [series(f"model.{field}", value, maas_api_id="m", model="m") for field, value in fields.items()]


def test_model_error_ratio() -> None:
    """A model with many failing calls alerts within minutes."""
    lately, before = NOW - 10 * MINUTE, NOW - 30 * MINUTE
    cases = {
        "a half": of_model(always(20), error_ratio=since(lately, 0.5, 0.0)),
        "one in twenty": of_model(always(20), error_ratio=always(0.05)),
        "a lone call": of_model(always(1), error_ratio=always(1.0)),
        "some time ago": of_model(always(20), error_ratio=lambda at: 1.0 if before <= at < lately else 0.0),
        "silent": of_model(since(before, None, 20), error_ratio=since(before, None, 1.0)),
    }
    assert alerting("model_error_ratio", cases) == {"a half"}


def test_model_latency() -> None:
    """A model's latency is compared with the same time a week ago."""
    lately = NOW - HOUR
    cases = {
        "slower": of_model(always(20), latency_seconds=since(lately, 9.0, 2.0)),
        "slower for two days": of_model(always(20), latency_seconds=since(NOW - 2 * DAY, 9.0, 2.0)),
        "slow as ever": of_model(always(20), latency_seconds=always(9.0)),
        "new": of_model(since(lately, 20, None), latency_seconds=since(lately, 9.0, None)),
        "a lone call": of_model(always(1), latency_seconds=since(lately, 9.0, 2.0)),
        "silent": of_model(since(lately, None, 20), latency_seconds=since(lately, None, 9.0)),
    }
    assert alerting("model_latency", cases) == {"slower", "slower for two days"}


def test_model_not_answering() -> None:
    """A model answers no call if all calls fail, not if there are none."""
    lately = NOW - 20 * MINUTE
    cases = {
        "all fail": of_model(always(20), error_ratio=since(lately, 1.0, 0.0)),
        "one minute was well": of_model(always(20), error_ratio=lambda at: 0.0 if at == NOW - 10 * MINUTE else 1.0),
        "half fail": of_model(always(20), error_ratio=since(lately, 0.5, 0.0)),
        "night": of_model(since(lately, None, 20), error_ratio=since(lately, None, 0.0)),
    }
    assert alerting("model_not_answering", cases) == {"all fail"}


def test_unusual_day() -> None:
    """A day is unusual by the cloud's range, not by counts that arrive at once after an outage."""
    today, outage = NOW - DAY, NOW - 20 * MINUTE
    cases = {
        "four times": [tokens(since(today, 40e6, 10e6))],
        "twice": [tokens(since(today, 20e6, 10e6))],
        "a tiny account": [tokens(since(today, 400, 100))],
        "new": [tokens(since(NOW - 8 * DAY, 40e6, None))],
        "nothing a week ago": [tokens(since(today, 40e6, 0))],
        "back from an outage": [
            tokens(lambda at: None if outage - HOUR <= at < outage else 10e6),
            series("consumed.tokens", since(outage, 500e6, 0)),
        ],
        "partly answered": [tokens(always(10e6)), tokens(since(outage, None, 90e6), service="my_service")],
        "other ranges": [tokens(since(today, 90e6, 10e6), span="last_7d")],
    }
    assert alerting("day_unusual", cases) == {"four times"}


def test_new_key() -> None:
    """A key begins to spend after a week without usage."""

    def key(value: Value) -> List[Series]:
        tags = {"range": "last_7d", "service_type": "preset", "infer_type": "real_time", "api_key_label": "x"}
        return [series("key_usage.total_tokens", value, **tags)]

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


def test_late_statistics() -> None:
    """The statistics are late only if they were in time yesterday and a week ago."""

    def api(newest: Value, answered: Value = lambda at: at) -> List[Series]:
        return [
            series("api.newest_usage_timestamp_seconds", newest),
            series("api.last_success_timestamp_seconds", answered),
        ]

    stopped = NOW - 5 * HOUR
    cases = {
        "late": api(lambda at: min(at, stopped) - HOUR),
        "in time": api(lambda at: at - 2 * HOUR),
        "night": api(lambda at: at // DAY * DAY),  # noon is twelve hours later on any day
        "unused a week ago": api(lambda at: min(at, stopped) - (HOUR if at > NOW - 5 * DAY else 9 * HOUR)),
        "unused yesterday": api(lambda at: min(at, stopped) - (HOUR if at < NOW - 5 * DAY else 9 * HOUR)),
        "no queries": api(lambda at: min(at, stopped) - HOUR, lambda at: min(at, stopped)),
        "hours are off": api(lambda at: None),
    }
    assert alerting("statistics_late", cases) == {"late"}


def budget(scope: str, **fields: Value) -> List[Series]:
    """Make the budget in tokens of all, or of a team, and one of the other scope and unit that alerts on nothing."""
    tags = {"scope": scope, "unit": "tokens", **({"team": "a"} if scope == "team" else {})}
    other = {"scope": "all", "unit": "CNY"} if scope == "team" else {"scope": "team", "team": "a", "unit": "CNY"}
    return [
        *(series(f"budget.{field}", value, **tags) for field, value in fields.items()),
        *(series(f"budget.{field}", always(0.5), **other) for field in ("used_ratio", "forecast_ratio")),
        series("budget.covered_ratio", always(1), **other),
    ]


@pytest.mark.parametrize(("name", "scope"), [("budget_used", "all"), ("team_budget_used", "team")])
def test_budget_used(name: str, scope: str) -> None:
    """A budget is used up above 1, and stays so for two hours without a value."""
    cases = {
        "more": budget(scope, used_ratio=always(1.001)),
        "all of it": budget(scope, used_ratio=always(1)),
        "failed": budget(scope, used_ratio=since(NOW - HOUR, None, 1.1)),
        "failed long ago": budget(scope, used_ratio=since(NOW - 2 * HOUR - STEP, None, 1.1)),
        "of another scope": budget("all" if scope == "team" else "team", used_ratio=always(1.1)),
    }
    assert alerting(name, cases) == {"more", "failed"}


@pytest.mark.parametrize(("name", "scope"), [("budget_forecast", "all"), ("team_budget_forecast", "team")])
def test_budget_forecast(name: str, scope: str) -> None:
    """A forecast counts where 99 % of the month is known and the budget is not used up."""

    known, left = always(0.99), always(1)

    def expected(ratio: Value, covered: Value = known, used: Value = left) -> List[Series]:
        return budget(scope, forecast_ratio=ratio, covered_ratio=covered, used_ratio=used)

    cases = {
        "above": expected(always(1.001)),
        "at the budget": expected(always(1)),
        "for an hour": expected(since(NOW - HOUR, 1.1, 0.9)),
        "for less than an hour": expected(since(NOW - HOUR + STEP, 1.1, 0.9)),
        "for half an hour, then a gap": expected(
            lambda at: None if at > NOW - HOUR else 1.1 if at > NOW - 1.5 * HOUR else 0.9
        ),
        "failed": expected(*(since(NOW - HOUR, None, value) for value in (1.1, 1, 0.5))),
        "hours are missing": expected(always(1.1), covered=always(0.989)),
        "hours are not known": expected(always(1.1), covered=always(None)),
        "used up": expected(always(1.1), used=always(1.001)),
    }
    assert alerting(name, cases) == {"above", "for an hour", "failed"}


@pytest.mark.parametrize("limited", ["requests", "tokens"])
def test_model_limit(limited: str) -> None:
    """A model is near its limit in two minutes of two runs."""

    def model(ratio: Value, tokens: Value = lambda at: at) -> List[Series]:
        return of_model(always(20), **{f"{limited}_limit_ratio": ratio, "tokens_per_minute": tokens})

    def at_runs(*ratios: Optional[float]) -> Value:
        """Return values of the newest runs, the newest last, and 0.5 before."""
        return lambda at: ([0.5] * len(CYCLES) + [*ratios])[-1 - int(NOW - at) // STEP] if at > NOW - DAY / 2 else 0.5

    cases = {
        "two minutes": model(at_runs(0.81, 0.81)),
        "at the threshold": model(always(0.8)),
        "one minute": model(at_runs(0.5, 0.9, 0.5)),
        "one minute, sent again": model(at_runs(0.9, 0.9), since(NOW - STEP, 900, 500)),
        "a gap between": model(at_runs(0.9, None, 0.9)),
        "failed since": model(at_runs(0.9, 0.9, None, None, None)),
        "long ago": model(at_runs(0.9, 0.9, *[0.5] * 12)),
    }
    assert alerting(f"model_{limited}_limit", cases) == {"two minutes", "failed since"}


def test_model_requests_grow() -> None:
    """The calls of a model grow by more than 20 % a minute for 5 minutes, above half of the limit."""

    def model(then: Optional[float], before: Optional[float]) -> List[Series]:
        return of_model(always(20), requests_limit_ratio=since(NOW - 10 * MINUTE, then, before))

    cases = {
        "faster": model(0.748, 0.3),
        "slower": model(0.745, 0.3),
        "below the half": model(0.499, 0.1),
        "at the half": model(0.5, 0.1),
        "new": model(0.9, None),
        "falls": model(0.5, 0.9),
        "a gap": of_model(always(20), requests_limit_ratio=lambda at: {0: 0.9, 1: None}.get((NOW - at) // STEP, 0.1)),
    }
    assert alerting("model_requests_grow", cases) == {"faster", "at the half"}


@pytest.mark.parametrize(
    ("name", "alerted"),
    [
        ("collection_partial", {"PARTIAL", "in turns"}),
        ("credentials_refused", CREDENTIALS),
    ],
)
def test_result_code(name: str, alerted: Set[str]) -> None:
    """The result codes of the last cycles decide; a failed cycle between partial ones does not end their alert."""
    cases = {result.name: [series("api.result_code", always(result))] for result in Result}
    cases["in turns"] = [series("api.result_code", lambda at: 1 if at // STEP % 2 else 14)]
    assert alerting(name, cases) == alerted


def test_collection_down() -> None:
    """The collection is down after three hours without a successful query."""
    values = {"down": always(0), "up": always(1), "down for two hours": since(NOW - 2 * HOUR, 0, 1)}
    assert alerting("collection_down", {case: [series("api.up", value)] for case, value in values.items()}) == {"down"}


def test_one_fault_is_one_alert() -> None:
    """Credentials have a monitor of their own: no fault raises both."""
    faults = set(Result) - {Result.OK, Result.PARTIAL}
    cases = {fault.name: [series("api.up", always(0)), series("api.result_code", always(fault))] for fault in faults}
    down = alerting("collection_down", cases)
    assert down == {fault.name for fault in faults} - CREDENTIALS
    assert alerting("credentials_refused", cases) == CREDENTIALS
