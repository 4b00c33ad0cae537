"""The table of `report --models`, and the lines below it."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Iterator, List, Optional, Sequence

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...config import Instance
from .amounts import UNKNOWN, usage_cells
from .model_rows import WEEK_HOURS, HourRange, ModelRow, MonthEstimate, total_cost
from .periods import Period, format_period, local_time
from .usage_rows import sum_usages
from .usage_tables import make_table, print_widest_fit

CENT = Decimal("0.01")
KNOWN_HOURS_NOTE = "Cloud Eye has the last 10 days, and the ledger has the collected hours (`models` and `hourly`)"
MAX_NAMED = 5
"""Models of a long list that a line names."""


class ModelsReport(Struct, frozen=True):
    """Hold the usage of one instance's models in `known_hours` of `hours`.

    Every model that was called after `listed_since_ms` is in `rows`. `month` is None without prices.
    """

    instance: Instance
    project_id: str
    tz: dt.tzinfo
    hours: HourRange
    known_hours: int
    rows: List[ModelRow]
    listed_since_ms: int
    month: Optional[MonthEstimate]
    comparison: str


def print_models_table(console: Console, report: ModelsReport) -> None:
    """Print the table of an instance, and the lines below it."""
    console.print()
    console.print(Text(f"MaaS Models Usage - Region: {report.instance.region}", style="bold"))
    if not report.rows:
        console.print(
            Text("Cloud Eye lists no models: no call in the last 3 hours, or only in another project or region."),
            soft_wrap=True,
        )
        return
    print_widest_fit(console, [_table(report, narrow) for narrow in (False, True)])
    period = Period("", report.hours.start_ms, report.hours.end_ms, False)
    console.print(Text(f"Period: {format_period(period, report.tz)}, in whole hours of UTC"), soft_wrap=True)
    for line in _footnotes(report):
        console.print(Text(line, style="dim"), soft_wrap=True)


def token_share(row: ModelRow, rows: Sequence[ModelRow]) -> Optional[float]:
    """Divide a model's tokens by those of all rows; None if one is unknown, or if no tokens were used."""
    total = sum_usages([each.usage for each in rows])
    return row.usage.total_tokens / total.total_tokens if row.usage and total and total.total_tokens else None


def _table(report: ModelsReport, narrow: bool) -> Table:
    """Lay out a row per model and their total; in a narrow table, two numbers share a column."""
    prices, rows = report.instance.prices, report.rows
    names = ["Total", "Prompt", "Completion", "Requests", "Errors"]
    cost = [f"Cost ({prices.currency})"] if prices else []
    table = make_table(["Model"], [*_stack(names, narrow), "Share", *cost])
    for row in rows:
        share = token_share(row, rows)
        cells = [*_stack(usage_cells(row.usage)[:5], narrow), UNKNOWN if share is None else f"{share:.1%}"]
        table.add_row(Text(row.name), *cells, *([_format_cost(row.cost)] if prices else []))
    table.add_section()
    total = sum_usages([row.usage for row in rows])
    cells = [*_stack(usage_cells(total)[:5], narrow), f"{1:.1%}" if total and total.total_tokens else UNKNOWN]
    table.add_row("Total", *cells, *([_format_cost(total_cost(rows))] if prices else []))
    return table


def _stack(cells: Sequence[str], narrow: bool) -> List[str]:
    if not narrow:
        return list(cells)
    tokens, prompt, completion, requests, errors = cells
    return [tokens, f"{prompt}\n{completion}", f"{requests}\n{errors}"]


def _footnotes(report: ModelsReport) -> Iterator[str]:
    if report.known_hours < report.hours.count:
        yield (f"{report.known_hours:,} of {report.hours.count:,} hours are known and counted: {KNOWN_HOURS_NOTE}.")
    if report.hours.start_ms < report.listed_since_ms:
        since = local_time(report.listed_since_ms, report.tz)
        yield (
            f"Models last called before {since:%Y-%m-%d %H:%M} are missing: Cloud Eye lists a model for 3 hours after "
            "its last call, and the ledger keeps the collected models."
        )
    if report.instance.prices:
        yield from _cost_footnotes(report, report.instance.prices.currency)
    yield report.comparison


def _cost_footnotes(report: ModelsReport, currency: str) -> Iterator[str]:
    unpriced = [row for row in report.rows if row.price is None]
    without = ""
    if unpriced:
        shares = [token_share(row, report.rows) for row in unpriced]
        part = "" if None in shares else f", {sum(filter(None, shares)):.1%} of the tokens"
        names = ", ".join(row.name for row in unpriced[:MAX_NAMED]) + (", ..." if len(unpriced) > MAX_NAMED else "")
        without = (
            f" The total excludes models without a price: {len(unpriced)} of {len(report.rows)} models{part} ({names})."
        )
    yield f"Cost is an estimate: tokens times the prices in the file.{without}"
    month = report.month
    if month and month.cost is not None:
        models = "models that have" if len(unpriced) > 1 else "model that has"
        unpriced_note = f", without the {models} no price" if unpriced else ""
        yield (
            f"At the rate of the last 7 days, {month.name} costs about {_format_cost(month.cost)} {currency} "
            f"(estimate{unpriced_note})."
        )
    elif month and month.known_hours < WEEK_HOURS:
        yield f"No estimate for {month.name}: {month.known_hours} of the last {WEEK_HOURS} hours are known."


def _format_cost(cost: Optional[Decimal]) -> str:
    if cost is None:
        return UNKNOWN
    rounded = cost.quantize(CENT, ROUND_HALF_UP)
    return "<0.01" if cost and not rounded else f"{rounded:,}"
