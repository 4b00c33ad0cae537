"""What a person asks for by hand: the questions, and the answers as tables, CSV or JSON."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
from typing import Any, Callable, Dict, Iterator, List, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ...cloud import Pool
from ...cloud.statistics import Answer, Totals
from ...collection import (
    Batch,
    Collector,
    Problem,
    Runtime,
    forewarn,
    make_collectors,
    on_sigterm,
    open_store,
    run_cycle,
)
from ...config import load_file, load_instance, load_warnings
from ...config.ranges import clip
from ...state import Warn
from .files import encode, records
from .from_ledger import NOTHING, Rest, check_calls, look_up, share, together
from .models_command import report_models
from .options import as_typed, overrides
from .periods import Page, lay_out, period
from .rows import label_questions, rows_of, silent_labels
from .tables import PLENTY, show


def report(
    args: argparse.Namespace,
    tell: Callable[[Sequence[Problem]], None],
    warn: Warn,
    put: Callable[[str], None],
    runtime: Runtime,
) -> bool:
    """Ask what the arguments say and show it; tell whether anything was answered.

    Args:
        args: the options of `report`.
        tell: takes the problems of a cycle.
        warn: takes one line.
        put: takes what goes to standard output, where that is no table.
        runtime: the clock and the transport.
    """
    now = int(runtime.clock.now())
    wins = overrides(args)
    with as_typed(wins):
        if args.config is not None:
            instances = load_file(args.config, now, wins)
        else:
            instances = [load_instance({"ranges": ["last_7d"], **wins}, {}, "arguments", now)]
    if args.size == "model":
        return report_models(instances, args.format, now, tell, warn, put, runtime)
    for text in load_warnings(instances, now, "--last" if args.last else "--from" if args.since else None):
        warn(text)
    pages = [lay_out(instance, args.size, now * 1000) for instance in instances]
    probes = [label_questions(page) for page in pages]
    with contextlib.closing(open_store(instances, warn, runtime.clock)) as store, contextlib.closing(Pool()) as pool:
        helds = [
            look_up(page, store, now * 1000, runtime.clock) if page.size and not args.raw else NOTHING for page in pages
        ]
        for page, held in zip(pages, helds):
            check_calls(page, held, args.raw, now * 1000)
        asked = [*(page.instance for page in pages), *itertools.chain(*probes)]
        sources = [Rest(held) for held in helds]
        collectors = make_collectors(asked, store, sources=sources, pool=pool, runtime=runtime)
        forewarn(collectors, warn)
        on_sigterm(collectors)
        batches = iter(ask(collectors, now))
    shown = [together(page, next(batches), held, now * 1000) for page, held in zip(pages, helds)]
    for page, batch, questions in zip(pages, shown, probes):
        tell(batch.problems)
        for text in remarks(page, batch, [next(batches) for _ in questions], now * 1000):
            warn(text)
    if args.format == "table":
        print_tables(pages, shown, [share(page, held, now * 1000) for page, held in zip(pages, helds)], args.raw)
    else:
        put(write_files(args.format, pages, shown))
    return any(batch.collected for batch in shown)


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


def print_tables(pages: Sequence[Page], batches: Sequence[Batch], shares: Sequence[str], raw: bool) -> None:
    """Print the tables of each instance of which anything was answered."""
    console = Console()
    if not console.is_terminal:
        console.width = PLENTY
    for page, batch, of_ledger in zip(pages, batches, shares):
        rows = rows_of(page, batch)
        if any(row.usage for row in rows):
            show(console, page, rows, of_ledger)
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
        share = clip(span.window(now, page.asked.zone), now).coverage
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
        if isinstance(query, Totals) and isinstance(outcome, Answer)
    ]
    console.print("\nRaw API Response:")
    console.print(json.dumps(answers, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)
