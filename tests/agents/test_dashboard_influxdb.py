"""Every panel of the dashboard on InfluxDB, over five weeks in a real one, held against the emulator's ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.metrics import API

from . import months
from .account import REGION
from .dashboards import (
    INFLUXDB,
    Chosen,
    Range,
    filled_in,
    is_over_time,
    legend,
    midnight,
    month_began,
    range_of,
    titles,
    variables,
)
from .dashboards import panel as panel_of
from .hours import DAY, HOUR, NOTHING, Use, added
from .influxdb import influxdb, query, write
from .models import MINUTE, minute
from .models import use as use_of_model
from .months import END, SERVICES, Account, Values, choice

pytestmark = pytest.mark.timeout(400)
START = END - 7 * DAY
FIRST, MODELS_FIRST = START - 29 * DAY, START - 10 * DAY + HOUR
"""The first hours that the cloud was asked for, of services and of models."""
PARTIAL = END + 100 * MINUTE
READ = {"preset": END, "my_service": PARTIAL}
"""When each service type was last read."""
CERTAIN = 20 * MINUTE
"""After its beginning a late minute is there, and was asked for."""
WEEK, MONTH, HOURS = (Range(int(END - days * DAY) + 1, END + 1) for days in (7, 30, 1 / 16))
"""They end just after a cycle."""
A_PART = choice(service_type=("preset",), model=("large", "small"))


class Weeks(Account):
    """Let a week go by, which begins with a backfill, and fill a database."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, "influx", backfill=29)
        self.database = url

    def live(self) -> None:
        days, hours = range(START, END - DAY, DAY), range(END - DAY, END - 2 * HOUR, 4 * HOUR)
        for at in (*days, *hours, *range(END - 2 * HOUR, END + 1, 10 * MINUTE), PARTIAL):
            self.books.unreadable = SERVICES["preset"] if at == PARTIAL else 0
            points = self.cycle(at)
            write(self.database, points)
            for point in (parse_line(line) for line in points.splitlines() if line.startswith(API)):
                for field, value in point["fields"].items():
                    self.note(at, field, value)
            assert at == PARTIAL or self.state[at]["missing_hours"] == 0


