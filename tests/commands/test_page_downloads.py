"""The downloads of a page are the rows of `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from ..conftest import Cloud, FixedClock
from .conftest import Report, delete_state, parse_csv
from .months import Months
from .served_pages import ServedPages, access_key

__all__ = ["access_key"]
PERIODS = (("last_month", "--last-month"), ("2026-08", "--month=2026-08"), ("this_month", "--this-month"))
FORMS = {"/usage.csv": "csv", "/usage.json": "json"}


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path, access_key: None) -> Months:
    return Months.collected(cloud, report, tmp_path)


@pytest.fixture
def pages(months: Months, clock: FixedClock) -> Callable[[], ServedPages]:
    return lambda: ServedPages(months.report.program, months.report.config(), clock.clock)


@pytest.mark.parametrize("by", ["team", "key", "model", "service"])
def test_same_as_report(months: Months, pages: Callable[[], ServedPages], by: str) -> None:
    """Of periods that are over, the same bytes as `report --daily`."""
    served = pages()
    for period, option in PERIODS[:2]:
        for path, form in FORMS.items():
            done = months.report(option, "--by", by, "--daily", "--format", form)
            assert (done.returncode, served.text(path, f"period={period}&by={by}")) == (0, done.stdout)


def test_focus(months: Months, pages: Callable[[], ServedPages]) -> None:
    """The same bytes as `report --format focus`, whatever the group."""
    served = pages()
    for period, option in PERIODS[:2]:
        done = months.report(option, "--format", "focus", "--daily")
        assert (done.returncode, served.text("/focus.csv", f"period={period}&by=team")) == (0, done.stdout)
        assert served.text("/focus.csv", f"period={period}") == done.stdout
        assert len(parse_csv(done.stdout)) > 60


def test_running_period(months: Months, pages: Callable[[], ServedPages]) -> None:
    """Hours that may still change are included, as on the page; the days before are those of `report`."""
    served = pages()
    rows = parse_csv(served.text("/usage.csv", "period=this_month&by=team"))
    reported = months.report.csv("--this-month", "--by", "team", "--daily")
    assert rows[:-3] == reported[:-3]
    shown = served.content("period=this_month&by=team")
    last = shown.period.lines[-1].total
    assert last
    assert sum(int(row["total_tokens"]) for row in rows[-3:]) == last.total_tokens


@pytest.mark.parametrize(
    ("path", "query", "name", "kind"),
    [
        ("/usage.csv", "", "maas-usage-7d-service.csv", "text/csv; charset=utf-8"),
        ("/usage.json", "by=team&period=today", "maas-usage-today-team.json", "application/json"),
        ("/usage.csv", "by=model&period=2026-10&lang=zh", "maas-usage-2026-10-model.csv", "text/csv; charset=utf-8"),
        ("/focus.csv", "by=key&period=last_month", "maas-usage-last_month-focus.csv", "text/csv; charset=utf-8"),
    ],
)
def test_headers(months: Months, pages: Callable[[], ServedPages], path: str, query: str, name: str, kind: str) -> None:
    """A file with a name of its own, which nobody keeps."""
    assert dict(pages().get(path, query).headers) == {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Content-Type": kind,
        "Content-Disposition": f'attachment; filename="{name}"',
    }


def test_without_prices(months: Months, pages: Callable[[], ServedPages]) -> None:
    """There is no FOCUS without prices, and no cost in the rows."""
    lines = [line for line in months.report.yaml.splitlines() if not line.startswith("prices")]
    months.report.yaml = "\n".join(lines)
    response = pages().get("/focus.csv")
    assert (response.status, response.body.decode()) == (
        "404 Not Found",
        "focus.csv: needs `prices` in the configuration, with `models: true` and `hourly: true`\n",
    )
    assert "cost" not in parse_csv(pages().text("/usage.csv", "by=model"))[0]


def test_without_state(cloud: Cloud, months: Months, pages: Callable[[], ServedPages], tmp_path: Path) -> None:
    """Nothing is known, and no number is 0; no state is created, and the cloud is not asked."""
    delete_state(tmp_path)
    cloud.requests.clear()
    served = pages()
    for by in ("team", "key", "service", "model"):
        rows: List[Dict[str, Any]] = json.loads(served.text("/usage.json", f"by={by}"))["rows"]
        assert {row.get(name) for row in rows for name in ("total_tokens", "requests", "share")} <= {None}
        assert {row["covered_ratio"] for row in rows} <= {0.0}
    assert parse_csv(served.text("/focus.csv")) == []
    assert not list(tmp_path.glob("*.sqlite3*"))
    assert not cloud.requests
