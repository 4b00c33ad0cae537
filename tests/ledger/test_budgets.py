from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.source import HourSeries, Measurements
from maas_usage_check.config import Instance
from maas_usage_check.config.prices import Price, Prices
from maas_usage_check.config.ranges import month_window
from maas_usage_check.config.teams import Budget as Limits
from maas_usage_check.config.teams import Team
from maas_usage_check.config.zones import named_zone
from maas_usage_check.ledger.budgets import COST, TOKENS, Budget, Member, Status, find_budgets, status

from .memory_ledger import DAY, HOUR, START, MemoryLedger, make_values, one_price

PRICE = Price(Decimal("2.0"), Decimal("8.0"))
MONTH = month_window(START, named_zone("UTC"))
LIMIT = 10_000


def member(ledger: MemoryLedger, name: str = "a", price: Optional[Price] = None, **tags: str) -> Member:
    prices = one_price(price) if price else None
    series = HourSeries(name, None, Measurements("", ""), tags, 3 * HOUR, prices, "CNY" if price else "")
    return Member(series, ledger.hour_store(name))


def stand(ledger: MemoryLedger, limit: int = LIMIT, kind: str = TOKENS, *members: Member) -> Status:
    own = members or (member(ledger),)
    return status(Budget({}, kind, Decimal(limit), MONTH, own), ledger.now_ms)


