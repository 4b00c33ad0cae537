"""A simulated week after a backfill in a real InfluxDB, and the values that its dashboard must show."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, Set, Tuple

from line_protocol_parser import parse_line

from maas_usage_check.metrics import API

from . import grafana_dashboards, simulated_account
from .expected_hours import DAY, HOUR, NOTHING, Usage, sum_usage
from .expected_models import MINUTE, expected_minute, expected_model_hour
from .expected_panels import ExpectedPanels
from .grafana_dashboards import INFLUXDB, Chosen, Range, is_over_time, midnight
from .influxdb import query, write
from .simulated_account import END, SERVICES, Series

A_MONTH_AGO, START = END - 31 * DAY, END - 7 * DAY
FIRST = A_MONTH_AGO - 29 * DAY
"""The first hour that the backfill reads, of services."""
MODELS = ((A_MONTH_AGO - 10 * DAY + HOUR, A_MONTH_AGO), (START - 10 * DAY + HOUR, END + DAY))
"""The hours of models that are read: Cloud Eye keeps 10 days."""
READ_AFTER = 20 * MINUTE
"""A late minute has certainly been read this long after its beginning."""
Panel = Dict[str, Any]


class Weeks(simulated_account.SimulatedAccount):
    """Runs a backfill and a week of cycles into an InfluxDB; ranges end just after a cycle."""

    dashboard = INFLUXDB
    known_since = (FIRST, MODELS[-1][0])
    partial = END + 100 * MINUTE
    week, month = Range(START + 1, END + 1), Range(midnight(END - 29 * DAY), END + 1)
    hours, after = Range(END - 90 * MINUTE + 1, END + 1), Range(partial - 6 * DAY + 1, partial + 1)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "influx", backfill=29)

    def run(self) -> None:
        days, hours = range(START, END - DAY, DAY), range(END - DAY, END - 2 * HOUR, 4 * HOUR)
        for at in (A_MONTH_AGO, *days, *hours, *range(END - 2 * HOUR, END + 1, 10 * MINUTE), self.partial):
            points = self.cycle(at)
            write(self.store_url, points)
            for point in (parse_line(line) for line in points.splitlines() if line.startswith(API)):
                for field, value in point["fields"].items():
                    self.record(at, field, value)
            assert at == self.partial or self.api_fields[at]["missing_hours"] == 0

    def truth(self, chosen: Chosen, picked: Range) -> ExpectedPanels:
        return ExpectedInInfluxdb(self, chosen, picked)

    def answer(self, panel: Panel, target: Panel, chosen: Chosen, shown: Range) -> Iterator[Tuple[Any, float]]:
        """Query a panel's target, without minutes that may not have been read."""
        start, end = shown
        last = END - READ_AFTER - 1 if panel["interval"] == "1m" else end
        text = target["query"].replace("$timeFilter", f"time >= {start}ms and time <= {end}ms")
        text = text.replace("time > now()", f"time <= {end}ms AND time > now()")  # the store has later points
        text = text.replace("$__interval", panel["interval"]).replace("now()", f"{end}ms")
        for row in query(self.store_url, grafana_dashboards.fill_in(INFLUXDB, text, chosen)):
            name = grafana_dashboards.legend(target["alias"], row.get("tags", {}))
            if panel["type"] == "table":
                yield grafana_dashboards.cell(panel, row["columns"][1], row["tags"]), row["values"][-1][1]
            elif is_over_time(panel):
                first = start if panel["type"] == "status-history" else start - DAY
                yield from (((name, at), value) for at, value in row["values"] if first <= at <= last)
            else:
                yield name, row["values"][-1][1]

    def variable_values(self, text: str) -> Set[str]:
        return {value for row in query(self.store_url, text) for _, value in row["values"]}


class ExpectedInInfluxdb(ExpectedPanels):
    """Expected values of each hour as it was last read: later points replace earlier ones, whatever was picked."""

    def hour(self, at: int, series: Series) -> Usage:
        name, label = series
        if name in SERVICES:
            return self.account.hour(at, self.account.read_at[name][-1], name, label)
        now = A_MONTH_AGO if at < A_MONTH_AGO else self.account.partial
        return expected_model_hour(self.account.models, series, at, now)

    def between(self, start: int, end: int, *wanted: Series) -> Usage:
        total, last = NOTHING, min(end, self.picked.end, self.account.partial // HOUR * HOUR)
        for series in wanted:
            for since, until in [(FIRST, END + DAY)] if series[0] in SERVICES else MODELS:
                hours = range(-(-max(start, since) // HOUR) * HOUR, min(last, until), HOUR)
                total = sum_usage(total, *(self.hour(at, series) for at in hours))
        return total

    def minutes_of(self, api_id: str) -> Iterator[Tuple[int, Dict[str, float]]]:
        for at in range(-(-self.picked.start // MINUTE) * MINUTE, self.now - READ_AFTER, MINUTE):
            yield at, expected_minute(self.account.models, (api_id, ""), at)

    def cycles_shown(self) -> Iterator[Tuple[int, int]]:
        return ((at // (5 * MINUTE) * 5 * MINUTE, at) for at in self.api_fields if at in range(*self.picked))
