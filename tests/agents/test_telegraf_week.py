"""Days of hours and models through a real Telegraf into a real InfluxDB, compared with the simulated usage.

`make soak` runs a month of them.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import signal
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import pytest

from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.metrics import CATALOGUE

from ..conftest import NOW, wait_for
from .expected_hours import DAY, EVERY_KEY, FIELDS, HOUR, Usage, doc_queries, expected_hour, sum_usage
from .expected_models import (
    COMPLETE_AFTER,
    CURRENCY,
    MINUTE,
    MINUTE_FIELDS,
    MINUTES_KEPT,
    TRAFFIC,
    Series,
    all_series,
    expected_cost,
    expected_minute,
    expected_model_hour,
    model_config,
    model_names,
    priced_series,
    series_from_tags,
)
from .influxdb import query
from .simulated_telegraf import EXEC, EXECD, Telegraf, telegraf

pytestmark = pytest.mark.timeout(900)
BEGAN = int(NOW * 1000)
BACKFILL = 29 * DAY
LABELS = {"team-search": ("team-search",), "online_experience": ("",)}
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
SUMS = ", ".join(f"sum({field})" for field in FIELDS)
READ_AFTER = 13 * MINUTE
"""A late minute has almost certainly been read this long after its end."""
MODEL_HOURS = 9 * DAY
"""Hours of models up to this age were certainly read in the end."""
FIRST, SECOND, THIRD = SimulatedModels(3).ids()
SILENT = range(BEGAN + 80 * MINUTE, BEGAN + 9 * HOUR)
APPEARS = BEGAN + 67 * MINUTE
Found = Dict[Tuple[Series, int], Dict[str, float]]
"""Fields by series and time."""


def fail_cloud(telegraf: Telegraf) -> None:
    telegraf.cloud.is_down = True
    for _ in range(3):
        telegraf.cycle()
        telegraf.advance(1)
    telegraf.cloud.is_down = False


def kill_plugin(telegraf: Telegraf) -> None:
    """Kill the plugin during a cycle."""
    requests = len(telegraf.cloud.request_log)
    wait_for(lambda: len(telegraf.cloud.request_log) > requests, "a request", 60.0)
    os.kill(telegraf.plugin, signal.SIGKILL)


def stop_for_36_hours(telegraf: Telegraf) -> None:
    telegraf.stop()
    telegraf.advance(36)
    telegraf.start()


def kill_telegraf(telegraf: Telegraf) -> None:
    """Kill Telegraf with its unwritten points, less than an hour of them by the simulated clock."""
    since, newest = telegraf.now, "SELECT last(up) FROM huawei_maas_api"
    wait_for(
        lambda: any(row["values"][0][0] >= since for row in query(telegraf.database, newest)), "what it wrote", 120.0
    )
    telegraf.stop(signal.SIGKILL)
    telegraf.start()


FAULTS = (kill_plugin, fail_cloud, stop_for_36_hours, kill_telegraf, kill_plugin)


class Week:
    """The database after a span, and its expected content: UTC days of hours, and minutes that were certainly read."""

    def __init__(self, telegraf: Telegraf, first: int, days: int = 0, stretches: Sequence[range] = ()) -> None:
        self.telegraf, self.models, self.usage = telegraf, telegraf.cloud.models, telegraf.usage
        self.first, self.days, self.stretches = first, days, stretches
        self.now = telegraf.now
        self.end = self.now // HOUR * HOUR

    def truth(self, start: int, end: int, labels: Tuple[str, ...] = EVERY_KEY) -> Usage:
        """Return the usage of a window; hours that the cloud no longer has count as they last were."""
        now = self.usage.full_hour(self.now)
        hours = range(max(start, self.first), min(end, self.end), HOUR)
        return sum_usage(*(expected_hour(self.usage, at, min(now, at + BACKFILL), labels=labels) for at in hours))

    def rows(self, text: str) -> List[Tuple[Dict[str, str], int, Usage]]:
        """Return tags, time and values of each row. A query without a time range ends at the database's present."""
        found = query(self.telegraf.database, text)
        return [(row.get("tags", {}), at, tuple(values)) for row in found for at, *values in row["values"]]

    def of_models(self, kind: str, fields: Tuple[str, ...]) -> Found:
        """Return the points of a measurement of models and of the one by key."""
        found: Found = {}
        for measurement in (f"huawei_maas_model{kind}", f"huawei_maas_model_key{kind}"):
            text = f"SELECT {', '.join(fields)} FROM {measurement} WHERE time < {self.now}ms GROUP BY *"
            for tags, at, values in self.rows(text):
                series = series_from_tags(tags)
                assert ((series, at) not in found, "maas_key_id" in tags) == (True, "_key" in measurement)
                assert tags["model"] == model_names(self.models).get(tags["maas_api_id"], tags["maas_api_id"])
                assert (tags.get("api_key"), "service_type" in tags) == (tags.get("maas_key_id"), False)
                found[series, at] = {name: value for name, value in zip(fields, values) if value is not None}
        return found


def within(start: int, end: int) -> str:
    return f"time >= {start}ms AND time < {end}ms"


