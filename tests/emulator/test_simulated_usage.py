"""The emulator's hours: their arrival, their restatement, and windows as their sums."""

from __future__ import annotations

import itertools
from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.emulator.simulated_usage import LAG, RETENTION, SimulatedUsage
from maas_usage_check.emulator.traffic import (
    API_KEYS,
    DAY,
    HOUR,
    INFER_TYPES,
    NO_USAGE,
    SERVICE_TYPES,
    Usage,
    sum_usage,
)

from ..conftest import NOW

NOW_MS = int(NOW * 1000)
LABELS = list(API_KEYS)
LATE = SimulatedUsage(late=True)
HOURS_BACK = st.integers(0, 29 * 24).map(lambda hours: NOW_MS - hours * HOUR)
SERIES = st.tuples(st.sampled_from(sorted(SERVICE_TYPES)), st.sampled_from(sorted(INFER_TYPES)))
SOME_LABELS = st.lists(st.sampled_from(LABELS), unique=True)
MINUTE = HOUR // 60
BUSIEST = NOW_MS - 10 * HOUR
"""10:00 UTC+8 on a Monday."""


def actual(start: int, service_type: int = 2, infer_type: str = "real_time", labels: List[str] = LABELS) -> Usage:
    return sum_usage(SimulatedUsage().hours(service_type, infer_type, labels, start, start + HOUR))


def reported(usage: SimulatedUsage, start: int, now: int, labels: List[str] = LABELS) -> Usage:
    return usage.hour(2, "real_time", labels, start, now)


def window(usage: SimulatedUsage, start: int, end: int, now: int, **filters: Any) -> Dict[str, Any]:
    return usage.totals({"service_type": 2, "start_time": start, "end_time": end, **filters}, now)


def test_arrival() -> None:
    """By default an hour arrives as a whole when the lag has passed since it began."""
    assert reported(SimulatedUsage(), BUSIEST, BUSIEST + LAG) == NO_USAGE
    assert reported(SimulatedUsage(), BUSIEST, BUSIEST + LAG + 1) == actual(BUSIEST)
    assert min(actual(BUSIEST)[:5]) > 0


@given(SERIES, SOME_LABELS, HOURS_BACK, st.integers(1, 10 * DAY))
def test_late_arrival(series: Tuple[int, str], labels: List[str], start: int, more: int) -> None:
    """A late hour is empty until it is over and complete two hours after its end."""
    assert not any(LATE.hour(*series, labels, start, start + HOUR - more))
    for now in (start + 3 * HOUR, start + 3 * HOUR + more):
        assert LATE.hour(*series, labels, start, now) == actual(start, *series, labels)


