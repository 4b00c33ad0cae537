"""The `report` command: queries, and their answers as tables, CSV or JSON."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
from typing import Any, Callable, Dict, Iterator, List, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ...cloud import Pool
from ...cloud.statistics import TotalsAnswer, TotalsQuery
from ...collection import Batch, Collector, run_cycle
from ...collection.preflight import run_preflight
from ...config import load_file, load_instance, load_warnings
from ...config.ranges import clip
from ...errors import Problem
from ...scheduling import WINDOW_S, Priority
from ...state import Warn
from ..runner import Runtime, make_collectors, on_sigterm, open_store
from .csv_json import encode_records, make_records
from .from_ledger import (
    NO_HOURS,
    MissingOnly,
    check_query_limit,
    describe_ledger_share,
    merge_from_ledger,
    read_ledger,
)
from .models_command import report_models
from .periods import Layout, format_period, make_layout
from .report_options import name_option_in_errors, read_overrides
from .usage_rows import make_usage_rows, single_label_instances, unused_labels
from .usage_tables import UNLIMITED_WIDTH, print_usage_tables


def report(
    args: argparse.Namespace,
    log_problems: Callable[[Sequence[Problem]], None],
    warn: Warn,
    write_stdout: Callable[[str], None],
    runtime: Runtime,
) -> bool:
    """Run the report of the arguments and print it; return True if any query succeeded.

    Args:
        args: the options of `report`.
        log_problems: logs the problems of a cycle.
        warn: logs one line.
        write_stdout: writes CSV or JSON to standard output.
        runtime: the clock and the transport.
    """
    now_s = int(runtime.clock.now())
    now_ms = now_s * 1000
    overrides = read_overrides(args)
    with name_option_in_errors(overrides):
        if args.config is not None:
            instances = load_file(args.config, now_s, overrides)
        else:
            instances = [load_instance({"ranges": ["last_7d"], **overrides}, {}, "arguments", now_s)]
    if args.size == "model":
        return report_models(instances, args.format, now_s, log_problems, warn, write_stdout, runtime)
    for text in load_warnings(instances, now_s, "--last" if args.last else "--from" if args.since else None):
        warn(text)
    layouts = [make_layout(instance, args.size, now_ms) for instance in instances]
    label_instances = [single_label_instances(layout) for layout in layouts]
    with contextlib.closing(open_store(instances, warn, runtime.clock)) as store, contextlib.closing(Pool()) as pool:
        from_ledger = [
            read_ledger(layout, store, now_ms, runtime.clock) if layout.size and not args.raw else NO_HOURS
            for layout in layouts
        ]
        for layout, found in zip(layouts, from_ledger):
            check_query_limit(layout, found, args.raw, now_ms)
        queried = [*(layout.queried for layout in layouts), *itertools.chain(*label_instances)]
        sources = [MissingOnly(found) for found in from_ledger]
        collectors = make_collectors(
            queried, store, sources=sources, pool=pool, runtime=runtime, rate_extension_s=WINDOW_S,
            priority=Priority.BY_HAND if any(layout.size for layout in layouts) else Priority.RANGE,
        )  # fmt: skip
        run_preflight(collectors, warn)
        on_sigterm(collectors)
        results = iter(run_with_progress(collectors, now_s))
    batches = [merge_from_ledger(layout, next(results), found, now_ms) for layout, found in zip(layouts, from_ledger)]
    for layout, batch, of_labels in zip(layouts, batches, label_instances):
        log_problems(batch.problems)
        for text in result_warnings(layout, batch, [next(results) for _ in of_labels], now_ms):
            warn(text)
    if args.format == "table":
        shares = [describe_ledger_share(layout, found, now_ms) for layout, found in zip(layouts, from_ledger)]
        print_tables(layouts, batches, shares, args.raw)
    else:
        write_stdout(encode_report(args.format, layouts, batches))
    return any(batch.collected for batch in batches)


def run_with_progress(collectors: Sequence[Collector], now_s: float) -> List[Batch]:
    """Run a cycle, with a progress bar if standard error is a terminal."""
    total = sum(len(collector.plan().queries) for collector in collectors)
    console = Console(stderr=True)
    columns = (TextColumn("querying"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("querying", total=total)
        return run_cycle(collectors, progress=lambda: progress.advance(task), now=now_s)


def encode_report(form: str, layouts: Sequence[Layout], batches: Sequence[Batch]) -> str:
    """Encode the rows of all instances as one CSV or JSON document."""
    records: List[Dict[str, Any]] = []
    for layout, batch in zip(layouts, batches):
        records += make_records(layout, batch, make_usage_rows(layout, batch))
    return encode_records(form, records)


def print_tables(layouts: Sequence[Layout], batches: Sequence[Batch], ledger_shares: Sequence[str], raw: bool) -> None:
    """Print the tables of each instance with at least one known row."""
    console = Console()
    if not console.is_terminal:
        console.width = UNLIMITED_WIDTH
    for layout, batch, ledger_share in zip(layouts, batches, ledger_shares):
        rows = make_usage_rows(layout, batch)
        if any(row.usage for row in rows):
            print_usage_tables(console, layout, rows, ledger_share)
        if raw:
            _print_raw(console, layout, batch)


def result_warnings(layout: Layout, batch: Batch, label_batches: Sequence[Batch], now_ms: int) -> Iterator[str]:
    """Warn of ranges that are not fully kept by the cloud, and of labels without a call.

    Args:
        layout: the rows.
        batch: the answers.
        label_batches: the answers of each label that was queried alone.
        now_ms: the cycle's time.
    """
    answered = {row.period.name for row in make_usage_rows(layout, batch) if row.usage}
    for range_ in layout.configured.ranges:
        coverage = clip(range_.window(now_ms, layout.configured.zone), now_ms).coverage
        if 0 < coverage < 1 and (answered if layout.size else range_.name in answered):
            # Never rounded up to 100 %.
            cover = f"{min(coverage, 0.999):.1%}"
            yield f"{range_.name}: reaches past the 30 days that the cloud keeps; the numbers cover {cover} of it"
    for label in unused_labels(layout.configured, [batch, *label_batches]):
        yield (
            f"API key label {label} had no call in the range: it may be unknown; compare it with the tag column of the "
            "console's API Key page"
        )


def _print_raw(console: Console, layout: Layout, batch: Batch) -> None:
    answers = [
        {"segment": format_period(query.window, layout.tz), "data": json.loads(outcome.text)}
        for query, outcome in batch.outcomes.items()
        if isinstance(query, TotalsQuery) and isinstance(outcome, TotalsAnswer)
    ]
    console.print("\nRaw API Response:")
    console.print(json.dumps(answers, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)