class Truth(months.Truth):
    """Say what was last read of each hour: whatever was picked, its point is the newest."""

    PARTIAL = PARTIAL

    def hours_from(self, first: int) -> range:
        return range(-(-max(self.picked.start, first) // HOUR) * HOUR, self.picked.end, HOUR)

    def hour(self, at: int, service: str, label: str = "") -> Use:
        return self.account.hour(at, READ[service], (service,), label)

    def used(self, service: str, label: str = "") -> Use:
        return added(*(self.hour(at, service, label) for at in self.hours_from(FIRST)))

    def model(self, api_id: str, key: str = "", since: int = 0) -> Use:
        first = -(-max(since or self.picked.start, MODELS_FIRST) // HOUR) * HOUR
        hours = range(first, min(self.picked.end, PARTIAL // HOUR * HOUR), HOUR)
        return added(*(use_of_model(self.account.models, (api_id, key), at, PARTIAL) for at in hours))

    def total(self, span: str, shift: int = 0) -> int:
        """Add up a range of which the end is the last cycle's, or that of the one so long before."""
        begins, found = {"today": midnight, "this_month": month_began}[span], 0
        for name in self.services:
            at = max(when for when in self.state if when <= min(self.picked.end, READ[name]) - shift)
            found += self.account.hours(begins(at), at, (name,))[0]
        return found

    def bars(self, step: int, value: Callable[[Use], float]) -> Values:
        found: Dict[Any, Use] = {}
        for at in self.hours_from(FIRST):
            for name in self.services:
                key = (name, (at + 8 * HOUR) // step * step - 8 * HOUR)
                found[key] = added(found.get(key, NOTHING), self.hour(at, name))
        return {key: value(used) for key, used in found.items() if used[3] and value(used)}

    def hours_of_days(self) -> Values:
        first = midnight(self.picked.end - 29 * DAY)
        found = {
            (f"{(at - midnight(at)) // HOUR:02}:00", midnight(at)): sum(
                self.hour(at, name)[0] for name in self.services
            )
            for at in range(first, self.picked.end, HOUR)
        }
        return {key: value for key, value in found.items() if value}

    def minutes(self, *fields: str) -> Values:
        found: Dict[Any, float] = {}
        for at in range(-(-self.picked.start // MINUTE) * MINUTE, self.now - CERTAIN, MINUTE):
            for api_id, name in self.models.items():
                shown = minute(self.account.models, (api_id, ""), at)
                for field in fields:
                    label = f"{name} {REGION} {field[-3:]}" if len(fields) > 1 else f"{name} {REGION}"
                    found.update({(label, at): shown[field]} if field in shown else {})
        return found

    def forecast(self) -> float:
        """Say where the month ends at the mean of the hours that had ended for 3 hours when they were last read."""
        began = month_began(self.picked.end)
        settled = {name: range(began, min(self.picked.end, READ[name] - 4 * HOUR + 1), HOUR) for name in self.services}
        used = sum(self.hour(at, name)[0] for name, hours in settled.items() for at in hours)
        return used / max(map(len, settled.values())) * 730.5

    def cycles(self, field: str) -> Values:
        state = {at: fields for at, fields in self.state.items() if self.picked.start <= at <= self.picked.end}
        return {(REGION, at // (5 * MINUTE) * 5 * MINUTE): fields[field] for at, fields in state.items()}


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    folder = tmp_path_factory.mktemp("influxdb")
    with influxdb(folder) as url:
        lived = Weeks(folder, url)
        lived.live()
        yield lived


def shown_in(url: str, title: str, chosen: Chosen, picked: Range) -> Dict[Any, float]:
    """Read a panel: newest values by legend; over time, but for zeros, by legend and time, milliseconds."""
    panel = panel_of(INFLUXDB, title)
    start, end = range_of(panel, picked)
    found: Dict[Any, float] = {}
    for target in panel["targets"]:
        text = target["query"].replace("$timeFilter", f"time >= {start}ms and time <= {end}ms")
        text = text.replace("$__interval", panel["interval"]).replace("now()", f"{end}ms")
        for row in query(url, filled_in(INFLUXDB, text, chosen)):
            name = legend(target["alias"], row.get("tags", {}))
            if is_over_time(panel):
                points = {(name, at): value for at, value in row["values"] if start - DAY < at <= end}
            else:
                points = {name: row["values"][-1][1]}
            assert not points.keys() & found.keys()
            found.update(points)
    return found


def compared(weeks: Weeks, title: str, chosen: Chosen, picked: Range) -> Tuple[Values, Values]:
    """Give what is shown and what must be; of minutes those that are certain, of hours those with use."""
    panel, shown = panel_of(INFLUXDB, title), shown_in(weeks.database, title, chosen, picked)
    expected = Truth(weeks, chosen, picked).of(title)
    assert expected
    if panel["interval"] == "1m" and is_over_time(panel):
        shown = {key: value for key, value in shown.items() if key[1] < END - CERTAIN}
    elif is_over_time(panel) and panel["interval"] != "5m":
        first = range_of(panel, picked).start if panel["type"] == "status-history" else 0
        shown = {key: value for key, value in shown.items() if value and key[1] >= first}
    return shown, expected


def picked_for(title: str) -> Range:
    panel = panel_of(INFLUXDB, title)
    if is_over_time(panel):
        return HOURS if panel["interval"] in ("1m", "5m") else MONTH
    return WEEK


@pytest.mark.parametrize("chosen", [choice(), A_PART], ids=["everything", "a part"])
@pytest.mark.parametrize("title", titles(INFLUXDB))
def test_every_panel_shows_what_the_ledger_holds(weeks: Weeks, title: str, chosen: Chosen) -> None:
    shown, expected = compared(weeks, title, chosen, picked_for(title))
    assert shown == expected


AFTER = [title for title in titles(INFLUXDB) if not is_over_time(panel_of(INFLUXDB, title))]


@pytest.mark.parametrize("title", AFTER)
def test_a_partial_failure_is_said_and_is_no_fall_in_use(weeks: Weeks, title: str) -> None:
    shown, expected = compared(weeks, title, choice(), Range(PARTIAL + 1 - 6 * DAY, PARTIAL + 1))
    assert shown == expected


def test_every_variable_offers_what_there_is(weeks: Weeks) -> None:
    assert months.offered_by_variables(weeks) == {
        name: {value for row in query(weeks.database, variable["query"]) for _, value in row["values"]}
        for name, variable in variables(INFLUXDB).items()
        if variable["type"] == "query"
    }


def test_time_axes_are_marked_where_a_cycle_was_partial_or_failed(weeks: Weeks) -> None:
    (mark,) = INFLUXDB["annotations"]["list"]
    text = mark["query"].replace("$timeFilter", f"time >= {START}ms and time <= {PARTIAL}ms")
    (row,) = query(weeks.database, filled_in(INFLUXDB, text, choice()))
    assert {tuple(mark) for mark in row["values"]} == {(PARTIAL, Result.REQUEST_REJECTED), (PARTIAL, Result.PARTIAL)}
