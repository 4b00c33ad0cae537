"""Every widget of the Datadog dashboard over simulated weeks, compared with the simulated usage."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, List, Tuple

import pytest

from maas_usage_check.errors import Result
from maas_usage_check.metrics.datadog import metric_name

from ..conftest import Cloud, FixedClock
from .conftest import need_library
from .datadog_dashboard_eval import DashboardEvaluator, widgets
from .demo_account import REGION
from .expected_hours import DAY, HOUR
from .expected_in_datadog import ExpectedPanels
from .month_in_datadog import PARTIAL, WEEK, Make, Month
from .simulated_account import (
    END,
    SERVICES,
)
from .test_datadog_assets import DASHBOARD, read

need_library("datadog_checks.base")

pytestmark = pytest.mark.timeout(400)


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
        for number, field in enumerate(("used", "forecast", "limit")):
            name = metric_name("huawei_maas_budget", field)
            assert shown["Use of the month, forecast and budget", number] == {
                ((one.tags["unit"],), one.at): one.value
                for one in month.samples
                if one.metric == name and one.tags["scope"] == "all" and now - HOUR <= 1000 * one.at <= now
            }
        late = shown["Delay of the cloud's statistics, seconds", 0][(REGION,), now // 1000]
        newest_use = max(at + HOUR for at in range(END - DAY, END, HOUR) if month.hour(at, END, "preset")[0])
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
