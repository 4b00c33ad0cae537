"""Days of hours and models through a real Telegraf into a real InfluxDB, held against the emulator's ledger.

`make soak` has a month of them.
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
from .hours import DAY, EVERY_KEY, FIELDS, HOUR, Use, added, queries_of_docs, use
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
)
from .models import use as use_of_model
from .moved_telegraf import EXEC, EXECD, Telegraf, telegraf

pytestmark = pytest.mark.timeout(900)
BEGAN = int(NOW * 1000)
BACKFILL = 29 * DAY
LABELS = {"team-search": ("team-search",), "online_experience": ("",)}
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
SUMS = ", ".join(f"sum({field})" for field in FIELDS)
LATEST = 13 * MINUTE
"""After its end a late minute is there, and as good as surely was in a cycle."""
MODELS_KEPT = 9 * DAY
"""So old are the hours of models that were certainly read at last."""
FIRST, SECOND, THIRD = SimulatedModels(3).ids()
SILENT = range(BEGAN + 80 * MINUTE, BEGAN + 9 * HOUR)
APPEARS = BEGAN + 67 * MINUTE
Found = Dict[Tuple[Series, int], Dict[str, float]]
"""Fields by series and time."""


def let_the_cloud_fail(telegraf: Telegraf) -> None:
    telegraf.cloud.is_down = True
    for _ in range(3):
        telegraf.cycle()
        telegraf.move(1)
    telegraf.cloud.is_down = False


def kill_the_plugin(telegraf: Telegraf) -> None:
    """Kill it within a cycle."""
    asked = len(telegraf.cloud.request_log)
    wait_for(lambda: len(telegraf.cloud.request_log) > asked, "a request", 60.0)
    os.kill(telegraf.plugin, signal.SIGKILL)


def be_away(telegraf: Telegraf) -> None:
    telegraf.stop()
    telegraf.move(36)
    telegraf.start()


def kill_telegraf(telegraf: Telegraf) -> None:
    """Kill it with what it has not written yet: by the clock that is less than an hour's."""
    since, newest = telegraf.now, "SELECT last(up) FROM huawei_maas_api"
    wait_for(
        lambda: any(row["values"][0][0] >= since for row in query(telegraf.database, newest)), "what it wrote", 120.0
    )
    telegraf.stop(signal.SIGKILL)
    telegraf.start()


TROUBLES = (kill_the_plugin, let_the_cloud_fail, be_away, kill_telegraf, kill_the_plugin)


class Week:
    """The database after a span, and what must be in it: UTC days with hours, and minutes that were surely read."""

    def __init__(self, telegraf: Telegraf, first: int, days: int = 0, stretches: Sequence[range] = ()) -> None:
        self.telegraf, self.models, self.books = telegraf, telegraf.cloud.models, telegraf.books
        self.first, self.days, self.stretches = first, days, stretches
        self.now = telegraf.now
        self.end = self.now // HOUR * HOUR

    def truth(self, start: int, end: int, labels: Tuple[str, ...] = EVERY_KEY) -> Use:
        """Add up what the cloud says of the hours of a window; what it keeps no more counts as it was."""
        now = self.books.as_of(self.now)
        hours = range(max(start, self.first), min(end, self.end), HOUR)
        return added(*(use(self.books, at, min(now, at + BACKFILL), labels=labels) for at in hours))

    def rows(self, text: str) -> List[Tuple[Dict[str, str], int, Use]]:
        """Return tags, time and numbers of each row; the time must be given where it is not to end at present."""
        found = query(self.telegraf.database, text)
        return [(row.get("tags", {}), at, tuple(values)) for row in found for at, *values in row["values"]]

    def of_models(self, kind: str, fields: Tuple[str, ...]) -> Found:
        """Read a measurement of models and its twin by key, which overlap."""
        found: Found = {}
        for measurement in (f"huawei_maas_model{kind}", f"huawei_maas_model_key{kind}"):
            text = f"SELECT {', '.join(fields)} FROM {measurement} WHERE time < {self.now}ms GROUP BY *"
            for tags, at, values in self.rows(text):
                series = series_in(tags)
                assert ((series, at) not in found, "maas_key_id" in tags) == (True, "_key" in measurement)
                assert tags["model"] == named(self.models).get(tags["maas_api_id"], tags["maas_api_id"])
                assert (tags.get("api_key"), "service_type" in tags) == (tags.get("maas_key_id"), False)
                found[series, at] = {name: value for name, value in zip(fields, values) if value is not None}
        return found


