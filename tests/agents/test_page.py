"""The page of `demo --serve` in Debian's Chromium: its numbers are the ledger's, and it requests nothing else."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import pytest

from maas_usage_check.cloud.usage import Usage

from .chromium import LARGE, SMALL, Browser, Screen, chromium
from .page_pictures import CHINESE, SCREENS, distinct_lines, picture_size, take
from .tour import BEGINS, ZONE, Ledger, Tour, running_tour

pytestmark = pytest.mark.timeout(240)
DAYS = "Exact numbers per day"
LABELS = {"search": "team-search", "support": "team-support", "batch": "batch-jobs"}
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEXT_HOUR = BEGINS.replace(minute=0) + HOUR
PERIODS = {
    "today": (BEGINS.replace(hour=0, minute=0), NEXT_HOUR),
    "7d": (NEXT_HOUR - 7 * DAY, NEXT_HOUR),
    "this_month": (datetime(2026, 11, 1, tzinfo=ZONE), NEXT_HOUR),
    "last_month": (datetime(2026, 10, 1, tzinfo=ZONE), datetime(2026, 11, 1, tzinfo=ZONE)),
    "2026-10": (datetime(2026, 10, 1, tzinfo=ZONE), datetime(2026, 11, 1, tzinfo=ZONE)),
}
"""The first hour of each, and the one after its last."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def tour(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    with running_tour(tmp_path_factory.mktemp("tour")) as tour:
        yield tour


@pytest.fixture(scope="module")
def ledger(tour: Tour) -> Ledger:
    return tour.ledger()


def written(*counts: int) -> List[str]:
    return [f"{count:,}" for count in counts]


def counts(usage: Usage) -> Sequence[int]:
    return usage.total_tokens, usage.prompt_tokens, usage.completion_tokens, usage.requests, usage.errors


def numbers(ledger: Ledger, begins: datetime, ends: datetime) -> List[str]:
    """Return the numbers of a row of days."""
    return [*written(*counts(ledger.usage(begins, ends))), ledger.cost(begins, ends)]


@pytest.mark.parametrize("period", PERIODS)
def test_days(browser: Browser, tour: Tour, ledger: Ledger, period: str) -> None:
    """Each day and the total have the ledger's tokens, requests, errors and cost."""
    browser.open(f"{tour.url}?period={period}")
    _, *days, total = browser.tables()[DAYS]
    begins, ends = PERIODS[period]
    assert total[1:] == numbers(ledger, begins, ends)
    midnight = begins.replace(hour=0)
    for day in days:
        start, end = max(begins, midnight), min(ends, midnight + DAY)
        assert (day[0][:10], day[1:]) == (f"{midnight:%Y-%m-%d}", numbers(ledger, start, end))
        midnight += DAY
    assert midnight >= ends


@pytest.mark.parametrize("period", ["7d", "last_month"])
def test_groups(browser: Browser, tour: Tour, ledger: Ledger, period: str) -> None:
    """Teams, keys and models have the ledger's tokens and cost, and add up to the total."""
    begins, ends = PERIODS[period]
    expected: Dict[str, Dict[str, List[str]]] = {"Teams": {}, "API keys": {}, "Models": {}}
    for team, label in LABELS.items():
        row = [*written(ledger.usage(begins, ends, label).total_tokens), ledger.cost(begins, ends, label=label)]
        expected["Teams"][team] = expected["API keys"][label] = row
    for model in ("deepseek-v3", "qwen3-32b", "our-finetune"):
        used = ledger.model_usage(begins, ends, model).total_tokens
        expected["Models"][model] = [*written(used), ledger.cost(begins, ends, model)]
    shown = {}
    for by in ("team", "key", "model"):
        browser.open(f"{tour.url}?period={period}&by={by}")
        shown.update(browser.tables())
    for title, rows in expected.items():
        _, *groups, total = shown[title]
        found = {name: [tokens, cost] for name, tokens, _, cost in groups}
        assert {name: found[name] for name in rows} == rows
        assert sum(int(tokens.replace(",", "")) for tokens, _ in found.values()) == int(total[1].replace(",", ""))


@pytest.mark.parametrize(("card", "period"), [("today", "today"), ("month", "this_month")])
def test_summary(browser: Browser, tour: Tour, ledger: Ledger, card: str, period: str) -> None:
    """The first screen has the use and the cost of today and of the month."""
    browser.open(tour.url)
    usage = ledger.usage(*PERIODS[period])
    exact = browser.run(
        f"return [...document.querySelectorAll('[aria-labelledby={card}] [title]')].map(each => each.title)"
    )
    assert exact == written(usage.total_tokens, usage.requests, usage.errors)
    assert f"CNY {ledger.cost(*PERIODS[period])}\n" in f"{browser.text('[aria-labelledby=cost]')}\n".replace(
        "today CNY", "CNY"
    )


