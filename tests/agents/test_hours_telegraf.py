"""Two months of hours through a real Telegraf into a real InfluxDB, held against the emulator's ledger."""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import signal
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple

import pytest

from ..conftest import NOW, wait_for
from .hours import DAY, EVERY_KEY, FIELDS, HOUR, Use, added, queries_of_docs, use
from .influxdb import query
from .moved_telegraf import BY_KEY, EXEC, EXECD, Telegraf, telegraf

pytestmark = pytest.mark.timeout(180)
BEGAN = int(NOW * 1000)
BACKFILL = 29 * DAY
DAYS = 31
LABELS = {"team-search": ("team-search",), "online_experience": ("",)}
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
SUMS = ", ".join(f"sum({field})" for field in FIELDS)


def let_the_cloud_fail(telegraf: Telegraf) -> None:
    telegraf.cloud.is_down = True
    for _ in range(4):
        telegraf.cycle()
        telegraf.move(1)
    telegraf.cloud.is_down = False


def kill_the_plugin(telegraf: Telegraf) -> None:
    """Kill it within a cycle."""
    asked = len(telegraf.cloud.requests)
    wait_for(lambda: len(telegraf.cloud.requests) > asked, "a request")
    os.kill(telegraf.plugin, signal.SIGKILL)


def be_away_for_two_days(telegraf: Telegraf) -> None:
    telegraf.stop()
    telegraf.move(48)
    telegraf.start()


def kill_telegraf(telegraf: Telegraf) -> None:
    """Kill it with what it has not written yet: by the clock that is less than an hour's."""
    telegraf.stop(signal.SIGKILL)
    telegraf.start()


TROUBLES: Dict[int, Callable[[Telegraf], None]] = {
    3: kill_the_plugin,
    7: let_the_cloud_fail,
    12: kill_the_plugin,
    16: be_away_for_two_days,
    21: kill_telegraf,
    25: kill_the_plugin,
}
"""What happens on which day."""


class Month:
    """The database after a month, and what must be in it."""

    def __init__(self, telegraf: Telegraf, first: int) -> None:
        self.telegraf = telegraf
        self.first = first
        self.end = telegraf.now // HOUR * HOUR

    def truth(self, start: int, end: int, labels: Tuple[str, ...] = EVERY_KEY) -> Use:
        """Add up what the cloud says of the hours of a window; what it keeps no more counts as it was."""
        books = self.telegraf.books
        now = books.as_of(self.telegraf.now)
        hours = range(max(start, self.first), min(end, self.end), HOUR)
        return added(*(use(books, at, min(now, at + BACKFILL), labels=labels) for at in hours))

    def rows(self, text: str) -> List[Tuple[Dict[str, str], int, Use]]:
        """Return tags, time and numbers of each row; the time must be given where it is not to end at present."""
        found = query(self.telegraf.database, "maas", text)
        return [(row.get("tags", {}), at, tuple(values)) for row in found for at, *values in row["values"]]


