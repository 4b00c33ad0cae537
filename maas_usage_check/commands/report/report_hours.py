"""The reports of one instance from the ledger."""

from __future__ import annotations

import contextlib
from typing import Callable, List, Optional

from msgspec.structs import replace

from ...collection import Collector
from ...state import UnusableError
from ..comparison import compare
from .focus_report import write_charges
from .model_notes import model_notes
from .query_hours import QueriedHours
from .report_options import View
from .team_costs import add_team_costs
from .usage_report import UsageReport


def report_hours(
    queried: Optional[QueriedHours],
    collector: Collector,
    view: View,
    now_ms: int,
    write_stdout: Callable[[str], None],
) -> List[UsageReport]:
    """Return the reports of which anything is known; with FOCUS, write the charges of the same hours."""
    if queried is None:
        return []
    if view.is_focus:
        write_charges(collector.instance, queried, view, now_ms, write_stdout)
        return queried.reports
    return _finish(queried, collector, view, now_ms)


def _finish(queried: QueriedHours, collector: Collector, view: View, now_ms: int) -> List[UsageReport]:
    """Return the reports with the costs of teams, and with the sentences about models."""
    known, reports, account = queried.known, queried.reports, queried.window.account
    instance, store, week = collector.instance, collector.schedulers.store, queried.week
    if view.by == "team" and instance.prices:
        with contextlib.suppress(UnusableError):  # a warning was logged
            reports = [add_team_costs(each, store, account, queried.windows, now_ms) for each in reports]
    if known is None or view.by != "model":
        return reports
    comparison = compare(instance, store, account, known.tokens(queried.asked.kept), now_ms)
    return [replace(each, notes=(*each.notes, *model_notes(each, known, week, now_ms), comparison)) for each in reports]