@pytest.mark.parametrize("by", ["service", "team"])
def test_downloads(browser: Browser, tour: Tour, by: str) -> None:
    """The files that the links lead to add up to the days of the table."""
    browser.open(f"{tour.url}?period=last_month&by={by}")
    _, *days, total = browser.tables()[DAYS]
    rows = list(csv.DictReader(browser.download("CSV").splitlines()))
    assert sum(int(row["total_tokens"]) for row in rows) == int(total[1].replace(",", ""))
    assert [start[:10] for start in dict.fromkeys(row["start"] for row in rows)] == [day[0][:10] for day in days]
    for day in days:
        of_day = [row for row in rows if row["start"].startswith(day[0][:10])]
        names = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors")
        assert written(*(sum(int(row[name]) for row in of_day) for name in names)) == day[1:6]
    document = json.loads(browser.download("JSON"))
    assert [row["total_tokens"] for row in document["rows"]] == [int(row["total_tokens"]) for row in rows]
    cost = sum(float(row["BilledCost"]) for row in csv.DictReader(browser.download("FOCUS").splitlines()))
    assert f"{cost:,.2f}" == total[6]


def test_no_request_leaves(browser: Browser, tour: Tour) -> None:
    """Whatever a link leads to: the browser requests this page alone, and neither it nor the policy complains."""
    browser.requests()
    browser.problems()
    browser.open(tour.url)
    views = browser.run("return [...document.querySelectorAll('a')].map(each => each.href)")
    pages = [view for view in views if view.startswith(f"{tour.url}?")]
    files = [view for view in views if re.match(f"{tour.url}(usage.csv|usage.json|focus.csv)\\?", view)]
    assert len(pages) >= 15
    assert sorted(pages + files) == sorted(views)
    for view in pages:
        browser.open(view)
    assert browser.requests() == [tour.url, *pages]
    assert browser.problems() == []


@pytest.mark.parametrize("languages", [LARGE.languages, CHINESE])
def test_small(browser: Browser, tour: Tour, languages: str) -> None:
    """A window of 380 pixels shows every period and group without scrolling to the side."""
    for view in ("?period=today", "?period=7d", "?period=last_month", "?by=team", "?by=key", "?by=model"):
        browser.open(f"{tour.url}{view}", SMALL._replace(languages=languages))
        assert browser.run("return document.scrollingElement.scrollWidth") == SMALL.width


@pytest.mark.parametrize("languages", [LARGE.languages, CHINESE])
def test_first_screen(browser: Browser, tour: Tour, languages: str) -> None:
    """The first screen of 1280 by 800 pixels holds today, month, cost, the status of the data, and all budgets."""
    browser.open(tour.url, LARGE._replace(languages=languages))
    assert browser.run("return window.innerHeight") == LARGE.height
    for section in ("today", "month", "cost", "state", "budgets"):
        box = browser.run(f"return document.querySelector('[aria-labelledby={section}]').getBoundingClientRect()")
        assert 0 < box["top"] < box["bottom"] <= LARGE.height
        assert 0 < box["left"] < box["right"] <= LARGE.width
    assert len(browser.run("return [...document.querySelectorAll('.budgets li')]")) == 5


@pytest.mark.parametrize(
    ("query", "languages", "title"),
    [
        ("", LARGE.languages, "MaaS usage"),
        ("", CHINESE, "MaaS 用量"),
        ("?lang=zh", LARGE.languages, "MaaS 用量"),
        ("?lang=en", CHINESE, "MaaS usage"),
    ],
)
def test_languages(browser: Browser, tour: Tour, query: str, languages: str, title: str) -> None:
    """The browser's language rules, but for one that the URL names."""
    browser.open(f"{tour.url}{query}", Screen(languages=languages))
    assert browser.text("h1") == title


def test_links(browser: Browser, tour: Tour) -> None:
    """Period, group, month and language are links that keep the rest of the URL."""
    browser.open(tour.url)
    browser.click("Last month")
    assert browser.text("#usage") == "Usage: Last month"
    browser.click("Model")
    assert [browser.text("#usage"), browser.text("#group1")] == ["Usage: Last month", "Models"]
    assert browser.driver.current_url == f"{tour.url}?period=last_month&by=model"
    browser.driver.find_element("css selector", ".controls summary").click()
    browser.click("September 2026")
    assert browser.text("#usage") == "Usage: September 2026"
    browser.click("中文")
    assert browser.text("#usage").endswith("2026年9月")
    assert browser.driver.current_url == f"{tour.url}?period=2026-09&by=model&lang=zh"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scheme(browser: Browser, tour: Tour, scheme: str) -> None:
    """A browser that wants it dark gets light text on dark ground, and the other way round."""
    browser.open(tour.url, Screen(scheme=scheme))
    for selector in ("body", ".card", "table"):
        style = f"getComputedStyle(document.querySelector('{selector}'))"
        ink, ground = browser.run(f"return [{style}.color, {style}.backgroundColor]")
        ink_light, *ground_light = (
            sum(map(int, re.findall("[0-9]+", colour)[:3])) / 3
            for colour in (ink, ground)
            if "0, 0, 0, 0" not in colour
        )
        assert ink_light > 200 if scheme == "dark" else ink_light < 60
        assert all(light < 60 if scheme == "dark" else light > 200 for light in ground_light)


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: "-".join(map(str, screen)))
def test_pictures(browser: Browser, tour: Tour, screen: Screen, tmp_path: Path) -> None:
    """A picture of each size, scheme and language is not blank."""
    picture = tmp_path / "page.png"
    take(browser, tour.url, screen, picture)
    png = picture.read_bytes()
    assert picture_size(png) == (screen.width, screen.height)
    assert distinct_lines(png) > screen.height / 3
