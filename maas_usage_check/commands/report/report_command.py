"""The `report` command: each instance becomes UsageReports, and these a table, CSV or JSON; or charges of FOCUS."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shutil
import signal
import tempfile
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Sequence

from rich.console import Console

from ...cloud import Pool
from ...collection.preflight import run_preflight
from ...config import Instance, load_file, load_instance, load_warnings
from ...errors import MaasError, Problem
from ...scheduling import WINDOW_S
from ...state import Store, UnusableError, Warn, find_file
from ..runner import Runtime, make_collectors, on_sigterm, open_store
from .asked_period import calendar_month
from .chosen_instances import choose, with_view
from .coverage import coverage_note
from .csv_json import encode
from .focus import HEADER
from .month_budgets import MonthBudgets, read_month_budgets
from .query_hours import query_hours
from .range_totals import make_range_reports, query_ranges, single_label_instances, unused_labels
from .report_hours import report_hours
from .report_options import View, name_option_in_errors, read_overrides, read_view
from .tables import UNLIMITED_WIDTH, print_budgets, print_raw, print_report
from .usage_report import UsageReport


def report(
    args: argparse.Namespace,
    log_problems: Callable[[Sequence[Problem]], None],
    warn: Warn,
    write_stdout: Callable[[str], None],
    runtime: Runtime,
) -> bool:
    """Run the report of the arguments and print it; return True if any usage is known.

    Args:
        args: the options of `report`.
        log_problems: logs the problems of an instance.
        warn: logs one line.
        write_stdout: writes CSV or JSON to standard output.
        runtime: the clock and the transport.
    """
    now_s = int(runtime.clock.now())
    now_ms = now_s * 1000
    view, overrides = read_view(args), read_overrides(args)
    instances = load_instances(args, overrides, now_s)
    if view.by != "model":
        for text in range_warnings(args, instances, now_s):
            warn(text)
    configured = choose(instances, view)
    instances = [with_view(each, view, args.api_keys, now_ms) for each in configured]
    of_labels = [single_label_instances(instance) if view.by == "service" else [] for instance in instances]
    reports: List[UsageReport] = []
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_store(instances, warn, runtime.clock)))
        pool = stack.enter_context(contextlib.closing(Pool()))
        collectors = make_collectors(
            [*instances, *itertools.chain(*of_labels)], store, pool=pool, runtime=runtime, rate_extension_s=WINDOW_S
        )
        run_preflight(collectors, warn)
        on_sigterm(collectors)
        by_instance, by_label = collectors[: len(instances)], collectors[len(instances) :]
        exact = [each for each in by_instance if view.is_exact(each.instance, now_ms)]
        queried = [*exact, *by_label]
        batches = iter(query_ranges(queried, now_s) if queried else ())
        if len(exact) < len(by_instance):  # it may take long: Ctrl-C ends it as SIGTERM does
            end_at_interrupt(stack)
        if view.is_focus:
            write_stdout(HEADER)
        make_store = partial(temporary_store, stack, warn, runtime)
        for collector in by_instance:
            if collector in exact:
                batch = next(batches)
                log_problems(batch.problems)
                reports += make_range_reports(collector.instance, batch, now_ms)
            else:
                hours = query_hours(collector, view, now_ms, make_store, log_problems, warn)
                reports += report_hours(hours, collector, view, now_ms, write_stdout)
        budgets = (
            [] if view.is_filtered or view.is_focus else list(_budgets(configured, reports, instances, store, now_ms))
        )
    for instance, single in zip(instances, of_labels):
        alone = {label: next(batches) for each in single for label in each.api_keys or ()}
        for text in [*_coverage(instance, reports, view), *unused_labels(instance, alone, reports)]:
            warn(text)
    if view.form == "table":
        _print(reports, budgets, view)
    elif not view.is_focus:
        write_stdout(encode(view, reports, budgets))
    return any(each.is_known for each in reports)


def load_instances(args: argparse.Namespace, overrides: Dict[str, Any], now_s: int) -> List[Instance]:
    """Load the instances of a report; raise ConfigError, which names the option."""
    with name_option_in_errors(overrides):
        if args.config is not None:
            return load_file(args.config, now_s, overrides)
        return [load_instance(overrides, {}, "arguments", now_s)]


def range_warnings(args: argparse.Namespace, instances: Sequence[Instance], now_s: int) -> List[str]:
    """Return the warnings of the configuration, which name the option of the period."""
    return list(load_warnings(instances, now_s, "--last" if args.last else "--from" if args.since else None))


def end_at_interrupt(stack: contextlib.ExitStack) -> None:
    """Let Ctrl-C end the queries as SIGTERM does, until the stack is closed."""
    previous = signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))
    stack.callback(signal.signal, signal.SIGINT, previous)


def temporary_store(stack: contextlib.ExitStack, warn: Warn, runtime: Runtime) -> Store:
    """Open a state that is deleted at the end."""
    try:
        folder = tempfile.mkdtemp(prefix="maas-usage-check-report-")
    except OSError as error:
        raise MaasError(f"no temporary folder can be written ({error.strerror}): set TMPDIR or state_dir") from None
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    store = Store(partial(find_file, folder), warn, runtime.clock.now)
    stack.callback(store.close)
    return store


def _coverage(instance: Instance, reports: Sequence[UsageReport], view: View) -> Iterator[str]:
    """Warn of a range of which a part is not known, where no note below the table says so."""
    for report in [each for each in reports if each.instance is instance and each.is_known][:1]:
        period = report.whole.period
        if report.is_exact and period.end - period.start < period.length:
            cover = f"{min(period.covered_ratio, 0.999):.1%}"  # never rounded up to 100 %
            yield f"{period.name}: reaches past the 30 days that the cloud keeps; the numbers cover {cover} of it"
        elif not report.is_exact and view.form != "table" and period.is_incomplete:
            yield f"{period.name}: {coverage_note(report.whole, report.tz)}"


def _budgets(
    configured: Sequence[Instance],
    reports: Sequence[UsageReport],
    instances: Sequence[Instance],
    store: Store,
    now_ms: int,
) -> Iterator[MonthBudgets]:
    """Yield the budgets of each instance with a report of a calendar month."""
    for whole, instance in zip(configured, instances):
        month = calendar_month(instance.ranges[0], now_ms, instance.zone)
        report = next((each for each in reports if each.instance is instance and each.project_id), None)
        if month is not None and report is not None and whole.has_budget:
            with contextlib.suppress(UnusableError):  # a warning was logged
                budgets = read_month_budgets(store, whole, report.project_id, month, now_ms)
                if budgets.found:
                    yield budgets


def _print(reports: Sequence[UsageReport], budgets: Sequence[MonthBudgets], view: View) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = UNLIMITED_WIDTH
    for each in reports:
        if each.is_known:
            print_report(console, each)
        if view.raw:
            print_raw(console, each)
    for of_instance in budgets:
        print_budgets(console, of_instance)
