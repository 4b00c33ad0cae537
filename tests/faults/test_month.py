"""Simulated days of hours and models with late data, restatements, outages, restarts and a clock that jumps."""

from __future__ import annotations

import random
import re
import sqlite3
from collections import defaultdict
from decimal import Decimal
from operator import add
from pathlib import Path
from typing import Any, DefaultDict, Dict, List, Tuple

import pytest

from maas_usage_check.collection import run_cycle
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.emulator.traffic import API_KEYS
from maas_usage_check.ledger import COUNTERS

from ..conftest import NOW
from .conftest import Lengths
from .simulation import CONSUMERS, RandomFaults, Simulation, Values, expected_hour

HOUR = 3_600_000
DAY = 24 * HOUR
BEGIN = int(NOW * 1000)
FIRST, SECOND = SimulatedModels(2).ids()
(KEY,) = SimulatedModels(2, 1).key_ids(FIRST)
SERIES = [("", ""), *((model, key) for model in (FIRST, SECOND) for key in ("", KEY))]
"""ShowStatistics, and each model with and without its key."""
PRICES = {"large": ("2.35", "8.1"), SECOND: ("0.07", "0.3")}
"""Of a prompt and a completion token, by the model's name and by its id."""
NOTHING: Values = (0,) * 5
Series = Tuple[str, str]


def is_busy(model: str, at: int) -> bool:
    """Return whether a model has calls: not at night, and the first one not for two days."""
    return at // HOUR % 24 not in (16, 17, 18, 19, 20) and not (model == FIRST and 3 * DAY <= at - BEGIN < 5 * DAY)


