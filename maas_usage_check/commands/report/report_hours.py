"""The reports of one instance from whole hours: complete them, add them up, report missing ones with their causes."""

from __future__ import annotations

from typing import Callable, List, Sequence

from msgspec.structs import replace

from ...collection import Collector
from ...errors import Problem
from ...ledger import Account
from ...ledger.window import ModelsWindow, StatisticsWindow
from ...state import Store, Warn
from ..comparison import compare
from .complete_hours import Completion
from .hour_reports import WHY_UNKNOWN, asked_hours, make_hour_reports
from .model_notes import last_week, model_notes
from .report_options import View
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
    asked = asked_hours(instance, view.by, now_ms)
    if not asked.kept:
        text = f"{asked.name} contains no complete UTC hour of the last 29 days"
        log_problems([Problem("E", f"{where}{text}: choose another range, such as --last 24h", "")])
        return []
    hours = sorted({*asked.kept, *(last_week(now_ms) if is_models and instance.prices else ())})
    window = (ModelsWindow if is_models else StatisticsWindow)(instance, store, Account(), hours, now_ms)
    known, causes = Completion(collector, window, make_store, log_problems, warn).wait()
    reports: List[UsageReport] = []
    if known is not None:
        made = list(make_hour_reports(instance, view.by, view.size, asked, known, window.account.project_id))
        reports = made if any(each.is_known and (each.groups or not causes) for each in made) else []
    if not reports and not causes:
        causes = [f"no hour of {asked.name} is known: {WHY_UNKNOWN[view.by]}"]
    log_problems([Problem("W" if reports else "E", f"{where}{text}", "") for text in causes])
    if known is None or not is_models:
        return reports
    comparison = compare(instance, store, window.account, known.tokens(asked.kept), now_ms)
    return [replace(each, notes=(*each.notes, *model_notes(each, known, now_ms), comparison)) for each in reports]
