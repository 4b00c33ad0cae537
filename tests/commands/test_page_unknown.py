"""What is not known is said and hatched on the page, and is never zero."""

from __future__ import annotations

import re

from maas_usage_check.commands.serve.page.content import BudgetRow, LiveModel
from maas_usage_check.config.ranges import HOUR

from .html_page import COMPARED, DASH, DAYS, LIVE, show
from .page_sample import NOW, Sample


def test_nothing_known() -> None:
    """An empty ledger has no number, and no 0 that could be read as one."""
    sample = Sample()
    sample.is_empty = True
    page = show(sample.content(live_models=[LiveModel("m", NOW - 60_000, {})]))
    assert "Today Mon 23 Nov not known" in page.text
    assert "This month November 2026 not known" in page.text
    assert page.tables[DAYS][2][1:] == ["not known", "not known"]
    assert page.tables["Teams"][1] == ["search", "not known", "not known", "not known"]
    assert page.tables[LIVE][1] == ["m", "20:29", *["not known"] * 5]
    assert page.tables[COMPARED][1] == ["Total", "not known", "not known", DASH]
    assert "No hour of this period is known yet" in page.text
    assert not re.search(r"(?<![\d:.,-])0(?![\d:.,])(?! h)", page.text.split("Budgets")[0].split("Today")[1])
    assert not list(page.having("rect", "prompt"))
    assert not list(page.having("svg", "prompt"))


def test_unknown_budget() -> None:
    """An unknown amount is hatched; an unknown end is said."""
    rows = [
        BudgetRow("", "tokens", {"limit": 1e6}),
        BudgetRow("a", "tokens", {"limit": 1e6, "used": 5.0, "used_ratio": 5e-6}),
    ]
    page = show(Sample().content(budgets=rows))
    assert "All usage tokens not known not known of 1 M end not known" in page.text
    assert "a tokens 0.0% used 5 of 1 M end not known" in page.text
    assert (
        "only 87.5% of the hours are known"
        in show(Sample().content(budgets=[rows[1]._replace(fields={**rows[1].fields, "covered_ratio": 0.8759})])).text
    )


def test_no_budget() -> None:
    assert "Budgets of November 2026 No budget is configured" in show(Sample().content(budgets=())).text


def test_missing_and_late_hours() -> None:
    """Missing hours are hatched and counted; those that the cloud reports later are neither."""
    sample = Sample()
    usual = show(sample.content(live_models=()))
    assert not list(usual.having("rect", "hatched"))
    assert "hours not known" not in usual.text
    assert not list(usual.having("small", "unknown"))
    assert (len(list(usual.having("td", "w"))), len(list(usual.having("td", "u")))) == (2, 0)
    assert len(list(usual.having("rect", "dotted"))) == 1
    sample.unknown = [NOW // HOUR * HOUR - hours * HOUR for hours in range(40, 100)]
    gaps = show(sample.content())
    assert "60 hours not known" in gaps.text
    assert (len(list(gaps.having("td", "w"))), len(list(gaps.having("td", "u")))) == (2, 60)
    assert len([each for each in gaps.having("rect", "hatched") if each.get("height") == "100%"]) == 2
    assert [row[:3] for row in gaps.tables[DAYS][4:6]] == [
        ["2026-11-19 Thu 17 of 24 h", "16,474,056", "13,508,720"],
        ["2026-11-20 Fri", "not known", "not known"],
    ]
    assert gaps.tables[DAYS][-1][-1] == "more than 265.88"
    assert {row[-1] for row in gaps.tables[COMPARED][1:]} == {DASH}
    assert "No change in percent: some hours of these months are not known." in gaps.text


def test_midnight() -> None:
    """In the first hour of a day no hour of it is over."""
    sample = Sample("today", now=NOW + 4 * HOUR - HOUR // 4)
    page = show(sample.content())
    assert "Today Tue 24 Nov not known" in page.text
    assert "No hour of this period is known yet" in page.text


def test_first_hours_of_a_day() -> None:
    """After midnight nothing of today is due: that is no gap."""
    sample = Sample(now=NOW + 5 * HOUR)
    text = show(sample.content()).text
    assert "Today Tue 24 Nov not known The first hours are not reported yet." in text
    assert "hours not known" not in text
