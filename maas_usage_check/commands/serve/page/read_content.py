"""Read what a page shows: the ledger with the engine of `report`, and the newest batch. It never asks the cloud."""

from __future__ import annotations

import datetime as dt
from typing import Callable, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from msgspec.structs import replace

from ....cloud.usage import Usage
from ....config import Instance
from ....config.ranges import Range, month_window, parse_range
from ....errors import ConfigError
from ....ledger.budgets import Member
from ....ledger.hour_values import DAY, HOUR, KEPT
from ....ledger.key_costs import KeyCosts
from ....ledger.known_usage import KnownUsage, Span, hour_span
from ....ledger.models_window import ModelsWindow
from ....ledger.month_budgets import model_members, statistics_members
from ....ledger.schema import read_transaction
from ....ledger.window import StatisticsWindow
from ....state import Store, UnusableError
from ...report.asked_period import AskedPeriod, Month, ask_period
from ...report.group_usage import GroupedUsage, add_up, group_usage
from ...report.line_adder import LineAdder
from ...report.periods import Part, local_time, split_hours
from ...report.usage_report import UsageReport
from .content import PageContent
from .group_reports import GroupReports, groupings, shown_groupings
from .page_source import PageSource, budget_rows, has_budget, live_models
from .page_totals import read_totals
from .page_view import PageView


def read_content(
    view: PageView,
    names: Sequence[str],
    source: PageSource,
    store: Store,
    now_ms: int,
    pause: Callable[[], None] = lambda: None,
) -> PageContent:
    """Return the page of one instance from the ledger alone; `names` are those of all.

    `pause` is called between its steps. Raises ConfigError: see view_instance.
    """
    instance = view_instance(view, source.instance, now_ms)
    asked, account = ask_period(instance, False, now_ms), source.account
    statistics = StatisticsWindow(instance, store, account, [asked.kept], now_ms, unsettled=True).read()
    pause()
    models = None
    if instance.models:
        models = ModelsWindow(instance, store, account, [asked.kept], now_ms, unsettled=True).read()
        pause()
    return make_content(view, names, source._replace(instance=instance), store, now_ms, statistics, models, pause)


def make_content(
    view: PageView,
    names: Sequence[str],
    source: PageSource,
    store: Store,
    now_ms: int,
    statistics: KnownUsage,
    models: Optional[KnownUsage],
    pause: Callable[[], None] = lambda: None,
) -> PageContent:
    """Return the page of one instance, whose one range is the period; see read_content.

    Args:
        view: what to show.
        names: of all instances.
        source: the instance.
        store: the ledger.
        now_ms: milliseconds since 1970.
        statistics: the known usage of the period by service type and label.
        models: that by model; None without models.
        pause: called between the steps.
    """
    instance, account, asked = source.instance, source.account, ask_period(source.instance, False, now_ms)
    services = LineAdder(group_usage(instance, "service", statistics, "", now_ms), by_hour=False)
    days = list(split_hours(asked.kept, "day", instance.zone()))

    def content(totals_of: Sequence[Member], models_of: Sequence[Member], costs: Optional[KeyCosts]) -> PageContent:
        groups = GroupReports(instance, asked, statistics, models, now_ms, costs)
        totals = read_totals(instance, [] if statistics.failed else totals_of, models_of, now_ms)
        pause()
        reports = []
        for by in shown_groupings(view, instance):
            reports.append(groups.of(by, account.project_id))
            pause()
        prices = instance.prices
        return PageContent(
            view=view,
            instances=tuple(names),
            months=tuple(_months(now_ms, instance.zone())),
            groupings=tuple(groupings(instance)),
            tz=instance.zone(),
            now_ms=now_ms,
            state=source.state,
            currency=prices.currency if prices else "",
            has_cached_note=bool(prices and not prices.has_cached_share),
            today=totals.today,
            month=totals.month,
            comparison=totals.comparison,
            has_budget=has_budget(instance),
            budgets=tuple(budget_rows(source.points)),
            period=_period_report(instance, account.project_id, asked, services, days),
            day_costs=tuple(map(groups.cost, days)),
            hours=tuple(_hours(services.usage, range(asked.kept.start, asked.kept.end, HOUR))),
            groups=tuple(reports),
            live_models=tuple(live_models(source.points)),
        )

    try:
        with read_transaction(store, now_ms) as transaction:
            members = statistics_members(transaction, instance, account.project_id)
            of_models = list(model_members(transaction, store, instance, account.project_id, asked.kept.start - DAY))
            costs = KeyCosts(transaction, of_models, set(instance.key_names.values()))
            return content(_without_keys(members), _without_keys(of_models), costs)
    except UnusableError:  # there is no state yet, or a warning was logged
        return content([], [], None)


def _without_keys(members: Iterable[Member]) -> List[Member]:
    return [each for each in members if not each.is_by_key]


def _period_report(
    instance: Instance, project_id: str, asked: AskedPeriod, services: LineAdder, days: Sequence[Part]
) -> UsageReport:
    whole = services.line(Part(asked.name, asked.kept.start, asked.kept.end, asked.is_unfinished), asked.hours)
    lines = tuple(map(services.line, days))
    groups = services.usage.groups
    return UsageReport(instance, project_id, instance.zone(), "service", "day", False, groups, lines, whole)


def view_instance(view: PageView, instance: Instance, now_ms: int) -> Instance:
    """Return an instance whose one range is the period of a view.

    Raises:
        ConfigError: the month is not kept, or the instance lacks the view's groups.
    """
    range_ = page_range(view.period)
    if isinstance(range_, Month):
        range_.check(now_ms, instance.zone, "period")
    if view.by and view.by not in groupings(instance):
        raise ConfigError(f"by: this instance has no {view.by}s: it has {', '.join(groupings(instance))}")
    return replace(instance, ranges=(range_,))


def page_range(period: str) -> Union[Range, Month]:
    """Return the range of a view's period."""
    if period == "last_month":
        return Month("last_month")
    if period[:1] == "2":
        return Month(period, dt.date(int(period[:4]), int(period[5:]), 1))
    return parse_range("last_7d" if period == "7d" else period)


def _months(now_ms: int, tz: dt.tzinfo) -> Iterator[str]:
    """Yield the months of which something is kept, the newest first."""
    month = month_window(now_ms, tz)
    while month.end > now_ms - KEPT:
        yield f"{local_time(month.start, tz):%Y-%m}"
        month = month_window(month.start - 1, tz)


def _hours(usage: GroupedUsage, starts: Sequence[int]) -> Iterator[Tuple[int, Optional[Usage]]]:
    """Yield each hour with the use of all groups of which anything is known in the period."""
    series = [spans for spans in usage.every if spans]
    for at in starts:
        span: Span = hour_span(at)
        is_known = series and all(span in spans for spans in series)
        yield at, add_up(spans[span] for spans in series) if is_known else None
