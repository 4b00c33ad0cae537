"""The cost of consumers that were away, of models that appear, and after clocks that jump."""

from __future__ import annotations

from pathlib import Path

import pytest

from maas_usage_check.ledger.watermarks import COUNTERS, HOURS, Consumer

from .cost_consumer import CHEAP, DAY, DEAR, HOUR, KINDS, MILLION, NOON, CostConsumer, Sums, cost, costs, price, tokens


@KINDS
@pytest.mark.parametrize("days", [28, 29, 30, 45, 61])
def test_away(sums: Sums, days: int) -> None:
    """A consumer that comes back gets the cost of all hours since, at the price of each."""
    sums.agent.prices = price(DEAR, {**CHEAP, "from": "2026-11-24"})
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(10, 0)
    sums.agent.now_ms += DAY
    sums.agent.put({-24: (MILLION, 0), -12: (MILLION, 0)})
    assert sums.later(days * 24, {-1: (0, MILLION)}) == costs(21, 2)


@KINDS
def test_late_use_after_months(sums: Sums) -> None:
    """After months, late use still has the price of its own hour."""
    sums.agent.prices = price({**DEAR, "off_peak": {"hours": "13:00-14:00", **CHEAP}})
    for _ in range(5):
        assert sums.later(20 * 24) == costs(0, 0)
    assert sums.later(2, {-1: (10 * MILLION, 0)}) == costs(10, 0)
    assert sums.later(0, {-1: (11 * MILLION, 0), -2: (MILLION, 0)}) == costs(21, 0)


@KINDS
@pytest.mark.parametrize("edited", [False, True])
def test_away_longer_than_hours_are_kept(sums: Sums, edited: bool) -> None:
    """All that was counted meanwhile is priced, as tokens of the hours that are left."""
    sums.later(1, {-1: (MILLION, 0)})
    sums.agent.now_ms += DAY
    sums.agent.put({-1: (MILLION, 0)})
    sums.agent.now_ms += 30 * DAY
    sums.agent.cycle(consumer=Consumer("telegraf", HOURS))
    sums.agent.prices = price(CHEAP if edited else DEAR)
    assert sums.later(60 * 24, {-1: (MILLION, 0)}) == costs(12 if edited else 30, 0)


@KINDS
def test_forgotten_consumer(sums: Sums) -> None:
    """A consumer without a cycle for 40 days is a new one: it counts no use of that time, and nothing twice."""
    sums.later(1, {-1: (MILLION, 0)})
    other = Consumer("another", sums.agent.consumer.kind)
    sums.agent.now_ms += DAY
    sums.agent.put({-1: (MILLION, 0)})
    sums.agent.now_ms += 40 * DAY
    sums.agent.cycle(consumer=other)
    assert sums.later(0) == costs(10, 0)
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(20, 0)


@KINDS
@pytest.mark.parametrize("was_there", [False, True])
def test_new_model(tmp_path: Path, kind: str, was_there: bool) -> None:
    """A model that appears after its consumer counts from its first hour on, a counter after a 0."""
    sums = Sums(CostConsumer(tmp_path, kind, price(DEAR, {**CHEAP, "from": "2026-11-24"}), NOON))
    sums.agent.counts_all = was_there
    sums.agent.began_ms -= 20 * DAY
    sums.agent.now_ms += 12 * HOUR
    sums.agent.put({-1: (MILLION, 0), -12: (MILLION, 0)})
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(0 if kind == COUNTERS else 21, 0)
    known = 0 if kind == COUNTERS and not was_there else 21
    assert sums.later(1, {-1: (MILLION, MILLION)}) == costs(known + 1, 2)


@KINDS
@pytest.mark.parametrize("jump", [-DAY, DAY, 30 * DAY, 90 * DAY])
def test_clock_jump(sums: Sums, jump: int) -> None:
    """A clock that jumps and returns counts nothing twice, and loses nothing."""
    sums.later(1, {-1: (MILLION, 0)})
    sums.agent.now_ms += jump
    sums.agent.began_ms = 0  # no answer: the cloud rejects requests with a wrong time
    assert sums.later(0) == costs(10, 0)
    sums.agent.prices = price(CHEAP)
    assert sums.later(0) == costs(10, 0)
    sums.agent.now_ms -= jump
    sums.agent.began_ms = NOON
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(11, 0)
    assert sums.later(1, {-1: (0, MILLION)}) == costs(11, 2)
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(12, 2)


@pytest.mark.parametrize("kind", [COUNTERS])
def test_start_of_a_process(sums: Sums) -> None:
    """The counter that a process reads when it starts never exceeds that of its first cycle."""
    sums.later(1, {-1: (MILLION, 0)})
    sums.agent.now_ms += 2 * HOUR
    sums.agent.put({-2: (MILLION, 0), -1: (MILLION, 0)})
    sums.agent.cycle(consumer=Consumer("telegraf", HOURS))
    sums.agent.put({-2: (MILLION, 0), -1: (2 * MILLION, 0)})
    points = sums.agent.read()
    assert (tokens(points), cost(points)) == (3 * MILLION, costs(10, 0))
    assert sums.later(0, {-2: (0, 0), -1: (MILLION, 0)}) == costs(20, 0)