def within(start: int, end: int) -> str:
    return f"time >= {start}ms AND time < {end}ms"


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """Let a month go by in steps of one to three hours, with a backfill before it and two quiet hours after it."""
    chance = random.Random(7)
    with telegraf(tmp_path_factory.mktemp("telegraf"), EXECD, BY_KEY) as running:
        books, first = running.books, -(-(running.now - BACKFILL) // HOUR) * HOUR
        taken_back, more, again = (BEGAN // HOUR * HOUR - days * DAY for days in (9, 15, 2))
        books.restate(taken_back, 0.0, at=BEGAN + 10 * DAY)
        books.restate(more, 3.5, at=BEGAN + 11 * DAY, label="")
        books.restate(again, 0.0, at=BEGAN + 5 * DAY, label="batch-jobs")
        books.restate(again, 1.25, at=BEGAN + 17 * DAY, label="batch-jobs")
        while running.cycle()["missing_hours"]:  # as fast as the rate lets it
            running.move(1 / 50)
        troubles = dict(TROUBLES)
        while running.now < BEGAN + DAYS * DAY:
            running.cycle()
            running.move(chance.choice([1, 2, 3]))
            trouble = troubles.pop((running.now - BEGAN) // DAY, None)
            if trouble:
                trouble(running)
        assert not troubles
        running.cycle()
        books.closed = running.now
        for _ in range(2):
            running.move(1)
            running.cycle()
        running.stop()
        yield Month(running, first)


def test_every_day_in_the_database_is_that_of_the_ledger(month: Month) -> None:
    text = f"SELECT {SUMS} FROM huawei_maas_hourly WHERE {within(month.first, month.end)} GROUP BY time(1d)"
    days = {at: values for _, at, values in month.rows(text)}
    assert len(days) == 29 + DAYS + 1
    assert days == {at: month.truth(at, at + DAY) for at in days}


def test_every_day_of_a_key_in_the_database_is_that_of_the_ledger(month: Month) -> None:
    text = (
        f"SELECT {SUMS} FROM huawei_maas_key_hourly WHERE {within(month.first, month.end)} "
        "GROUP BY time(1d), api_key_label"
    )
    days = {(tags["api_key_label"], at): values for tags, at, values in month.rows(text)}
    assert len(days) == len(LABELS) * (29 + DAYS + 1)
    assert days == {(label, at): month.truth(at, at + DAY, LABELS[label]) for label, at in days}


def test_every_hour_that_is_over_is_there_once_and_settled(month: Month) -> None:
    # The newest cycle is of the last hour; what ended 3 hours before it is settled.
    settled = month.end - 3 * HOUR
    text = f"SELECT count(settled), sum(settled) FROM huawei_maas_hourly WHERE {within(month.first, settled)}"
    hours = (settled - month.first) // HOUR
    assert [values for _, _, values in month.rows(text)] == [(hours, hours)]
    text = "SELECT last(missing_hours) FROM huawei_maas_api"
    assert [values for _, _, values in month.rows(text)] == [(0,)]


def test_the_queries_of_the_docs_give_the_ledgers_numbers(month: Month) -> None:
    local = dt.datetime.fromtimestamp(month.end / 1000, SHANGHAI).replace(hour=0)
    midnight, first_of_month = (int(at.timestamp() * 1000) for at in (local, local.replace(day=1)))
    # The database's own clock is not the month's.
    per_hour, per_day, today, this_month, by_key = (
        query.replace("now()", f"{month.end}ms").replace("'2026-11-01'", f"'{local:%Y-%m}-01'").replace(
            " WHERE ", f" WHERE time < {month.end}ms AND "
        )
        for query in queries_of_docs("sql")
    )  # fmt: skip
    hours = month.rows(per_hour)
    assert len(hours) == 48
    assert all(values == month.truth(at, at + HOUR)[:1] for _, at, values in hours if values != (None,))
    days = {at: values for _, at, values in month.rows(per_day)}
    whole = range(midnight - 6 * DAY, month.end, DAY)
    assert {at: days[at] for at in whole} == {at: month.truth(at, at + DAY)[:1] for at in whole}
    assert month.rows(today)[0][2] == month.truth(midnight, month.end)[:1]
    assert month.rows(this_month)[0][2] == month.truth(first_of_month, month.end)[:1]
    assert {tags["api_key_label"]: values for tags, _, values in month.rows(by_key)} == {
        label: month.truth(month.end - DAY, month.end, labels)[:1] for label, labels in LABELS.items()
    }


def test_telegraf_logs_the_troubles_once_each_and_where_the_backfill_begins_and_ends(month: Month) -> None:
    said = re.findall(r" [EW]! \[inputs\.execd\] cn-southwest-2: (.*)", month.telegraf.logged())
    # On a slow machine more cycles fall into one minute of the clock than the rate has room for.
    said = [text for text in said if "requests left within a minute" not in text]
    # Where it begins in the middle of a cycle, that one says of the ranges and of the hours that part is missing.
    assert 1 <= len(said) <= 2
    assert all("the cloud had a fault of its own" in text for text in said)
    # Of the month before the first start, and of the two days without Telegraf.
    assert month.telegraf.logged().count("the hours of the past are being asked: ") == 2
    assert month.telegraf.logged().count("the hours of the past are complete") == 2


def test_a_program_that_runs_anew_for_each_cycle_brings_the_same(tmp_path: Path) -> None:
    with telegraf(tmp_path, EXEC, BY_KEY + "    backfill_days: 1\n") as running:
        first = BEGAN // HOUR * HOUR - DAY
        for _ in range(8):
            running.cycle()
            running.move(2)
        running.cycle()
        running.books.closed = running.now
        for _ in range(2):
            running.move(1)
            running.cycle()
        running.stop()
        done = Month(running, first)
        text = f"SELECT {SUMS} FROM huawei_maas_hourly WHERE {within(first, done.end)} GROUP BY time(1h) fill(0)"
        hours = {at: values for _, at, values in done.rows(text)}
        assert hours == {at: done.truth(at, at + HOUR) for at in range(first, done.end, HOUR)}
