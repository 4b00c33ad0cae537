"""The table of `report --models`, and what is said below it."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Iterator, List, Optional, Sequence

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...config import Instance
from .amounts import UNKNOWN, cells
from .model_rows import WEEK, Hours, ModelRow, Month, cost_of
from .periods import Span, local, period
from .rows import total
from .tables import fit, table_of

CENT = Decimal("0.01")
TELLS = "tells those of the last 10 days, and the ledger has those that were collected (`models` and `hourly`)"
NAMED = 5
"""Models of a long list that a line names."""


class ModelsPage(Struct, frozen=True):
    """Hold what is shown of one instance: its models' use in so many `known` hours of `hours`.

    `listed_since` is since when each model is known that was called, in milliseconds; `month` is None without prices.
    """

    instance: Instance
    project_id: str
    tz: dt.tzinfo
    hours: Hours
    known: int
    rows: List[ModelRow]
    listed_since: int
    month: Optional[Month]
    comparison: str


def show_models(console: Console, page: ModelsPage) -> None:
    """Print the table of an instance, and the lines below it."""
    console.print()
    console.print(Text(f"MaaS Models Usage - Region: {page.instance.region}", style="bold"))
    if not page.rows:
        console.print(
            Text("Cloud Eye lists no model: none was called in the last 3 hours, or not here."), soft_wrap=True
        )
        return
    fit(console, [_table(page, narrow) for narrow in (False, True)])
    span = Span("", page.hours.start, page.hours.until, False)
    console.print(Text(f"Period: {period(span, page.tz)}, in whole hours of UTC"), soft_wrap=True)
    for line in _remarks(page):
        console.print(Text(line, style="dim"), soft_wrap=True)


def share_of(row: ModelRow, rows: Sequence[ModelRow]) -> Optional[float]:
    """Work out which part of all tokens a model used; None where that is not known, or none were."""
    whole = total([each.usage for each in rows])
    return row.usage.total_tokens / whole.total_tokens if row.usage and whole and whole.total_tokens else None


def _table(page: ModelsPage, narrow: bool) -> Table:
    """Lay out a row for each model and their total; where it is narrow, numbers of a kind share a column."""
    prices, rows = page.instance.prices, page.rows
    names = ["Total", "Prompt", "Completion", "Requests", "Errors"]
    cost = [f"Cost ({prices.currency})"] if prices else []
    table = table_of(["Model"], [*_stacked(names, narrow), "Share", *cost])
    for row in rows:
        share = share_of(row, rows)
        written = [*_stacked(cells(row.usage)[:5], narrow), UNKNOWN if share is None else f"{share:.1%}"]
        table.add_row(Text(row.name), *written, *([_money(row.cost)] if prices else []))
    table.add_section()
    whole = total([row.usage for row in rows])
    written = [*_stacked(cells(whole)[:5], narrow), f"{1:.1%}" if whole and whole.total_tokens else UNKNOWN]
    table.add_row("Total", *written, *([_money(cost_of(rows))] if prices else []))
    return table


def _stacked(cells: Sequence[str], narrow: bool) -> List[str]:
    if not narrow:
        return list(cells)
    tokens, prompt, completion, requests, errors = cells
    return [tokens, f"{prompt}\n{completion}", f"{requests}\n{errors}"]


def _remarks(page: ModelsPage) -> Iterator[str]:
    if page.known < page.hours.number:
        yield (f"{page.known:,} of {page.hours.number:,} hours are known, and counted: Cloud Eye {TELLS}.")
    if page.hours.start < page.listed_since:
        since = local(page.listed_since, page.tz)
        yield (
            f"A model that was last called before {since:%Y-%m-%d %H:%M} is not there: Cloud Eye lists a model for 3 "
            "hours, and the ledger remembers it once it was collected."
        )
    if page.instance.prices:
        yield from _of_costs(page, page.instance.prices.currency)
    yield page.comparison


def _of_costs(page: ModelsPage, currency: str) -> Iterator[str]:
    free = [row for row in page.rows if row.price is None]
    without = ""
    if free:
        shares = [share_of(row, page.rows) for row in free]
        part = "" if None in shares else f", {sum(filter(None, shares)):.1%} of the tokens"
        names = ", ".join(row.name for row in free[:NAMED]) + (", ..." if len(free) > NAMED else "")
        without = f" The total leaves out what has no price: {len(free)} of {len(page.rows)} models{part} ({names})."
    yield f"Cost is an estimate: tokens times the prices of the file.{without}"
    month = page.month
    if month and month.cost is not None:
        left_out = f", without the {'models that have' if len(free) > 1 else 'model that has'} no price" if free else ""
        yield (
            f"At the rate of the last 7 days, {month.name} costs about {_money(month.cost)} {currency} "
            f"(estimate{left_out})."
        )
    elif month and month.known < WEEK:
        yield f"What {month.name} will cost is not estimated: {month.known} of the last {WEEK} hours are known."


def _money(amount: Optional[Decimal]) -> str:
    if amount is None:
        return UNKNOWN
    rounded = amount.quantize(CENT, ROUND_HALF_UP)
    return "<0.01" if amount and not rounded else f"{rounded:,}"
