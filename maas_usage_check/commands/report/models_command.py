"""`report --models`: tokens and cost of each model, from Cloud Eye's hours."""

from __future__ import annotations

import contextlib
import datetime as dt
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence

from msgspec.structs import replace
from rich.console import Console

from ...cloud import Pool
from ...config import Instance
from ...errors import Problem
from ...scheduling import Schedulers
from ...state import Store, Warn
from ...watchdog import Watched
from ..comparison import compare
from ..runner import Runtime, open_store
from .csv_json import encode_records
from .model_rows import HourRange, complete_hours, estimate_month, last_week_hours, make_model_rows
from .models_table import KNOWN_HOURS_NOTE, ModelsReport, print_models_table, token_share
from .periods import local_time, require_one_range
from .query_models import ModelsResult, query_models
from .usage_tables import UNLIMITED_WIDTH

COLUMNS = (
    *("region", "project_id", "tags", "range", "start", "end", "hours", "known_hours", "maas_api_id", "model"),
    *("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors", "share"),
)
COST_COLUMNS = ("currency", "cost")


def report_models(
    configured: Sequence[Instance],
    form: str,
    now_s: int,
    log_problems: Callable[[Sequence[Problem]], None],
    warn: Warn,
    write_stdout: Callable[[str], None],
    runtime: Runtime,
) -> bool:
    """Query the usage of models and print it; return True if any of it is known.

    Args:
        configured: the instances; only those with `models` are reported, or all if none has it.
        form: `table`, `csv` or `json`.
        now_s: seconds since 1970.
        log_problems: logs the problems of an instance.
        warn: logs one line.
        write_stdout: writes CSV or JSON to standard output.
        runtime: the clock and the transport.
    """
    instances = [replace(each, models=True) for each in configured if each.models] or [
        replace(each, models=True) for each in configured
    ]
    for instance in instances:
        require_one_range(instance, "model")
    zones = [instance.zone() for instance in instances]
    reports: List[ModelsReport] = []
    clock, now_ms = runtime.clock, now_s * 1000
    with contextlib.closing(open_store(instances, warn, clock)) as store, contextlib.closing(Pool()) as pool:
        schedulers = Schedulers(store, clock)
        ranges = [complete_hours(instance, now_ms) for instance in instances]
        transports = [runtime.connect(instance, pool) for instance in instances]
        running = {
            i: Watched(
                partial(
                    query_models,
                    instance,
                    transports[i],
                    _needed_hours(instance, hours, now_ms),
                    schedulers,
                    clock,
                    now_ms,
                    warn,
                )
            )
            for i, (instance, hours) in enumerate(zip(instances, ranges))
            if hours.available
        }
        for i, (instance, tz, hours) in enumerate(zip(instances, zones, ranges)):
            result = running[i].result() if i in running else None
            report = None if result is None else _make_report(instance, tz, hours, result, store, now_ms)
            log_problems(_problems(instance, result, report))
            reports += [report] if report else []
    if form == "table":
        console = Console()
        if not console.is_terminal:
            console.width = UNLIMITED_WIDTH
        for report in reports:
            print_models_table(console, report)
    else:
        columns = (*COLUMNS, *(COST_COLUMNS if any(report.instance.prices for report in reports) else ()))
        records = [record for report in reports for record in _make_records(report, columns)]
        write_stdout(encode_records(form, records, columns))
    return bool(reports)


def _needed_hours(instance: Instance, hours: HourRange, now_ms: int) -> List[int]:
    """List the hours of the report; with prices also those of the last week, for the estimate."""
    return sorted({*hours.available, *(last_week_hours(now_ms) if instance.prices else ())})


def _make_report(
    instance: Instance, tz: dt.tzinfo, hours: HourRange, result: ModelsResult, store: Store, now_ms: int
) -> Optional[ModelsReport]:
    """Make the report of an instance; None if no hour is known although there are models or failures."""
    if result.known is None:
        return None
    known = result.known
    rows, known_hours = make_model_rows(instance, known, hours.available)
    if not known_hours and (rows or result.failures):
        return None
    return ModelsReport(
        instance,
        result.account.project_id,
        tz,
        hours,
        len(known_hours),
        rows,
        known.list_complete_since,
        estimate_month(instance, known, now_ms, tz) if instance.prices else None,
        compare(instance, store, result.account, known.tokens_by_hour(hours.available), now_ms),
    )


def _problems(instance: Instance, result: Optional[ModelsResult], report: Optional[ModelsReport]) -> List[Problem]:
    where = instance.display_name
    if result is None:
        text = f"{instance.ranges[0].name} contains no complete UTC hour of the last 30 days"
        return [Problem("E", f"{where}: {text}: choose another range, such as --last 24h", where)]
    causes = list(dict.fromkeys(map(str, result.failures)))
    if not report and not causes:
        causes.append(f"no hour of {instance.ranges[0].name} is known: {KNOWN_HOURS_NOTE}")
    return [Problem("W" if report else "E", f"{where}: Cloud Eye: {text}", text) for text in causes]


def _make_records(report: ModelsReport, columns: Sequence[str]) -> List[Dict[str, Any]]:
    """Make a record of each model; an unknown value is None."""
    instance, hours, prices = report.instance, report.hours, report.instance.prices
    start, end = (local_time(at, report.tz).isoformat(timespec="seconds") for at in (hours.start_ms, hours.end_ms))
    shared = {
        "region": instance.region,
        "project_id": report.project_id,
        "tags": ",".join(instance.tags),
        "range": instance.ranges[0].name,
        "start": start,
        "end": end,
        "hours": hours.count,
        "known_hours": report.known_hours,
        "currency": prices.currency if prices else None,
    }
    records: List[Dict[str, Any]] = []
    for row in report.rows:
        own = {
            "maas_api_id": row.api_id,
            "model": row.name,
            "share": token_share(row, report.rows),
            "cost": None if row.cost is None else row.cost.normalize(),
        }
        values = {**shared, **own}
        records.append({name: values[name] if name in values else getattr(row.usage, name, None) for name in columns})
    return records
