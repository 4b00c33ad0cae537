"""A simulated month that a real Prometheus scraped, and the values that its dashboard must show."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

from maas_usage_check.metrics import API

from . import grafana_dashboards, simulated_account
from .expected_hours import DAY, HOUR, NOTHING, Usage, sum_usage
from .expected_models import CURRENCY, MINUTE, newest_minute, series_from_tags
from .expected_panels import ExpectedPanels
from .grafana_dashboards import PROMETHEUS, Chosen, Range, duration_ms, is_over_time, month_start
from .programs import get, rows, rows_over_time
from .simulated_account import END, SERVICES, Series, Values, expected_counts

BEGAN = END - 32 * DAY
CYCLE, OFTEN, SCRAPE = 8 * HOUR, 2 * HOUR, HOUR
"""Time between cycles, between cycles of the last two days, and between scrapes."""
APPEARS, LOST = BEGAN + 9 * DAY + HOUR // 3, BEGAN + 19 * DAY
"""When the third model is first called; when the state is lost, so that counters restart."""
DOWN = range(BEGAN + 12 * DAY, BEGAN + 13 * DAY)
AWAY = range(END - 5 * DAY - 9 * HOUR, END - 5 * DAY)
"""When the cloud failed; when neither the plugin nor Prometheus ran."""
RESTATED = ((12, 3.0, 15), (12, 0.0, 28), (14, 2.5, 20), (15, 0.25, 30), (200, 0.0, 209))
"""Restated hours: number since BEGAN, factor, and the hour at which the cloud reports it."""
Panel = Dict[str, Any]


class Month(simulated_account.SimulatedAccount):
    """Runs a month of cycles; records the scraped samples and the expected counts."""

    dashboard = PROMETHEUS
    known_since = (LOST, LOST)
    partial = END + OFTEN
    week = month = Range(END - 30 * DAY, END)
    """LOST lies within it."""
    hours, after = Range(END - 6 * HOUR, END), Range(partial - 7 * DAY, partial)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "prometheus", backfill=0, third_appears=APPEARS)
        self.samples: List[str] = []
        self.counts: Dict[Series, Dict[int, Usage]] = {}
        """Expected counts of each series, by the time of the scrape."""
        self.scrapes: Dict[int, int] = {}
        """The time of the scraped cycle, by the time of the scrape."""
        for began, factor, after in RESTATED:
            hour, at = BEGAN + began * HOUR, BEGAN + after * HOUR
            self.usage.restate(hour, factor, at=at)
            self.usage.restate(hour, factor, at=at, service_type=SERVICES["my_service"], label="")
            for key in (None, self.models.key_ids(self.models.ids()[0])[0]):
                self.models.restate(self.models.ids()[0], key, hour, factor, at=at)
        self._begin(BEGAN)

    def _begin(self, at: int) -> None:
        self.counted = expected_counts(self.usage, self.models, at)
        self.seen: Set[Series] = set()
        self.now: Dict[Series, Usage] = {}

    def run(self) -> None:
        at = BEGAN
        while at <= self.partial:
            every = OFTEN if at >= END - 2 * DAY else CYCLE
            if at not in AWAY:
                self._cycle(at)
            for scraped in range(at, min(at + every, self.partial + 1), SCRAPE):
                if scraped not in AWAY:
                    self._scrape(scraped, at)
            at += every

    def _cycle(self, at: int) -> None:
        if at == LOST:
            shutil.rmtree(self.folder / "state")
            self._begin(at)
        self.cloud.is_down = at in DOWN
        self.lines = [line for line in self.cycle(at).splitlines() if line.startswith("huawei_maas")]
        for name, _, value in (re.split("[{}]", line) for line in self.lines if line.startswith(f"{API}_")):
            self.record(at, name[len(API) + 1 :], float(value))
        for (name, _), each in self.counted.items():
            if self.read_at.get(name, [at])[-1] == at and not self.cloud.is_down:
                each.update(at)
        counting = [line for line in self.lines if "consumed_tokens_total" in line]
        listed = {each for each in self.counted if each[0] in SERVICES or any(each[0] in line for line in counting)}
        # A new series appears with 0, so that `increase` misses nothing.
        self.now = {each: self.counted[each].maximum if each in self.seen else NOTHING for each in listed | self.seen}
        self.seen |= listed

    def _scrape(self, at: int, cycle: int) -> None:
        self.samples += [f"{line} {at / 1000:.3f}" for line in self.lines]
        self.scrapes[at] = cycle
        for series, counts in self.now.items():
            self.counts.setdefault(series, {})[at] = counts

    def scrape_times(self, start: int, end: int) -> List[int]:
        return [at for at in self.scrapes if start <= at <= end]

    def grown(self, start: int, end: int, *wanted: Series) -> Usage:
        """Return how much counts rose within a window, from the last scrape of the day before it on."""
        total = NOTHING
        for series in wanted:
            scraped = self.counts.get(series, {})
            before = [at for at in scraped if start - DAY <= at <= start][-1:]
            times = [*before, *(at for at in scraped if start < at <= end)]
            for old, new in zip(times, times[1:]):
                rise = tuple(b - a for a, b in zip(scraped[old], scraped[new]))
                total = sum_usage(total, scraped[new] if rise[0] < 0 else rise)
        return total

    def truth(self, chosen: Chosen, picked: Range) -> ExpectedPanels:
        return ExpectedInPrometheus(self, chosen, picked)

    def answer(self, panel: Panel, target: Panel, chosen: Chosen, shown: Range) -> Iterator[Tuple[Any, float]]:
        text = target["expr"].replace("$__range", f"{(shown.end - shown.start) // 1000}s")
        text = grafana_dashboards.fill_in(PROMETHEUS, text.replace("$__interval", panel["interval"]), chosen)
        assert target["range"] is is_over_time(panel)
        if panel["type"] == "table":
            for row in rows(self.store_url, text, shown.end / 1000):
                column = f"Value #{target['refId']}"
                yield grafana_dashboards.cell(panel, column, row["metric"]), float(row["value"][1])
        elif target["range"]:
            step = duration_ms(panel["interval"])
            # Steps begin at multiples of their length in the dashboard's time zone.
            first, last = ((at + 8 * HOUR) // step * step - 8 * HOUR for at in shown)
            for tags, at, value in rows_over_time(self.store_url, text, first, last, step):
                if value == value:
                    yield (grafana_dashboards.legend(target["legendFormat"], tags), at), value
        else:
            for row in rows(self.store_url, text, shown.end / 1000):
                yield grafana_dashboards.legend(target["legendFormat"], row["metric"]), float(row["value"][1])

    def variable_values(self, text: str) -> Set[str]:
        metric, label = text[len("label_values(") : -1].split(", ")
        return set(get(f"{self.store_url}/api/v1/label/{label}/values", **{"match[]": metric})["data"])

    def shown_samples(self, metric: str) -> Dict[Tuple[Series, int], float]:
        """Return all samples of the instance without `view`, by series and time."""
        found: Dict[Tuple[Series, int], float] = {}
        text = f'{{__name__=~"huawei_maas_{metric}",view=""}}'
        for tags, at, value in rows_over_time(self.store_url, text, BEGAN, self.partial, SCRAPE):
            of_service = (tags.get("service_type", ""), tags.get("api_key_label", ""))
            series = series_from_tags(tags) if "maas_api_id" in tags else of_service
            assert (series, at) not in found
            assert tags.get("currency", CURRENCY) == CURRENCY
            found[series, at] = value
        return found


class ExpectedInPrometheus(ExpectedPanels):
    """Expected values by the counters' increase from scrape to scrape."""

    account: Month

    def between(self, start: int, end: int, *wanted: Series) -> Usage:
        return self.account.grown(start, end, *wanted)

    def is_known(self, start: int, end: int) -> bool:
        return bool(self.account.scrape_times(start, end))

    def minutes_of(self, api_id: str) -> Iterator[Tuple[int, Dict[str, float]]]:
        return ((at, newest_minute(self.account.models, (api_id, ""), cycle)) for at, cycle in self.cycles_shown())

    def cycles_shown(self) -> Iterator[Tuple[int, int]]:
        """Yield each scrape at both ends of its step of 5 minutes."""
        for at in self.account.scrape_times(*self.picked):
            for step in (at, at + 5 * MINUTE):
                if step <= self.picked.end:
                    yield step, self.account.scrapes[at]

    def shares(self, values: Values) -> Values:
        total = sum(values.values())
        return self.table("Share", {tags: value / total for tags, value in values.items()})

    def of_keys(self) -> Values:
        keys = super().of_keys()
        return {**keys, "no key": self.used(*((each, "") for each in self.models))[0] - sum(keys.values())}

    def tokens_by_team(self) -> Values:
        teams, start = super().tokens_by_team(), month_start(self.picked.end)
        whole = self.used(*((name, "") for name in self.services), since=start)[0]
        return {**teams, "no label": whole - sum(teams.values())}

    def cost_by_team(self) -> Values:
        teams, start = super().cost_by_team(), month_start(self.picked.end)
        return {**teams, f"no key {CURRENCY}": sum(self.costs(start).values()) - sum(teams.values())}

    def of_labels(self) -> Values:
        labels = super().of_labels()
        return {**labels, "no label": self.used(*((name, "") for name in self.services))[0] - sum(labels.values())}
