"""Known hours of one instance for a report: complete them, add them up, report missing hours with their causes."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Sequence

from ...collection import Collector
from ...config.ranges import Window
from ...errors import Problem
from ...ledger import Account
from ...ledger.known_usage import KnownUsage
from ...ledger.models_window import ModelsWindow
from ...ledger.window import HoursWindow, StatisticsWindow
from ...state import Store, Warn
from .asked_period import AskedPeriod, ask_period
from .complete_hours import Completion
from .hour_notes import WHY_UNKNOWN
from .hour_reports import make_hour_reports
from .model_notes import estimated_week
from .report_options import View
from .usage_report import UsageReport


class QueriedHours(NamedTuple):
    """The known hours of an instance, and the reports of those of which anything is known.

    `windows` are those that were completed; `week` is one of them, by which the month's cost is estimated.
    """

    asked: AskedPeriod
    windows: Sequence[Window]
    week: Optional[Window]
    window: HoursWindow
    known: Optional[KnownUsage]
    reports: List[UsageReport]


def query_hours(
    collector: Collector,
    view: View,
    now_ms: int,
    make_store: Callable[[], Store],
    log_problems: Callable[[Sequence[Problem]], None],
    warn: Warn,
) -> Optional[QueriedHours]:
    """Complete the hours of a report; None if there are none. For the other arguments see Completion."""
    instance, store, is_models = collector.instance, collector.schedulers.store, view.by == "model"
    where = f"{instance.display_name}: {'Cloud Eye: ' if is_models else ''}"
    asked = ask_period(instance, is_models, now_ms, view.compare)
    if asked.kept.start == asked.kept.end:
        text = f"{asked.name} contains no {'final' if view.compare else 'complete'} UTC hour of the last 13 months"
        log_problems([Problem("E", f"{where}{text}: choose another range, such as --last 24h", "")])
        return None
    week = estimated_week(instance, asked, now_ms) if is_models and not view.is_focus else None
    windows: List[Window] = [each for each in (asked.kept, asked.previous, week) if each is not None]
    if is_models:
        window: HoursWindow = ModelsWindow(instance, store, Account(), windows, now_ms, by_key=view.is_focus)
    else:
        window = StatisticsWindow(instance, store, Account(), windows, now_ms)
    known, causes = Completion(collector, window, make_store, log_problems, warn).wait()
    reports: List[UsageReport] = []
    if known is not None:
        made = list(make_hour_reports(instance, view, asked, known, window.account.project_id, now_ms))
        reports = made if any(each.is_known and (each.groups or not causes) for each in made) else []
    if not reports and not causes:
        causes = [f"no hour of {asked.name} is known: {WHY_UNKNOWN[view.by]}"]
        if known is not None and known.has_days:  # --hourly
            causes = [f"the hours of {asked.name} are kept only as days (hours for 62 days); use --daily"]
    log_problems([Problem("W" if reports else "E", f"{where}{text}", "") for text in causes])
    return QueriedHours(asked, windows, week, window, known, reports)
