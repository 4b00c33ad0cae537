"""Responses to requests for the page: headers, errors, and when it is made again."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Iterator, List

import pytest

from maas_usage_check.commands.serve.page.page_responses import MAX_KEPT, PageResponse
from maas_usage_check.errors import Problem
from maas_usage_check.metrics import BUDGET, Point

from ..conftest import Cloud, FixedClock, Program
from .served_pages import ServedPages, access_key

__all__ = ["access_key"]
PATHS = ("/", "/usage.csv", "/usage.json", "/focus.csv")


@pytest.fixture
def pages(cloud: Cloud, program: Program, clock: FixedClock, tmp_path: Path, access_key: None) -> Iterator[ServedPages]:
    """Return the pages of an instance without a state. None of them sends anything to the cloud, or makes a state."""
    config = program.cloud_config(cloud, f"hourly: true\nmodels: true\ntimezone: Asia/Shanghai\nstate_dir: {tmp_path}")
    yield ServedPages(program, config, clock.clock)
    assert not cloud.requests
    assert not list(tmp_path.glob("*.sqlite3*"))


def made_at(response: PageResponse) -> str:
    """Return the time at which a page says that it was made."""
    assert response.status == "200 OK", response.body
    match = re.search(r"As of 2026-11-23 (\d\d:\d\d)", response.body.decode())
    assert match
    return match[1]


def test_headers(pages: ServedPages) -> None:
    """Nothing but the style in the page is allowed, nothing is kept by anybody, and it differs by language."""
    response = pages.get()
    headers = dict(response.headers)
    (style,) = re.findall("<style>(.*?)</style>", response.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert (response.status, len(headers), len(response.headers)) == ("200 OK", 6, 6)
    assert headers == {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Content-Type": "text/html; charset=utf-8",
        "Vary": "Accept-Language",
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("period=x", "400 Bad Request", "period: must be today, 7d, this_month, last_month or a month such as 2026-10"),
        ("instance=2", "400 Bad Request", "instance: must be a number from 1 to 1, its place in the configuration"),
        (
            "period=2025-09",
            "404 Not Found",
            "period: 2025-09 is more than 13 months ago: usage is kept from 2025-10-16 on; choose a later month",
        ),
        ("by=team", "404 Not Found", "by: this instance has no teams: it has model, service"),
    ],
)
def test_errors(pages: ServedPages, path: str, query: str, status: str, text: str) -> None:
    """An error is one line of plain text, and is not kept."""
    response = pages.get(path, query)
    assert (response.status, response.body.decode()) == (status, f"{text}\n")
    assert dict(response.headers) == {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Content-Type": "text/plain; charset=utf-8",
    }


@pytest.mark.parametrize("path", ["/", "/usage.csv"])
def test_bug(pages: ServedPages, path: str) -> None:
    """A bug is one line without a traceback, and the next request is answered."""
    broken = pages.snapshot.batches
    pages.snapshot.batches = (broken[0]._replace(points=[Point(BUDGET, {}, {}, 0), None]),)  # type: ignore[list-item]
    response = pages.get(path)
    assert response.status == "500 Internal Server Error"
    (line,) = response.body.decode().splitlines()
    assert "Traceback" not in line
    assert 'File "' not in line
    pages.snapshot.batches = broken
    assert pages.get(path).status == "200 OK"


HOSTILE: List[str] = [
    "x" * 10_000,
    "&".join(["period=today"] * 10_000),
    "period=" + "2" * 10_000,
    "instance=" + "9" * 10_000,
    "%00",
    "period=%00",
    "by=%FF%FE",
    "lang=\udcff\x00",
    "instance=%D9%A1",
    "\xff\xfe=\xff",
    "period=today;by=<script>alert(1)</script>",
    "%",
    "%zz=%zz&=&&==",
    "period[]=today&__proto__=1",
    "\r\nSet-Cookie: a=b",
]


@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.parametrize("path", PATHS)
def test_hostile_queries(pages: ServedPages, path: str, query: str) -> None:
    """No query is an error of the server; nothing of it is in the response."""
    response = pages.get(path, query, accept_language=query)
    assert response.status[:3] in ("200", "400", "404")
    assert b"script" not in response.body
    assert not any("\n" in value or "\r" in value for _, value in response.headers)


@pytest.mark.parametrize(("after_s", "expected"), [(0, "20:30"), (59.9, "20:30"), (60, "20:31"), (3600, "21:30")])
def test_kept_for_a_minute(pages: ServedPages, clock: FixedClock, after_s: float, expected: str) -> None:
    clock.at += 0.5
    assert made_at(pages.get()) == "20:30"
    clock.at += after_s
    assert made_at(pages.get()) == expected


def test_clock_set_back(pages: ServedPages, clock: FixedClock) -> None:
    """A page is kept for a minute that passed, not for one of a clock that was set."""
    assert made_at(pages.get()) == "20:30"
    clock.set_by(-3600)
    assert made_at(pages.get()) == "20:30"
    clock.at += 60
    assert made_at(pages.get()) == "19:31"


def test_new_batch(pages: ServedPages) -> None:
    """A page is made again after each cycle."""
    assert b"out of order" not in pages.get().body
    pages.complete_cycle(problems=[Problem("E", "the cloud is out of order", "")])
    assert b"out of order" in pages.get().body
    pages.complete_cycle()
    assert b"out of order" not in pages.get().body


@pytest.mark.parametrize(("after_s", "is_overdue"), [(50, False), (50.1, True)])
def test_overdue(pages: ServedPages, clock: FixedClock, after_s: float, is_overdue: bool) -> None:
    """A page is made again when a cycle is overdue, and when the next one has ended."""
    pages.snapshot.set_deadline(clock.clock.monotonic() + 50)
    assert b"is overdue" not in pages.get().body
    clock.at += after_s
    assert (b"is overdue" in pages.get().body) == is_overdue
    pages.snapshot.set_deadline(clock.clock.monotonic() + 50)
    assert b"is overdue" not in pages.get().body


def test_bounded(pages: ServedPages, clock: FixedClock) -> None:
    """32 pages are kept; with the next one all others are dropped."""
    months = [f"{2025 + month // 12}-{month % 12 + 1:02}" for month in range(9, 23)]
    queries = [f"period={month}{more}" for month in months for more in ("", "&lang=en", "&lang=zh")]
    clock.at += 30
    assert made_at(pages.get()) == "20:30"
    clock.at += 30
    for query in queries[: MAX_KEPT - 1]:
        assert pages.get(query=query).status == "200 OK"
    assert made_at(pages.get()) == "20:30"
    assert pages.get(query=queries[MAX_KEPT - 1]).status == "200 OK"
    assert made_at(pages.get()) == "20:31"


def test_views_are_apart(pages: ServedPages) -> None:
    """A kept page is that of its language and parameters; downloads are not kept."""
    english, chinese = pages.get(), pages.get(accept_language="zh-CN")
    assert (b'lang="en"' in english.body, b'lang="zh' in chinese.body) == (True, True)
    assert pages.get(accept_language="zh").body == chinese.body != pages.get(query="lang=zh").body
    assert pages.get().body == english.body != pages.get(query="period=today").body
    assert pages.get("/usage.csv").body.startswith(b"region,")
