"""Counters of cost and their increments: those of the hours that were counted and not taken back, by an oracle."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.ledger.watermarks import COUNTERS, INCREMENTS

from ..price_oracle import COUNTS, PriceOracle, price_oracles
from .cost_consumer import (
    CHEAP,
    DAY,
    DEAR,
    HOUR,
    KINDS,
    MILLION,
    NOON,
    CostConsumer,
    Costs,
    Sums,
    cost,
    costs,
    fields,
    price,
)

ANY_KIND = st.sampled_from([COUNTERS, INCREMENTS])
NOTHING: Costs = (Fraction(0), Fraction(0))


def add(one: Any, other: Any, sign: int = 1) -> Any:
    return tuple(a + sign * b for a, b in zip(one, other))


STEPS = st.sampled_from([5, 20, 60, 61, 180, 24 * 60, 20 * 24 * 60])
"""Minutes between cycles."""
CHANGES = st.dictionaries(st.integers(-9, 0), st.tuples(COUNTS, COUNTS), max_size=4)
CYCLES = st.lists(st.tuples(STEPS, CHANGES, st.booleans() | st.just(True)), min_size=1, max_size=14)


@given(ANY_KIND, price_oracles(), CYCLES, st.integers(0, 2), st.integers(0, 59))
def test_oracle(kind: str, drawn: Tuple[PriceOracle, int], cycles: List[Any], unanswered: int, minute: int) -> None:
    """Late data, restatements, kills, outages, a history that begins late, and hours that become days.

    The cost is the running maximum of that of all counted hours, in the cycles in which tokens were counted.
    """
    oracle, first = drawn
    with tempfile.TemporaryDirectory() as folder:
        agent = CostConsumer(Path(folder), kind, oracle, first + minute * 60_000)
        agent.began_ms = 0
        counted: Any = (0, 0)
        total: Any = NOTHING
        for i, (step, changes, is_committed) in enumerate([(0, {}, True), *cycles]):
            agent.now_ms += step * 60_000
            agent.put(changes)
            if i == unanswered:
                agent.began_ms = agent.now_ms
            points = agent.cycle(is_committed)
            if not is_committed:
                assert points == []
                continue
            before, kept = total, agent.counted_hours().values()
            used = tuple(sum(each[part] for each in kept) for part in (0, 1))
            if any(now > then for now, then in zip(used, counted)):
                counted = tuple(map(max, used, counted))
                total = tuple(map(max, agent.expected(), total))
            if points:
                grown = total if kind == COUNTERS else tuple(now - then for now, then in zip(total, before))
                assert cost(points) == fields(grown)
            else:
                assert (kind, agent.began_ms) == (INCREMENTS, 0)


CHANGES_OF_5_DAYS = st.dictionaries(st.integers(-119, 0), st.tuples(COUNTS, COUNTS), max_size=5)


@given(ANY_KIND, price_oracles(), st.data(), CHANGES_OF_5_DAYS, CHANGES_OF_5_DAYS)
def test_edited_prices(kind: str, drawn: Tuple[PriceOracle, int], data: st.DataObject, used: Any, more: Any) -> None:
    """Other prices leave the cost so far as it is, and price all that is counted from then on."""
    oracle, first = drawn
    with tempfile.TemporaryDirectory() as folder:
        agent = CostConsumer(Path(folder), kind, oracle, first)
        agent.cycle()
        agent.now_ms = first + 5 * DAY
        agent.put(used)
        total = agent.expected()
        assert cost(agent.cycle()) == fields(total)
        agent.prices, _ = data.draw(price_oracles([oracle.zone]))
        assert cost(agent.cycle()) == fields(total if kind == COUNTERS else NOTHING)
        before = agent.expected()
        agent.put({number: add(used.get(number, (0, 0)), tokens) for number, tokens in more.items()})
        grown = add(agent.expected(), before, -1)
        assert cost(agent.cycle()) == fields(add(total, grown) if kind == COUNTERS else grown)


@KINDS
def test_backfill(sums: Sums) -> None:
    """Hours that ended before the history began are never counted; the one in which it began is."""
    assert sums.later(1, {-26: (MILLION, 0), -2: (MILLION, 0)}) == costs(0, 0)
    assert sums.later(0, {-1: (MILLION, MILLION)}) == costs(10, 20)


@KINDS
def test_hour_in_which_the_history_begins(tmp_path: Path, kind: str) -> None:
    """It counts as a whole, also what a command stored of it before the history began."""
    agent = CostConsumer(tmp_path, kind, price(DEAR), NOON)
    agent.began_ms = 0
    sums = Sums(agent)
    assert sums.later(0, {0: (MILLION, 0)}) == costs(0, 0)
    agent.began_ms = NOON + HOUR // 2
    assert sums.later(0.5) == costs(10, 0)
    assert sums.later(1, {-1: (MILLION, MILLION)}) == costs(10, 20)


@KINDS
def test_first_price(tmp_path: Path, kind: str) -> None:
    """What was counted before the first price costs nothing; a counter begins with 0."""
    sums = Sums(CostConsumer(tmp_path, kind, None, NOON))
    sums.later(1, {-1: (MILLION, 0)})
    sums.agent.prices = price(DEAR)
    first = 0 if kind == COUNTERS else 10
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(first, 0)
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(first + 10, 0)


@KINDS
def test_price_is_removed_for_a_time(sums: Sums) -> None:
    """What was counted without a price costs nothing, also once there is the same one again."""
    for number in range(2):
        sums.agent.prices = None
        before = sums.total
        assert sums.later(1, {-1: (MILLION, 0)}) == before
        sums.agent.prices = price(DEAR)
        assert sums.later(0) == before
        assert sums.later(1, {-1: (MILLION, MILLION)}) == costs(10 * (number + 1), 20 * (number + 1))


@KINDS
def test_future_price(sums: Sums) -> None:
    """A price of a later date that is added to the list changes nothing before that date."""
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(10, 0)
    sums.agent.prices = price(DEAR, {**CHEAP, "from": "2026-11-24"})
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(20, 0)
    assert sums.later(9, {-9: (MILLION, 0), -1: (MILLION, 0)}) == costs(40, 0)
    assert sums.later(2, {-2: (MILLION, 0), -1: (0, MILLION)}) == costs(50, 2)


@KINDS
def test_edited_zone(sums: Sums) -> None:
    """Another time zone, and with it other prices of the same hours, leaves the cost so far as it is."""
    entries = [{**DEAR, "off_peak": {"hours": "00:00-16:00", **CHEAP}}]
    sums.agent.prices = PriceOracle(entries, "UTC")
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(1, 0)
    sums.agent.prices = PriceOracle(entries, "Asia/Shanghai")
    assert sums.later(0) == costs(1, 0)
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(11, 0)


@KINDS
def test_growth_of_an_edit(sums: Sums) -> None:
    """The tokens that are counted in the cycle of an edit have the new prices of the hours that changed last."""
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(10, 0)
    sums.agent.prices = price(CHEAP)
    assert sums.later(0, {-1: (3 * MILLION, 0)}) == costs(12, 0)
    assert sums.later(1, {-2: (4 * MILLION, 0), -1: (0, MILLION)}) == costs(13, 2)


@KINDS
def test_edit_while_use_is_held_back(sums: Sums) -> None:
    """What the cloud takes back is made up before anything is counted, whatever the prices are then."""
    sums.later(1, {-1: (2 * MILLION, 2 * MILLION)})
    assert sums.later(0, {-1: (MILLION, MILLION)}) == costs(20, 40)
    sums.agent.prices = price(CHEAP)
    assert sums.later(0) == costs(20, 40)
    assert sums.later(1, {-1: (MILLION, MILLION)}) == costs(20, 40)
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(21, 40)


@KINDS
def test_moved_use(sums: Sums) -> None:
    """Use that moves to an hour with another price changes the cost with the next use."""
    sums.agent.prices = price(DEAR, {**CHEAP, "from": "2026-11-24"})
    sums.later(0)
    assert sums.later(13, {-13: (2 * MILLION, 0), -1: (0, 0)}) == costs(20, 0)
    assert sums.later(0, {-13: (MILLION, 0), -1: (MILLION, 0)}) == costs(20, 0)
    assert sums.later(1, {-1: (9 * MILLION, 0)}) == costs(20, 0)
    assert sums.later(1, {-1: (MILLION, 0)}) == costs(21, 0)


@KINDS
def test_small_amounts(sums: Sums) -> None:
    """A counter adds up small amounts exactly: decimals are stored."""
    sums.agent.prices = price({"prompt": 0.1, "completion": 0.7})
    sums.later(0)
    for number in range(20, 800, 20):
        sums.later(0, {0: (number, number)})
    expected = fields((Fraction(78, 10**6), Fraction(546, 10**6)))
    assert sums.total == (expected if sums.agent.consumer.kind == COUNTERS else pytest.approx(expected))
