"""Every panel of the dashboard on Prometheus, over a month in a real one, held against the emulator's ledger."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest

from maas_usage_check.errors import Result
from maas_usage_check.metrics import API
from maas_usage_check.standin.emulator import PROJECT_ID

from .account import REGION
from .dashboards import (
    PROMETHEUS,
    Chosen,
    Range,
    filled_in,
    is_over_time,
    legend,
    length,
    midnight,
    month_began,
    range_of,
    titles,
    variables,
)
from .dashboards import panel as panel_of
from .hours import DAY, FIELDS, HOUR, NOTHING, Use, added, use
from .models import CURRENCY, MINUTE, cost, named, newest, priced, series_of
from .models import use as use_of_model
from .months import BUDGET, COST_BUDGET, END, LABELS, SERVICES, Account, Counts, Series, choice
from .programs import find, get, prometheus_over

pytestmark = pytest.mark.timeout(400)
BEGAN = END - 31 * DAY
CYCLE, OFTEN, SCRAPE = 8 * HOUR, 2 * HOUR, HOUR
"""Between cycles, in the last two days too, and between scrapes."""
PARTIAL = END + OFTEN
"""When preset services could not be read."""
APPEARS, LOST = BEGAN + 9 * DAY + HOUR // 3, BEGAN + 19 * DAY
"""When the third model is first called, and when the state was lost, so that counters begin anew."""
DOWN = range(BEGAN + 12 * DAY, BEGAN + 13 * DAY)
AWAY = range(END - 5 * DAY - 9 * HOUR, END - 5 * DAY)
"""When the cloud failed, and when neither the plugin nor Prometheus ran."""
WEEK, MONTH, HOURS = (Range(END - days * DAY, END) for days in (7, 30, 0.25))
A_PART = choice(service_type=("preset",), model=("large", "small"))


class Month(Account):
    """Let a month go by, and keep what was scraped and what must have been."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "prometheus", third_appears=APPEARS)
        self.samples: List[str] = []
        self.counts: Dict[Series, Dict[int, Use]] = {}
        """What each series was when scraped."""
        self.totals: Dict[int, Dict[str, Dict[str, int]]] = {}
        """What was used of each service type in each range, by the time of the cycle."""
        self.state: Dict[int, Dict[str, float]] = {}
        """How each cycle went, by when it ran."""
        self._begin(BEGAN)

    def _begin(self, at: int) -> None:
        services = {
            (name, label): Counts(partial(use, self.books, service_type=number, labels=labels), at)
            for name, number in SERVICES.items()
            for label, labels in LABELS.items()
        }
        models = {each: Counts(partial(use_of_model, self.models, each), at) for each in series_of(self.models)}
        self.truth: Dict[Series, Counts] = {**services, **models}
        self.seen: Set[Series] = set()
        self.now: Dict[Series, Use] = {}

    def live(self) -> None:
        at = BEGAN
        while at <= PARTIAL:
            if at not in AWAY:
                self._cycle(at)
            every = OFTEN if at >= END - 2 * DAY else CYCLE
            for scraped in range(at, min(at + every, PARTIAL + 1), SCRAPE):
                if scraped not in AWAY:
                    self._scrape(scraped)
            at += every

    def _cycle(self, at: int) -> None:
        if at == LOST:
            shutil.rmtree(self.folder / "state")
            self._begin(at)
        self.cloud.is_down = at in DOWN
        self.books.unreadable = SERVICES["preset"] if at == PARTIAL else 0
        self._run(at)
        if not self.cloud.is_down:
            read = [name for name, number in SERVICES.items() if number != self.books.unreadable]
            for (name, _), each in self.truth.items():
                if name in read or name not in SERVICES:
                    each.look(at)
            # A cycle runs a moment after the hour, which thus began before the 7 days did.
            ranges = {"today": midnight(at), "this_month": month_began(at), "last_7d": at - 7 * DAY + HOUR}
            new = {name: {span: self.hours(start, at, (name,))[0] for span, start in ranges.items()} for name in read}
            self.totals[at] = {**self.totals.get(at - OFTEN, {}), **new}
        counting = [line for line in self.lines if "consumed_tokens_total" in line]
        listed = {each for each in self.truth if each[0] in SERVICES or any(each[0] in line for line in counting)}
        # What comes while somebody counts is first seen at 0, so that none of it is lost.
        self.now = {each: self.truth[each].most if each in self.seen else NOTHING for each in listed | self.seen}
        self.seen |= listed

    def _run(self, at: int) -> None:
        assert self.cycle(at) == (1 if self.cloud.is_down else 0)
        texts = [file.read_text() for file in sorted(self.folder.glob("out*.prom"))]
        self.lines = [line for text in texts for line in text.splitlines() if line.startswith("huawei_maas")]
        said = [re.split("[{}]", line) for line in self.lines if line.startswith(f"{API}_")]
        self.state[at] = {}
        for name, _, value in said:
            field = name[len(API) + 1 :]
            self.state[at][field] = max(float(value), self.state[at].get(field, 0))

    def _scrape(self, at: int) -> None:
        self.samples += [f"{line} {at / 1000:.3f}" for line in self.lines]
        for series, counts in self.now.items():
            self.counts.setdefault(series, {})[at] = counts

    def scraped(self, start: int, end: int) -> List[int]:
        return [at for at in self.counts["preset", ""] if start <= at <= end]

    def grown(self, start: int, end: int, *wanted: Series) -> Use:
        """Add up by how much counts rose within a window, from the last scrape in the day before it on."""
        total = NOTHING
        for series in wanted:
            scraped = self.counts.get(series, {})
            before = [at for at in scraped if start - DAY <= at <= start][-1:]
            times = [*before, *(at for at in scraped if start < at <= end)]
            for old, new in zip(times, times[1:]):
                rise = tuple(b - a for a, b in zip(scraped[old], scraped[new]))
                total = added(total, scraped[new] if rise[0] < 0 else rise)
        return total


