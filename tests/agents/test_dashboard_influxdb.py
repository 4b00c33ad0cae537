"""Every panel of the dashboard on InfluxDB, over five weeks in a real one, held against the emulator's ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.errors import Result
from maas_usage_check.metrics import API
from maas_usage_check.standin.emulator import PROJECT_ID

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
from .hours import DAY, FIELDS, HOUR, Use, added
from .influxdb import influxdb, make_database, query
from .models import CURRENCY, MINUTE, cost, minute, named, newest, series_of
from .models import use as use_of_model
from .months import BUDGET, COST_BUDGET, END, LABELS, SERVICES, Account, choice
from .programs import OPENER

pytestmark = pytest.mark.timeout(400)
START = END - 7 * DAY
FIRST, MODELS_FIRST = START - 29 * DAY, START - 10 * DAY + HOUR
"""The first hours that the cloud was asked for, of services and of models."""
PARTIAL = END + 100 * MINUTE
"""When preset services could not be read."""
READ = {"preset": END, "my_service": PARTIAL}
"""When each service type was last read."""
CERTAIN = 20 * MINUTE
"""After its beginning a late minute is there, and was asked for."""
SOON = 30_000
"""Within it a cycle has ended."""
WEEK, MONTH, HOURS = (Range(int(END + SOON - days * DAY), END + SOON) for days in (7, 30, 1 / 16))
A_PART = choice(service_type=("preset",), model=("large", "small"))


class Weeks(Account):
    """Let a week go by, which begins with a backfill, and fill a database."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, "influx")
        self.url = url
        self.state: Dict[int, Dict[str, float]] = {}
        """How each cycle went, by when it began."""

    def live(self) -> None:
        days, hours = range(START, END - DAY, DAY), range(END - DAY, END - 2 * HOUR, 4 * HOUR)
        for at in (*days, *hours, *range(END - 2 * HOUR, END + 1, 10 * MINUTE)):
            assert self._cycle(at)["missing_hours"] == 0
        self.books.unreadable = SERVICES["preset"]
        self._cycle(PARTIAL)

    def _cycle(self, at: int) -> Dict[str, float]:
        assert self.cycle(at) == 0
        points = self.file.read_bytes()
        OPENER.open(f"{self.url}/write?db=maas", points, timeout=20).close()
        state = [parse_line(line) for line in points.decode().splitlines() if line.startswith(API)]
        self.state[at] = {}
        for point in state:
            for field, value in point["fields"].items():
                self.state[at][field] = max(value, self.state[at].get(field, 0))
        return self.state[at]


