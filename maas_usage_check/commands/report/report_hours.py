"""The reports of one instance from the ledger: complete it, add it up, report missing hours with their causes."""

from __future__ import annotations

import contextlib
from typing import Callable, List, Sequence

from msgspec.structs import replace

from ...collection import Collector
from ...config.ranges import Window
from ...errors import Problem
from ...ledger import Account
from ...ledger.models_window import ModelsWindow
from ...ledger.window import StatisticsWindow
from ...state import Store, UnusableError, Warn
from ..comparison import compare
from .asked_period import ask_period
from .complete_hours import Completion
from .hour_notes import WHY_UNKNOWN
from .hour_reports import make_hour_reports
from .model_notes import estimated_week, model_notes
from .report_options import View
from .team_costs import add_team_costs
from .usage_report import UsageReport


def report_hours(
    collector: Collector,
    view: View,
    now_ms: int,
    make_store: Callable[[], Store],
    log_problems: Callable[[Sequence[Problem]], None],
    warn: Warn,
) -> List[UsageReport]:
    """Return the reports of which anything is known; for the other arguments see Completion."""
    instance, store, is_models = collector.instance, collector.schedulers.store, view.by == "model"
    where = f"{instance.display_name}: {'Cloud Eye: ' if is_models else ''}"
    asked = ask_period(instance, is_models, now_ms, view.compare)
    if asked.kept.start == asked.kept.end:
        text = f"{asked.name} contains no {'final' if view.compare else 'complete'} UTC hour of the last 13 months"
        log_problems([Problem("E", f"{where}{text}: choose another range, such as --last 24h", "")])
        return []
    week = estimated_week(instance, asked, now_ms) if is_models else None
    windows: List[Window] = [each for each in (asked.kept, asked.previous, week) if each is not None]
    window = (ModelsWindow if is_models else StatisticsWindow)(instance, store, Account(), windows, now_ms)
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
    if view.by == "team" and instance.prices:
        with contextlib.suppress(UnusableError):  # a warning was logged
            reports = [add_team_costs(each, store, window.account, windows, now_ms) for each in reports]
    if known is None or not is_models:
        return reports
    comparison = compare(instance, store, window.account, known.tokens(asked.kept), now_ms)
    return [replace(each, notes=(*each.notes, *model_notes(each, known, week, now_ms), comparison)) for each in reports]
