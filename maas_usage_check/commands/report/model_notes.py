"""The sentences about a report by model: models that may be missing, what the cost leaves out, and the month's cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Iterator, Optional, Sequence

from ...config import Instance
from ...config.ranges import DAY, HOUR, Window, month_window
from ...ledger.known_usage import KnownUsage
from ...ledger.window import whole_hours
from ...metrics import CACHED_AS_ORDINARY
from .amounts import format_cost, format_tokens
from .asked_period import AskedPeriod
from .group_usage import group_usage
from .line_adder import LineAdder
from .periods import Part, local_time
from .usage_report import UsageReport

WEEK_HOURS = 168
"""The month's cost is estimated at the rate of so many last hours."""
MAX_NAMED = 5
"""Models of a long list that a line names."""


def estimated_week(instance: Instance, asked: AskedPeriod, now_ms: int) -> Optional[Window]:
    """Return the last 168 hours that are complete in Cloud Eye, if the month's cost is estimated by them."""
    if instance.prices is None or asked.hours.end <= month_window(now_ms, instance.zone()).start:
        return None
    end = whole_hours(Window(now_ms - DAY, now_ms), now_ms, is_models=True).end
    return Window(end - WEEK_HOURS * HOUR, end)


def model_notes(report: UsageReport, known: KnownUsage, week: Optional[Window], now_ms: int) -> Iterator[str]:
    """Yield the sentences about a report of models."""
    if report.whole.period.start < known.listed_since_ms:
        since = local_time(known.listed_since_ms, report.tz)
        yield (
            f"Models last called before {since:%Y-%m-%d %H:%M} are missing: Cloud Eye lists a model for 3 hours after "
            "its last call, and the ledger keeps the collected models."
        )
    if report.instance.prices:
        yield f"Cost is an estimate: tokens times the prices in the file.{_without_price(report)}"
        if not report.instance.prices.has_cached_share:
            yield CACHED_AS_ORDINARY
        if known.has_days:
            yield "The cost of days whose hours are no longer kept is that at the prices of their time."
        if week is not None:
            yield from _month(report, known, week, now_ms)


def _without_price(report: UsageReport) -> str:
    """Say what the total cost excludes: models without a price, and days or hours of models that had none then."""
    prices, line = report.instance.prices, report.whole
    without = {
        i
        for i, group in enumerate(report.groups)
        if line.costs[i] is None and prices and prices.of(*map(str, group.columns.values())) is None
    }
    partly = [i for i, tokens in enumerate(line.unpriced) if tokens and i not in without]
    text = ""
    if without:
        shares = [line.share(line.usages[i]) for i in sorted(without)]
        part = "" if None in shares else f", {sum(filter(None, shares)):.1%} of the tokens"
        some = f"{len(without)} of {len(report.groups)} models{part}"
        text = f" The total excludes models without a price: {some} ({_names(report, sorted(without))})."
    if partly:
        tokens = format_tokens(sum(line.unpriced[i] for i in partly))
        text += f" It excludes {tokens} of times without a price ({_names(report, partly)})."
    return text


def _names(report: UsageReport, groups: Sequence[int]) -> str:
    names = [report.groups[i].title for i in groups[:MAX_NAMED]]
    return ", ".join(names) + (", ..." if len(groups) > MAX_NAMED else "")


def _month(report: UsageReport, known: KnownUsage, week: Window, now_ms: int) -> Iterator[str]:
    """Estimate the cost of the current local month at the rate of the last 7 days."""
    month = month_window(now_ms, report.tz)
    length, name = Decimal(month.end - month.start) / HOUR, f"{local_time(now_ms, report.tz):%B}"
    line = LineAdder(group_usage(report.instance, "model", known, "", now_ms), by_hour=False).line(
        Part("", week.start, week.end)
    )
    hours, cost = line.period.covered // HOUR, line.total_cost
    if hours < WEEK_HOURS:
        yield f"No estimate for {name}: {hours} of the last {WEEK_HOURS} hours are known."
    elif cost is not None and report.instance.prices:
        unpriced = sum(cost is None for cost in line.costs)
        models = "models that have" if unpriced > 1 else "model that has"
        note = f", without the {models} no price" if unpriced else ""
        yield (
            f"At the rate of the last 7 days, {name} costs about {format_cost(cost * length / WEEK_HOURS)} "
            f"{report.instance.prices.currency} (estimate{note})."
        )
