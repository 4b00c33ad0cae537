"""The cost that the Agent's base library gets, compared with the emulator's own hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict

from maas_usage_check.metrics import MODEL_COST_CONSUMED, MODEL_KEY_COST_CONSUMED
from maas_usage_check.metrics.datadog import metric_name

from ..conftest import Cloud, FixedClock
from ..priced_account import NAMES, PricedAccount, Series
from .conftest import need_library

need_library("datadog_checks.base")


def submitted(aggregator: Any) -> Dict[Series, Any]:
    """Return the counts of a cycle by series."""
    found: Dict[Series, Dict[str, float]] = {}
    for measurement in (MODEL_COST_CONSUMED, MODEL_KEY_COST_CONSUMED):
        for name in NAMES:
            for metric in aggregator.metrics(metric_name(measurement, name)):
                assert metric.type == aggregator.COUNT
                tags = dict(tag.split(":", 1) for tag in metric.tags)
                assert tags["currency"] == "CNY"
                found.setdefault((tags["maas_api_id"], tags.get("maas_key_id", "")), {})[name] = metric.value
    return {series: tuple(values[name] for name in NAMES) for series, values in found.items()}


def test_costs(
    cloud: Cloud, make_check: Callable[..., Any], aggregator: Any, clock: FixedClock, tmp_path: Path, dd_run_check: Any
) -> None:
    """The counts of each cycle are the cost of the hours since the one before, at the prices of their time."""
    account = PricedAccount(cloud, tmp_path / "state")
    check = make_check(account.entry)
    start = account.hour
    for hours in (0, 11, 11):
        clock.at += hours * 3600
        aggregator.reset()
        dd_run_check(check)
        expected = account.total(start, account.hour)
        assert submitted(aggregator) == expected
        start = account.hour
    assert min(min(values) for values in expected.values()) > 0
