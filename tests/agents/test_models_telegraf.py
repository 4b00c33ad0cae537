"""Half a day of models through a real Telegraf into a real InfluxDB, held against the emulator's ledger."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Tuple

import pytest

from maas_usage_check.standin.models import Models

from ..conftest import NOW, wait_for
from .hours import DAY, FIELDS, HOUR
from .influxdb import query
from .models import (
    COMPLETE,
    CURRENCY,
    MINUTE,
    MINUTE_FIELDS,
    REACH,
    Series,
    config_of,
    cost,
    minute,
    named,
    priced,
    series_in,
    series_of,
    use,
)
from .moved_telegraf import EXEC, EXECD, Telegraf, telegraf

pytestmark = pytest.mark.timeout(180)
BEGAN = int(NOW * 1000)
LATEST = 13 * MINUTE
"""After its end a late minute is there, and as good as surely was in a cycle."""
MEASUREMENTS = ("huawei_maas_model{}", "huawei_maas_model_key{}")
"""Of the whole and by key, which overlap."""
FIRST, SECOND, THIRD = Models(3).ids()
SILENT = range(BEGAN + 80 * MINUTE, BEGAN + 290 * MINUTE)
Found = Dict[Tuple[Series, int], Dict[str, float]]
"""Fields by series and time."""


def let_the_cloud_fail(telegraf: Telegraf) -> None:
    telegraf.cloud.is_down = True
    for _ in range(3):
        telegraf.cycle()
        telegraf.move(10 / 60)
    telegraf.cloud.is_down = False


def kill_the_plugin(telegraf: Telegraf) -> None:
    """Kill it within a cycle."""
    asked = len(telegraf.cloud.requests)
    wait_for(lambda: len(telegraf.cloud.requests) > asked, "a request")
    os.kill(telegraf.plugin, signal.SIGKILL)


def be_away(telegraf: Telegraf, hours: float) -> None:
    telegraf.stop()
    telegraf.move(hours)
    telegraf.start()


TROUBLES: Mapping[int, Callable[[Telegraf], None]] = {
    2: lambda telegraf: be_away(telegraf, 50 / 60),
    3: kill_the_plugin,
    4: let_the_cloud_fail,
    6: lambda telegraf: be_away(telegraf, 6),
}
"""What happens after how many hours."""


class HalfADay:
    """The database after half a day, and what must be in it."""

    def __init__(self, models: Models, telegraf: Telegraf, first: int) -> None:
        self.models = models
        self.telegraf = telegraf
        self.first = first
        self.now = telegraf.now
        self.end = self.now // HOUR * HOUR
        self.stretches: List[range] = []

    def rows(self, kind: str, fields: Tuple[str, ...]) -> Found:
        """Read a measurement and its twin by key."""
        found: Found = {}
        for measurement in (name.format(kind) for name in MEASUREMENTS):
            text = f"SELECT {', '.join(fields)} FROM {measurement} WHERE time < {self.now}ms GROUP BY *"
            for row in query(self.telegraf.database, "maas", text):
                assert ("maas_key_id" in row["tags"]) is ("_key" in measurement)
                for at, *values in row["values"]:
                    series = series_in(row["tags"])
                    assert (series, at) not in found
                    found[series, at] = {name: value for name, value in zip(fields, values) if value is not None}
        return found

    def tags(self, measurement: str) -> List[Dict[str, str]]:
        return [row["tags"] for row in query(
            self.telegraf.database, "maas", f"SELECT * FROM {measurement} WHERE time < {self.now}ms GROUP BY *"
        )]  # fmt: skip

    def hours(self) -> range:
        return range(self.first, self.end, HOUR)


@pytest.fixture(scope="module")
def half_a_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HalfADay]:
    """Let it go by in steps of five to ten minutes."""
    models = Models(
        3, 2, late=True, appears={THIRD: BEGAN + 67 * MINUTE}, missing=lambda at: at // MINUTE % 37 == 5,
        busy=lambda model, at: model != SECOND or at not in SILENT,
    )  # fmt: skip
    models.restate(FIRST, None, BEGAN - 5 * HOUR, 3.0, at=BEGAN + 3 * HOUR)
    models.restate(FIRST, models.keys_of(FIRST)[0], BEGAN - 7 * HOUR, 0.0, at=BEGAN + 4 * HOUR)
    chance, stretches, troubles = random.Random(11), [], dict(TROUBLES)
    with telegraf(
        tmp_path_factory.mktemp("telegraf"), EXECD, f"    backfill_days: 1\n{config_of(models)}", models
    ) as up:
        began = up.now - COMPLETE - 15 * MINUTE
        while up.now < BEGAN + 14 * HOUR + 45 * MINUTE:
            up.cycle()
            last = up.now
            up.move(chance.choice([5, 7, 10]) / 60)
            trouble = troubles.pop((last - BEGAN) // HOUR, None)
            if trouble:
                trouble(up)
            if up.now - last > REACH:  # what lies further back is lost
                stretches.append(range(began, last - LATEST))
                began = up.now - COMPLETE - REACH
        assert not troubles
        up.cycle()
        up.stop()
        done = HalfADay(models, up, BEGAN // HOUR * HOUR - DAY)
        done.stretches = [*stretches, range(began, done.now - LATEST)]
        yield done


def test_every_complete_minute_is_there_at_its_own_time_to_the_value(half_a_day: HalfADay) -> None:
    shown = half_a_day.rows("", MINUTE_FIELDS)
    models = half_a_day.models
    assert shown == {(series, at): minute(models, series, at) for series, at in shown}
    for stretch in half_a_day.stretches:
        # A minute of slack at either end, in which the test's clock went on.
        for at in range((stretch.start // MINUTE + 3) * MINUTE, (stretch.stop // MINUTE - 2) * MINUTE, MINUTE):
            told = {series for series in series_of(models) if (series, at) in shown}
            assert told == {series for series in series_of(models) if minute(models, series, at)}, at


def test_the_minutes_before_a_model_came_and_while_it_was_silent_have_no_points(half_a_day: HalfADay) -> None:
    shown = half_a_day.rows("", ("requests_per_minute",))
    silent = {at for (model, _), at in shown if model == SECOND and at in SILENT}
    assert not silent
    # The list is read once an hour: what came meanwhile is asked for afterwards, from its first minute on.
    for model, came in ((SECOND, SILENT.stop), (THIRD, BEGAN + 67 * MINUTE)):
        used = (at for at in range(came, half_a_day.now, MINUTE) if minute(half_a_day.models, (model, ""), at))
        assert min(at for (one, _), at in shown if one == model and at >= came) == next(used)


def test_every_hour_is_there_once_to_the_token_and_settled(half_a_day: HalfADay) -> None:
    shown = half_a_day.rows("_hourly", (*FIELDS, "settled"))
    for series in series_of(half_a_day.models):
        for at in half_a_day.hours():
            truth = use(half_a_day.models, series, at, half_a_day.now)
            assert shown[series, at] == {**dict(zip(FIELDS, truth)), "settled": 1}, (series, at)
    assert len(shown) == len(series_of(half_a_day.models)) * len(half_a_day.hours())


def test_every_hours_cost_is_that_of_its_tokens_in_decimal_arithmetic(half_a_day: HalfADay) -> None:
    models = half_a_day.models
    shown = half_a_day.rows("_cost_hourly", ("cost",))
    assert shown == {
        (series, at): {"cost": float(cost(models, series[0], use(models, series, at, half_a_day.now)))}
        for series in priced(models)
        for at in half_a_day.hours()
    }
    assert {tags["currency"] for tags in half_a_day.tags("huawei_maas_model_cost_hourly")} == {CURRENCY}


def test_series_bear_the_ids_and_the_names_for_people(half_a_day: HalfADay) -> None:
    for kind in ("", "_hourly"):
        for measurement in (name.format(kind) for name in MEASUREMENTS):
            for tags in half_a_day.tags(measurement):
                assert tags["model"] == named(half_a_day.models).get(tags["maas_api_id"], tags["maas_api_id"])
                assert tags.get("api_key") == tags.get("maas_key_id")
                assert "service_type" not in tags


def test_a_price_that_is_added_later_brings_the_costs_of_the_past(tmp_path: Path) -> None:
    models = Models(2, 1, late=True)
    without, prices = config_of(models).split("    prices:", 1)
    with telegraf(tmp_path, EXEC, f"    backfill_days: 1\n{without}", models) as up:
        for _ in range(3):
            up.cycle()
            up.move(25 / 60)
        done = HalfADay(models, up, BEGAN // HOUR * HOUR - DAY)
        assert done.tags("huawei_maas_model_hourly")
        assert not done.tags("huawei_maas_model_cost_hourly")
        with open(tmp_path / "conf.yaml", "a") as config:
            config.write(f"    prices:{prices}")
        up.cycle()
        up.move(1)
        up.cycle()
        up.stop()
        done = HalfADay(models, up, done.first)
        assert done.rows("_cost_hourly", ("cost",)) == {
            (series, at): {"cost": float(cost(models, series[0], use(models, series, at, done.now)))}
            for series in priced(models)
            for at in done.hours()
        }
