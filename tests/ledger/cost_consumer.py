"""The cycles of one consumer of a model's cost, over a state file of their own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from maas_usage_check.cloud.cloud_eye.cloud_eye_api import OF_MODELS
from maas_usage_check.cloud.source import HourSeries
from maas_usage_check.config.zones import named_zone
from maas_usage_check.ledger import Account, CycleEnd, emit, read_counters
from maas_usage_check.ledger.compaction import OldHours, compact, is_due
from maas_usage_check.ledger.emit import RolledBackError
from maas_usage_check.ledger.hour_store import HourStore
from maas_usage_check.ledger.planner import Stored, Texts
from maas_usage_check.ledger.schema import Transaction, write_transaction
from maas_usage_check.ledger.watermarks import COUNTERS, INCREMENTS, Consumer
from maas_usage_check.metrics import MODEL_CONSUMED, MODEL_COST_CONSUMED, Point
from maas_usage_check.state import Store

from ..price_oracle import PriceOracle

HOUR = 3_600_000
DAY = 24 * HOUR
NOON = 1_795_435_200_000
"""2026-11-23 12:00 UTC."""
CHEAP, DEAR = {"prompt": 1, "completion": 2}, {"prompt": 10, "completion": 20}
MILLION = 1_000_000
KINDS = pytest.mark.parametrize("kind", [COUNTERS, INCREMENTS])
SETTLED_AFTER = HOUR // 2
Tokens = Tuple[int, int]
"""Prompt and completion."""
Costs = Tuple[Fraction, Fraction]
"""Of the prompt, and of the completion."""


class CostConsumer:
    """Run cycles, each as a process of its own does; the hours are those of one model.

    Attributes:
        now_ms: the time of the next cycle.
        began_ms: when the history of the models began; 0 before that.
        prices: of the next cycle; None without any.
        counts_all: the consumer was there before the model.
        hours: the tokens that were stored by the start of each hour.
    """

    has_hours = True
    texts = Texts("", "", "", "", "")

    def __init__(self, folder: Path, kind: str, prices: Optional[PriceOracle], now_ms: int) -> None:
        self.now_ms = self.began_ms = now_ms
        self.prices, self.consumer = prices, Consumer("agent", kind)
        self.counts_all = False
        self.hours: Dict[int, Tokens] = {}
        self._path = str(folder / "state.sqlite3")

    def is_answered(self, end: CycleEnd) -> bool:
        return bool(self.began_ms)

    def stored(self, transaction: Transaction, account: Account, consumer: Consumer, answered: bool) -> Stored:
        hour_store = self._hour_store(transaction)
        prices, zone = (self.prices.model_prices, self.prices.zone) if self.prices else (None, "UTC")
        series = HourSeries("model", None, OF_MODELS, {}, SETTLED_AFTER, prices, "CNY" if prices else "")
        if answered and is_due(transaction, consumer.name):
            compact(transaction, consumer.name, [OldHours(hour_store, prices, "CNY")], lambda: named_zone(zone))
        return Stored([(series, hour_store, 0)], counts_all=self.counts_all)

    def put(self, hours: Dict[int, Tokens]) -> None:
        """Store what the cloud says of some hours, by their number since the current one."""
        found = {(self.now_ms // HOUR + number) * HOUR: tokens for number, tokens in hours.items()}
        self.hours.update(found)
        store = self._store()
        with write_transaction(store, self.now_ms) as transaction:
            rows = [(at, (sum(tokens), *tokens, 1, 0)) for at, tokens in found.items()]
            self._hour_store(transaction).put_each(rows)
        store.close()

    def cycle(self, commit: bool = True, consumer: Optional[Consumer] = None) -> List[Point]:
        """Emit the points of a cycle; none if it is rolled back, as one that is killed."""
        store = self._store()
        try:
            return emit(self, store, consumer or self.consumer, self._end(commit))  # type: ignore[arg-type]
        except RolledBackError:
            return []
        finally:
            store.close()

    def read(self) -> List[Point]:
        """Read the counters as a process does that starts."""
        store = self._store()
        try:
            return read_counters(self, store, self.consumer, self._end(True))  # type: ignore[arg-type]
        finally:
            store.close()

    def later(self, hours: float, changes: Optional[Dict[int, Tokens]] = None) -> Optional[Dict[str, float]]:
        """Run a cycle some hours later, before which the cloud says something new; return its cost."""
        self.now_ms += round(hours * HOUR)
        self.put(changes or {})
        return cost(self.cycle())

    def counted_hours(self) -> Dict[int, Tokens]:
        """Return the hours that ended after the history began."""
        return {at: tokens for at, tokens in self.hours.items() if self.began_ms and at > self.began_ms - HOUR}

    def expected(self, prices: Optional[PriceOracle] = None) -> Costs:
        """Return the cost of these hours by the oracle."""
        prices = prices or self.prices
        assert prices is not None
        costs = [prices.cost(at, *tokens) for at, tokens in self.counted_hours().items()]
        return sum((one for one, _ in costs), Fraction(0)), sum((other for _, other in costs), Fraction(0))

    def _hour_store(self, transaction: Transaction) -> HourStore:
        hour_store = HourStore(transaction, "model", SETTLED_AFTER)
        if self.began_ms:
            hour_store.begin(self.began_ms)
        return hour_store

    def _store(self) -> Store:
        return Store(lambda: self._path, pytest.fail, lambda: self.now_ms / 1000)

    def _end(self, commit: bool) -> CycleEnd:
        return CycleEnd(Account("project"), self.now_ms, {}, False, (), None, lambda: commit)


class Sums:
    """The emitted cost of a consumer: the last value of a counter, the sum of increments. It never falls."""

    def __init__(self, agent: CostConsumer) -> None:
        self.agent, self.total = agent, costs(0, 0)

    def later(self, hours: float, changes: Optional[Dict[int, Tokens]] = None) -> Dict[str, float]:
        point = self.agent.later(hours, changes)
        if point and self.agent.consumer.kind == INCREMENTS:
            assert min(point.values()) >= 0
            point = {name: self.total[name] + value for name, value in point.items()}
        if point:
            assert all(point[name] >= value for name, value in self.total.items())
            self.total = point
        return self.total


def price(*entries: Dict[str, Any]) -> PriceOracle:
    return PriceOracle(entries, "UTC")


def costs(prompt: float, completion: float) -> Dict[str, float]:
    return {"cost": prompt + completion, "prompt_cost": prompt, "completion_cost": completion}


def cost(points: List[Point]) -> Optional[Dict[str, float]]:
    """Return the fields of the point of cost; None without one."""
    return next((dict(point.fields) for point in points if point.measurement == MODEL_COST_CONSUMED), None)


def tokens(points: List[Point]) -> float:
    return next(point.fields["tokens"] for point in points if point.measurement == MODEL_CONSUMED)


def fields(costs: Costs) -> Dict[str, float]:
    """Return the fields of a point with these costs."""
    return {"cost": float(sum(costs)), "prompt_cost": float(costs[0]), "completion_cost": float(costs[1])}
