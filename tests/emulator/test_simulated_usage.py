"""The stand-in's hours: when they arrive, what is restated of them, and that windows are nothing but their sums."""

from __future__ import annotations

import itertools
from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.emulator.arrivals import DAY, HOUR
from maas_usage_check.emulator.simulated_usage import (
    API_KEYS,
    INFER_TYPES,
    LAG,
    RETENTION,
    SERVICE_TYPES,
    SimulatedUsage,
    UsageHour,
)

from ..conftest import NOW

NOW_MS = int(NOW * 1000)
LABELS = list(API_KEYS)
LATE, RESTATING = SimulatedUsage(late=True), SimulatedUsage(restating=True)
HOURS_BACK = st.integers(0, 29 * 24).map(lambda hours: NOW_MS - hours * HOUR)
SERIES = st.tuples(st.sampled_from(sorted(SERVICE_TYPES)), st.sampled_from(sorted(INFER_TYPES)))
SOME_LABELS = st.lists(st.sampled_from(LABELS), unique=True)
MINUTE = HOUR // 60
BUSIEST = NOW_MS - 10 * HOUR
"""10 in the morning on the mainland, of a Monday."""
Numbers = Tuple[int, int, int, int, int]


def numbers(hour: UsageHour) -> Numbers:
    return hour.requests, hour.errors, hour.prompt_tokens, hour.completion_tokens, hour.other_tokens


def added(hours: List[Numbers]) -> List[int]:
    return [sum(column) for column in zip(*hours)] or [0] * 5


def used(start: int, service_type: int = 2, infer_type: str = "real_time", labels: List[str] = LABELS) -> List[int]:
    hours = SimulatedUsage().hours(service_type, infer_type, labels, start, start + HOUR)
    return added([numbers(hour) for hour in hours])


def said(ledger: SimulatedUsage, start: int, now: int, labels: List[str] = LABELS) -> List[int]:
    return list(numbers(ledger.hour(2, "real_time", labels, start, now)))


def window(ledger: SimulatedUsage, start: int, end: int, now: int, **asked: Any) -> Dict[str, Any]:
    return ledger.totals({"service_type": 2, "start_time": start, "end_time": end, **asked}, now)


def test_by_default_an_hour_is_there_at_once_and_whole_when_the_lag_has_passed_since_it_began() -> None:
    assert said(SimulatedUsage(), BUSIEST, BUSIEST + LAG) == [0] * 5
    assert said(SimulatedUsage(), BUSIEST, BUSIEST + LAG + 1) == used(BUSIEST)
    assert min(used(BUSIEST)) > 0


@given(SERIES, SOME_LABELS, HOURS_BACK, st.integers(1, 10 * DAY))
def test_a_late_hour_is_nothing_before_it_is_an_hour_old_and_whole_two_hours_after_its_end(
    series: Tuple[int, str], labels: List[str], start: int, more: int
) -> None:
    assert not any(numbers(LATE.hour(*series, labels, start, start + HOUR - more)))
    for now in (start + 3 * HOUR, start + 3 * HOUR + more):
        assert list(numbers(LATE.hour(*series, labels, start, now))) == used(start, *series, labels)