class Truth:
    """Say what panels must show of a month, by legend; over time by legend and time."""

    def __init__(self, month: Month, chosen: Chosen, picked: Range) -> None:
        self.month, self.picked = month, picked
        self.services = chosen["service_type"] or tuple(SERVICES)
        names = {api_id: named(month.models).get(api_id, api_id) for api_id in month.models.ids()}
        self.models = {api_id: name for api_id, name in names.items() if name in (chosen["model"] or names.values())}
        self.now = max(at for at in month.totals if at <= picked.end)

    def total(self, span: str, at: int) -> int:
        return sum(self.month.totals[at][name][span] for name in self.services)

    def cost(self, start: int) -> float:
        models = [each for each in self.models if each in named(self.month.models)]
        of = {each: self.month.grown(start, self.picked.end, (each, "")) for each in models}
        return float(sum(cost(self.month.models, each, use) for each, use in of.items()))

    def steps(self, step: int, start: int) -> range:
        first, last = ((at + 8 * HOUR) // step * step - 8 * HOUR for at in (start, self.picked.end))
        return range(first, last + 1, step)

    def bars(self, step: int, value: Callable[[Use], float]) -> Dict[Any, float]:
        return {
            (name, at): value(used)
            for name in self.services
            for at in self.steps(step, self.picked.start)
            if self.month.scraped(at, at + step)
            for used in [self.month.grown(at, at + step, (name, ""))]
            if used[3] or value is not ratio
        }

    def hours_of_days(self) -> Dict[Any, float]:
        whole = [(name, "") for name in self.services]
        return {
            (f"{hour:02}:00", day): self.month.grown(at, at + HOUR, *whole)[0]
            for day in self.steps(DAY, midnight(self.picked.end - 29 * DAY))
            for hour in range(24)
            for at in [day + hour * HOUR]
            if self.month.scraped(at, at + HOUR)
        }

    def minutes(self, *fields: str, kind: str = "") -> Dict[Any, float]:
        """Say what was scraped in each step."""
        found: Dict[Any, float] = {}
        for at in self.month.scraped(self.picked.start - HOUR, self.picked.end):
            cycle = max(when for when in self.month.totals if when <= at)
            for api_id, name in self.models.items():
                shown = newest(self.month.models, (api_id, ""), cycle + 1000)
                for field in fields:
                    label = f"{name} {REGION} {field[-3:]}" if len(fields) > 1 else f"{name} {REGION}"
                    found.update({(label, step): shown[field] for step in self.steps_of(at) if field in shown})
        return found

    def steps_of(self, scraped: int) -> List[int]:
        """List the steps of 5 minutes that a scrape is in: both ends of a step are."""
        steps = (scraped, scraped + 5 * MINUTE)
        return [step for step in steps if self.picked.start <= step <= self.picked.end]

    def cycles(self, field: str) -> Dict[Any, float]:
        state = self.month.state
        return {
            (REGION, step): state[max(when for when in state if when <= at)][field]
            for at in self.month.scraped(*self.picked)
            for step in self.steps_of(at)
        }

    def of(self, title: str) -> Dict[Any, Any]:
        month, (start, end) = self.month, self.picked
        this_month = self.total("this_month", self.now)
        days_left = (month_began(month_began(end) + 32 * DAY) - end) / DAY
        forecast = this_month + self.total("last_7d", self.now) / 7 * days_left
        models, keys = list(self.models), sorted({key for _, key in series_of(month.models) if key})
        whole = month.grown(start, end, *((each, "") for each in models))
        of_keys = {key: month.grown(start, end, *((each, key) for each in models))[0] for key in keys}
        services = month.grown(start, end, *((name, "") for name in self.services))[0]
        labels = {
            label: month.grown(start, end, *((name, label) for name in self.services))[0] for label in LABELS if label
        }
        used = [at + HOUR for at in range(end - DAY, end, HOUR) if month.hour(at, end)[0]]
        # The worse of the two instances counts: to one of them nothing was readable.
        fails, answered = end == PARTIAL, END if end == PARTIAL else self.now
        expected: Dict[str, Callable[[], Dict[Any, Any]]] = {
            "Requests per minute": lambda: self.minutes("requests_per_minute"),
            "Tokens per minute": lambda: self.minutes("tokens_per_minute"),
            "Errors per minute": lambda: self.minutes("errors_4xx", "errors_5xx"),
            "Latency": lambda: self.minutes("latency_seconds"),
            "Time to first token": lambda: self.minutes("time_to_first_token_seconds"),
            "Failing now": lambda: {
                f"{name} {REGION}": newest(month.models, (each, ""), self.now + 1000)["error_ratio"]
                for each, name in self.models.items()
            },
            "Tokens today": lambda: {"today": self.total("today", self.now)},
            "Tokens of the same day last week, by this time": lambda: {
                "a week ago": self.total("today", max(at for at in month.totals if at <= end - 7 * DAY))
            },
            "Tokens this month": lambda: {"this month": this_month},
            "Budget used": lambda: {"budget used": this_month / BUDGET},
            "Forecast for the month": lambda: {"forecast": forecast},
            "Forecast against the budget": lambda: {"forecast": forecast / BUDGET},
            "Cost today": lambda: {CURRENCY: self.cost(midnight(end))},
            "Cost this month": lambda: {CURRENCY: self.cost(month_began(end))},
            "Cost against the budget": lambda: {CURRENCY: self.cost(month_began(end)) / COST_BUDGET},
            "Tokens per hour": lambda: self.bars(HOUR, lambda used: used[0]),
            "Tokens per day": lambda: self.bars(DAY, lambda used: used[0]),
            "Requests per hour": lambda: self.bars(HOUR, lambda used: used[3]),
            "Failed calls per hour": lambda: self.bars(HOUR, ratio),
            "Tokens by hour of the day, last 30 days": self.hours_of_days,
            "Tokens by model": lambda: {
                name: month.grown(start, end, (each, ""))[0] for each, name in self.models.items()
            },
            "Requests by model": lambda: {
                name: month.grown(start, end, (each, ""))[3] for each, name in self.models.items()
            },
            "Cost by model": lambda: {
                f"{self.models[each]} {CURRENCY}": float(cost(month.models, each, month.grown(start, end, (each, ""))))
                for each, key in priced(month.models)
                if not key and each in self.models
            },
            "Tokens by service type": lambda: {name: month.grown(start, end, (name, ""))[0] for name in self.services},
            "Tokens by API key": lambda: {**of_keys, "no key": whole[0] - sum(of_keys.values())},
            "Tokens by label": lambda: {**labels, "no label": services - sum(labels.values())},
            "Collection": lambda: {REGION: 0 if fails else 1},
            "Result of the last cycle": lambda: {REGION: Result.REQUEST_REJECTED if fails else 0},
            "Last answer": lambda: {REGION: pytest.approx(answered, abs=60_000)},
            "The cloud knows until": lambda: {REGION: max(used)},
            "Missing hours": lambda: {REGION: month.state[self.now]["missing_hours"]},
            "Covered by the cloud's memory": lambda: {"today": 1, "this_month": 1, "last_7d": 1},
            "Calls per cycle": lambda: self.cycles("http_requests"),
            "Failed queries": lambda: self.cycles("failed_queries"),
            "Duration of a cycle": lambda: self.cycles("duration_seconds"),
        }
        return expected[title]()


def ratio(used: Use) -> float:
    return used[FIELDS.index("errors")] / used[FIELDS.index("requests")]


class Store:
    """A Prometheus with the samples of that month."""

    def __init__(self, url: str, month: Month) -> None:
        self.url = url
        self.month = month

    def shown(self, title: str, chosen: Chosen, picked: Range, fixed: bool = False) -> Dict[Any, float]:
        """Read a panel: values by legend; over time by legend and time, milliseconds."""
        panel = panel_of(PROMETHEUS, title)
        start, end = range_of(panel, picked, fixed)
        step = length(panel["interval"])
        found: Dict[Any, float] = {}
        for target in panel["targets"]:
            query = target["expr"].replace("$__range", f"{(end - start) // 1000}s")
            query = query.replace("$__interval", panel["interval"])
            query = filled_in(PROMETHEUS, query, chosen)
            assert target["range"] is is_over_time(panel)
            if target["range"]:
                # Steps begin at multiples of their length by the dashboard's clock.
                first, last = ((at + 8 * HOUR) // step * step - 8 * HOUR for at in (start, end))
                times = {"start": str(first / 1000), "end": str(last / 1000), "step": str(step / 1000)}
                for row in get(f"{self.url}/api/v1/query_range", query=query, **times)["data"]["result"]:
                    name = legend(target["legendFormat"], row["metric"])
                    points = {(name, round(at * 1000)): float(value) for at, value in row["values"]}
                    assert not points.keys() & found.keys()
                    found.update({key: value for key, value in points.items() if value == value})
            else:
                rows = get(f"{self.url}/api/v1/query", query=query, time=f"{end / 1000:.3f}")["data"]["result"]
                named = {legend(target["legendFormat"], row["metric"]): float(row["value"][1]) for row in rows}
                assert len(named) == len(rows)
                assert not named.keys() & found.keys()
                found.update(named)
        return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    find("prometheus", "Debian package prometheus")  # before what takes long
    folder = tmp_path_factory.mktemp("prometheus")
    month = Month(folder)
    with month.open(backfill=0):
        month.live()
    with prometheus_over(month.samples, folder, "--max-block-duration=800h") as url:
        yield Store(url, month)


def picked_for(title: str) -> Range:
    """Pick hours for what is by the minute, else a month, which the loss of the state falls into."""
    panel = panel_of(PROMETHEUS, title)
    return HOURS if is_over_time(panel) and panel["interval"] == "5m" else MONTH


@pytest.mark.parametrize("chosen", [choice(), A_PART], ids=["everything", "a part"])
@pytest.mark.parametrize("title", titles(PROMETHEUS))
def test_every_panel_shows_what_the_ledger_holds(store: Store, title: str, chosen: Chosen) -> None:
    picked = picked_for(title)
    expected = Truth(store.month, chosen, picked).of(title)
    assert expected
    assert store.shown(title, chosen, picked) == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()
    }


AFTER = [title for title in titles(PROMETHEUS) if not is_over_time(panel_of(PROMETHEUS, title))]


@pytest.mark.parametrize("title", AFTER)
def test_a_partial_failure_is_said_and_is_no_fall_in_use(store: Store, title: str) -> None:
    picked = Range(PARTIAL - 7 * DAY, PARTIAL)
    expected = Truth(store.month, choice(), picked).of(title)
    assert store.shown(title, choice(), picked) == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()
    }