def test_late_arrival_in_sixths() -> None:
    """Late usage arrives in sixths, each one to two hours after its ten minutes."""
    middles = set()
    for start in range(NOW_MS - 2 * DAY, NOW_MS, HOUR):
        prompt = [
            reported(LATE, start, start + minute * MINUTE, ["team-search"]).prompt_tokens for minute in range(181)
        ]
        whole = prompt[-1]
        assert len(set(prompt)) <= 7
        assert prompt == sorted(prompt)
        for minute, arrived in enumerate(prompt):
            assert whole * max(0, (minute - 120) // 10) // 6 <= arrived
            assert arrived <= whole * max(0, min(6, (minute - 60) // 10)) // 6
        middles.add(round(6 * prompt[125] / whole))
    assert len(middles) > 1, "all hours arrive alike"


@given(SERIES, SOME_LABELS, HOURS_BACK, st.integers(0, 40 * HOUR), st.integers(0, 4 * HOUR), st.booleans())
def test_window(series: Tuple[int, str], labels: List[str], start: int, length: int, age: int, late: bool) -> None:
    """A window is the sum of the hours that begin in it."""
    usage = SimulatedUsage(late=late)
    now = start + length + age
    usage.restate(start + HOUR, 1.5, now - HOUR, *series)
    end = start + length
    query = {"service_type": series[0], "infer_type": series[1], "api_keys": labels}
    total = usage.totals({**query, "start_time": start, "end_time": end}, now)
    used = sum_usage(usage.hour(*series, labels, at, now) for at in range(start, end, HOUR))
    assert (total["total_request_count"], total["total_error_count"]) == (used.requests, used.errors)
    tokens = [round(total[f"total{part}_token"] * 1000) for part in ("", "_prompt", "_completion")]
    assert tokens == [used.total_tokens, used.prompt_tokens, used.completion_tokens]


def test_inclusive_end() -> None:
    """Usage at exactly the end counts only if the end is inclusive."""
    until, after = BUSIEST, BUSIEST + HOUR
    start, now = until - 5 * HOUR, until + DAY
    exclusive, inclusive = SimulatedUsage(), SimulatedUsage(inclusive_end=True)
    assert window(inclusive, start, until, now) == window(exclusive, start, after, now)
    assert window(inclusive, start, until, now) != window(exclusive, start, until, now)
    assert window(inclusive, start, until - 1, now) == window(exclusive, start, until - 1, now)
    assert window(inclusive, start, until + 1, now) == window(exclusive, start, until + 1, now)


def test_inclusive_end_before_arrival() -> None:
    """An inclusive end does not include usage that has not arrived."""
    usage = SimulatedUsage(inclusive_end=True)
    assert window(usage, BUSIEST, BUSIEST, BUSIEST + LAG)["total_request_count"] == 0
    assert window(usage, BUSIEST, BUSIEST, BUSIEST + LAG + 1)["total_request_count"] > 0


@pytest.mark.parametrize("factor", [0, 0.5, 1, 3])
def test_restatement(factor: float) -> None:
    """A restatement applies from its time on; the newest one counts."""
    usage, at = SimulatedUsage(), NOW_MS - 3 * HOUR
    for each, moment in ((5, at + HOUR), (factor, at)):
        usage.restate(BUSIEST, each, moment)
    whole = actual(BUSIEST, labels=["team-search"])
    for each, moment in ((1, at - 1), (factor, at), (factor, at + HOUR - 1), (5, at + HOUR)):
        assert reported(usage, BUSIEST, moment, ["team-search"]) == tuple(int(count * each) for count in whole)


def test_restatement_of_one_series() -> None:
    """A restatement changes one hour of one series only."""
    usage = SimulatedUsage()
    usage.restate(BUSIEST, 0, BUSIEST, 1, "batch", "team-support")
    starts, labels = (BUSIEST - HOUR, BUSIEST, BUSIEST + HOUR), ([label] for label in LABELS)
    hours = itertools.product(SERVICE_TYPES, INFER_TYPES, labels, starts, [NOW_MS])
    changed = [hour for hour in hours if usage.hour(*hour) != SimulatedUsage().hour(*hour)]
    assert changed == [(1, "batch", ["team-support"], BUSIEST, NOW_MS)]
    usage.restate(BUSIEST, 0, BUSIEST)
    others = [label for label in LABELS if label != "team-search"]
    assert reported(usage, BUSIEST, NOW_MS) == actual(BUSIEST, labels=others)


def test_idle_hour() -> None:
    """An idle hour is empty; the others do not change."""
    usage = SimulatedUsage(busy=lambda start: start != BUSIEST)
    assert reported(usage, BUSIEST, NOW_MS) == NO_USAGE
    assert list(usage.hours(2, "real_time", [""], BUSIEST, BUSIEST + 1)) == [NO_USAGE]
    assert reported(usage, BUSIEST + HOUR, NOW_MS - 4 * HOUR) == actual(BUSIEST + HOUR)
    never = SimulatedUsage(busy=lambda start: False, late=True)
    assert set(window(never, NOW_MS - 29 * DAY, NOW_MS, NOW_MS, infer_type="batch").values()) == {0}


def test_retention() -> None:
    """An hour older than 30 days is empty."""
    assert reported(SimulatedUsage(), BUSIEST, BUSIEST + RETENTION) == actual(BUSIEST)
    assert reported(SimulatedUsage(), BUSIEST, BUSIEST + RETENTION + 1) == NO_USAGE
