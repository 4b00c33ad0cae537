"""Which view a URL of the page asks for, and its links."""

from __future__ import annotations

from typing import Dict, List
from urllib.parse import parse_qs

import pytest

from maas_usage_check.commands.serve.page.page_view import PageView, preferred_language, read_page_view

WRONG_PERIOD = "period: must be today, 7d, this_month, last_month or a month such as 2026-10"
WRONG_GROUP = "by: must be team, key, model or service"
WRONG_LANGUAGE = "lang: must be en or zh"


def wrong_instance(count: int) -> str:
    return f"instance: must be a number from 1 to {count}, its place in the configuration"


def read(query: str, accept_language: str = "", instances: int = 1) -> PageView:
    return read_page_view(parse_qs(query, keep_blank_values=True), accept_language, instances)


def test_defaults() -> None:
    """Without parameters: the last 7 days of the first instance, all groups, in English."""
    assert read("") == PageView("7d", "", 1, "en")
    assert not read("").in_url


@pytest.mark.parametrize("period", ["today", "7d", "this_month", "last_month", "2026-10", "2000-01", "2099-12"])
def test_periods(period: str) -> None:
    assert read(f"period={period}").period == period


@pytest.mark.parametrize("by", ["team", "key", "model", "service", ""])
def test_groups(by: str) -> None:
    """An empty group is none."""
    assert read(f"by={by}").by == by


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        *((f"period={period}", WRONG_PERIOD) for period in ("", "%00", "%FF", "TODAY", "2026-00", "2026-13", "2026-1")),
        *((f"period={period}", WRONG_PERIOD) for period in ("1999-12", "2100-01", "2026-10-01", "2026-10%0A")),
        *((f"period={period}", WRONG_PERIOD) for period in ("x2026-10", "%EF%BC%92026-10", "2026-1%D9%A0")),
        *((f"by={by}", WRONG_GROUP) for by in ("Team", "hour", "team%00", "%FF")),
        *((f"lang={language}", WRONG_LANGUAGE) for language in ("de", "EN", "zh-CN", "%00")),
    ],
)  # fmt: skip
def test_wrong(query: str, problem: str) -> None:
    """A wrong parameter is named with what it may be; its own text, which may be hostile, is not repeated."""
    with pytest.raises(ValueError, match="must be") as error:
        read(query)
    assert str(error.value) == problem


@pytest.mark.parametrize("number", ["0", "3", "-1", "+1", "1.0", "", " 1", "1%0A", "%D9%A1", "1000000", "9" * 5000])
def test_wrong_instance(number: str) -> None:
    """Of two instances: neither 0 nor 3, nor what only resembles a number."""
    with pytest.raises(ValueError, match="instance") as error:
        read(f"instance={number}", instances=2)
    assert str(error.value) == wrong_instance(2)


@pytest.mark.parametrize(("number", "expected"), [("1", 1), ("2", 2), ("002", 2)])
def test_instance(number: str, expected: int) -> None:
    assert read(f"instance={number}", instances=2).instance == expected


def test_no_instance() -> None:
    """Where there is no instance, the first one is wrong too."""
    with pytest.raises(ValueError, match="from 1 to 0"):
        read("", instances=0)


def test_last_wins() -> None:
    """Of several values the last one holds, also if it is wrong; unknown parameters are ignored, and not kept."""
    view = read("period=x&period=today&utm_source=mail&by=hour&by=key&lang=zh&%3Cscript%3E=1")
    assert view == PageView("today", "key", 1, "zh", {"period": "today", "by": "key", "lang": "zh"})
    with pytest.raises(ValueError, match="period"):
        read("period=today&period=x")


@pytest.mark.parametrize(
    ("accept_language", "expected"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh-Hans", "zh"),
        ("ZH-hans-CN", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("en;q=0.5,zh;q=0.51", "zh"),
        ("zh;q=0.5,en;q=0.5", "zh"),  # the first of equals
        ("en;q=0.5,zh;q=0.5", "en"),
        ("de, fr;q=0.9, zh;q=0.1", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=0.0,en;q=0", "en"),
        (" zh-TW ; q=0.7 , en ; q=0.6", "zh"),
        ("*", "en"),
        ("de,*;q=0.5", "en"),
        ("zh;q=1.2.3", "en"),
        ("zh;q=.", "en"),
        ("zh;q=", "en"),
        ("zh;q=-1", "en"),
        ("zh;q=nan", "en"),
        ("zh;level=1", "en"),
        ("zhx, xzh, z", "en"),
        (",;,=;q,\x00\xff", "en"),
        ("," * 10_000, "en"),
    ],
)
def test_preferred_language(accept_language: str, expected: str) -> None:
    assert preferred_language(accept_language) == expected


def test_language() -> None:
    """`lang` is stronger than the browser's wish; an empty one leaves it to the browser."""
    for query, accept_language, language in (("lang=en", "zh", "en"), ("lang=zh", "en", "zh"), ("lang=", "zh", "zh")):
        assert read(query, accept_language).language == language
    assert read("", "zh").in_url == {}


@pytest.mark.parametrize(
    ("query", "path", "changes", "expected"),
    [
        ("", "", {}, {}),
        ("", "", {"period": "today"}, {"period": ["today"]}),
        ("lang=zh&instance=2&x=1", "", {"by": "key"}, {"lang": ["zh"], "instance": ["2"], "by": ["key"]}),
        ("period=today&by=key", "", {"by": ""}, {"period": ["today"]}),
        ("period=today", "usage.csv", {"period": "2026-10"}, {"period": ["2026-10"]}),
    ],
)
def test_links(query: str, path: str, changes: Dict[str, str], expected: Dict[str, List[str]]) -> None:
    """A relative link keeps the other parameters of the URL."""
    link = read(query, instances=2).link(path, **changes)
    found, _, parameters = link.partition("?")
    assert (found, parse_qs(parameters)) == (path, expected)
    assert "?" in link  # `?` alone is the page without parameters; an empty link would keep them


def test_key() -> None:
    """Pages are the same only if all that they show is: also their links, which a URL's own language is in."""
    queries = ("", "lang=en", "lang=zh", "period=7d", "by=key", "instance=1", "instance=2")
    assert len({read(query, instances=2).key for query in queries}) == len(queries)
    assert read("by=key&period=7d").key == read("x=1&period=7d&by=key").key
