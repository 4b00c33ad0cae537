"""Every widget of the Datadog dashboard over weeks under the Agent's base library, held against the ledger."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, Tuple

import pytest
from werkzeug import Response

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.errors import Result
from maas_usage_check.metrics.datadog import metric_name

from ..conftest import Cloud, FixedClock
from .account import REGION
from .conftest import need_library
from .dashboards import midnight, month_began
from .datadog_board import Board, widgets
from .datadog_queries import Sample
from .hours import COUNTS, DAY, HOUR, Books, Use, added, use
from .models import CURRENCY, MINUTE, cost, entry_of, named, newest, series_of
from .months import END, ENTRY, LABELS, SERVICES, Series, counts_since
from .test_datadog_assets import DASHBOARD, read

need_library("datadog_checks.base")

pytestmark = pytest.mark.timeout(400)
Make = Callable[..., Any]
Values = Dict[Any, float]
BEGAN, WEEK = END - 17 * DAY, 7 * DAY
TIMES = (
    *range(BEGAN, END - DAY, 8 * HOUR),
    *range(END - DAY, END - HOUR, HOUR),
    *range(END - HOUR, END + 1, 5 * MINUTE),
)
"""When the check ran."""
DOWN = range(BEGAN + DAY, BEGAN + 2 * DAY)
PARTIAL = END + 15 * MINUTE
"""When the cloud failed, and when preset services could not be read."""
HERE = (REGION, PROJECT_ID)
BUDGET, COST_BUDGET = 1_000_000_000, 10_000


class Month:
    """Run the check by the test's clock; keep what it submitted and what must have been."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, aggregator: Any) -> None:
        clock.at = BEGAN / 1000
        cloud.emulator.usage = self.books = Books(late=True)
        cloud.emulator.models = self.models = SimulatedModels(3, 2, late=True)
        cloud.emulator.requests_per_minute = 5000
        check = make(cloud.entry(**ENTRY, **entry_of(self.models), backfill_days=0, min_collection_interval=300))
        truth = counts_since(self.books, self.models, BEGAN)
        self.samples: List[Sample] = []
        self.grown: Dict[int, Dict[Series, Use]] = {}
        """By how much each series' counts rose in each cycle."""
        for at in (*TIMES, PARTIAL):
            cloud.responder = (lambda request: Response(b"{}", 503)) if at in DOWN else None
            self.books.unreadable = SERVICES["preset"] if at == PARTIAL else 0
            clock.at = at / 1000
            aggregator.reset()
            check.run()
            self.samples += [
                Sample(at // 1000, name, dict(tag.split(":", 1) for tag in one.tags), one.value)
                for name in aggregator.metric_names
                for one in aggregator.metrics(name)
            ]
            before = {each: counts.most for each, counts in truth.items()}
            for each, counts in truth.items():
                if at not in DOWN and SERVICES.get(each[0], -1) != self.books.unreadable:
                    counts.look(at)
            self.grown[at] = {
                each: tuple(new - old for old, new in zip(before[each], counts.most)) for each, counts in truth.items()
            }

    def hour(self, service: str, at: int, now: int) -> Use:
        """Say what the cloud says at a moment of an hour of a service type."""
        return use(self.books, at, now, SERVICES[service])

    def used(self, start: int, end: int, *wanted: Series) -> Use:
        return added(*(self.grown[at][each] for at in self.grown if start <= at <= end for each in wanted))


class Truth:
    """Say what the widgets must show as of a moment, over the week before it, times in seconds."""

    def __init__(self, month: Month, now: int, chosen: Tuple[str, ...]) -> None:
        self.month, self.now, self.start, self.services = month, now, now - WEEK, chosen
        self.models = {each: named(month.models).get(each, each) for each in month.models.ids()}
        self.keys = sorted({key for _, key in series_of(month.models) if key})

    def total(self, begins: Callable[[int], int]) -> int:
        """Add up a range, each service type as it was last read within the hour."""
        found = 0
        for name in self.services:
            at = END if name == "preset" else self.now
            hours = range(begins(at), at // HOUR * HOUR + 1, HOUR)
            found += added(*(self.month.hour(name, hour, at) for hour in hours))[0]
        return found

    def by_minute(self, *fields: str) -> List[Values]:
        times = [at for at in self.month.grown if self.start <= at <= self.now and at not in DOWN]
        return [
            {
                ((*HERE, name), at // 1000): shown[field]
                for at in times
                for each, name in self.models.items()
                for shown in [newest(self.month.models, (each, ""), at)]
                if field in shown
            }
            for field in fields
        ]

    def bars(self, begins: Callable[[int], int], field: str = "tokens", shift: int = 0, whole: bool = False) -> Values:
        found: Dict[Any, float] = {}
        for at in self.month.grown:
            if self.start - shift <= at <= self.now - shift:
                for name in self.services:
                    key = (() if whole else (name,), begins(at + shift) // 1000)
                    rise = self.month.grown[at][name, ""][COUNTS.index(field)]
                    found[key] = found.get(key, 0) + rise
        return found

    def costs(self, start: int) -> Dict[Any, float]:
        models = self.month.models
        spent = {each: self.month.used(start, self.now, (each, "")) for each in named(models)}
        return {(self.models[each], CURRENCY): float(cost(models, each, used)) for each, used in spent.items()}

    def of(self) -> Dict[str, List[Values]]:
        month, models, used = self.month, self.models, partial(self.month.used, self.start, self.now)
        tokens, requests = ({(name,): used((each, ""))[i] for each, name in models.items()} for i in (0, 3))
        services = {(name,): used((name, ""))[0] for name in self.services}
        keys = {(key,): used(*((each, key) for each in models))[0] for key in self.keys}
        labels = {(label,): used(*((name, label) for name in self.services))[0] for label in LABELS if label}
        all_tokens = sum(services.values())
        pace = all_tokens / 7 * 30.44
        this_month = self.total(month_began)
        cost_this_month = sum(self.costs(month_began(self.now)).values())
        failing = {(*HERE, models[each]): newest(month.models, (each, ""), self.now)["error_ratio"] for each in models}
        errors, asked = (self.bars(hour, field) for field in ("errors", "requests"))
        return {
            "Requests per minute": self.by_minute("requests_per_minute"),
            "Tokens per minute": self.by_minute("tokens_per_minute"),
            "Errors per minute": self.by_minute("errors_4xx", "errors_5xx"),
            "Latency, seconds": self.by_minute("latency_seconds"),
            "Time to first token, seconds": self.by_minute("time_to_first_token_seconds"),
            "Failing now, share of calls": [failing],
            "Tokens today": [{HERE: self.total(midnight)}],
            "Tokens this month": [{HERE: this_month}],
            "Budget used, %": [{HERE: 100 * this_month / BUDGET}],
            "A month at the rate of the last 7 days": [{HERE: pace}],
            "A month at the rate of the last 7 days, % of the budget": [{HERE: 100 * pace / BUDGET}],
            "Tokens per hour, and a week earlier": [self.bars(hour, shift=ago, whole=True) for ago in (0, WEEK)],
            "Cost this month": [{(CURRENCY,): cost_this_month}],
            "Cost this month, % of the budget": [{(CURRENCY,): 100 * cost_this_month / COST_BUDGET}],
            "Tokens per hour": [self.bars(hour)],
            "Tokens per day": [self.bars(midnight)],
            "Requests per hour": [self.bars(hour, "requests")],
            "Failed calls per hour, share": [{key: errors[key] / asked[key] for key in asked if asked[key]}],
            "Tokens by model": [tokens],
            "Requests by model": [requests],
            "Cost by model": [self.costs(self.start)],
            "Tokens by API key": [keys],
            "Tokens by label": [labels],
            "Tokens by service type": [services],
            "Tokens without an API key": [{HERE: sum(tokens.values()) - sum(keys.values())}],
            "Tokens without a label": [{HERE: all_tokens - sum(labels.values())}],
        }


def hour(at: int) -> int:
    return at // HOUR * HOUR


def test_every_widget_shows_what_the_ledger_holds_and_a_partial_failure_is_no_fall(
    cloud: Cloud, clock: FixedClock, make_check: Make, aggregator: Any
) -> None:
    month, board = Month(cloud, clock, make_check, aggregator), widgets(read(DASHBOARD))
    for now, chosen in ((END, tuple(SERVICES)), (END, ("my_service",)), (PARTIAL, tuple(SERVICES))):
        picked = {} if len(chosen) > 1 else {"$service_type": f"service_type:{chosen[0]}"}
        store = Board(month.samples, now // 1000, WEEK // 1000, picked)
        expected = Truth(month, now, chosen).of()
        shown = {(one["title"], n): store.shown(one, asks) for one, n, asks in board if one["title"] in expected}
        truth = {(title, number): values for title, lines in expected.items() for number, values in enumerate(lines)}
        assert all(truth.values())
        assert shown.keys() == truth.keys()
        wrong = [line for line, values in truth.items() if shown[line] != pytest.approx(values)]
        assert not wrong, (now, chosen, shown[wrong[0]], truth[wrong[0]])
    of_state(month, board)


def of_state(month: Month, board: List[Tuple[Dict[str, Any], int, Dict[str, Any]]]) -> None:
    """Hold the widgets of the collection against what the check said of itself and the ledger."""
    told = {(one.at, one.metric): one.value for one in month.samples if one.metric.startswith("huawei_maas.api.")}
    api = partial(metric_name, "huawei_maas_api")
    for now, code in ((END, Result.OK), (PARTIAL, Result.PARTIAL)):
        shown = {
            (widget["title"], number): Board(month.samples, now // 1000, 3600, {}).shown(widget, request)
            for widget, number, request in board
        }
        assert shown["Up (worst instance)", 0] == {(): 1}
        assert shown["Result code of the last cycle", 0] == {(): code}
        assert shown["Missing hours", 0] == {(): told[now // 1000, api("missing_hours")]}
        assert bool(shown["Failed queries of the last cycle", 0][()]) is bool(code)
        assert shown["Coverage of the ranges", 0] == {(): 1}
        late = shown["Delay of the cloud's statistics, seconds", 0][(REGION,), now // 1000]
        newest_use = max(at + HOUR for at in range(END - DAY, END, HOUR) if month.hour("preset", at, END)[0])
        assert late == pytest.approx((now - newest_use) / 1000, abs=60)
        lines = {
            ("Up by region", 0): ("up", (REGION,)),
            ("Queries per cycle, and failed ones", 0): ("queries", ()),
            ("Queries per cycle, and failed ones", 1): ("failed_queries", ()),
            ("HTTP requests per cycle", 0): ("http_requests", ()),
            ("Duration of a cycle, seconds", 0): ("duration_seconds", (REGION,)),
        }
        for widget, (field, group) in lines.items():
            times = [at // 1000 for at in month.grown if now - HOUR <= at <= now]
            assert shown[widget] == {(group, at): told[at, api(field)] for at in times}
