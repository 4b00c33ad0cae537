"""`report --format html`: the page of one instance as a file, with the missing hours of its period completed first."""

from __future__ import annotations

import argparse
import contextlib
import os
from functools import partial
from typing import Callable, List, Optional, Sequence, Tuple

from msgspec.structs import replace

from ....cloud import Pool
from ....collection import Collector
from ....collection.preflight import run_preflight
from ....config import Instance
from ....config.ranges import month_window
from ....errors import ConfigError, Problem
from ....ledger import Account
from ....ledger.hour_values import HOUR
from ....ledger.known_usage import KnownUsage
from ....ledger.models_window import ModelsWindow
from ....ledger.month_budgets import read_budgets
from ....ledger.window import HoursWindow, StatisticsWindow
from ....metrics import BUDGET, Point
from ....scheduling import WINDOW_S
from ....state import Store, UnusableError, Warn
from ...report.asked_period import ask_period
from ...report.chosen_instances import choose, with_view
from ...report.complete_hours import Completion
from ...report.report_command import end_at_interrupt, load_instances, range_warnings, temporary_store
from ...report.report_options import read_overrides, read_view
from ...runner import Runtime, make_collectors, on_sigterm, open_store
from .content import CollectionState, PageContent
from .missing_hours import missing_hours
from .page_source import PageSource, instance_name
from .page_view import PageView, preferred_language
from .read_content import make_content
from .render import render

LogProblems = Callable[[Sequence[Problem]], None]


def report_page(
    args: argparse.Namespace,
    log_problems: LogProblems,
    warn: Warn,
    write_stdout: Callable[[str], None],
    runtime: Runtime,
) -> bool:
    """Write the page of the arguments; return True if any usage is known. For the arguments see `report`."""
    now_s = int(runtime.clock.now())
    instance = _choose(args, warn, now_s)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_store([instance], warn, runtime.clock)))
        pool = stack.enter_context(contextlib.closing(Pool()))
        collectors = make_collectors([instance], store, pool=pool, runtime=runtime, rate_extension_s=WINDOW_S)
        run_preflight(collectors, warn)
        on_sigterm(collectors)
        end_at_interrupt(stack)
        complete = partial(_complete, collectors[0], partial(temporary_store, stack, warn, runtime), log_problems, warn)
        content = _make(_view(args, instance), instance, store, now_s * 1000, complete)
    if content is None:
        return False
    if not any(each.whole.total for each in (content.period, *content.groups)):
        text = f"{instance.display_name}: no hour of {instance.ranges[0].name} is known: choose another period"
        log_problems([Problem("E", text, "")])
        return False
    write_stdout(render(content))
    return True


def _choose(args: argparse.Namespace, warn: Warn, now_s: int) -> Instance:
    """Return the one instance of the arguments."""
    view = read_view(args)
    if view.compare:
        raise ConfigError("--compare: cannot be combined with --format html: the page compares months; leave it out")
    instances = load_instances(args, read_overrides(args), now_s)
    for text in range_warnings(args, instances, now_s):
        warn(text)
    if len(instances) > 1:
        raise ConfigError(
            f"--format html: shows one instance, and {args.config} has {len(instances)}; use a file with one of them"
        )
    (instance,) = choose(instances, view) if args.by else instances
    if args.by:
        return with_view(instance, view, args.api_keys, now_s * 1000)
    if view.month is not None:
        view.month.check(now_s * 1000, instance.zone)
        return replace(instance, ranges=(view.month,))
    return instance


def _view(args: argparse.Namespace, instance: Instance) -> PageView:
    """Return the view of the arguments, in the language of the environment."""
    name = instance.ranges[0].name
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    period = "7d" if name == "last_7d" else name
    return PageView(period, args.by or "", 1, preferred_language(locale.replace("_", "-")), {}, is_file=True)


def _make(
    view: PageView,
    instance: Instance,
    store: Store,
    now_ms: int,
    complete: Callable[[HoursWindow], Tuple[Optional[KnownUsage], List[Problem]]],
) -> Optional[PageContent]:
    """Return the page; None if no hours could be read."""
    kept = [ask_period(instance, False, now_ms).kept]
    window = StatisticsWindow(instance, store, Account(), kept, now_ms)
    statistics, problems = complete(window)
    models: Optional[KnownUsage] = None
    if instance.models and statistics is not None:
        has_key_costs = bool(instance.prices and instance.key_names)
        of_models = ModelsWindow(instance, store, Account(), kept, now_ms, by_key=has_key_costs)
        models, more = complete(of_models)
        problems = [*problems, *more]
    if statistics is None or (instance.models and models is None):
        return None
    account = window.account
    points = list(_budget_points(instance, account.project_id, store, now_ms))
    source = PageSource(instance, account, points, CollectionState("file", problems=problems))
    content = make_content(view, [instance_name(instance)], source, window.stores[0], now_ms, statistics, models)
    newest = max((at + HOUR for at, usage in content.hours if usage and usage.total_tokens), default=None)
    missing = missing_hours(content.period.whole, now_ms)
    return replace(content, state=source.state._replace(newest_hour_ms=newest, missing_hours=missing))


def _complete(
    collector: Collector, make_store: Callable[[], Store], log_problems: LogProblems, warn: Warn, window: HoursWindow
) -> Tuple[Optional[KnownUsage], List[Problem]]:
    """Complete a window; return its usage, None if it could not be read, and why hours are missing."""
    known, causes = Completion(collector, window, make_store, log_problems, warn).wait()
    level = "E" if known is None else "W"
    problems = [Problem(level, f"{collector.instance.display_name}: {text}", "") for text in causes]
    log_problems(problems)
    return known, problems


def _budget_points(instance: Instance, project_id: str, store: Store, now_ms: int) -> Sequence[Point]:
    """Return the budgets of the running month, as the newest batch of a cycle has them."""
    month = month_window(now_ms, instance.zone())
    with contextlib.suppress(UnusableError):
        found = read_budgets(store, instance, project_id, month, now_ms)
        return [Point(BUDGET, budget.tags, status.fields(), now_ms * 1_000_000) for budget, status in found]
    return []
