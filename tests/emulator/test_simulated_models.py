"""The emulator's models: their minutes, when these are available, and longer periods as their sums."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.emulator.callers import MINUTE, Minute
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.traffic import DAY, HOUR, Usage, sum_usage

from ..conftest import NOW

NOW_MS = int(NOW * 1000)
PLAIN, LATE = SimulatedModels(), SimulatedModels(late=True)
FIRST, SECOND, THIRD = PLAIN.ids()
SERIES = st.tuples(st.sampled_from(PLAIN.ids()), st.sampled_from([None, *PLAIN.key_ids(FIRST)]))
BUSIEST = NOW_MS - 10 * HOUR
"""10:00 UTC+8 on a Monday."""
HALF_PAST = BUSIEST + 30 * MINUTE
Series = Tuple[str, Optional[str]]


def minutes(models: SimulatedModels, series: Series, start: int, end: int, now: Optional[int] = None) -> List[Minute]:
    """List the minutes that begin in `[start, end)`: all, or those available at `now`."""
    starts = (at for at in range(start, end, MINUTE) if now is None or models.is_available(series[0], at, now))
    return [minute for minute in (models.minute(*series, at) for at in starts) if minute]


def sum_minutes(parts: List[Minute]) -> Usage:
    return sum_usage(minute.usage for minute in parts)


def test_ids() -> None:
    """By default three models are used by three keys each; the ids look like the cloud's."""
    assert len(set(PLAIN.ids())) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", model) for model in PLAIN.ids())
    assert {tuple(PLAIN.key_ids(model)) for model in PLAIN.ids()} == {tuple(PLAIN.key_ids(FIRST))}
    assert all(re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key) for key in PLAIN.key_ids(FIRST))
    assert len(set(PLAIN.key_ids(FIRST))) == 3


@given(SERIES, st.integers(0, 29 * 24 * 60))
def test_minute(series: Series, back: int) -> None:
    """A minute is plausible, and always the same."""
    at = NOW_MS - back * MINUTE
    minute = PLAIN.minute(*series, at)
    assert minute == SimulatedModels().minute(*series, at)
    if minute:
        used = minute.usage
        assert 0 < used.requests <= 100
        assert 0 <= used.errors_5xx <= used.errors <= used.requests
        assert used.total_tokens >= used.prompt_tokens + used.completion_tokens
        assert (used.total_tokens == 0) == (used.prompt_tokens == 0) == (used.errors == used.requests)
        assert 100 < minute.latency_ms < 60_000
        assert (minute.ttft_ms is None) == (minute.tpot_ms is None)
        if minute.ttft_ms:
            assert minute.ttft_ms < minute.latency_ms


def test_sum_of_keys() -> None:
    """A model is the sum of its keys and of the calls without a key."""
    keyless = 0
    for at in range(BUSIEST, BUSIEST + 3 * HOUR, MINUTE):
        model = PLAIN.minute(FIRST, None, at)
        parts = [part for part in (PLAIN.minute(FIRST, key, at) for key in PLAIN.key_ids(FIRST)) if part]
        if not model:
            assert not parts
            continue
        assert all(all_of >= part for all_of, part in zip(sum_minutes([model]), sum_minutes(parts)))
        keyless += model.usage.requests - sum_minutes(parts).requests
        if model.usage.requests == sum_minutes(parts).requests:
            assert sum_minutes([model]) == sum_minutes(parts)
            mean = sum(part.usage.requests * part.latency_ms for part in parts) / model.usage.requests
            assert model.latency_ms == pytest.approx(mean)
            streamed = [part.ttft_ms for part in parts if part.ttft_ms]
            assert (model.ttft_ms is None) == (not streamed)
            if model.ttft_ms:
                assert min(streamed) - 1e-6 <= model.ttft_ms <= max(streamed) + 1e-6
    assert keyless > 0


def test_traffic_shape() -> None:
    """Days have more traffic than nights, errors come in bursts, and some minutes stream nothing."""
    quiet = minutes(PLAIN, (THIRD, PLAIN.key_ids(THIRD)[2]), BUSIEST - DAY, BUSIEST)
    assert 0 < len(quiet) < 24 * 60 / 2
    night = sum_minutes(minutes(PLAIN, (FIRST, None), BUSIEST - 8 * HOUR, BUSIEST - 6 * HOUR))
    day = sum_minutes(minutes(PLAIN, (FIRST, None), BUSIEST, BUSIEST + 2 * HOUR))
    assert day.requests > 5 * night.requests > 0
    found = minutes(PLAIN, (FIRST, PLAIN.key_ids(FIRST)[0]), BUSIEST - 10 * DAY, NOW_MS)
    ratios = [minute.usage.errors / minute.usage.requests for minute in found]
    assert sum(ratio == 0 for ratio in ratios) > len(ratios) / 2
    assert 0 < sum(0.3 < ratio < 1 for ratio in ratios) < len(ratios) / 10
    assert 0 < sum_minutes(found).errors_5xx < sum_minutes(found).errors
    assert 0 < sum(minute.ttft_ms is None for minute in found) < len(found) / 2
    assert {minute.ttft_ms for minute, ratio in zip(found, ratios) if ratio == 1} == {None}