class Month:
    """Three consumers over one state, and what was emitted to each."""

    def __init__(self, folder: Path, ledger: SimulatedUsage, series: List[Series]) -> None:
        self.models = SimulatedModels(2, 1, late=True, appears={SECOND: BEGIN + 53 * HOUR}, busy=is_busy)
        self.simulation = Simulation(folder, ledger, self.models)
        self.hours: Dict[Series, Dict[int, Values]] = {each: {} for each in series}
        self.costs: DefaultDict[Series, Dict[int, Tuple[Any, ...]]] = defaultdict(dict)
        self.counters: Dict[Tuple[str, Series], Tuple[Any, ...]] = {}
        self.increments: Dict[Tuple[str, Series], Tuple[Decimal, ...]] = {}
        self.maximum = dict.fromkeys(series, NOTHING)
        self.restart()

    def restart(self) -> None:
        prices = {name: {"prompt": float(one), "completion": float(other)} for name, (one, other) in PRICES.items()}
        keys: Dict[str, Any] = {"hourly": True, "max_concurrency": 1, "ranges": ["last_1d"]}
        if len(self.hours) > 1:
            keys.update(models=True, model_names={FIRST: "large"}, prices={"currency": "CNY", "models": prices})
        self.collectors = [self.simulation.collectors(consumer=consumer, **keys)[0] for consumer in CONSUMERS]

    def cycle(self) -> None:
        for consumer, collector in zip(CONSUMERS, self.collectors):
            for point in run_cycle([collector])[0].points:
                kind = re.sub("huawei_maas(_model)?(_key)?", "", point.measurement)
                series = (point.tags.get("maas_api_id", ""), point.tags.get("maas_key_id", ""))
                values = tuple(point.fields.values())
                if kind == "_hourly":
                    self.hours[series][point.time // 1_000_000] = tuple(map(int, values))
                elif kind == "_cost_hourly":
                    self.costs[series][point.time // 1_000_000] = values
                elif kind in ("_consumed", "_cost_consumed") and consumer.kind == COUNTERS:
                    before = self.counters.get((kind, series), (0,) * len(values))
                    assert all(map(float.__ge__, map(float, values), map(float, before)))
                    assert (kind, series) in self.counters or not any(values)
                    self.counters[kind, series] = values
                elif kind in ("_consumed", "_cost_consumed"):
                    known = self.increments.get((kind, series), (Decimal(0),) * len(values))
                    self.increments[kind, series] = tuple(map(add, known, (Decimal(str(each)) for each in values)))
        for series, hours in self.hours.items():
            known_hours = [hour[:5] for at, hour in hours.items() if at >= BEGIN]
            self.maximum[series] = tuple(map(max, self.maximum[series], map(sum, zip(NOTHING, *known_hours))))
        self.simulation.emulator.request_log.clear()

    def expected(self, series: Series, at: int) -> Values:
        model, key = series
        if not model:
            return expected_hour(self.simulation.emulator, at, self.simulation.now)
        return self.models.hour(model, key or None, at, self.simulation.now)[:5]

    def hours_ended(self, days: int, hours: int = 1) -> range:
        """Return the hours of the last `days` days up to the one that began `hours` hours ago."""
        first = -(-(self.simulation.now - days * DAY) // HOUR) * HOUR
        return range(first, (self.simulation.now // HOUR - hours + 1) * HOUR, HOUR)

    def check_all(self) -> None:
        """Compare everything emitted with the cloud, to the token, once the cloud has reported it for hours."""
        for series, hours in self.hours.items():
            ended = self.hours_ended(9, 2) if series[0] else self.hours_ended(29, 4)
            assert {at: hours[at] for at in ended} == {at: (*self.expected(series, at), 1) for at in ended}
            counts = self.counters["_consumed", series]
            assert self.increments["_consumed", series] == counts == self.maximum[series] > NOTHING
            if series[0]:
                assert self.costs[series] == {at: costs(series, hour) for at, hour in self.hours[series].items()}
                assert self.counters["_cost_consumed", series] == costs(series, counts)
                increments = tuple(map(float, self.increments["_cost_consumed", series]))
                assert increments == pytest.approx(costs(series, counts), rel=1e-9)
        with sqlite3.connect(next(self.simulation.state_dir.glob("*.sqlite3"))) as connection:
            rows = connection.execute("SELECT COUNT(*) FROM hours GROUP BY series").fetchall()
        assert max(rows) <= (62 * 24 + 25,)


def costs(series: Series, use: Tuple[int, ...]) -> Tuple[float, ...]:
    """Return the cost and its parts: of prompts and of completions."""
    prompt, completion = (Decimal(price) for price in PRICES["large" if series[0] == FIRST else SECOND])
    parts = prompt * use[1] / 1_000_000, completion * use[2] / 1_000_000
    return tuple(map(float, (sum(parts), *parts)))


def restate_some(usage: SimulatedUsage, models: SimulatedModels, days: int, rng: random.Random) -> None:
    """Restate hours of both views, up and down, at times up to the end of the simulation."""
    for _ in range(days * 2):
        at = BEGIN + rng.randrange(-60, days * 24 - 40) * HOUR
        restated_at = min(at + rng.choice([2, 7, 30, 100, 200]) * HOUR, BEGIN + days * DAY)
        key = rng.choice([None, KEY])
        models.restate(rng.choice([FIRST, SECOND]), key, at, rng.choice([0.0, 0.5, 1.5, 4.0]), restated_at)
    for at in range(BEGIN - 29 * DAY, BEGIN + days * DAY, HOUR):
        if rng.random() < 0.1:
            restated_at = min(at + rng.randrange(5, 6 * 24) * HOUR, BEGIN + days * DAY)
            usage.restate(at, rng.choice([0.0, 0.5, 1.5, 2.0]), restated_at, label=rng.choice(list(API_KEYS)))


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("series", "interval", "inclusive_end"),
    [(SERIES[:1], 1800, False), (SERIES[:1], 1800, True), (SERIES, 5400, False)],
    ids=["hours", "hours with an inclusive end", "models"],
)
def test_month(tmp_path: Path, lengths: Lengths, series: List[Series], interval: int, inclusive_end: bool) -> None:
    """Every hour, count and cost is the cloud's, to the token."""
    days, rng = lengths.days, random.Random(10)
    usage = SimulatedUsage(late=True, inclusive_end=inclusive_end)
    month = Month(tmp_path, usage, series)
    simulation = month.simulation
    restate_some(usage, month.models, days, rng)
    simulation.intercept = faults = RandomFaults(
        simulation, range(36, days * 24 - 36, 12), [9, 3, 1], 0.01, ["", "", "", "/V1.0/"]
    )
    changed: Dict[int, Tuple[Values, int]] = {}
    healthy_since, cycles = simulation.now, days * 86_400 // interval
    for number in range(cycles + 108_000 // interval):
        # In the end nothing changes for hours, and the daily sweep over ten days of models completes.
        quiet = number >= cycles
        faults.chance *= not quiet
        # A signature of a clock that is a day off is refused; once the clock is right, nothing of it remains.
        jumped = not quiet and number % 211 in (100, 101, 102)
        simulation.clock_error_s = (86_400.0 if number % 2 else -86_400.0) if jumped else 0.0
        if number % 97 == 50:
            month.restart()
        if number == cycles * 2 // 3 and len(series) > 1:  # nothing runs for two days
            simulation.elapsed_s += 172_800
            healthy_since = simulation.now
        simulation.elapsed_s += interval if number else 0
        month.cycle()
        if faults.is_outage() or jumped:
            healthy_since = simulation.now + HOUR * jumped  # the wait after a refusal
        if number % (2 if days > 31 else 12) == 0 and number > 24:
            for at in month.hours_ended(29):
                expected, emitted = month.expected(("", ""), at), month.hours["", ""].get(at, ())[:5]
                if changed.get(at, ((), 0))[0] != expected:
                    changed[at] = (expected, simulation.now)
                waited = simulation.now - max(changed[at][1], healthy_since)
                if waited > HOUR + 2 * interval * 1000 and emitted != expected:
                    # A recent hour without use is not emitted before it is settled.
                    assert (emitted, any(expected)) == ((), False)
                    assert at > simulation.now - 5 * HOUR
    month.check_all()
