"""What a person asks for by hand: the questions, and the answers as tables, CSV or JSON."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .client import Answer
from .collector import Batch, Collector
from .cycles import run_cycle
from .ranges import kept
from .report_files import encode, records
from .report_rows import rows_of, silent_labels
from .report_spans import Page, period
from .report_tables import PLENTY, show


def ask(collectors: Sequence[Collector], now: float) -> List[Batch]:
    """Run the cycle of a moment (seconds since 1970), with a progress bar where someone watches."""
    total = sum(len(collector.plan().queries) for collector in collectors)
    watched = Console(stderr=True)
    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=watched, transient=True, disable=not watched.is_terminal) as progress:
        task = progress.add_task("asking", total=total)
        return run_cycle(collectors, progress=lambda: progress.advance(task), now=now)


def write_files(form: str, pages: Sequence[Page], batches: Sequence[Batch]) -> str:
    """Write the rows of all instances as one CSV or JSON document."""
    found: List[Dict[str, Any]] = []
    for page, batch in zip(pages, batches):
        found += records(page, batch, rows_of(page, batch))
    return encode(form, found)


def print_tables(pages: Sequence[Page], batches: Sequence[Batch], raw: bool) -> None:
    """Print the tables of each instance of which anything was answered."""
    console = Console()
    if not console.is_terminal:
        console.width = PLENTY
    for page, batch in zip(pages, batches):
        rows = rows_of(page, batch)
        if any(row.usage for row in rows):
            show(console, page, rows)
        if raw:
            _show_raw(console, page, batch)


def remarks(page: Page, batch: Batch, probes: Sequence[Batch], now: int) -> Iterator[str]:
    """Say of what was asked what the numbers do not show.

    Args:
        page: what was asked.
        batch: what was answered.
        probes: the answers to the labels, each asked alone.
        now: the cycle's moment in milliseconds.
    """
    answered = {row.span.name for row in rows_of(page, batch) if row.usage}
    for span in page.asked.ranges:
        share = kept(span.window(now, page.asked.zone), now).coverage
        if 0 < share < 1 and (answered if page.size else span.name in answered):
            # Never rounded up to all of it.
            cover = f"{min(share, 0.999):.1%}"
            yield f"{span.name}: reaches past the 30 days that the cloud keeps; the numbers cover {cover} of it"
    for label in silent_labels(page.asked, [batch, *probes]):
        yield (
            f"API key label {label} had no call in the range: it may be unknown; compare it with the tag column of the "
            "console's API Key page"
        )


def _show_raw(console: Console, page: Page, batch: Batch) -> None:
    answers = [
        {"segment": period(query.window, page.tz), "data": json.loads(outcome.text)}
        for query, outcome in batch.outcomes.items()
        if isinstance(outcome, Answer)
    ]
    console.print("\nRaw API Response:")
    console.print(json.dumps(answers, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)