def test_delay() -> None:
    """A minute is available one minute after its end."""
    assert not PLAIN.is_available(FIRST, BUSIEST, BUSIEST + 2 * MINUTE - 1)
    assert PLAIN.is_available(FIRST, BUSIEST, BUSIEST + 2 * MINUTE)


def test_late_minutes() -> None:
    """Some minutes are late, by at most 12 minutes, and arrive out of order."""
    starts = range(BUSIEST, BUSIEST + 5 * HOUR, MINUTE)
    arrivals = []
    for start in starts:
        assert not LATE.is_available(FIRST, start, start + 2 * MINUTE - 1)
        assert LATE.is_available(FIRST, start, start + 13 * MINUTE)
        arrivals.append(
            next(at for at in range(start, start + HOUR, MINUTE // 4) if LATE.is_available(FIRST, start, at))
        )
    late = [at - start for start, at in zip(starts, arrivals) if at - start > 2 * MINUTE]
    assert len(starts) / 14 < len(late) < len(starts) / 5
    assert max(late) > 9 * MINUTE
    assert arrivals != sorted(arrivals)


def test_retention() -> None:
    """A minute older than 30 days is not available."""
    assert PLAIN.is_available(FIRST, BUSIEST, BUSIEST + 30 * DAY)
    assert not PLAIN.is_available(FIRST, BUSIEST, BUSIEST + 30 * DAY + 1)
    assert PLAIN.hour(FIRST, None, BUSIEST, BUSIEST + 30 * DAY).requests
    assert PLAIN.hour(FIRST, None, BUSIEST, BUSIEST + 30 * DAY + HOUR).requests == 0


@given(
    SERIES,
    st.integers(0, 5),
    st.integers(0, 300),
    st.sampled_from([PLAIN, LATE, SimulatedModels(appears={FIRST: BUSIEST + 90 * MINUTE})]),
)
def test_hour(series: Series, begins: int, age: int, models: SimulatedModels) -> None:
    """An hour is the sum of its available minutes."""
    start, now = BUSIEST + begins * HOUR, BUSIEST + age * MINUTE
    assert models.hour(*series, start, now) == sum_minutes(minutes(models, series, start, start + HOUR, now))


@given(SERIES, st.integers(0, 29 * 24 - 1))
def test_past_hour(series: Series, back: int) -> None:
    """A past hour is the sum of its 60 minutes."""
    start = NOW_MS - 2 * HOUR - back * HOUR
    assert PLAIN.hour(*series, start, NOW_MS) == sum_minutes(minutes(PLAIN, series, start, start + HOUR))


@pytest.mark.parametrize(
    ("models", "is_missing"),
    [
        (SimulatedModels(busy=lambda *of: of != (FIRST, BUSIEST)), lambda *of: of == (FIRST, BUSIEST)),
        (SimulatedModels(appears={FIRST: HALF_PAST}), lambda model, start: model == FIRST and start < HALF_PAST),
    ],
    ids=["not busy", "appears"],
)
def test_missing_minutes(models: SimulatedModels, is_missing: Any) -> None:
    """Missing minutes are empty; the others do not change."""
    for series in ((FIRST, None), (FIRST, PLAIN.key_ids(FIRST)[0]), (SECOND, None)):
        starts = [at for at in range(BUSIEST, BUSIEST + HOUR, MINUTE) if not is_missing(series[0], at)]
        rest = [minute for minute in (PLAIN.minute(*series, at) for at in starts) if minute]
        assert minutes(models, series, BUSIEST, BUSIEST + HOUR) == rest
        assert models.hour(*series, BUSIEST, NOW_MS) == sum_minutes(rest)


@pytest.mark.parametrize("factor", [0, 0.5, 1, 3])
def test_restatement(factor: float) -> None:
    """A restatement applies from its time on; the minutes and the other series do not change."""
    models, at = SimulatedModels(), NOW_MS - 3 * HOUR
    for each, moment in ((5, at + HOUR), (factor, at)):
        models.restate(FIRST, None, BUSIEST, each, moment)
    before = PLAIN.hour(FIRST, None, BUSIEST, NOW_MS)
    assert models.hour(FIRST, None, BUSIEST, at - 1) == before
    for each, moment in ((factor, at), (factor, at + HOUR - 1), (5, at + HOUR)):
        after = models.hour(FIRST, None, BUSIEST, moment)
        assert all(abs(now - each * was) <= 2 for now, was in zip(after, before))
    assert models.hour(FIRST, None, BUSIEST + HOUR, at) == PLAIN.hour(FIRST, None, BUSIEST + HOUR, at)
    assert models.hour(SECOND, None, BUSIEST, at) == PLAIN.hour(SECOND, None, BUSIEST, at)
    key = models.key_ids(FIRST)[0]
    assert models.hour(FIRST, key, BUSIEST, at) == PLAIN.hour(FIRST, key, BUSIEST, at)
    assert models.minute(FIRST, None, BUSIEST) == PLAIN.minute(FIRST, None, BUSIEST)