class Truth:
    """Say what panels must show, by legend; over time by legend and time."""

    def __init__(self, weeks: Weeks, chosen: Chosen, picked: Range) -> None:
        self.weeks, self.picked = weeks, picked
        self.services = chosen["service_type"] or tuple(SERVICES)
        names = {api_id: named(weeks.models).get(api_id, api_id) for api_id in weeks.models.ids()}
        self.models = {api_id: name for api_id, name in names.items() if name in (chosen["model"] or names.values())}
        self.now = max(at for at in weeks.state if at <= picked.end)

    def hour(self, at: int, services: Sequence[str], label: str = "") -> Use:
        """Say what was last read of an hour: whatever was picked, its point is the newest."""
        return added(*(self.weeks.hour(at, READ[name], (name,), label) for name in services))

    def used(self, services: Sequence[str], label: str = "") -> Use:
        hours = range(-(-max(self.picked.start, FIRST) // HOUR) * HOUR, self.picked.end, HOUR)
        return added(*(self.hour(at, services, label) for at in hours))

    def model(self, api_id: str, key: str = "", since: int = 0) -> Use:
        first = -(-max(since or self.picked.start, MODELS_FIRST) // HOUR) * HOUR
        hours = range(first, min(self.picked.end, PARTIAL // HOUR * HOUR), HOUR)
        return added(*(use_of_model(self.weeks.models, (api_id, key), at, PARTIAL) for at in hours))

    def total(self, begins: Callable[[int], int], shift: int = 0) -> int:
        """Add up a range of which the end is the last cycle's, or that of the one so long before."""
        found = 0
        for name in self.services:
            at = max(when for when in self.weeks.state if when <= min(self.picked.end, READ[name] + SOON) - shift)
            found += self.weeks.hours(begins(at), at, (name,))[0]
        return found

    def cost(self, since: int) -> float:
        models = [each for each in self.models if each in named(self.weeks.models)]
        return float(sum(cost(self.weeks.models, each, self.model(each, since=since)) for each in models))

    def bars(self, step: int, value: Callable[[Use], float]) -> Dict[Any, float]:
        found: Dict[Any, Use] = {}
        for at in range(-(-max(self.picked.start, FIRST) // HOUR) * HOUR, self.picked.end, HOUR):
            for name in self.services:
                key = (name, (at + 8 * HOUR) // step * step - 8 * HOUR)
                found[key] = added(found.get(key, ()) or (0,) * len(FIELDS), self.hour(at, (name,)))
        return {key: value(used) for key, used in found.items() if used[3] and value(used)}

    def hours_of_days(self) -> Dict[Any, float]:
        first = midnight(self.picked.end - 29 * DAY)
        found = {
            (f"{(at - midnight(at)) // HOUR:02}:00", midnight(at)): self.hour(at, self.services)[0]
            for at in range(first, self.picked.end, HOUR)
        }
        return {key: value for key, value in found.items() if value}

    def minutes(self, *fields: str) -> Dict[Any, float]:
        found: Dict[Any, float] = {}
        for at in range(-(-self.picked.start // MINUTE) * MINUTE, self.now - CERTAIN, MINUTE):
            for api_id, name in self.models.items():
                shown = minute(self.weeks.models, (api_id, ""), at)
                for field in fields:
                    label = f"{name} {REGION} {field[-3:]}" if len(fields) > 1 else f"{name} {REGION}"
                    found.update({(label, at): shown[field]} if field in shown else {})
        return found

    def forecast(self) -> float:
        """Say where the month ends at the mean of the hours that had ended for 3 hours when they were last read."""
        began = month_began(self.picked.end)
        settled = {name: range(began, min(self.picked.end, READ[name] - 4 * HOUR + 1), HOUR) for name in self.services}
        used = sum(self.hour(at, (name,))[0] for name, hours in settled.items() for at in hours)
        return used / max(map(len, settled.values())) * 730.5

    def cycles(self, field: str) -> Dict[Any, float]:
        state = {at: fields for at, fields in self.weeks.state.items() if self.picked.start <= at <= self.picked.end}
        return {(REGION, at // (5 * MINUTE) * 5 * MINUTE): fields[field] for at, fields in state.items()}

    def of(self, title: str) -> Dict[Any, Any]:
        weeks, end = self.weeks, self.picked.end
        state = weeks.state[self.now]
        used = [at + HOUR for at in range(END - DAY, end, HOUR) if weeks.hour(at, self.now)[0]]
        keys = sorted({key for _, key in series_of(weeks.models) if key})
        # The worse of the two instances counts: to one of them nothing was readable.
        fails, answered = self.now == PARTIAL, min(self.now, END)
        expected: Dict[str, Callable[[], Dict[Any, Any]]] = {
            "Requests per minute": lambda: self.minutes("requests_per_minute"),
            "Tokens per minute": lambda: self.minutes("tokens_per_minute"),
            "Errors per minute": lambda: self.minutes("errors_4xx", "errors_5xx"),
            "Latency": lambda: self.minutes("latency_seconds"),
            "Time to first token": lambda: self.minutes("time_to_first_token_seconds"),
            "Failing now": lambda: {
                f"{name} {REGION}": newest(weeks.models, (each, ""), self.now + 1000)["error_ratio"]
                for each, name in self.models.items()
            },
            "Tokens today": lambda: {"today": self.total(midnight)},
            "Tokens of the same day last week, by this time": lambda: {"a week ago": self.total(midnight, 7 * DAY)},
            "Tokens this month": lambda: {"this month": self.total(month_began)},
            "Budget used": lambda: {"budget used": self.total(month_began) / BUDGET},
            "Forecast for the month": lambda: {"forecast": self.forecast()},
            "Forecast against the budget": lambda: {"forecast": self.forecast() / BUDGET},
            "Cost today": lambda: {CURRENCY: self.cost(midnight(end))},
            "Cost this month": lambda: {CURRENCY: self.cost(month_began(end))},
            "Cost against the budget": lambda: {CURRENCY: self.cost(month_began(end)) / COST_BUDGET},
            "Tokens per hour": lambda: self.bars(HOUR, lambda used: used[0]),
            "Tokens per day": lambda: self.bars(DAY, lambda used: used[0]),
            "Requests per hour": lambda: self.bars(HOUR, lambda used: used[3]),
            "Failed calls per hour": lambda: self.bars(HOUR, lambda used: used[4] / used[3]),
            "Tokens by hour of the day, last 30 days": self.hours_of_days,
            "Tokens by model": lambda: {name: self.model(each)[0] for each, name in self.models.items()},
            "Requests by model": lambda: {name: self.model(each)[3] for each, name in self.models.items()},
            "Cost by model": lambda: {
                f"{name} {CURRENCY}": float(cost(weeks.models, each, self.model(each)))
                for each, name in self.models.items()
                if each in named(weeks.models)
            },
            "Tokens by service type": lambda: {name: self.used((name,))[0] for name in self.services},
            "Tokens by API key": lambda: {key: sum(self.model(each, key)[0] for each in self.models) for key in keys},
            "Tokens by label": lambda: {label: self.used(self.services, label)[0] for label in LABELS if label},
            "Collection": lambda: {REGION: 0 if fails else 1},
            "Result of the last cycle": lambda: {REGION: Result.REQUEST_REJECTED if fails else 0},
            "Last answer": lambda: {REGION: pytest.approx(answered, abs=60_000)},
            "The cloud knows until": lambda: {REGION: max(used)},
            "Missing hours": lambda: {REGION: state["missing_hours"]},
            "Covered by the cloud's memory": lambda: {"today": 1, "this_month": 1, "last_7d": 1},
            "Calls per cycle": lambda: self.cycles("http_requests"),
            "Failed queries": lambda: self.cycles("failed_queries"),
            "Duration of a cycle": lambda: self.cycles("duration_seconds"),
        }
        return expected[title]()


class Store:
    """The database, and what must be in it."""

    def __init__(self, weeks: Weeks) -> None:
        self.weeks = weeks

    def rows(self, text: str) -> List[Dict[str, Any]]:
        return query(self.weeks.url, "maas", text)

    def shown(self, title: str, chosen: Chosen, picked: Range) -> Dict[Any, float]:
        """Read a panel: newest values by legend; over time, but for zeros, by legend and time, milliseconds."""
        panel = panel_of(INFLUXDB, title)
        start, end = range_of(panel, picked)
        found: Dict[Any, float] = {}
        for target in panel["targets"]:
            text = target["query"].replace("$timeFilter", f"time >= {start}ms and time <= {end}ms")
            text = text.replace("$__interval", panel["interval"]).replace("now()", f"{end}ms")
            for row in self.rows(filled_in(INFLUXDB, text, chosen)):
                name = legend(target["alias"], row.get("tags", {}))
                if is_over_time(panel):
                    points = {(name, at): value for at, value in row["values"] if start - DAY < at <= end}
                else:
                    points = {name: row["values"][-1][1]}
                assert not points.keys() & found.keys()
                found.update(points)
        return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("influxdb")
    with influxdb(folder) as url:
        make_database(url, "maas")
        weeks = Weeks(folder, url)
        with weeks.open(backfill=29):
            weeks.live()
        yield Store(weeks)


def compared(store: Store, title: str, chosen: Chosen, picked: Range) -> Tuple[Dict[Any, Any], Dict[Any, Any]]:
    """Give what is shown and what must be; of minutes those that are certain, of hours those with use."""
    panel, shown = panel_of(INFLUXDB, title), store.shown(title, chosen, picked)
    expected = Truth(store.weeks, chosen, picked).of(title)
    assert expected
    if panel["interval"] == "1m" and is_over_time(panel):
        shown = {key: value for key, value in shown.items() if key[1] < END - CERTAIN}
    elif is_over_time(panel) and panel["interval"] != "5m":
        first = range_of(panel, picked).start if panel["type"] == "status-history" else 0
        shown = {key: value for key, value in shown.items() if value and key[1] >= first}
    return shown, {key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()}


def picked_for(title: str) -> Range:
    panel = panel_of(INFLUXDB, title)
    if is_over_time(panel):
        return HOURS if panel["interval"] in ("1m", "5m") else MONTH
    return WEEK


@pytest.mark.parametrize("chosen", [choice(), A_PART], ids=["everything", "a part"])
@pytest.mark.parametrize("title", titles(INFLUXDB))
def test_every_panel_shows_what_the_ledger_holds(store: Store, title: str, chosen: Chosen) -> None:
    shown, expected = compared(store, title, chosen, picked_for(title))
    assert shown == expected


AFTER = [title for title in titles(INFLUXDB) if not is_over_time(panel_of(INFLUXDB, title))]


@pytest.mark.parametrize("title", AFTER)
def test_a_partial_failure_is_said_and_is_no_fall_in_use(store: Store, title: str) -> None:
    shown, expected = compared(store, title, choice(), Range(PARTIAL + SOON - 6 * DAY, PARTIAL + SOON))
    assert shown == expected


def test_every_variable_offers_what_there_is(store: Store) -> None:
    offered = {
        name: {value for row in store.rows(variable["query"]) for _, value in row["values"]}
        for name, variable in variables(INFLUXDB).items()
        if variable["type"] == "query"
    }
    models = {named(store.weeks.models).get(each, each) for each in store.weeks.models.ids()}
    assert offered == {
        "region": {REGION},
        "project_id": {PROJECT_ID},
        "service_type": set(SERVICES),
        "infer_type": {"real_time"},
        "model": models,
    }


def test_time_axes_are_marked_where_a_cycle_was_partial_or_failed(store: Store) -> None:
    (mark,) = INFLUXDB["annotations"]["list"]
    text = mark["query"].replace("$timeFilter", f"time >= {START}ms and time <= {PARTIAL + SOON}ms")
    (row,) = store.rows(filled_in(INFLUXDB, text, choice()))
    assert {(at // MINUTE * MINUTE, code) for at, code in row["values"]} == {
        (PARTIAL, Result.REQUEST_REJECTED), (PARTIAL, Result.PARTIAL)
    }  # fmt: skip
