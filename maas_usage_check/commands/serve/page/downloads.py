"""What a page shows, for programs: the rows of `report` as CSV, JSON and FOCUS, without a query."""

from __future__ import annotations

import contextlib
from typing import Dict

from ....config import Instance
from ....errors import ConfigError
from ....ledger.models_window import ModelsWindow
from ....ledger.window import HoursWindow, StatisticsWindow
from ....state import Store, UnusableError
from ...report.asked_period import ask_period
from ...report.csv_json import encode
from ...report.focus import HEADER
from ...report.focus_report import write_charges
from ...report.hour_reports import make_hour_reports
from ...report.query_hours import QueriedHours
from ...report.report_options import View
from ...report.team_costs import add_team_costs
from .page_source import PageSource
from .page_view import PageView
from .read_content import view_instance

FORMS: Dict[str, str] = {"/usage.csv": "csv", "/usage.json": "json", "/focus.csv": "focus"}
"""The format of each path."""
DEFAULT_GROUP = "service"
NO_PRICES = "focus.csv: needs `prices` in the configuration, with `models: true` and `hourly: true`"


def download(form: str, view: PageView, source: PageSource, store: Store, now_ms: int) -> str:
    """Return the rows of a view, one for each day and group.

    Raises:
        ConfigError: the instance lacks the group or prices, or the month is not kept.
    """
    instance = view_instance(view, source.instance, now_ms)
    if form == "focus":
        return _charges(instance, source, store, now_ms)
    by = view.by or DEFAULT_GROUP
    asked = ask_period(instance, by == "model", now_ms)
    window: HoursWindow
    if by == "model":
        window = ModelsWindow(instance, store, source.account, [asked.kept], now_ms, unsettled=True)
    else:
        window = StatisticsWindow(instance, store, source.account, [asked.kept], now_ms, unsettled=True)
    report_view = View(by, "day", form)
    known, project_id = window.read(), source.account.project_id
    reports = list(make_hour_reports(instance, report_view, asked, known, project_id, now_ms))
    if by == "team" and instance.prices:
        with contextlib.suppress(UnusableError):
            reports = [add_team_costs(each, store, source.account, [asked.kept], now_ms, True) for each in reports]
    return encode(report_view, reports, [])


def _charges(instance: Instance, source: PageSource, store: Store, now_ms: int) -> str:
    if not instance.prices:
        raise ConfigError(NO_PRICES)
    asked, rows = ask_period(instance, True, now_ms), [HEADER]
    window = ModelsWindow(instance, store, source.account, [asked.kept], now_ms, by_key=True, unsettled=True)
    view, known = View("model", "day", "focus"), window.read()
    reports = list(make_hour_reports(instance, view, asked, known, source.account.project_id, now_ms))
    queried = QueriedHours(asked, [asked.kept], None, window, known, reports)
    write_charges(instance, queried, view, now_ms, rows.append)
    return "".join(rows)
