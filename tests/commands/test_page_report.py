"""`report --format html`: the page as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List

import pytest

from ..conftest import Cloud
from ..program import only_line
from .conftest import Report
from .html_page import DAYS, HtmlPage
from .months import NOVEMBER, OCTOBER, TEAMS, Months


@pytest.fixture
def months(cloud: Cloud, report: Report, tmp_path: Path) -> Months:
    return Months.collected(cloud, report, tmp_path)


def page(report: Report, *options: str, **environ: str) -> HtmlPage:
    done = report("--format", "html", *options, LC_ALL="C", **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return HtmlPage(done.stdout)


def by_name(rows: List[List[str]]) -> List[str]:
    return [row[0] for row in rows]


def test_month(months: Months) -> None:
    """A month has the tokens and the cost of `report`, by day, team and model; nothing of it is queried."""
    shown = page(months.report, "--last-month")
    assert months.cloud.requests == []
    assert "Usage: Last month" in shown.text
    days = {row["start"][:10]: row for row in months.report.json("--last-month", "--daily")}
    assert len(days) == 31
    for day, *cells in shown.tables[DAYS][1:-1]:
        row = days[day.split()[0]]
        assert cells[:3] == [f"{row[name]:,}" for name in ("total_tokens", "prompt_tokens", "completion_tokens")]
    total = shown.tables[DAYS][-1]
    assert total[1] == f"{months.tokens(OCTOBER, NOVEMBER)[0]:,}"
    for by, name in (("team", "Teams"), ("model", "Models")):
        rows = {row[by]: row for row in months.report.json("--last-month", "--by", by)}
        table = next(rows for caption, rows in shown.tables.items() if name in caption)
        cells = {each[0]: each[1:] for each in table[1:-1]}
        for group, row in rows.items():
            shown_as = "No team" if group == "unassigned" else group
            assert cells[shown_as][0] == f"{row['total_tokens']:,}"
            assert cells[shown_as][-1] == f"{row['cost']:,.2f}"
    assert {*TEAMS} <= {*by_name(next(rows for caption, rows in shown.tables.items() if "Teams" in caption))}


def test_file_stands_alone(months: Months) -> None:
    """A file has no link and no control, and forbids all that it does not contain."""
    shown = page(months.report, "--last-month")
    assert "href" not in {name for _, attributes in shown.tags for name in attributes}
    assert "Models now" not in shown.text
    policy = next(each["content"] for _, each in shown.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_by(months: Months) -> None:
    shown = page(months.report, "--month", "2026-09", "--by", "model")
    assert "Usage: September 2026" in shown.text
    assert "Models" in shown.text
    assert "Teams" not in shown.text


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "7 days"),
        (("--last", "24h"), "24 hours"),
        (("--last", "3d"), "3 days"),
        (("--yesterday",), "Yesterday"),
        (("--today",), "Today"),
        (("--this-month",), "This month"),
        (("--from", "2026-11-01", "--to", "2026-11-03"), "2026-11-01..2026-11-03"),
    ],
)
def test_period(months: Months, options: List[str], name: str) -> None:
    assert f"Usage: {name} " in page(months.report, *options).text


@pytest.mark.parametrize("locale", ["zh_CN.UTF-8", "zh"])
def test_language(months: Months, locale: str) -> None:
    """The file is in the language of the environment."""
    done = months.report("--format", "html", "--last-month", LC_ALL=locale)
    assert '<html lang="zh' in done.stdout


def test_completes_hours(cloud: Cloud, report: Report) -> None:
    """Without a ledger, the hours of the period are queried, and the budgets are of what is known then."""
    report.yaml = "hourly: true\ntimezone: UTC\nbudget: {tokens: 1000000000000}"
    cloud.emulator.requests_per_minute = 10**6
    shown = page(report, "--last", "24h")
    assert cloud.requests
    total = shown.tables[DAYS][-1][1]
    rows = report.json("--last", "24h", "--daily")
    assert total == f"{sum(row['total_tokens'] for row in rows):,}"
    assert "lasts the month" in shown.text


def test_failure(cloud: Cloud, report: Report) -> None:
    """Where nothing is known, there is no page, and the exit code is 1."""
    cloud.emulator.denied_permissions.add("modelarts:monitoring:get")
    report.yaml = "hourly: true"
    done = report("--format", "html", "--last", "24h")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is known: choose another period" in done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--compare"], "--compare: cannot be combined with --format html: the page compares months; leave it out"),
        (["--raw"], "--raw: works only with --format table; leave out --raw or --format"),
        (["--by", "team"], "--by team: needs `teams` in the --config file, with the labels of each team's API keys"),
    ],
)
def test_wrong_options(report: Report, options: List[str], text: str) -> None:
    done = report("--format", "html", *options)
    assert (only_line(done, 2), done.stdout) == (f"E! {text}", "")


def test_one_instance(cloud: Cloud, report: Report) -> None:
    """A file shows one instance."""
    config = Path(report.config())
    entry = config.read_text().split("instances:\n")[1]
    config.write_text(f"{config.read_text()}\n{entry}\n    tags: ['n:2']\n")
    done = report.program("report", "--config", str(config), "--format", "html")
    assert done.returncode == 2
    assert f"--format html: shows one instance, and {config} has 2; use a file with one of them" in done.stderr


def test_missing_extra(report: Report) -> None:
    code = "import sys; sys.modules['jinja2'] = None; from maas_usage_check.cli import run; run()"
    arguments = report.arguments("--format", "html")
    report.program.command = [sys.executable, "-c", code]
    line = only_line(report.program.process(*arguments), 2)
    assert line == "E! --format html: needs the extra `serve`: pip install 'maas-usage-check[serve]'"
