"""What a page shows: the first screen, the tables, and what is not known."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import List

import pytest
from msgspec.structs import replace

from maas_usage_check.commands.report.usage_report import Group
from maas_usage_check.commands.serve.page.content import BudgetRow, CollectionState
from maas_usage_check.commands.serve.page.render import TEXTS
from maas_usage_check.config.ranges import HOUR
from maas_usage_check.errors import Problem
from maas_usage_check.metrics import CACHED_AS_ORDINARY

from .html_page import COMPARED, DASH, DAYS, HEAT, LIVE, show
from .page_sample import Sample, failing


def test_first_screen() -> None:
    """Use, budgets and their ends, the cost as an estimate, and the state come before the period."""
    text = show(Sample().content()).text.split("Usage: 7 days")[0]
    for part in (
        "Today Mon 23 Nov 17.9 M tokens 3,490 requests · 68 errors (1.9%)",
        "This month November 2026 470 M tokens",
        "Estimated cost this month so far CNY 1,258.40 today CNY 47.84",
        f"An estimate: tokens times the configured prices. {CACHED_AS_ORDINARY}",
        "Collection is working Newest use 17:00 (3 h ago) Missing hours none Last collection 20:28",
        "support tokens 84.0% used 210 M of 250 M will be used up 28 Nov 02:07 in 4 d",
        "search tokens 104.0% used 416 M of 400 M used up since 22 Nov 23:55",
        "All usage tokens 71.0% used 710 M of 1 B lasts the month forecast 93.0%",
    ):
        assert part in text


def test_most_urgent_budget_first() -> None:
    """A budget that is used up comes before one that will be, and an unknown one before those that last."""
    fields = (
        ("lasts, fuller", {"used_ratio": 0.6, "forecast_ratio": 0.9}),
        ("lasts", {"used_ratio": 0.7, "forecast_ratio": 0.8}),
        ("unknown", {}),
        ("later", {"used_ratio": 0.9, "forecast_ratio": 1.9, "exhausted_timestamp_seconds": 2e9}),
        ("sooner", {"used_ratio": 0.5, "forecast_ratio": 1.1, "exhausted_timestamp_seconds": 1.9e9}),
        ("used up", {"used_ratio": 1.0, "forecast_ratio": 1.2}),
    )
    order = ["used up", "sooner", "later", "unknown", "lasts, fuller", "lasts"]
    for rows in (fields, fields[::-1]):
        content = Sample().content(budgets=[BudgetRow(team, "tokens", {"limit": 1.0, **each}) for team, each in rows])
        text = show(content).text.split("Usage:")[0]
        assert sorted(order, key=lambda team: text.index(f"{team} tokens")) == order


def test_exact_on_hover() -> None:
    assert "17,850,703" in show(Sample().content()).attributes("span", "title")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("ok", "Collection is working"),
        ("partial", "Some queries failed"),
        ("failed", "Nothing was collected The numbers are the last known ones."),
        ("overdue", "Collection is overdue The numbers are the last known ones."),
        ("starting", "First collection is running"),
        ("file", "From the stored hours"),
    ],
)
def test_state(status: str, text: str) -> None:
    page = show(Sample().content(state=CollectionState(status)))
    assert text in page.text
    assert "Newest use none yet Missing hours not known" in page.text
    assert ("Last collection none yet" in page.text) == (status != "file")


def test_problems() -> None:
    """Problems come first, with the words of the log; the rest is folded, and counted."""
    assert (
        "Warning production: 3 of 18 queries failed: the network is down"
        in show(Sample().content(state=failing())).text.split("Today")[0]
    )
    many = [Problem("E", f"problem {index}", "") for index in range(10)]
    text = show(Sample().content(state=CollectionState("failed", problems=many))).text
    assert "Error problem 0 Error problem 1 Problems: 10 Error problem 2" in text
    assert "problem 7 2 more in the log" in text


def test_cached_note() -> None:
    """It stands wherever a cost does, if it has to."""
    content = Sample().content()
    assert show(content).text.count(CACHED_AS_ORDINARY) == 6
    assert CACHED_AS_ORDINARY not in show(replace(content, has_cached_note=False)).text


def test_no_prices() -> None:
    """Without prices there is no cost and no FOCUS."""
    sample = Sample()
    sample.has_prices = False
    page = show(sample.content())
    assert not re.search("cost|CNY|FOCUS|estimate", page.text, re.IGNORECASE)
    assert [cell for cell in page.tables[DAYS][0] if "ost" in cell] == []


def test_days() -> None:
    """Exact numbers with commas per day, and their total."""
    rows = show(Sample().content()).tables[DAYS]
    assert rows[0] == ["Day", "Total", "Prompt", "Completion", "Requests", "Errors", "Estimated cost, CNY"]
    assert rows[1][0] == "2026-11-16 Mon 20:00\N{EN DASH}00:00"
    assert rows[2] == ["2026-11-17 Tue", "25,845,930", "21,193,652", "3,359,964", "5,054", "98", "69.27"]
    assert rows[-1] == ["Total 166 of 168 h", "144,025,903", "118,101,183", "18,723,311", "28,145", "534", "385.99"]
    assert len(rows) == 1 + 8 + 1


def test_hover_of_a_day() -> None:
    """Other tokens are those that are neither prompt nor completion."""
    text = show(Sample().content()).text
    assert "Tue 17 Nov Total 25,845,930 Prompt 21,193,652 Completion 3,359,964 Other 1,292,314" in text


def test_groups() -> None:
    """Tokens, share and cost; a model without a price has no cost."""
    content = Sample().content()
    models = content.groups[1]
    whole = replace(models.whole, costs=(Decimal("12.345"), None, None), unpriced=(7_000_000, 39_279_791, 0))
    page = show(replace(content, groups=[content.groups[0], replace(models, whole=whole)]))
    assert page.tables["Teams"] == [
        ["Team", "Tokens", "Share", "Estimated cost, CNY"],
        ["search", "69,132,433", "48.0%", "185.27"],
        ["support", "34,566,216", "24.0%", "92.64"],
        ["data-platform", "23,044,144", "16.0%", "61.76"],
        ["No team", "17,283,108", "12.0%", "46.32"],
        ["Total", "144,025,903", "100.0%", "385.99"],
    ]
    assert [row[-1] for row in page.tables["Models"][1:4]] == [
        "12.357.00 M tokens without a price", "no price", "not known",
    ]  # fmt: skip
    kinds = tuple(
        Group("Preset Service", {"service_type": "preset", "infer_type": each}) for each in ("batch", "real_time")
    )
    both = show(replace(content, groups=[replace(content.groups[0], by="service", groups=kinds)]))
    assert [row[0] for row in both.tables["Services"][1:3]] == ["Preset Service, batch inference", "Preset Service"]
    services = show(replace(content, groups=[replace(content.groups[0], by="service", batch=True)]))
    assert services.tables["Services, batch inference"][0] == ["Service", "Tokens", "Share"]


@pytest.mark.parametrize(
    ("by", "groups", "expected"),
    [
        ("service", [Group("Preset Service", {"service_type": "preset"})], ["预置服务"]),
        ("team", [Group("unassigned", {}), Group("Other keys", {})], ["未分配团队", "Other keys"]),
        ("key", [Group("Other keys", {}), Group("online_experience", {})], ["其他 API Key", "在线体验"]),
        ("model", [Group("unassigned", {})], ["unassigned"]),
    ],
)
def test_own_names(by: str, groups: List[Group], expected: List[str]) -> None:
    """Groups that the plugin names itself are in the page's language; other names stay."""
    sample = Sample(language="zh")
    report = replace(sample.report(by, sample.window(), [each.title for each in groups]), groups=tuple(groups))
    tables = show(sample.content(groups=[report])).tables
    assert [row[0] for row in tables[TEXTS["zh"][f"group_{by}"]][1:-1]] == expected


