"""Every panel of the dashboard on Prometheus, over a month in a real one, held against the emulator's ledger."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest

from maas_usage_check.metrics import API

from . import months
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
from .hours import DAY, HOUR, NOTHING, Use, added
from .models import MINUTE, newest
from .months import END, SERVICES, Account, Series, Values, choice, counts_since
from .programs import find, get, prometheus_over, rows

pytestmark = pytest.mark.timeout(400)
BEGAN = END - 31 * DAY
CYCLE, OFTEN, SCRAPE = 8 * HOUR, 2 * HOUR, HOUR
"""Between cycles, in the last two days too, and between scrapes."""
PARTIAL = END + OFTEN
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
        super().__init__(folder, "prometheus", backfill=0, third_appears=APPEARS)
        self.samples: List[str] = []
        self.counts: Dict[Series, Dict[int, Use]] = {}
        """What each series was when scraped."""
        self.totals: Dict[int, Dict[str, Dict[str, int]]] = {}
        """What was used of each service type in each range, by the time of the cycle."""
        self._begin(BEGAN)

    def _begin(self, at: int) -> None:
        self.truth = counts_since(self.books, self.models, at)
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
        self.lines = [line for line in self.cycle(at).splitlines() if line.startswith("huawei_maas")]
        for name, _, value in (re.split("[{}]", line) for line in self.lines if line.startswith(f"{API}_")):
            self.note(at, name[len(API) + 1 :], float(value))
        if not self.cloud.is_down:
            read = [name for name, number in SERVICES.items() if number != self.books.unreadable]
            for (name, _), each in self.truth.items():
                if name in read or name not in SERVICES:
                    each.look(at)
            ranges = {"today": midnight(at), "this_month": month_began(at), "last_7d": at - 7 * DAY}
            new = {name: {span: self.hours(start, at, (name,))[0] for span, start in ranges.items()} for name in read}
            self.totals[at] = {**self.totals.get(at - OFTEN, {}), **new}
        counting = [line for line in self.lines if "consumed_tokens_total" in line]
        listed = {each for each in self.truth if each[0] in SERVICES or any(each[0] in line for line in counting)}
        # What comes while somebody counts is first seen at 0, so that none of it is lost.
        self.now = {each: self.truth[each].most if each in self.seen else NOTHING for each in listed | self.seen}
        self.seen |= listed

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


class Truth(months.Truth):
    """Say by how much counters rose from scrape to scrape."""

    PARTIAL = PARTIAL
    account: Month

    def grown(self, *wanted: Series, since: int = 0) -> Use:
        return self.account.grown(since or self.picked.start, self.picked.end, *wanted)

    def used(self, service: str, label: str = "") -> Use:
        return self.grown((service, label))

    def model(self, api_id: str, key: str = "", since: int = 0) -> Use:
        return self.grown((api_id, key), since=since)

    def total(self, span: str, shift: int = 0) -> int:
        at = max(when for when in self.account.totals if when <= self.picked.end - shift)
        return sum(self.account.totals[at][name][span] for name in self.services)

    def forecast(self) -> float:
        end = self.picked.end
        days_left = (month_began(month_began(end) + 32 * DAY) - end) / DAY
        return self.total("this_month") + self.total("last_7d") / 7 * days_left

    def of_keys(self) -> Values:
        keys = super().of_keys()
        return {**keys, "no key": sum(self.model(each)[0] for each in self.models) - sum(keys.values())}

    def of_labels(self) -> Values:
        labels = super().of_labels()
        return {**labels, "no label": sum(self.used(name)[0] for name in self.services) - sum(labels.values())}

    def steps(self, step: int, start: int) -> range:
        first, last = ((at + 8 * HOUR) // step * step - 8 * HOUR for at in (start, self.picked.end))
        return range(first, last + 1, step)

    def bars(self, step: int, value: Callable[[Use], float]) -> Values:
        return {
            (name, at): value(used)
            for name in self.services
            for at in self.steps(step, self.picked.start)
            if self.account.scraped(at, at + step)
            for used in [self.account.grown(at, at + step, (name, ""))]
            if used[3] or value is not months.ratio
        }

    def hours_of_days(self) -> Values:
        whole = [(name, "") for name in self.services]
        return {
            (f"{hour:02}:00", day): self.account.grown(at, at + HOUR, *whole)[0]
            for day in self.steps(DAY, midnight(self.picked.end - 29 * DAY))
            for hour in range(24)
            for at in [day + hour * HOUR]
            if self.account.scraped(at, at + HOUR)
        }

    def minutes(self, *fields: str) -> Values:
        """Say what was scraped in each step."""
        found: Dict[Any, float] = {}
        for at in self.account.scraped(self.picked.start - HOUR, self.picked.end):
            cycle = max(when for when in self.account.totals if when <= at)
            for api_id, name in self.models.items():
                shown = newest(self.account.models, (api_id, ""), cycle)
                for field in fields:
                    label = f"{name} {REGION} {field[-3:]}" if len(fields) > 1 else f"{name} {REGION}"
                    found.update({(label, step): shown[field] for step in self.steps_of(at) if field in shown})
        return found

    def steps_of(self, scraped: int) -> List[int]:
        """List the steps of 5 minutes that a scrape is in: both ends of a step are."""
        steps = (scraped, scraped + 5 * MINUTE)
        return [step for step in steps if self.picked.start <= step <= self.picked.end]

    def cycles(self, field: str) -> Values:
        return {
            (REGION, step): self.state[max(when for when in self.state if when <= at)][field]
            for at in self.account.scraped(*self.picked)
            for step in self.steps_of(at)
        }


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
                answer = rows(self.url, query, end / 1000)
                named = {legend(target["legendFormat"], row["metric"]): float(row["value"][1]) for row in answer}
                assert len(named) == len(answer)
                assert not named.keys() & found.keys()
                found.update(named)
        return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    find("prometheus", "Debian package prometheus")  # before what takes long
    folder = tmp_path_factory.mktemp("prometheus")
    month = Month(folder)
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
    assert store.shown(title, chosen, picked) == expected


AFTER = [title for title in titles(PROMETHEUS) if not is_over_time(panel_of(PROMETHEUS, title))]


@pytest.mark.parametrize("title", AFTER)
def test_a_partial_failure_is_said_and_is_no_fall_in_use(store: Store, title: str) -> None:
    picked = Range(PARTIAL - 7 * DAY, PARTIAL)
    assert store.shown(title, choice(), picked) == Truth(store.month, choice(), picked).of(title)


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
    assert offered == months.offered_by_variables(store.month)


def test_time_axes_are_marked_where_a_cycle_was_partial_or_failed(store: Store) -> None:
    (mark,) = PROMETHEUS["annotations"]["list"]
    query = filled_in(PROMETHEUS, mark["expr"], choice())
    times = {"start": str(BEGAN / 1000), "end": str(PARTIAL / 1000), "step": "3600"}
    (row,) = get(f"{store.url}/api/v1/query_range", query=query, **times)["data"]["result"]
    failed = [at for at in store.month.scraped(BEGAN, PARTIAL) if at in DOWN or at == PARTIAL]
    assert [round(at * 1000) for at, _ in row["values"]] == failed
