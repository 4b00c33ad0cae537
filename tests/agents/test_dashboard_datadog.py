"""Every widget of the Datadog dashboard over simulated weeks, compared with the simulated usage."""

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
from .conftest import need_library
from .datadog_dashboard_eval import DashboardEvaluator, widgets
from .datadog_query_eval import Sample
from .demo_account import REGION
from .expected_hours import COUNTS, DAY, HOUR, HourlyUsage, Usage, expected_hour, sum_usage
from .expected_models import (
    CURRENCY,
    MINUTE,
    TRAFFIC,
    all_series,
    expected_cost,
    model_entry,
    model_names,
    newest_minute,
)
from .grafana_dashboards import midnight, month_start
from .simulated_account import END, ENTRY, LABELS, SERVICES, Series, expected_counts
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
"""When the cloud failed; when it refused queries of preset services."""
HERE = (REGION, PROJECT_ID)
BUDGET, COST_BUDGET = 1_000_000_000, 10_000


class Month:
    """Runs the check on the test's clock; records the submitted samples and the expected counts."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, aggregator: Any) -> None:
        clock.at = BEGAN / 1000
        cloud.emulator.usage = self.usage = HourlyUsage(late=True)
        cloud.emulator.models = self.models = SimulatedModels(3, 2, TRAFFIC, late=True)
        cloud.emulator.requests_per_minute = 5000
        check = make(cloud.entry(**ENTRY, **model_entry(self.models), backfill_days=0, min_collection_interval=300))
        truth = expected_counts(self.usage, self.models, BEGAN)
        self.samples: List[Sample] = []
        self.grown: Dict[int, Dict[Series, Usage]] = {}
        """Rise of each series' counts in each cycle."""
        for at in (*TIMES, PARTIAL):
            cloud.responder = (lambda request: Response(b"{}", 503)) if at in DOWN else None
            self.usage.refused_service_type = SERVICES["preset"] if at == PARTIAL else 0
            clock.at = at / 1000
            aggregator.reset()
            check.run()
            self.samples += [
                Sample(at // 1000, name, dict(tag.split(":", 1) for tag in one.tags), one.value)
                for name in aggregator.metric_names
                for one in aggregator.metrics(name)
            ]
            before = {each: counts.maximum for each, counts in truth.items()}
            for each, counts in truth.items():
                if at not in DOWN and SERVICES.get(each[0], -1) != self.usage.refused_service_type:
                    counts.update(at)
            self.grown[at] = {
                each: tuple(new - old for old, new in zip(before[each], counts.maximum))
                for each, counts in truth.items()
            }

    def hour(self, service: str, at: int, now: int) -> Usage:
        """Return what the cloud reports at `now` for an hour of a service type."""
        return expected_hour(self.usage, at, now, SERVICES[service])

    def used(self, start: int, end: int, *wanted: Series) -> Usage:
        return sum_usage(*(self.grown[at][each] for at in self.grown if start <= at <= end for each in wanted))


class ExpectedPanels:
    """Expected values of the widgets at `now` over the week before it; times in seconds."""

    def __init__(self, month: Month, now: int, chosen: Tuple[str, ...]) -> None:
        self.month, self.now, self.start, self.services = month, now, now - WEEK, chosen
        self.models = {each: model_names(month.models).get(each, each) for each in month.models.ids()}
        self.keys = sorted({key for _, key in all_series(month.models) if key})

    def total(self, begins: Callable[[int], int]) -> int:
        """Return the tokens of a range, each service type as it was last read within the hour."""
        found = 0
        for name in self.services:
            at = END if name == "preset" else self.now
            hours = range(begins(at), at // HOUR * HOUR + 1, HOUR)
            found += sum_usage(*(self.month.hour(name, hour, at) for hour in hours))[0]
        return found

    def minutes(self, *fields: str) -> List[Values]:
        times = [at for at in self.month.grown if self.start <= at <= self.now and at not in DOWN]
        return [
            {
                ((*HERE, name), at // 1000): shown[field]
                for at in times
                for each, name in self.models.items()
                for shown in [newest_minute(self.month.models, (each, ""), at)]
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
        spent = {each: self.month.used(start, self.now, (each, "")) for each in model_names(models)}
        return {(self.models[each], CURRENCY): float(expected_cost(models, each, used)) for each, used in spent.items()}

    def of(self) -> Dict[str, List[Values]]:
        month, models, used = self.month, self.models, partial(self.month.used, self.start, self.now)
        tokens, requests = ({(name,): used((each, ""))[i] for each, name in models.items()} for i in (0, 3))
        services = {(name,): used((name, ""))[0] for name in self.services}
        keys = {(key,): used(*((each, key) for each in models))[0] for key in self.keys}
        labels = {(label,): used(*((name, label) for name in self.services))[0] for label in LABELS if label}
        all_tokens = sum(services.values())
        pace = all_tokens / 7 * 30.44
        this_month = self.total(month_start)
        cost_this_month = sum(self.costs(month_start(self.now)).values())
        failing = {
            (*HERE, models[each]): newest_minute(month.models, (each, ""), self.now)["error_ratio"] for each in models
        }
        errors, requests_per_hour = (self.bars(hour, field) for field in ("errors", "requests"))
        failed_share = {group: errors[group] / count for group, count in requests_per_hour.items() if count}
        return {
            "Requests per minute": self.minutes("requests_per_minute"),
            "Tokens per minute": self.minutes("tokens_per_minute"),
            "Errors per minute": self.minutes("errors_4xx", "errors_5xx"),
            "Latency, seconds": self.minutes("latency_seconds"),
            "Time to first token, seconds": self.minutes("time_to_first_token_seconds"),
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
            "Failed calls per hour, share": [failed_share],
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


def test_every_widget(cloud: Cloud, clock: FixedClock, make_check: Make, aggregator: Any) -> None:
    """Every widget shows the simulated usage, and a partial failure shows as no fall."""
    month, dashboard = Month(cloud, clock, make_check, aggregator), widgets(read(DASHBOARD))
    for now, chosen in ((END, tuple(SERVICES)), (END, ("my_service",)), (PARTIAL, tuple(SERVICES))):
        picked = {} if len(chosen) > 1 else {"$service_type": f"service_type:{chosen[0]}"}
        store = DashboardEvaluator(month.samples, now // 1000, WEEK // 1000, picked)
        expected = ExpectedPanels(month, now, chosen).of()
        shown = {(one["title"], n): store.evaluate(one, asks) for one, n, asks in dashboard if one["title"] in expected}
        truth = {(title, number): values for title, lines in expected.items() for number, values in enumerate(lines)}
        assert all(truth.values())
        assert shown.keys() == truth.keys()
        wrong = [line for line, values in truth.items() if shown[line] != pytest.approx(values)]
        assert not wrong, (now, chosen, shown[wrong[0]], truth[wrong[0]])
    check_collection_widgets(month, dashboard)


def check_collection_widgets(month: Month, dashboard: List[Tuple[Dict[str, Any], int, Dict[str, Any]]]) -> None:
    """Compare the widgets of the collection with the api metrics and the simulated usage."""
    reported = {(one.at, one.metric): one.value for one in month.samples if one.metric.startswith("huawei_maas.api.")}
    api = partial(metric_name, "huawei_maas_api")
    for now, code in ((END, Result.OK), (PARTIAL, Result.PARTIAL)):
        shown = {
            (widget["title"], number): DashboardEvaluator(month.samples, now // 1000, 3600, {}).evaluate(
                widget, request
            )
            for widget, number, request in dashboard
        }
        assert shown["Up (worst instance)", 0] == {(): 1}
        assert shown["Result code of the last cycle", 0] == {(): code}
        assert shown["Missing hours", 0] == {(): reported[now // 1000, api("missing_hours")]}
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
            assert shown[widget] == {(group, at): reported[at, api(field)] for at in times}
