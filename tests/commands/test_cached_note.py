"""`report` names the cached input below each cost if there is no `cached_share`."""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import pytest

from ..conftest import Cloud
from .conftest import Report
from .months import Months

NOTE = "\nCached input is priced as ordinary input, so the true cost is lower.\n"
OF_ALL = ('prices: {"currency"', 'prices: {"cached_share": 0, "currency"')
OF_ONE = ('"completion": 8.0', '"completion": 8.0, "cached_share": 0.4')


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path) -> Months:
    months = Months(cloud, report, tmp_path)
    report("--last", "24h", "--by", "model")  # a report by team reads the hours of models, and does not query them
    return months


@pytest.mark.parametrize("by", ["model", "team"])
def test_costs(months: Months, by: str) -> None:
    """Every price must have a share, 0 included: then the line is absent."""
    without = months.report.yaml
    for change, is_noted in ((("", ""), True), (OF_ONE, True), (OF_ALL, False)):
        months.report.yaml = without.replace(*change)
        shown = months.report("--last", "24h", "--by", by).stdout
        assert "Cost is an estimate" in shown
        assert shown.count(NOTE) == is_noted
    months.report.yaml = without
    for form in ("csv", "json"):
        assert NOTE.strip() not in months.report("--last", "24h", "--by", by, "--format", form).stdout


@pytest.mark.parametrize(
    ("budget", "change", "is_noted"),
    [
        ("{cost: 500}", ("", ""), True),
        ("{tokens: 9, cost: 500}", ("", ""), True),
        ("{tokens: 9, cost: 500}", OF_ALL, False),
        ("{tokens: 9}", ("", ""), False),
    ],
)
def test_budgets(months: Months, budget: str, change: Tuple[str, str], is_noted: bool) -> None:
    """The table of budgets has the line where one of them is in cost."""
    months.configure(more=f"budget: {budget}\nbackfill_days: 1")
    months.report.yaml = months.report.yaml.replace(*change)
    shown = months.report("--this-month").stdout
    assert "\nBudgets of 2026-11\n" in shown
    assert shown.count(NOTE) == is_noted
