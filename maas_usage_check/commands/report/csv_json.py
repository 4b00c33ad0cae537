"""The rows of `report` for programs: CSV and JSON with the same columns, plain numbers, and times with UTC offset."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any, Dict, List, Optional, Sequence

from ...cloud.statistics.totals import BATCH_COUNTS, COUNTS, TOKENS
from ...cloud.usage import Usage
from .periods import local_time
from .report_options import View
from .usage_report import Line, UsageReport, sum_usages

PERIOD_COLUMNS = ("region", "project_id", "tags", "period", "start", "end", "partial", "covered_ratio")
GROUP_COLUMNS = {
    "service": ("service_type", "infer_type"),
    "key": ("infer_type", "api_key_label"),
    "model": ("maas_api_id", "model"),
}
NUMBERS = {
    "service": (*TOKENS, *COUNTS, *BATCH_COUNTS, "error_ratio"),
    "key": (*TOKENS, *COUNTS, "error_ratio", "share"),
}
NUMBERS["model"] = NUMBERS["key"]
COST_COLUMNS = ("currency", "cost")


def encode(view: View, reports: Sequence[UsageReport]) -> str:
    """Encode the rows of all instances as CSV with a header, or as one JSON object with the total."""
    rows = [row for report in reports for line in report.lines for row in _rows(report, line)]
    prices = {report.instance.prices.currency for report in reports if report.instance.prices}
    cost_columns = COST_COLUMNS if view.by == "model" and prices else ()
    columns = (*PERIOD_COLUMNS, *GROUP_COLUMNS[view.by], *NUMBERS[view.by], *cost_columns)
    if view.form == "json":
        return _json_document(reports, [{name: row.get(name) for name in columns} for row in rows], columns)
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
        "currency": instance.prices.currency if instance.prices else None,
    }
    rows: List[Dict[str, Any]] = []
    for group, usage in zip(report.groups, line.usages):
        cost = group.cost(usage)
        own = {"share": line.share(usage), "cost": None if cost is None else cost.normalize()}
        rows.append({**shared, **group.columns, **_numbers(usage), **own})
    return rows


def _numbers(usage: Optional[Usage]) -> Dict[str, Any]:
    return {name: getattr(usage, name, None) for name in (*Usage.__struct_fields__, "error_ratio")}


def _json_document(reports: Sequence[UsageReport], rows: Sequence[Dict[str, Any]], columns: Sequence[str]) -> str:
    """Write a row per line; the total has the same numbers, None where one of them is not known."""
    length = sum(report.whole.period.length for report in reports)
    covered = sum(report.whole.period.covered for report in reports)
    period = None
    if reports:
        first = min(reports, key=lambda report: report.whole.period.start)
        last = max(reports, key=lambda report: report.whole.period.end)
        start, end = _time(first, first.whole.period.start), _time(last, last.whole.period.end)
        period = {"name": first.whole.period.name, "start": start, "end": end}
    total = {**_numbers(sum_usages([report.whole.total for report in reports])), **_total_cost(reports)}
    head = {"period": period, "covered_ratio": covered / length if length else 0.0}
    shown = {name: total[name] for name in columns if name in total}
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, default=float) for row in rows)
    return f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n], "total": {json.dumps(shown, default=float)}}}\n'


def _total_cost(reports: Sequence[UsageReport]) -> Dict[str, Any]:
    """Return the cost of all reports; None if they have several currencies."""
    priced = [report for report in reports if report.instance.prices]
    currencies = {report.instance.prices.currency for report in priced if report.instance.prices}
    costs = [report.total_cost(report.whole) for report in priced]
    is_known = len(currencies) == 1 and None not in costs
    return {"currency": min(currencies, default=None), "cost": sum(filter(None, costs)) if is_known else None}


def _time(report: UsageReport, at_ms: int) -> str:
    return local_time(at_ms, report.tz).isoformat(timespec="seconds")