@pytest.mark.parametrize("title", ["Forecast for the month", "Forecast against the budget"])
def test_a_forecast_is_the_same_between_two_fixed_times(store: Store, title: str) -> None:
    assert store.shown(title, choice(), Range(END - HOUR, END), fixed=True) == store.shown(title, choice(), MONTH)


def test_the_bars_of_a_month_add_up_to_what_was_counted_through_outages_and_a_lost_state(store: Store) -> None:
    whole = {name: store.month.grown(*MONTH, (name, ""))[0] for name in SERVICES}
    assert all(whole.values())
    for title in ("Tokens per hour", "Tokens per day"):
        shown = store.shown(title, choice(), MONTH)
        last = max(at for _, at in shown)
        for name in SERVICES:
            beyond = store.month.grown(END, last + length(panel_of(PROMETHEUS, title)["interval"]), (name, ""))[0]
            before = store.month.grown(min(at for _, at in shown), MONTH.start, (name, ""))[0]
            assert sum(value for (one, _), value in shown.items() if one == name) == whole[name] + beyond + before


def test_every_variable_offers_what_there_is(store: Store) -> None:
    offered = {}
    for name, variable in variables(PROMETHEUS).items():
        if variable["type"] == "query":
            metric, label = variable["query"][len("label_values(") : -1].split(", ")
            offered[name] = set(get(f"{store.url}/api/v1/label/{label}/values", **{"match[]": metric})["data"])
    models = {named(store.month.models).get(each, each) for each in store.month.models.ids()}
    assert offered == {
        "region": {REGION},
        "project_id": {PROJECT_ID},
        "service_type": set(SERVICES),
        "infer_type": {"real_time"},
        "model": models,
    }


def test_time_axes_are_marked_where_a_cycle_was_partial_or_failed(store: Store) -> None:
    (mark,) = PROMETHEUS["annotations"]["list"]
    query = filled_in(PROMETHEUS, mark["expr"], choice())
    times = {"start": str(BEGAN / 1000), "end": str(PARTIAL / 1000), "step": "3600"}
    (row,) = get(f"{store.url}/api/v1/query_range", query=query, **times)["data"]["result"]
    failed = [at for at in store.month.scraped(BEGAN, PARTIAL) if at in DOWN or at == PARTIAL]
    assert [round(at * 1000) for at, _ in row["values"]] == failed
