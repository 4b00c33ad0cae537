"""Simulated days of hours and models: late data, restatements, outages, restarts and a clock that jumps."""

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

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.ledger import COUNTERS

from ..conftest import NOW
from .conftest import Lengths
from .world import CONSUMERS, Values, Weather, World, truth

HOUR = 3_600_000
DAY = 24 * HOUR
BEGAN = int(NOW * 1000)
FIRST, SECOND = SimulatedModels(2).ids()
(KEY,) = SimulatedModels(2, 1).key_ids(FIRST)
SERIES = [("", ""), *((model, key) for model in (FIRST, SECOND) for key in ("", KEY))]
"""The statistics, and each model with and without its key."""
PRICES = {"large": ("2.35", "8.1"), SECOND: ("0.07", "0.3")}
"""By a name and by an id."""
NOTHING: Values = (0,) * 5
Series = Tuple[str, str]


def is_busy(model: str, at: int) -> bool:
    """Tell whether a model is asked anything: not at night, and one of them not for two days."""
    return at // HOUR % 24 not in (16, 17, 18, 19, 20) and not (model == FIRST and 3 * DAY <= at - BEGAN < 5 * DAY)


class Month:
    """Run three consumers over one state, and keep what each was given."""

    def __init__(self, folder: Path, ledger: SimulatedUsage, series: List[Series]) -> None:
        self.models = SimulatedModels(2, 1, late=True, appears={SECOND: BEGAN + 53 * HOUR}, busy=is_busy)
        self.world = World(folder, ledger, self.models)
        self.hours: Dict[Series, Dict[int, Values]] = {each: {} for each in series}
        self.costs: DefaultDict[Series, Dict[int, float]] = defaultdict(dict)
        self.counters: Dict[Tuple[str, Series], Tuple[Any, ...]] = {}
        self.increments: Dict[Tuple[str, Series], Tuple[Decimal, ...]] = {}
        self.most = dict.fromkeys(series, NOTHING)
        self.sizes: List[int] = []
        self.restart()

    def restart(self) -> None:
        prices = {name: {"prompt": float(one), "completion": float(other)} for name, (one, other) in PRICES.items()}
        keys: Dict[str, Any] = {"hourly": True, "max_concurrency": 1, "ranges": ["last_1d"]}
        if len(self.hours) > 1:
            keys.update(models=True, model_names={FIRST: "large"}, prices={"currency": "CNY", "models": prices})
        self.collectors = [self.world.collectors(consumer=consumer, **keys)[0] for consumer in CONSUMERS]

    def cycle(self) -> None:
        for consumer, collector in zip(CONSUMERS, self.collectors):
            for point in collector.cycle().points:
                kind = re.sub("huawei_maas(_model)?(_key)?", "", point.measurement)
                series = (point.tags.get("maas_api_id", ""), point.tags.get("maas_key_id", ""))
                values = tuple(point.fields.values())
                if kind == "_hourly":
                    self.hours[series][point.time // 1_000_000] = tuple(map(int, values))
                elif kind == "_cost_hourly":
                    (self.costs[series][point.time // 1_000_000],) = values
                elif kind in ("_consumed", "_cost_consumed") and consumer.kind == COUNTERS:
                    before = self.counters.get((kind, series), (0,) * len(values))
                    assert all(map(float.__ge__, map(float, values), map(float, before)))
                    assert (kind, series) in self.counters or not any(values)
                    self.counters[kind, series] = values
                elif kind in ("_consumed", "_cost_consumed"):
                    known = self.increments.get((kind, series), (Decimal(0),) * len(values))
                    self.increments[kind, series] = tuple(map(add, known, (Decimal(str(each)) for each in values)))
        for series, hours in self.hours.items():
            known_hours = [hour[:5] for at, hour in hours.items() if at >= BEGAN]
            self.most[series] = tuple(map(max, self.most[series], map(sum, zip(NOTHING, *known_hours))))
        self.sizes.append(sum(path.stat().st_size for path in self.world.folder.iterdir()))
        self.world.emulator.request_log.clear()

    def truth(self, series: Series, at: int) -> Values:
        model, key = series
        if not model:
            return truth(self.world.emulator, at, self.world.now)
        return tuple(self.models.hour(model, key or None, at, self.world.now))

    def over(self, days: int, hours: int = 1) -> range:
        """List the hours of the last days of which the last began so many hours ago."""
        first = -(-(self.world.now - days * DAY) // HOUR) * HOUR
        return range(first, (self.world.now // HOUR - hours + 1) * HOUR, HOUR)

    def check_all(self) -> None:
        """Compare all that was given, to the token, once the cloud has said it for hours."""
        for series, hours in self.hours.items():
            over = self.over(9, 2) if series[0] else self.over(29, 4)
            assert {at: hours[at] for at in over} == {at: (*self.truth(series, at), 1) for at in over}
            counts = self.counters["_consumed", series]
            assert self.increments["_consumed", series] == counts == self.most[series] > NOTHING
            if series[0]:
                assert self.costs[series] == {at: cost(series, hour) for at, hour in self.hours[series].items()}
                assert self.counters["_cost_consumed", series] == (cost(series, counts),)
                assert float(self.increments["_cost_consumed", series][0]) == pytest.approx(
                    cost(series, counts), rel=1e-9
                )
        with sqlite3.connect(next(self.world.folder.glob("*.sqlite3"))) as connection:
            counted = connection.execute("SELECT COUNT(*) FROM hours GROUP BY series").fetchall()
        assert max(counted) <= (29 * 24,)


def cost(series: Series, use: Tuple[int, ...]) -> float:
    prompt, completion = (Decimal(price) for price in PRICES["large" if series[0] == FIRST else SECOND])
    return float((prompt * use[1] + completion * use[2]) / 1_000_000)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("series", "interval", "inclusive_end"),
    [(SERIES[:1], 1800, False), (SERIES[:1], 1800, True), (SERIES, 5400, False)],
    ids=["hours", "hours with an inclusive end", "models"],
)
def test_every_hour_count_and_cost_is_the_clouds(
    tmp_path: Path, lengths: Lengths, series: List[Series], interval: int, inclusive_end: bool
) -> None:
    days, chance = lengths.days, random.Random(10)
    month = Month(tmp_path, SimulatedUsage(late=True, restating=True, inclusive_end=inclusive_end), series)
    world = month.world
    for _ in range(days * 2):
        at = BEGAN + chance.randrange(-60, days * 24 - 40) * HOUR
        said = min(at + chance.choice([2, 7, 30, 100, 200]) * HOUR, BEGAN + days * DAY)
        key = chance.choice([None, KEY])
        month.models.restate(chance.choice([FIRST, SECOND]), key, at, chance.choice([0.0, 0.5, 1.5, 4.0]), said)
    world.instead = weather = Weather(world, range(36, days * 24 - 36, 12), [9, 3, 1], 0.01, ["", "", "", "/V1.0/"])
    changed: Dict[int, Tuple[Values, int]] = {}
    back, cycles = world.now, days * 86_400 // interval
    for number in range(cycles + 108_000 // interval):
        # At last the cloud says what it said hours ago, and the daily look at ten days of models is over.
        quiet = number >= cycles
        weather.chance *= not quiet
        # A clock that is a day off is refused; it comes back, and nothing of that is left.
        jumped = not quiet and number % 211 in (100, 101, 102)
        world.off = (86_400.0 if number % 2 else -86_400.0) if jumped else 0.0
        if number % 97 == 50:
            month.restart()
        if number == cycles * 2 // 3 and len(series) > 1:  # away for two days
            world.seconds += 172_800
            back = world.now
        world.seconds += interval if number else 0
        month.cycle()
        if weather.is_bad() or jumped:
            back = world.now + HOUR * jumped  # a refusal is waited out
        if number % (2 if days > 31 else 12) == 0 and number > 24:
            for at in month.over(29):
                now_said, told = month.truth(("", ""), at), month.hours["", ""].get(at, ())[:5]
                if changed.get(at, ((), 0))[0] != now_said:
                    changed[at] = (now_said, world.now)
                if world.now - max(changed[at][1], back) > HOUR + 2 * interval * 1000 and told != now_said:
                    # Of the last hours those without use are not told before they are settled.
                    assert (told, any(now_said)) == ((), False)
                    assert at > world.now - 5 * HOUR
    month.check_all()
    if days > 32:
        since = 31 * 86_400 // interval
        assert max(month.sizes[since:]) <= 1.05 * max(month.sizes[:since])