def test_late_use_arrives_in_six_steps_each_an_hour_or_two_after_its_ten_minutes() -> None:
    middles = set()
    for start in range(NOW_MS - 2 * DAY, NOW_MS, HOUR):
        prompt = [said(LATE, start, start + minute * MINUTE, ["team-search"])[2] for minute in range(181)]
        whole = prompt[-1]
        assert len(set(prompt)) <= 7
        assert prompt == sorted(prompt)
        for minute, there in enumerate(prompt):
            assert whole * max(0, (minute - 120) // 10) // 6 <= there
            assert there <= whole * max(0, min(6, (minute - 60) // 10)) // 6
        middles.add(round(6 * prompt[125] / whole))
    assert len(middles) > 1, "not all hours alike"


@given(
    SERIES, SOME_LABELS, HOURS_BACK, st.integers(0, 40 * HOUR), st.integers(0, 4 * HOUR), st.booleans(), st.booleans()
)
def test_a_window_is_the_sum_of_the_hours_that_begin_in_it(
    series: Tuple[int, str], labels: List[str], start: int, length: int, age: int, late: bool, restating: bool
) -> None:
    ledger = SimulatedUsage(late=late, restating=restating)
    now = start + length + age
    ledger.restate(start + HOUR, 1.5, now - HOUR, *series)
    end = start + length
    asked = {"service_type": series[0], "infer_type": series[1], "api_keys": labels}
    total = ledger.totals({**asked, "start_time": start, "end_time": end}, now)
    hours = [numbers(ledger.hour(*series, labels, at, now)) for at in range(start, end, HOUR)]
    requests, errors, prompt, completion, other = added(hours)
    assert (total["total_request_count"], total["total_error_count"]) == (requests, errors)
    tokens = [round(total[f"total{part}_token"] * 1000) for part in ("", "_prompt", "_completion")]
    assert tokens == [prompt + completion + other, prompt, completion]


def test_use_at_exactly_the_end_counts_only_where_the_end_is_inclusive() -> None:
    until, after = BUSIEST, BUSIEST + HOUR
    start, now = until - 5 * HOUR, until + DAY
    exclusive, inclusive = SimulatedUsage(), SimulatedUsage(inclusive_end=True)
    assert window(inclusive, start, until, now) == window(exclusive, start, after, now)
    assert window(inclusive, start, until, now) != window(exclusive, start, until, now)
    assert window(inclusive, start, until - 1, now) == window(exclusive, start, until - 1, now)
    assert window(inclusive, start, until + 1, now) == window(exclusive, start, until + 1, now)


def test_an_inclusive_end_brings_nothing_that_has_not_arrived() -> None:
    ledger = SimulatedUsage(inclusive_end=True)
    assert window(ledger, BUSIEST, BUSIEST, BUSIEST + LAG)["total_request_count"] == 0
    assert window(ledger, BUSIEST, BUSIEST, BUSIEST + LAG + 1)["total_request_count"] > 0


@pytest.mark.parametrize("factor", [0, 0.5, 1, 3])
def test_an_hour_restated_by_hand_is_another_from_that_moment_on(factor: float) -> None:
    ledger, at = SimulatedUsage(), NOW_MS - 3 * HOUR
    for number, moment in ((5, at + HOUR), (factor, at)):
        ledger.restate(BUSIEST, number, moment)
    whole = used(BUSIEST, labels=["team-search"])
    for number, moment in ((1, at - 1), (factor, at), (factor, at + HOUR - 1), (5, at + HOUR)):
        assert said(ledger, BUSIEST, moment, ["team-search"]) == [round(count * number) for count in whole]


def test_a_restatement_by_hand_changes_one_hour_of_one_series_only() -> None:
    ledger = SimulatedUsage()
    ledger.restate(BUSIEST, 0, BUSIEST, 1, "batch", "team-support")
    starts, labels = (BUSIEST - HOUR, BUSIEST, BUSIEST + HOUR), ([label] for label in LABELS)
    hours = itertools.product(SERVICE_TYPES, INFER_TYPES, labels, starts, [NOW_MS])
    changed = [hour for hour in hours if ledger.hour(*hour) != SimulatedUsage().hour(*hour)]
    assert changed == [(1, "batch", ["team-support"], BUSIEST, NOW_MS)]
    ledger.restate(BUSIEST, 0, BUSIEST)
    others = [label for label in LABELS if label != "team-search"]
    assert said(ledger, BUSIEST, NOW_MS) == used(BUSIEST, labels=others)


def test_one_hour_in_40_is_restated_once_4_hours_to_6_days_after_its_end() -> None:
    """Half of them up, half down, some to nothing; each time the same."""
    up, down, gone, starts = 0, 0, 0, range(NOW_MS - 200 * DAY, NOW_MS - 50 * DAY, HOUR)
    for start in starts:
        moments = [start + HOUR + age for age in (4 * HOUR - 1, *range(4 * HOUR, 6 * DAY, DAY // 2), 6 * DAY, 20 * DAY)]
        values = [said(RESTATING, start, now, ["team-search"])[2] for now in moments]
        before, *_, after, later = values
        assert (before, after) == (used(start, labels=["team-search"])[2], later)
        assert sum(a != b for a, b in zip(values, values[1:])) <= 1
        assert after == said(SimulatedUsage(restating=True), start, moments[-1], ["team-search"])[2]
        up += after > before
        down += after < before
        gone += after == 0 < before
    assert len(starts) / 50 < up + down < len(starts) / 32
    assert 0.35 < up / (up + down) < 0.65
    assert 0 < gone < down


def test_series_are_not_restated_together() -> None:
    starts = range(NOW_MS - 29 * DAY, NOW_MS - 6 * DAY, HOUR)
    labels, other = ["team-search"], ["team-support"]
    hours = {
        tuple(
            start
            for start in starts
            if RESTATING.hour(*one, start, NOW_MS) != SimulatedUsage().hour(*one, start, NOW_MS)
        )
        for one in ((2, "real_time", labels), (2, "real_time", other), (1, "real_time", labels), (2, "batch", labels))
    }
    assert len(hours - {()}) == 4


def test_an_idle_hour_is_nothing_and_the_others_are_as_ever() -> None:
    ledger = SimulatedUsage(busy=lambda start: start != BUSIEST, restating=True)
    assert said(ledger, BUSIEST, NOW_MS) == [0] * 5
    assert [numbers(hour) for hour in ledger.hours(2, "real_time", [""], BUSIEST, BUSIEST + 1)] == [(0,) * 5]
    assert said(ledger, BUSIEST + HOUR, NOW_MS - 4 * HOUR) == used(BUSIEST + HOUR)
    never = SimulatedUsage(busy=lambda start: False, late=True, restating=True)
    assert set(window(never, NOW_MS - 29 * DAY, NOW_MS, NOW_MS, infer_type="batch").values()) == {0}


def test_an_hour_older_than_30_days_reads_as_nothing() -> None:
    assert said(SimulatedUsage(), BUSIEST, BUSIEST + RETENTION) == used(BUSIEST)
    assert said(SimulatedUsage(), BUSIEST, BUSIEST + RETENTION + 1) == [0] * 5
