"""Check that generated files and tables are current."""

from __future__ import annotations

import importlib
from functools import partial
from itertools import zip_longest
from typing import Callable, Iterable, Iterator, NamedTuple, Optional

from maas_usage_check.metrics import CATALOGUE
from maas_usage_check.metrics.datadog import metadata_csv

from .. import dashboards, datadog, datadog_monitors, metrics_reference, zabbix
from ..datadog_monitor import document
from ..languages import LANGUAGES
from .pages import Pages, Problem

ASSETS = "maas_usage_check/assets"
MONITORS = f"{ASSETS}/datadog/monitors"


class Made(NamedTuple):
    """A generated file, its text, and the module that writes it."""

    file: str
    text: Callable[[], str]
    writer: str


def made() -> Iterator[Made]:
    """List the generated files."""
    for page in metrics_reference.PAGES:
        file = page.file.relative_to(metrics_reference.DOCS.parent).as_posix()
        yield Made(file, partial(metrics_reference.text, page), "tools.metrics_reference")
    for name in LANGUAGES:
        yield Made(f"{ASSETS}/grafana/maas-usage-{name}.json", partial(dashboards.text, name), "tools.dashboards")
    board = f"{ASSETS}/datadog/dashboards/{datadog.FILE.name}"
    yield Made(board, lambda: datadog.text(datadog.dashboard()), "tools.datadog")
    for name, monitor in datadog_monitors.MONITORS.items():
        text = partial(datadog.text, document(monitor))
        yield Made(f"{MONITORS}/{name}.json", text, "tools.datadog_monitors")
    yield Made("examples/zabbix/template.yaml", zabbix.text, "tools.zabbix")
    yield Made(f"{ASSETS}/metadata.csv", metadata_csv, "metadata_csv() of maas_usage_check/metrics/datadog.py")


def stale(pages: Pages, files: Optional[Iterable[Made]] = None) -> Iterator[Problem]:
    """Report generated files that are out of date, at the first line that differs."""
    for file, text, writer in files or made():
        both = zip_longest(pages.source(file).splitlines(), text().splitlines())
        for number, (held, expected) in enumerate(both, 1):
            if held != expected:
                yield Problem(file, number, f"not current: write it with {writer}")
                break


def left_over(pages: Pages) -> Iterator[Problem]:
    """Report files of monitors that no longer exist."""
    for file in (pages.root / MONITORS).glob("*.json"):
        if file.stem not in datadog_monitors.MONITORS:
            yield Problem(f"{MONITORS}/{file.name}", 1, "tools/datadog_monitors.py makes no such monitor")


def faults(pages: Pages) -> Iterator[Problem]:
    """Report rows of the table of faults that differ on the troubleshooting page."""
    page = pages.read("docs/troubleshooting.md")
    rows: str = importlib.import_module("tests.faults.table").markdown()
    if rows not in page.text:
        missing = [row for row in rows.splitlines() if row not in page.text.splitlines()]
        yield page.problem(f"the table of faults is not that of tests/faults/table.py, markdown(): {missing[:1]}")


def measurements(pages: Pages) -> Iterator[Problem]:
    """Report measurements without a table of fields, which tools.metrics_reference fills in."""
    for made_page in metrics_reference.PAGES:
        page = pages.read(made_page.file.relative_to(metrics_reference.DOCS.parent).as_posix())
        tables = {section.title for section in page.sections if made_page.header in section.prose}
        for name in CATALOGUE:
            if name not in tables:
                yield page.problem(f"no section {name} with a table {made_page.header}")
