"""A week of the account that fills a real InfluxDB, which begins with a backfill, and what it must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, Set, Tuple

from line_protocol_parser import parse_line

from maas_usage_check.metrics import API

from . import dashboards, months
from .dashboards import INFLUXDB, Chosen, Range, is_over_time, midnight, month_began
from .hours import DAY, HOUR, NOTHING, Use, added
from .influxdb import query, write
from .models import MINUTE, minute
from .models import use as use_of_model
from .months import END, SERVICES, Series, Truth

START = END - 7 * DAY
FIRST, MODELS_FIRST = START - 29 * DAY, START - 10 * DAY + HOUR
"""When InfluxDB's cycles began, and the first hours that they asked for, of services and of models."""
CERTAIN = 20 * MINUTE
"""After its beginning a late minute is there, and was asked for."""
Panel = Dict[str, Any]


class Weeks(months.Account):
    """Let a week go by, which begins with a backfill, and fill an InfluxDB; ranges end just after a cycle."""

    board = INFLUXDB
    partial = END + 100 * MINUTE
    week, month = Range(START + 1, END + 1), Range(midnight(END - 29 * DAY), END + 1)
    hours, after = Range(END - 90 * MINUTE + 1, END + 1), Range(partial - 6 * DAY + 1, partial + 1)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "influx", backfill=29)

    def live(self) -> None:
        days, hours = range(START, END - DAY, DAY), range(END - DAY, END - 2 * HOUR, 4 * HOUR)
        for at in (*days, *hours, *range(END - 2 * HOUR, END + 1, 10 * MINUTE), self.partial):
            points = self.cycle(at)
            write(self.store, points)
            for point in (parse_line(line) for line in points.splitlines() if line.startswith(API)):
                for field, value in point["fields"].items():
                    self.note(at, field, value)
            assert at == self.partial or self.state[at]["missing_hours"] == 0

    def truth(self, chosen: Chosen, picked: Range) -> Truth:
        return TruthOfWeeks(self, chosen, picked)

    def answer(self, panel: Panel, target: Panel, chosen: Chosen, shown: Range) -> Iterator[Tuple[Any, float]]:
        """Leave out minutes that are not certain."""
        start, end = shown
        last = END - CERTAIN - 1 if panel["interval"] == "1m" else end
        text = target["query"].replace("$timeFilter", f"time >= {start}ms and time <= {end}ms")
        text = text.replace("$__interval", panel["interval"]).replace("now()", f"{end}ms")
        for row in query(self.store, dashboards.filled_in(INFLUXDB, text, chosen)):
            name = dashboards.legend(target["alias"], row.get("tags", {}))
            if is_over_time(panel):
                first = start if panel["type"] == "status-history" else start - DAY
                yield from (((name, at), value) for at, value in row["values"] if first <= at <= last)
            else:
                yield name, row["values"][-1][1]

    def offered(self, text: str) -> Set[str]:
        return {value for row in query(self.store, text) for _, value in row["values"]}


class TruthOfWeeks(Truth):
    """Say what was last read of each hour: whatever was picked, its point is the newest."""

    def hour(self, at: int, series: Series) -> Use:
        name, label = series
        if name in SERVICES:
            return self.account.hour(at, self.account.read[name][-1], name, label)
        return use_of_model(self.account.models, series, at, self.account.partial)

    def between(self, start: int, end: int, *wanted: Series) -> Use:
        total, last = NOTHING, min(end, self.picked.end, self.account.partial // HOUR * HOUR)
        for series in wanted:
            first = -(-max(start, FIRST if series[0] in SERVICES else MODELS_FIRST) // HOUR) * HOUR
            total = added(total, *(self.hour(at, series) for at in range(first, last, HOUR)))
        return total

    def minutes_of(self, api_id: str) -> Iterator[Tuple[int, Dict[str, float]]]:
        for at in range(-(-self.picked.start // MINUTE) * MINUTE, self.now - CERTAIN, MINUTE):
            yield at, minute(self.account.models, (api_id, ""), at)

    def cycles_shown(self) -> Iterator[Tuple[int, int]]:
        return ((at // (5 * MINUTE) * 5 * MINUTE, at) for at in self.state if at in range(*self.picked))

    def forecast(self) -> float:
        """Say where the month ends at the mean of the hours that had ended for 3 hours when they were last read."""
        began, used, longest = month_began(self.picked.end), 0, 0
        for name in self.services:
            settled = range(began, min(self.picked.end, self.account.read[name][-1] - 4 * HOUR + 1), HOUR)
            used += self.between(settled.start, settled.stop, (name, ""))[0]
            longest = max(longest, len(settled))
        return used / longest * 730.5