def test_live_models() -> None:
    """A model says its minute; what it did not report is not known, and without calls there is no latency."""
    rows = show(Sample().content()).tables[LIVE]
    assert rows[1] == ["deepseek-v3.2", "20:24", "42", "214 K", "0", "11.22 s", "0.53 s", "70.0%", "93.0%"]
    assert rows[3] == ["kimi-k2-instruct", "20:24", "0", "0", "not known", DASH, DASH, "no limit", "no limit"]
    unknown = [each._replace(fields={"tokens_limit_ratio": 0.5}) for each in Sample().live_models()]
    rows = show(Sample().content(live_models=[*Sample().live_models(), *unknown])).tables[LIVE]
    assert rows[4][-2:] == ["not known", "50.0%"]
    without = [each._replace(fields={"requests_per_minute": 1.5}) for each in Sample().live_models()]
    rows = show(Sample().content(live_models=without)).tables[LIVE]
    assert rows[0][-1] == "First token"
    assert rows[1] == ["deepseek-v3.2", "20:24", "1.5", *["not known"] * 4]
    half = [each._replace(fields={**each.fields, "errors_5xx": 3.0}) for each in Sample().live_models()]
    rows = show(Sample().content(live_models=half)).tables[LIVE]
    assert [row[4] for row in rows[1:]] == ["3", "4", "not known"]


def test_months() -> None:
    rows = show(Sample().content()).tables[COMPARED]
    assert rows[1] == ["Total", "469,553,166", "485,925,986", "\N{MINUS SIGN}3.4%"]
    assert rows[6] == ["Estimated cost, CNY", "1,258.40", "1,302.28", "\N{MINUS SIGN}3.4%"]


def test_hours() -> None:
    """A cell of each hour, with its exact number."""
    rows = show(Sample().content()).tables[HEAT]
    assert len(rows) == 1 + 8
    assert rows[0][1:] == [f"{hour:02}" for hour in range(24)]
    assert rows[3][0] == "18 Nov"
    assert rows[3][19] == "1,393,505"
    assert rows[1][1:21] == [""] * 20
    assert rows[-1][19:23] == ["not reported yet", "not reported yet", "", ""]


def test_day_of_25_hours() -> None:
    """The hour that came twice has a column of its own, which other days do not have."""
    page = show(Sample("this_month", zone="America/New_York").content())
    rows = page.tables[HEAT]
    assert rows[0][1:5] == ["00", "01", "01", "02"]
    assert len([cell for cell in rows[1][1:] if cell]) == 25
    assert rows[2][3] == ""
    assert "An hour that came twice" in page.text
    assert len(list(page.having("td", "again"))) == len(rows) - 1


def test_old_hours() -> None:
    """Of a period whose hours are gone, the days remain."""
    content = Sample("last_month").content()
    later = content.now_ms + 60 * 24 * HOUR
    text = show(replace(content, now_ms=later, hours=[(at, None) for at, _ in content.hours])).text
    assert "They are kept for 62 days" in text
    assert "25,637,530" in text


def test_today_by_hours() -> None:
    """A single day is drawn by its hours."""
    page = show(Sample("today").content())
    assert "Tokens per hour" in page.text
    assert len(list(page.having("rect", "hit"))) == 20
    assert len(list(page.having("rect", "dotted"))) == 2
