"""The rows of `report` for programs: CSV and JSON with the same columns, plain numbers, and times with UTC offset."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any, Dict, List, Optional, Sequence

from ...cloud.statistics.totals import BATCH_COUNTS, COUNTS, TOKENS
from ...cloud.usage import Usage
from ...config.prices import EXACT, sum_costs
from .month_budgets import MonthBudgets
from .periods import local_time
from .report_options import View
from .usage_report import Line, Row, UsageReport, sum_usages

PERIOD_COLUMNS = ("region", "project_id", "tags", "period", "start", "end", "partial", "covered_ratio")
GROUP_COLUMNS = {
    "service": ("service_type", "infer_type"),
    "key": ("infer_type", "api_key_label"),
    "model": ("maas_api_id", "model"),
    "team": ("team", "cost_center"),
}
OWNER_COLUMNS = ("team", "cost_center")
NUMBERS = {
    "service": (*TOKENS, *COUNTS, *BATCH_COUNTS, "error_ratio"),
    "key": (*TOKENS, *COUNTS, "error_ratio", "share"),
}
NUMBERS["model"] = NUMBERS["team"] = NUMBERS["key"]
COST_COLUMNS = ("currency", "cost")
PREVIOUS_COLUMNS = (
    "previous_start", "previous_end", "previous_covered_ratio", "previous_total_tokens", "previous_requests",
    "change_ratio",
)  # fmt: skip
PREVIOUS_COST_COLUMNS = ("previous_cost", "cost_change_ratio")


def encode(view: View, reports: Sequence[UsageReport], budgets: Sequence[MonthBudgets]) -> str:
    """Encode the rows of all instances as CSV with a header, or as one JSON object with the total and the budgets."""
    rows = [row for report in reports for line in report.lines for row in _rows(report, line)]
    has_costs, has_owners = any(report.currency for report in reports), any(report.instance.teams for report in reports)
    columns = (
        *PERIOD_COLUMNS,
        *GROUP_COLUMNS[view.by],
        *(OWNER_COLUMNS if view.by == "key" and has_owners else ()),
        *NUMBERS[view.by],
        *(COST_COLUMNS if has_costs else ()),
        *(PREVIOUS_COLUMNS if view.compare else ()),
        *(PREVIOUS_COST_COLUMNS if view.compare and has_costs else ()),
    )
    if view.form == "json":
        shown = [{name: row.get(name) for name in columns} for row in rows]
        return _json_document(reports, shown, columns, budgets)
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: csv_value(value) for name, value in row.items()})
    return output.getvalue()


def csv_value(value: Any) -> Any:
    """Write booleans as true and false, decimals without an exponent, and no text that is a spreadsheet's formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return json.dumps(value) if isinstance(value, bool) else f"{value:f}" if isinstance(value, Decimal) else value


def _rows(report: UsageReport, line: Line) -> List[Dict[str, Any]]:
    """Make a row of each group; a number that is not known is None."""
    instance, period = report.instance, line.period
    shared = {
        "region": instance.region,
        "project_id": report.project_id or None,
        "tags": ",".join(instance.tags),
        "period": period.name,
        "start": _time(report, period.start),
        "end": _time(report, period.end),
        "partial": period.partial,
        "covered_ratio": period.covered_ratio,
        "currency": report.currency,
    }
    if line.previous is not None:
        before = line.previous.period
        shared["previous_start"], shared["previous_end"] = _time(report, before.start), _time(report, before.end)
        shared["previous_covered_ratio"] = before.covered_ratio
    return [{**shared, **group.columns, **_numbers(row)} for group, row in zip(report.groups, line.rows)]


def _numbers(row: Row) -> Dict[str, Any]:
    before = row.previous_usage
    return {
        **{name: getattr(row.usage, name, None) for name in (*Usage.__struct_fields__, "error_ratio")},
        "share": row.share,
        "cost": _amount(row.cost),
        "previous_total_tokens": before.total_tokens if before else None,
        "previous_requests": before.requests if before else None,
        "change_ratio": row.change,
        "previous_cost": _amount(row.previous_cost),
        "cost_change_ratio": row.cost_change,
    }


def _amount(cost: Optional[Decimal]) -> Optional[Decimal]:
    return None if cost is None else cost.normalize(EXACT)


def _json_document(
    reports: Sequence[UsageReport],
    rows: Sequence[Dict[str, Any]],
    columns: Sequence[str],
    budgets: Sequence[MonthBudgets],
) -> str:
    """Write a row per line; the total has the same numbers, None where one of them is not known."""
    length = sum(report.whole.period.length for report in reports)
    covered = sum(report.whole.period.covered for report in reports)
    period = None
    if reports:
        first = min(reports, key=lambda report: report.whole.period.start)
        last = max(reports, key=lambda report: report.whole.period.end)
        start, end = _time(first, first.whole.period.start), _time(last, last.whole.period.end)
        period = {"name": first.whole.period.name, "start": start, "end": end}
    currencies = {report.currency for report in reports if report.currency}
    total = {**_numbers(_total(reports, len(currencies) == 1)), "currency": min(currencies, default=None)}
    head: Dict[str, Any] = {"period": period, "covered_ratio": covered / length if length else 0.0}
    befores = [report.whole.previous.period for report in reports if report.whole.previous]
    if befores:
        asked = sum(before.length for before in befores)
        head["previous_covered_ratio"] = sum(before.covered for before in befores) / asked if asked else 0.0
    shown = {name: total[name] for name in columns if name in total and name != "share"}
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, default=float) for row in rows)
    tail: Dict[str, Any] = {"total": shown}
    if budgets:
        tail["budgets"] = [row for of_instance in budgets for row in of_instance.rows()]
    return (
        f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n], {json.dumps(tail, ensure_ascii=False, default=float)[1:]}\n'
    )


def _total(reports: Sequence[UsageReport], has_cost: bool) -> Row:
    """Add up the totals of all reports. Costs of several currencies have no sum."""
    totals = [report.whole.total_row for report in reports]
    priced = [row for row, report in zip(totals, reports) if report.currency and has_cost]
    cost, before = (
        None if None in costs or not costs else sum_costs(filter(None, costs))
        for costs in ([row.cost for row in priced], [row.previous_cost for row in priced])
    )
    usages = (sum_usages([row.usage for row in totals]), sum_usages([row.previous_usage for row in totals]))
    comparable = (all(row.is_comparable for row in totals), all(row.is_cost_comparable for row in priced))
    return Row(usages[0], cost, None, usages[1], before, *comparable)


def _time(report: UsageReport, at_ms: int) -> str:
    return local_time(at_ms, report.tz).isoformat(timespec="seconds")