def put_until_now(ledger: MemoryLedger, first: int, tokens: int) -> None:
    for at in range(first, ledger.now_ms // HOUR * HOUR, HOUR):
        ledger.put(at, tokens)


def test_month(ledger: MemoryLedger) -> None:
    """A month of 10 tokens an hour: an hour before it does not count, and the forecast adds the rest of the month."""
    ledger.now_ms = MONTH.start + 10 * DAY + HOUR // 2
    put_until_now(ledger, MONTH.start - DAY, 10)
    found = stand(ledger)
    hours_left = Decimal(MONTH.end - ledger.now_ms) / HOUR
    assert (found.used, found.covered) == (2400, 1.0)
    assert found.forecast == 2400 + 10 * hours_left
    assert found.exhausted_ms is None
    assert found.fields() == {
        "limit": 10_000.0,
        "used": 2400.0,
        "used_ratio": 0.24,
        "forecast": float(2400 + 10 * hours_left),
        "forecast_ratio": float((2400 + 10 * hours_left) / 10_000),
        "covered_ratio": 1.0,
        "period_start_timestamp_seconds": MONTH.start / 1000,
    }
    assert {type(value) for value in found.fields().values()} == {float}


def test_nothing_known(ledger: MemoryLedger) -> None:
    """Without a known hour of the month, its use is not known, and not 0."""
    ledger.now_ms = MONTH.start + 2 * HOUR
    ledger.put(MONTH.start - HOUR, 10)
    assert stand(ledger).fields() == {"limit": 10_000.0, "period_start_timestamp_seconds": MONTH.start / 1000}
    ledger.now_ms += 2 * HOUR
    assert (stand(ledger).used, stand(ledger).covered) == (None, 0.0)
    ledger.put(MONTH.start, 0)
    assert (stand(ledger).used, stand(ledger).covered) == (0, 1.0)


@pytest.mark.parametrize(("later", "covered"), [(-1, 1.0), (0, 0.5)])
def test_hour_is_due_3_hours_after_its_end(ledger: MemoryLedger, later: int, covered: float) -> None:
    ledger.put(MONTH.start, 10)
    ledger.now_ms = MONTH.start + 5 * HOUR + later
    assert stand(ledger).covered == covered


@pytest.mark.parametrize(("limit", "is_exhausted"), [(1999, True), (2000, True), (2001, False)])
def test_used_up(ledger: MemoryLedger, limit: int, is_exhausted: bool) -> None:
    """A budget is exhausted at the end of the hour in which its use reaches it."""
    ledger.now_ms = MONTH.start + 20 * DAY
    ledger.put(MONTH.start + 7 * HOUR, 1000)
    ledger.put(MONTH.start + 9 * DAY, 1000)
    assert stand(ledger, limit).exhausted_ms == (MONTH.start + 9 * DAY + HOUR if is_exhausted else None)
    assert stand(ledger, 1000).exhausted_ms == MONTH.start + 8 * HOUR


@pytest.mark.parametrize(("more", "is_within"), [(0, True), (1, False)])
def test_forecast_reaches_limit(ledger: MemoryLedger, more: int, is_within: bool) -> None:
    """The forecast says when a budget will be exhausted, if that is within the month."""
    ledger.now_ms = MONTH.end - 5 * DAY
    put_until_now(ledger, MONTH.start, 10)
    used, left = (MONTH.end - MONTH.start - 5 * DAY) // HOUR * 10, 5 * 24 * 10
    found = stand(ledger, used + left + more)
    assert found.exhausted_ms == (MONTH.end if is_within else None)
    assert stand(ledger, used + 100).exhausted_ms == ledger.now_ms + 10 * HOUR


def test_closed_month(ledger: MemoryLedger) -> None:
    """A month that is over has no rest: its forecast is its use, also once its hours are days."""
    ledger.now_ms = MONTH.end + 3 * HOUR
    put_until_now(ledger, MONTH.start, 10)
    hours = (MONTH.end - MONTH.start) // HOUR
    assert stand(ledger)[2:5] == (1.0, 10 * hours, 10 * hours)


def test_forecast_needs_a_settled_hour(ledger: MemoryLedger) -> None:
    ledger.now_ms = MONTH.start + 2 * HOUR
    ledger.put(MONTH.start, 10)
    assert (stand(ledger).used, stand(ledger).forecast) == (10, None)
    ledger.now_ms += 2 * HOUR
    ledger.put(MONTH.start, 10)
    assert stand(ledger).forecast == 10 + 10 * Decimal(MONTH.end - ledger.now_ms) / HOUR


def test_model_without_use(ledger: MemoryLedger) -> None:
    """Hours in which a model was on no list count as known, and lower the mean."""
    ledger.now_ms = MONTH.start + 10 * DAY
    for at in range(MONTH.start + 9 * DAY, ledger.now_ms, HOUR):
        ledger.put(at, 70)
    gap = [(MONTH.start - 20 * DAY, MONTH.start + 9 * DAY + 5 * HOUR)]  # the first stored hours lie within it
    own = member(ledger)._replace(unused=gap)
    found = stand(ledger, LIMIT, TOKENS, own)
    assert (found.used, found.covered) == (24 * 70, 1.0)
    settled, unused = 24 - 3, 6 * 24
    rate = Decimal(settled * 70) / (settled + unused)
    assert found.forecast == 24 * 70 + rate * (MONTH.end - ledger.now_ms) / HOUR
    without = stand(ledger, LIMIT, TOKENS, member(ledger))
    assert without.covered is not None
    assert without.covered < 0.1


def test_cost(ledger: MemoryLedger) -> None:
    """A budget in cost adds up exact decimals."""
    ledger.now_ms = MONTH.start + DAY
    ledger.put(MONTH.start, 1_000_003)
    found = stand(ledger, LIMIT, COST, member(ledger, price=PRICE))
    values = make_values(1_000_003)
    assert found.used == (2 * Decimal(values[1]) + 8 * Decimal(values[2])) / 1_000_000


def test_find_budgets(ledger: MemoryLedger) -> None:
    """The whole is added up without its keys, a team from the keys of its labels; only priced series have a cost."""
    own = [
        member(ledger, "whole", PRICE),
        member(ledger, "free"),
        member(ledger, "key", PRICE, maas_key_id="k", team="search"),
        member(ledger, "other", PRICE, maas_key_id="o", team="unassigned"),
    ]
    team = Team(("k",), budget=Limits(tokens=5, cost=Decimal("7.5")))
    instance = Instance(
        prices=Prices("CNY", {}), budget=Limits(tokens=9), teams={"search": team, "idle": Team(("x",))}, hourly=True
    )

    def found(kind: str) -> List[Tuple[Dict[str, str], Any, List[str]]]:
        budgets = find_budgets(instance, kind, MONTH, own)
        return [(each.tags, each.limit, [one.series.name for one in each.members]) for each in budgets]

    assert found(TOKENS) == [
        ({"scope": "all", "unit": "tokens"}, 9, ["whole", "free"]),
        ({"scope": "team", "team": "search", "unit": "tokens"}, 5, ["key"]),
    ]
    assert found(COST) == [({"scope": "team", "team": "search", "unit": "CNY"}, Decimal("7.5"), ["key"])]


@given(
    st.dictionaries(st.tuples(st.integers(0, 1), st.integers(-300, 740)), st.integers(0, 500), max_size=60),
    st.integers(0, 745 * 60),
    st.integers(1, 3000),
)
def test_oracle(hours: Dict[Tuple[int, int], int], minutes: int, limit: int) -> None:
    """Two series of hours, at any time of the month, against sums of a dictionary."""
    ledger = MemoryLedger()
    now_ms = ledger.now_ms = min(MONTH.start + minutes * 60_000, MONTH.end - 1)
    known = {
        (name, MONTH.start + i * HOUR): tokens
        for (name, i), tokens in hours.items()
        if MONTH.start + i * HOUR + HOUR <= now_ms
    }
    for (name, at), tokens in known.items():
        ledger.hour_store(str(name)).put(at, at + HOUR, make_values(tokens))
    found = stand(ledger, limit, TOKENS, member(ledger, "0"), member(ledger, "1"))
    due = [MONTH.start + i * HOUR for i in range(745) if MONTH.start + i * HOUR + 4 * HOUR <= now_ms]
    due = [at for at in due if at < MONTH.end]
    in_month = {key: tokens for key, tokens in known.items() if key[1] >= MONTH.start}
    assert found.covered == (sum((name, at) in known for name in (0, 1) for at in due) / len(due) / 2 if due else None)
    used = sum(in_month.values())
    assert found.used == (used if in_month else None)
    means = []
    for name in (0, 1):
        settled = [
            tokens
            for (own, at), tokens in known.items()
            if own == name and now_ms // HOUR * HOUR - 7 * DAY <= at and at + 4 * HOUR <= now_ms
        ]
        means.append(Decimal(sum(settled)) / len(settled) if settled else None)
    if not in_month or None in means:
        assert found.forecast is None
    else:
        expected = used + sum(filter(None, means)) * (MONTH.end - now_ms) / HOUR
        assert abs(Decimal(found.forecast or 0) - expected) < Decimal("1e-9")
    if in_month and used >= limit:
        total, crossed = 0, 0
        for at in sorted({at for _, at in in_month}):
            total += sum(in_month.get((name, at), 0) for name in (0, 1))
            if total >= limit:
                crossed = at + HOUR
                break
        assert found.exhausted_ms == crossed
