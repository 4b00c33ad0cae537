"""The stand-in's models: their minutes, when these are there, and that longer stretches are nothing but their sums."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.emulator.arrivals import DAY, HOUR
from maas_usage_check.emulator.simulated_models import ModelHour, SimulatedModels
from maas_usage_check.emulator.simulated_usage import API_KEYS, SimulatedUsage
from maas_usage_check.emulator.usage_by_minute import MINUTE, Minute

from ..conftest import NOW

NOW_MS = int(NOW * 1000)
PLAIN, LATE = SimulatedModels(), SimulatedModels(late=True)
FIRST, SECOND, THIRD = PLAIN.ids()
SERIES = st.tuples(st.sampled_from(PLAIN.ids()), st.sampled_from([None, *PLAIN.key_ids(FIRST)]))
BUSIEST = NOW_MS - 10 * HOUR
"""10 in the morning on the mainland, of a Monday."""
HALF_PAST = BUSIEST + 30 * MINUTE
Series = Tuple[str, Optional[str]]


def minutes(models: SimulatedModels, series: Series, start: int, end: int, now: Optional[int] = None) -> List[Minute]:
    """List the minutes that begin in `[start, end)`: all, or those that are there by a time."""
    starts = (at for at in range(start, end, MINUTE) if now is None or models.is_available(series[0], at, now))
    return [minute for minute in (models.minute(*series, at) for at in starts) if minute]


def summed(some: List[Minute]) -> ModelHour:
    names = ("total_tokens", "prompt_tokens", "completion_tokens", "requests")
    sums = (sum(getattr(minute, name) for minute in some) for name in names)
    return ModelHour(*sums, sum(minute.errors_4xx + minute.errors_5xx for minute in some))


def test_by_default_three_models_are_used_by_three_keys_each_and_look_like_the_clouds_ids() -> None:
    assert len(set(PLAIN.ids())) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", model) for model in PLAIN.ids())
    assert {tuple(PLAIN.key_ids(model)) for model in PLAIN.ids()} == {tuple(PLAIN.key_ids(FIRST))}
    assert all(re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key) for key in PLAIN.key_ids(FIRST))
    assert len(set(PLAIN.key_ids(FIRST))) == 3


@given(SERIES, st.integers(0, 29 * 24 * 60))
def test_a_minute_is_believable_and_the_same_each_time(series: Series, back: int) -> None:
    at = NOW_MS - back * MINUTE
    minute = PLAIN.minute(*series, at)
    assert minute == SimulatedModels().minute(*series, at)
    if minute:
        errors = minute.errors_4xx + minute.errors_5xx
        assert 0 < minute.requests <= 100
        assert 0 <= errors <= minute.requests
        assert minute.total_tokens >= minute.prompt_tokens + minute.completion_tokens
        assert (minute.total_tokens == 0) == (minute.prompt_tokens == 0) == (errors == minute.requests)
        assert 100 < minute.latency_ms < 60_000
        assert (minute.ttft_ms is None) == (minute.tpot_ms is None)
        if minute.ttft_ms:
            assert minute.ttft_ms < minute.latency_ms


def test_a_model_is_its_keys_and_calls_without_one() -> None:
    keyless = 0
    for at in range(BUSIEST, BUSIEST + 3 * HOUR, MINUTE):
        model = PLAIN.minute(FIRST, None, at)
        parts = [part for part in (PLAIN.minute(FIRST, key, at) for key in PLAIN.key_ids(FIRST)) if part]
        if not model:
            assert not parts
            continue
        assert all(all_of >= part for all_of, part in zip(summed([model]), summed(parts)))
        keyless += model.requests - summed(parts).requests
        if model.requests == summed(parts).requests:
            assert summed([model]) == summed(parts)
            mean = sum(part.requests * part.latency_ms for part in parts) / model.requests
            assert model.latency_ms == pytest.approx(mean)
            streamed = [part.ttft_ms for part in parts if part.ttft_ms]
            assert (model.ttft_ms is None) == (not streamed)
            if model.ttft_ms:
                assert min(streamed) - 1e-6 <= model.ttft_ms <= max(streamed) + 1e-6
    assert keyless > 0


def test_days_are_busier_than_nights_errors_come_in_bursts_and_some_minutes_stream_nothing() -> None:
    quiet = minutes(PLAIN, (THIRD, PLAIN.key_ids(THIRD)[2]), BUSIEST - DAY, BUSIEST)
    assert 0 < len(quiet) < 24 * 60 / 2
    night = summed(minutes(PLAIN, (FIRST, None), BUSIEST - 8 * HOUR, BUSIEST - 6 * HOUR))
    day = summed(minutes(PLAIN, (FIRST, None), BUSIEST, BUSIEST + 2 * HOUR))
    assert day.requests > 5 * night.requests > 0
    found = minutes(PLAIN, (FIRST, PLAIN.key_ids(FIRST)[0]), BUSIEST - 10 * DAY, NOW_MS)
    ratios = [(minute.errors_4xx + minute.errors_5xx) / minute.requests for minute in found]
    assert sum(ratio == 0 for ratio in ratios) > len(ratios) / 2
    assert 0 < sum(0.3 < ratio < 1 for ratio in ratios) < len(ratios) / 10
    assert sum(minute.errors_4xx for minute in found) > 0 < sum(minute.errors_5xx for minute in found)
    assert 0 < sum(minute.ttft_ms is None for minute in found) < len(found) / 2
    assert {minute.ttft_ms for minute, ratio in zip(found, ratios) if ratio == 1} == {None}


def test_the_models_use_about_as_much_as_the_ledger_says() -> None:
    starts = range(NOW_MS - 8 * DAY, NOW_MS - DAY, HOUR)
    hours = SimulatedUsage().hours(2, "real_time", list(API_KEYS), starts.start, starts.stop)
    tokens = sum(hour.prompt_tokens + hour.completion_tokens + hour.other_tokens for hour in hours)
    models = sum(PLAIN.hour(model, None, start, NOW_MS).total_tokens for model in PLAIN.ids() for start in starts)
    assert 0.2 < models / tokens < 5


@pytest.mark.parametrize("delay", [0, 60, 240])
def test_a_minute_is_there_as_long_after_its_end_as_the_delay_says(delay: int) -> None:
    models = SimulatedModels(delay=delay)
    first = BUSIEST + MINUTE + delay * 1000
    assert not models.is_available(FIRST, BUSIEST, first - 1)
    assert models.is_available(FIRST, BUSIEST, first)


def test_some_minutes_are_late_but_none_by_more_than_12_minutes_and_not_in_their_order() -> None:
    starts = range(BUSIEST, BUSIEST + 5 * HOUR, MINUTE)
    seen = []
    for start in starts:
        assert not LATE.is_available(FIRST, start, start + 2 * MINUTE - 1)
        assert LATE.is_available(FIRST, start, start + 13 * MINUTE)
        seen.append(next(at for at in range(start, start + HOUR, MINUTE // 4) if LATE.is_available(FIRST, start, at)))
    late = [at - start for start, at in zip(starts, seen) if at - start > 2 * MINUTE]
    assert len(starts) / 14 < len(late) < len(starts) / 5
    assert max(late) > 9 * MINUTE
    assert seen != sorted(seen)


def test_a_minute_older_than_30_days_is_gone() -> None:
    assert PLAIN.is_available(FIRST, BUSIEST, BUSIEST + 30 * DAY)
    assert not PLAIN.is_available(FIRST, BUSIEST, BUSIEST + 30 * DAY + 1)
    assert PLAIN.hour(FIRST, None, BUSIEST, BUSIEST + 30 * DAY).requests
    assert PLAIN.hour(FIRST, None, BUSIEST, BUSIEST + 30 * DAY + HOUR).requests == 0


@given(
    SERIES,
    st.integers(0, 300),
    st.integers(0, 30),
    st.integers(0, 300),
    st.sampled_from([5, 60]),
    st.sampled_from([PLAIN, LATE, SimulatedModels(delay=200), SimulatedModels(appears={FIRST: BUSIEST + 90 * MINUTE})]),
)
def test_a_stretch_is_the_sum_of_its_minutes_that_are_there(
    series: Series, begins: int, length: int, age: int, unit: int, models: SimulatedModels
) -> None:
    start = BUSIEST + begins * MINUTE // unit * unit
    end = start + length * unit * MINUTE // 6
    now = start + age * MINUTE
    there = minutes(models, series, -(-start // MINUTE) * MINUTE, end, now)
    assert end - start != HOUR or models.hour(*series, start, now) == summed(there)
    counts = models.counts(*series, start, end, now)
    tokens = counts.total_tokens, counts.prompt_tokens, counts.completion_tokens
    assert ModelHour(*tokens, counts.requests, counts.errors_4xx + counts.errors_5xx) == summed(there)


@given(SERIES, st.integers(0, 29 * 24 - 1))
def test_an_hour_that_is_over_is_the_sum_of_its_60_minutes(series: Series, back: int) -> None:
    start = NOW_MS - 2 * HOUR - back * HOUR
    assert PLAIN.hour(*series, start, NOW_MS) == summed(minutes(PLAIN, series, start, start + HOUR))


@pytest.mark.parametrize(
    ("models", "is_gone"),
    [
        (SimulatedModels(busy=lambda *of: of != (FIRST, BUSIEST)), lambda *of: of == (FIRST, BUSIEST)),
        (SimulatedModels(missing=lambda start: start == BUSIEST), lambda model, start: start == BUSIEST),
        (SimulatedModels(appears={FIRST: HALF_PAST}), lambda model, start: model == FIRST and start < HALF_PAST),
    ],
    ids=["not busy", "missing for all", "appears"],
)
def test_minutes_that_an_account_lacks_are_nothing_and_the_others_are_as_ever(
    models: SimulatedModels, is_gone: Any
) -> None:
    for series in ((FIRST, None), (FIRST, PLAIN.key_ids(FIRST)[0]), (SECOND, None)):
        there = [at for at in range(BUSIEST, BUSIEST + HOUR, MINUTE) if not is_gone(series[0], at)]
        rest = [minute for minute in (PLAIN.minute(*series, at) for at in there) if minute]
        assert minutes(models, series, BUSIEST, BUSIEST + HOUR) == rest
        assert models.hour(*series, BUSIEST, NOW_MS) == summed(rest)


@pytest.mark.parametrize("factor", [0, 0.5, 1, 3])
def test_an_hour_restated_is_another_from_that_moment_on_and_its_minutes_stay(factor: float) -> None:
    models, at = SimulatedModels(), NOW_MS - 3 * HOUR
    for number, moment in ((5, at + HOUR), (factor, at)):
        models.restate(FIRST, None, BUSIEST, number, moment)
    before = PLAIN.hour(FIRST, None, BUSIEST, NOW_MS)
    assert models.hour(FIRST, None, BUSIEST, at - 1) == before
    for number, moment in ((factor, at), (factor, at + HOUR - 1), (5, at + HOUR)):
        after = models.hour(FIRST, None, BUSIEST, moment)
        assert all(abs(now - number * was) <= 2 for now, was in zip(after, before))
    assert models.hour(FIRST, None, BUSIEST + HOUR, at) == PLAIN.hour(FIRST, None, BUSIEST + HOUR, at)
    assert models.hour(SECOND, None, BUSIEST, at) == PLAIN.hour(SECOND, None, BUSIEST, at)
    key = models.key_ids(FIRST)[0]
    assert models.hour(FIRST, key, BUSIEST, at) == PLAIN.hour(FIRST, key, BUSIEST, at)
    assert models.minute(FIRST, None, BUSIEST) == PLAIN.minute(FIRST, None, BUSIEST)
