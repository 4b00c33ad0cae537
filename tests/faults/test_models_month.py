"""Simulated days of models, with late minutes, restatements, outages, restarts and consumers that share a state."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import pytest

from maas_usage_check.cloud import Request, Response
from maas_usage_check.cycle import Collector
from maas_usage_check.history import COUNTERS, HOURS, INCREMENTS, Consumer
from maas_usage_check.standin.emulator import Emulator, reply
from maas_usage_check.standin.models import Models

from ..conftest import AK, NOW, SK
from .world import World

HOUR = 3_600_000
DAY = 24 * HOUR
BEGAN = int(NOW * 1000)
CONSUMERS = (Consumer("telegraf", HOURS), Consumer("prometheus", COUNTERS), Consumer("agent", INCREMENTS))
FIRST, SECOND = Models(2).ids()
APPEARS = BEGAN + 2 * DAY + 5 * HOUR
PRICES = {"large": ("2.35", "8.1"), SECOND: ("0.07", "0.3")}
"""By a name and by an id."""
Series = Tuple[str, str]
Use = Tuple[int, ...]
NOTHING: Use = (0,) * 5


def silent(model: str, at: int) -> bool:
    """Tell whether a model is asked nothing: at night, and one of them for two days."""
    return at // HOUR % 24 in (16, 17, 18, 19, 20) or (model == FIRST and 3 * DAY <= at - BEGAN < 5 * DAY)


class Month:
    """Run the consumers over one state, and keep what each was given."""

    def __init__(self, folder: Path) -> None:
        self.models = Models(
            2, 1, late=True, appears={SECOND: APPEARS}, busy=lambda model, at: not silent(model, at)
        )  # fmt: skip
        self.world = World(folder)
        self.world.emulator = Emulator({AK: SK}, now=lambda: NOW + self.world.seconds, models=self.models)
        self.series = [(model, key) for model in (FIRST, SECOND) for key in ("", *self.models.keys_of(model))]
        self.random = random.Random(11)
        self.hours: Dict[Series, Dict[int, Use]] = {each: {} for each in self.series}
        self.costs: Dict[Series, Dict[int, float]] = {each: {} for each in self.series}
        self.settled: Dict[Series, Dict[int, int]] = {each: {} for each in self.series}
        self.counter: Dict[Series, Use] = {}
        self.cost_counter: Dict[Series, float] = {}
        self.submitted: Dict[Series, Use] = {}
        self.cost_submitted: Dict[Series, Decimal] = {}
        self.most: Dict[Series, Use] = dict.fromkeys(self.series, NOTHING)
        self.collectors: List[Collector] = []
        self.bad: List[range] = []

    @property
    def now(self) -> int:
        return int((NOW + self.world.seconds) * 1000)

    def restart(self) -> None:
        prices = {name: {"prompt": float(one), "completion": float(other)} for name, (one, other) in PRICES.items()}
        self.collectors = [
            self.world.collectors(
                consumer=consumer,
                hourly=True,
                models=True,
                backfill_days=3,
                max_concurrency=1,
                ranges=["last_1d"],
                cloud_eye_endpoint="https://ces.example.com",
                model_names={FIRST: "large"},
                prices={"currency": "CNY", "models": prices},
            )[0]
            for consumer in CONSUMERS
        ]

    def cycle(self) -> None:
        for consumer, collector in zip(CONSUMERS, self.collectors):
            for point in collector.cycle().points:
                kind = point.measurement.replace("huawei_maas_model", "").replace("_key", "")
                if not point.measurement.startswith("huawei_maas_model") or kind == "":
                    continue
                series, at = (point.tags["maas_api_id"], point.tags.get("maas_key_id", "")), point.time // 1_000_000
                values = tuple(int(value) for value in point.fields.values())[:5]
                if kind == "_hourly":
                    self.hours[series][at] = values
                    self.settled[series][at] = int(point.fields["settled"])
                elif kind == "_cost_hourly":
                    self.costs[series][at] = point.fields["cost"]
                elif kind == "_consumed" and consumer.takes == COUNTERS:
                    before = self.counter.get(series, NOTHING)
                    assert all(new >= old for new, old in zip(values, before))
                    assert series in self.counter or values == NOTHING
                    self.counter[series] = values
                elif kind == "_consumed":
                    self.submitted[series] = tuple(map(sum, zip(self.submitted.get(series, NOTHING), values)))
                elif consumer.takes == COUNTERS:
                    assert point.fields["cost"] >= self.cost_counter.get(series, 0.0)
                    self.cost_counter[series] = point.fields["cost"]
                else:
                    added = self.cost_submitted.get(series, Decimal(0)) + Decimal(repr(point.fields["cost"]))
                    self.cost_submitted[series] = added
        for series, hours in self.hours.items():
            of = [use for at, use in hours.items() if at >= BEGAN]
            self.most[series] = tuple(map(max, self.most[series], map(sum, zip(NOTHING, *of))))

    def truth(self, series: Series, at: int) -> Use:
        return tuple(self.models.hour(series[0], series[1] or None, at, self.now))

    def cost(self, series: Series, use: Use) -> Decimal:
        prompt, completion = (Decimal(price) for price in PRICES["large" if series[0] == FIRST else SECOND])
        return (prompt * use[1] + completion * use[2]) / 1_000_000

    def trouble(self, request: Request) -> Optional[Response]:
        """Answer badly in an outage, of all or of Cloud Eye alone, and now and then for once."""
        outage = next((i for i, spell in enumerate(self.bad) if self.now in spell), None)
        once = self.random.random() < 0.01
        if outage is None and not once:
            return None
        if outage is not None and outage % 3 == 0 and "/V1.0/" not in request.url:
            return None
        made = reply((503, 403, 200)[(outage or 0) % 3], {})
        return Response(made.status, made.headers, made.body)


@pytest.mark.timeout(1200)
def test_every_hour_count_and_cost_is_the_clouds(tmp_path: Path, days: int) -> None:
    month = Month(tmp_path)
    chance = month.random
    for start in chance.sample(range(36, days * 24 - 60, 40), days * 2 // 5):
        month.bad.append(range(BEGAN + start * HOUR, BEGAN + (start + chance.choice([2, 7, 30])) * HOUR))
    for _ in range(days * 2):
        at = BEGAN + chance.randrange(-60, days * 24 - 40) * HOUR
        model, after = chance.choice([FIRST, SECOND]), chance.choice([2, 7, 30, 100, 200])
        key = chance.choice([None, *month.models.keys_of(model)])
        said = min(at + after * HOUR, BEGAN + days * DAY)
        month.models.restate(model, key, at, chance.choice([0.0, 0.5, 1.5, 4.0]), said)
    month.restart()
    month.world.instead = month.trouble
    # Cycles are rare, so that it is soon over: the minutes between them are not held.
    interval = 3600 if days > 7 else 7200
    number = 0
    while number < days * 86_400 // interval:
        if number % 31 == 17:
            month.restart()
        month.cycle()
        month.world.emulator.requests.clear()
        if number == days * 57_600 // interval:  # away for two days
            number += 172_800 // interval
        number += 1
        # Half an hour after the hour in most cycles, and sometimes at once.
        month.world.seconds = number * interval + chance.choice([120, 1800, 1800, 1800, 3000])
    for _ in range(
        108_000 // interval
    ):  # at last the cloud says what it said hours ago, and the day's look at 10 days is over
        month.world.instead = lambda request: None
        month.world.seconds += interval
        month.cycle()
        month.world.emulator.requests.clear()
    over = range(max(BEGAN - 3 * DAY, (month.now - 9 * DAY) // HOUR * HOUR), month.now // HOUR * HOUR - HOUR, HOUR)
    for series in month.series:
        assert {at: month.hours[series][at] for at in over} == {at: month.truth(series, at) for at in over}
        assert all(month.settled[series][at] for at in over)
        assert month.costs[series] == {
            at: float(month.cost(series, use)) for at, use in month.hours[series].items()
        }  # fmt: skip
    assert month.submitted == month.counter == month.most
    for series, counts in month.counter.items():
        assert counts > NOTHING
        assert month.cost_counter[series] == float(month.cost(series, counts))
        assert float(month.cost_submitted[series]) == pytest.approx(float(month.cost(series, counts)), rel=1e-9)