def within(start: int, end: int) -> str:
    return f"time >= {start}ms AND time < {end}ms"


@pytest.fixture(scope="module")
def span() -> Tuple[int, int]:
    """How many days go by, and how many before them the hours begin."""
    return 4, 7


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, span: Tuple[int, int]) -> Iterator[Week]:
    """Let days go by in steps of one to three hours, with a backfill before them and two quiet hours after them."""
    chance, (days, backfill) = random.Random(7), span
    models = SimulatedModels(
        3,
        2,
        late=True,
        appears={THIRD: APPEARS},
        missing=lambda at: at // MINUTE % 37 == 5,
        busy=lambda model, at: model != SECOND or at not in SILENT,
    )
    key = models.key_ids(FIRST)[0]
    models.restate(FIRST, None, BEGAN - 5 * HOUR, 3.0, at=BEGAN + 2 * DAY)
    models.restate(FIRST, key, BEGAN - 7 * HOUR, 0.0, at=BEGAN + 2 * DAY + HOUR)
    more = f"    backfill_days: {backfill}\n{config_of(models)}"
    with telegraf(tmp_path_factory.mktemp("telegraf"), EXECD, more, models) as running:
        first = (running.now - backfill * DAY) // HOUR * HOUR
        taken_back, grown, again = (BEGAN // HOUR * HOUR - days * DAY for days in (3, 5, 1))
        running.books.restate(taken_back, 0.0, at=BEGAN + 2 * DAY)
        running.books.restate(grown, 3.5, at=BEGAN + 3 * DAY, label="")
        running.books.restate(again, 0.0, at=BEGAN + DAY, label="batch-jobs")
        running.books.restate(again, 1.25, at=BEGAN + 3 * DAY, label="batch-jobs")
        while running.cycle()["missing_hours"]:  # as fast as the rate lets it
            running.move(1 / 50)
        began, stretches, troubles = running.now - COMPLETE, [], list(TROUBLES)
        while running.now < BEGAN + days * DAY:
            running.cycle()
            last = running.now
            running.move(chance.choice([1, 2, 3]))
            if troubles and running.now > BEGAN + (len(TROUBLES) - len(troubles) + 1) * days * DAY // 7:
                troubles.pop(0)(running)
            if running.now - last > REACH:  # what lies further back is lost
                stretches.append(range(began, last - LATEST))
                began = running.now - COMPLETE - REACH
        assert not troubles
        running.close()
        yield Week(running, first, backfill + days + 1, [*stretches, range(began, running.now - LATEST)])


def test_every_day_in_the_database_is_that_of_the_ledger(week: Week) -> None:
    text = f"FROM huawei_maas_hourly WHERE {within(week.first, week.end)} GROUP BY time(1d)"
    days = {at: values for _, at, values in week.rows(f"SELECT {SUMS} {text}")}
    assert len(days) == week.days
    assert days == {at: week.truth(at, at + DAY) for at in days}
    keys = text.replace("maas_hourly", "maas_key_hourly")
    found = {
        (tags["api_key_label"], at): values for tags, at, values in week.rows(f"SELECT {SUMS} {keys}, api_key_label")
    }
    assert found == {(label, at): week.truth(at, at + DAY, LABELS[label]) for label in LABELS for at in days}


def test_every_hour_that_is_over_is_there_once_and_settled(week: Week) -> None:
    # The newest cycle is of the last hour; what ended 3 hours before it is settled.
    settled = week.end - 3 * HOUR
    text = f"SELECT count(settled), sum(settled) FROM huawei_maas_hourly WHERE {within(week.first, settled)}"
    hours = (settled - week.first) // HOUR
    assert [values for _, _, values in week.rows(text)] == [(hours, hours)]
    assert [values for _, _, values in week.rows("SELECT last(missing_hours) FROM huawei_maas_api")] == [(0,)]


def test_the_queries_of_the_docs_give_the_ledgers_numbers(week: Week) -> None:
    local = dt.datetime.fromtimestamp(week.end / 1000, SHANGHAI).replace(hour=0)
    midnight, first_of_month = (int(at.timestamp() * 1000) for at in (local, local.replace(day=1)))
    # The database's own clock is not the simulated one.
    per_hour, per_day, today, this_month, by_key = (
        text.replace("now()", f"{week.end}ms").replace("'2026-11-01'", f"'{local:%Y-%m}-01'").replace(
            " WHERE ", f" WHERE time < {week.end}ms AND "
        )
        for text in queries_of_docs("sql")
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


def test_telegraf_logs_the_troubles_once_each_and_where_the_backfill_begins_and_ends(week: Week) -> None:
    said = re.findall(r" [EW]! \[inputs\.execd\] cn-southwest-2: (.*)", week.telegraf.logged())
    # On a slow machine more cycles fall into one minute of the clock than the rate has room for.
    others = ("requests left within a minute", "Cloud Eye lists 3 metrics that have no place here")
    said = [text for text in said if not any(other in text for other in others)]
    # Where it begins in the middle of a cycle, that one says of the ranges, hours and models that part is missing.
    assert said
    assert len(set(said)) == len(said)
    assert all("the cloud had an internal error" in text for text in said)
    # Of the days before the first start, and of the time without Telegraf.
    assert week.telegraf.logged().count(" series missing, about ") == 2
    assert week.telegraf.logged().count(": backfill: complete") == 2


def test_every_count_is_stored_as_an_integer(week: Week) -> None:
    wanted = {name: {field.name: field.kind for field in fields} for name, fields in CATALOGUE.items()}
    found = {name: query(week.telegraf.database, f'SHOW FIELD KEYS FROM "{name}"') for name in CATALOGUE}
    assert {name for name, rows in found.items() if rows} == {name for name in CATALOGUE if "consumed" not in name}
    for name, rows in found.items():
        for field, kind in (values for row in rows for values in row["values"]):
            assert kind == ("float" if wanted[name][field] is float else "integer"), (name, field)


def test_every_complete_minute_is_there_at_its_own_time_to_the_value(week: Week) -> None:
    shown, models = week.of_models("", MINUTE_FIELDS), week.models
    assert shown == {(series, at): minute(models, series, at) for series, at in shown}
    for stretch in week.stretches:
        # A minute of slack at either end, in which the test's clock went on.
        for at in range((stretch.start // MINUTE + 3) * MINUTE, (stretch.stop // MINUTE - 2) * MINUTE, MINUTE):
            found = {series for series in series_of(models) if (series, at) in shown}
            assert found == {series for series in series_of(models) if minute(models, series, at)}, at
    assert not {at for (model, _), at in shown if model == SECOND and at in SILENT}
    # The list is read once an hour: what came meanwhile is asked for afterwards, from its first minute on.
    for model, came in ((SECOND, SILENT.stop), (THIRD, APPEARS)):
        used = (at for at in range(came, week.now, MINUTE) if minute(models, (model, ""), at))
        assert min(at for (one, _), at in shown if one == model and at >= came) == next(used)


def test_every_hour_of_a_model_and_its_cost_are_there_to_the_token_and_settled(week: Week) -> None:
    models, hours = week.models, range(max(week.first, week.end - MODELS_KEPT), week.end - 3 * HOUR, HOUR)
    shown, costs = week.of_models("_hourly", (*FIELDS, "settled")), week.of_models("_cost_hourly", ("cost",))
    for series in series_of(models):
        for at in hours:
            truth = use_of_model(models, series, at, week.now)
            assert shown[series, at] == {**dict(zip(FIELDS, truth)), "settled": 1}, (series, at)
            if series in priced(models):
                assert costs[series, at] == {"cost": float(cost(models, series[0], truth))}
    assert {series for series, _ in costs} == set(priced(models))
    assert {tags["currency"] for tags, _, _ in week.rows("SELECT * FROM huawei_maas_model_cost_hourly GROUP BY *")} == {
        CURRENCY
    }


def test_a_program_that_runs_anew_for_each_cycle_brings_the_same_and_later_prices_the_costs_of_the_past(
    tmp_path: Path,
) -> None:
    models = SimulatedModels(2, 1, late=True)
    without, prices = config_of(models).split("    prices:", 1)
    with telegraf(tmp_path, EXEC, f"    backfill_days: 1\n{without}", models) as running:
        first = BEGAN // HOUR * HOUR - DAY
        for _ in range(6):
            running.cycle()
            running.move(2)
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
            (series, at): {"cost": float(cost(models, series[0], use_of_model(models, series, at, done.now)))}
            for series in priced(models)
            for at in range(first, done.end, HOUR)
        }