@pytest.fixture(scope="module")
def span() -> Tuple[int, int]:
    """Days to simulate, and days of backfill before them."""
    return 4, 7


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, span: Tuple[int, int]) -> Iterator[Week]:
    """Simulate days in steps of one to three hours, after a backfill, and two final hours without changes."""
    chance, (days, backfill) = random.Random(7), span
    models = SimulatedModels(
        3,
        2,
        TRAFFIC,
        late=True,
        appears={THIRD: APPEARS},
        busy=lambda model, at: at // MINUTE % 37 != 5 and (model != SECOND or at not in SILENT),
    )
    key = models.key_ids(FIRST)[0]
    models.restate(FIRST, None, BEGAN - 5 * HOUR, 3.0, at=BEGAN + 2 * DAY)
    models.restate(FIRST, key, BEGAN - 7 * HOUR, 0.0, at=BEGAN + 2 * DAY + HOUR)
    more = f"    backfill_days: {backfill}\n    budget: {{tokens: 1000000000}}\n{model_config(models)}"
    with telegraf(tmp_path_factory.mktemp("telegraf"), EXECD, more, models) as running:
        first = (running.now - backfill * DAY) // HOUR * HOUR
        taken_back, grown, again = (BEGAN // HOUR * HOUR - days * DAY for days in (3, 5, 1))
        running.usage.restate(taken_back, 0.0, at=BEGAN + 2 * DAY)
        running.usage.restate(grown, 3.5, at=BEGAN + 3 * DAY, label="")
        running.usage.restate(again, 0.0, at=BEGAN + DAY, label="batch-jobs")
        running.usage.restate(again, 1.25, at=BEGAN + 3 * DAY, label="batch-jobs")
        while running.cycle()["missing_hours"]:  # the rate limit sets the pace
            running.advance(1 / 50)
        began, stretches, faults = running.now - COMPLETE_AFTER, [], list(FAULTS)
        while running.now < BEGAN + days * DAY:
            running.cycle()
            last = running.now
            running.advance(chance.choice([1, 2, 3]))
            if faults and running.now > BEGAN + (len(FAULTS) - len(faults) + 1) * days * DAY // 7:
                faults.pop(0)(running)
            if running.now - last > MINUTES_KEPT:  # earlier minutes are lost
                stretches.append(range(began, last - READ_AFTER))
                began = running.now - COMPLETE_AFTER - MINUTES_KEPT
        assert not faults
        running.close()
        yield Week(running, first, backfill + days + 1, [*stretches, range(began, running.now - READ_AFTER)])


def test_days(week: Week) -> None:
    """Every day in the database equals the simulated usage."""
    text = f"FROM huawei_maas_hourly WHERE {within(week.first, week.end)} GROUP BY time(1d)"
    days = {at: values for _, at, values in week.rows(f"SELECT {SUMS} {text}")}
    assert len(days) == week.days
    assert days == {at: week.truth(at, at + DAY) for at in days}
    keys = text.replace("maas_hourly", "maas_key_hourly")
    found = {
        (tags["api_key_label"], at): values for tags, at, values in week.rows(f"SELECT {SUMS} {keys}, api_key_label")
    }
    assert found == {(label, at): week.truth(at, at + DAY, LABELS[label]) for label in LABELS for at in days}


def test_hours(week: Week) -> None:
    # The newest cycle is at the end of the last hour; hours that ended 3 hours before are settled.
    """Every hour that ended is there once, and settled."""
    settled = week.end - 3 * HOUR
    text = f"SELECT count(settled), sum(settled) FROM huawei_maas_hourly WHERE {within(week.first, settled)}"
    hours = (settled - week.first) // HOUR
    assert [values for _, _, values in week.rows(text)] == [(hours, hours)]
    assert [values for _, _, values in week.rows("SELECT last(missing_hours) FROM huawei_maas_api")] == [(0,)]


def test_queries_of_docs(week: Week) -> None:
    """The queries of docs/hours.md return the simulated usage."""
    local = dt.datetime.fromtimestamp(week.end / 1000, SHANGHAI).replace(hour=0)
    midnight, first_of_month = (int(at.timestamp() * 1000) for at in (local, local.replace(day=1)))
    # The database's clock is not the simulated one.
    per_hour, per_day, today, this_month, by_key = (
        text.replace("now()", f"{week.end}ms").replace("'2026-11-01'", f"'{local:%Y-%m}-01'").replace(
            " WHERE ", f" WHERE time < {week.end}ms AND "
        )
        for text in doc_queries("sql")
    )  # fmt: skip
    hours = week.rows(per_hour)
    assert len(hours) == 48
    assert all(values == week.truth(at, at + HOUR)[:1] for _, at, values in hours if values != (None,))
    shown = {at: values for _, at, values in week.rows(per_day)}
    whole = range(midnight - 6 * DAY, week.end, DAY)
    assert {at: shown[at] for at in whole} == {at: week.truth(at, at + DAY)[:1] for at in whole}
    assert week.rows(today)[0][2] == week.truth(midnight, week.end)[:1]
    assert week.rows(this_month)[0][2] == week.truth(first_of_month, week.end)[:1]
    assert {tags["api_key_label"]: values for tags, _, values in week.rows(by_key)} == {
        label: week.truth(week.end - DAY, week.end, labels)[:1] for label, labels in LABELS.items()
    }


def test_log(week: Week) -> None:
    """Telegraf logs each fault once, and the begin and end of each backfill."""
    problems = re.findall(r" ([EW]! \[inputs\.execd\] cn-southwest-2: .*)", week.telegraf.log())
    # On a slow machine more cycles fall into a simulated minute than the rate limit allows, and the plugin is stopped
    # during one.
    others = ("requests left within a minute", "ended by a signal", "Cloud Eye lists 3 metrics that have no place here")
    problems = [text for text in problems if not any(other in text for other in others)]
    # A fault that begins during a cycle is reported for ranges, hours and models.
    assert problems
    assert len(set(problems)) == len(problems)
    assert [text for text in problems if "the cloud had an internal error" not in text] == []
    # One backfill at the first start, and one after the 36 hours without Telegraf.
    assert week.telegraf.log().count(" series missing, about ") == 2
    assert week.telegraf.log().count(": backfill: complete") == 2


def test_integers(week: Week) -> None:
    """Every count is stored as an integer."""
    wanted = {name: {field.name: field.kind for field in fields} for name, fields in CATALOGUE.items()}
    found = {name: query(week.telegraf.database, f'SHOW FIELD KEYS FROM "{name}"') for name in CATALOGUE}
    assert {name for name, rows in found.items() if rows} == {name for name in CATALOGUE if "consumed" not in name}
    for name, rows in found.items():
        for field, kind in (values for row in rows for values in row["values"]):
            assert kind == ("float" if wanted[name][field] is float else "integer"), (name, field)


def test_minutes(week: Week) -> None:
    """Every complete minute is there at its own time, with its exact values."""
    shown, models = week.of_models("", MINUTE_FIELDS), week.models
    assert shown == {(series, at): expected_minute(models, series, at) for series, at in shown}
    for stretch in week.stretches:
        # A minute of tolerance at either end: the test's clock moved on.
        for at in range((stretch.start // MINUTE + 3) * MINUTE, (stretch.stop // MINUTE - 2) * MINUTE, MINUTE):
            found = {series for series in all_series(models) if (series, at) in shown}
            assert found == {series for series in all_series(models) if expected_minute(models, series, at)}, at
    assert not {at for (model, _), at in shown if model == SECOND and at in SILENT}
    # The list is read once an hour; the minutes of a new model are then read from its first one on.
    for model, came in ((SECOND, SILENT.stop), (THIRD, APPEARS)):
        used = (at for at in range(came, week.now, MINUTE) if expected_minute(models, (model, ""), at))
        assert min(at for (one, _), at in shown if one == model and at >= came) == next(used)


def test_hours_of_models(week: Week) -> None:
    """Every hour of a model is there to the token and settled, and so is its cost."""
    models, hours = week.models, range(max(week.first, week.end - MODEL_HOURS), week.end - 3 * HOUR, HOUR)
    shown, costs = week.of_models("_hourly", (*FIELDS, "settled")), week.of_models("_cost_hourly", ("cost",))
    for series in all_series(models):
        for at in hours:
            truth = expected_model_hour(models, series, at, week.now)
            assert shown[series, at] == {**dict(zip(FIELDS, truth)), "settled": 1}, (series, at)
            if series in priced_series(models):
                assert costs[series, at] == {"cost": float(expected_cost(models, series[0], truth))}
    assert {series for series, _ in costs} == set(priced_series(models))
    assert {tags["currency"] for tags, _, _ in week.rows("SELECT * FROM huawei_maas_model_cost_hourly GROUP BY *")} == {
        CURRENCY
    }


def test_exec(
    tmp_path: Path,
) -> None:
    """A new process for each cycle emits the same, and prices that are added later yield the costs of the past."""
    models = SimulatedModels(2, 1, TRAFFIC, late=True)
    without, prices = model_config(models).split("    prices:", 1)
    with telegraf(tmp_path, EXEC, f"    backfill_days: 1\n{without}", models) as running:
        first = BEGAN // HOUR * HOUR - DAY
        for _ in range(6):
            running.cycle()
            running.advance(2)
        assert Week(running, first).of_models("_hourly", ("total_tokens",))
        assert not Week(running, first).of_models("_cost_hourly", ("cost",))
        with open(tmp_path / "conf.yaml", "a") as config:
            config.write(f"    prices:{prices}")
        running.close()
        done = Week(running, first)
        text = f"SELECT {SUMS} FROM huawei_maas_hourly WHERE {within(first, done.end)} GROUP BY time(1h) fill(0)"
        hours = {at: values for _, at, values in done.rows(text)}
        assert hours == {at: done.truth(at, at + HOUR) for at in range(first, done.end, HOUR)}
        costs = done.of_models("_cost_hourly", ("cost",))
        assert costs == {
            (series, at): {
                "cost": float(expected_cost(models, series[0], expected_model_hour(models, series, at, done.now)))
            }
            for series in priced_series(models)
            for at in range(first, done.end, HOUR)
        }
